/*
 * meld: heaps of which there may be as many as there are things to put in, without
 * a table for any of them (leftist trees, by C. A. Crane).
 *
 * One is a pointer to its first node.  What is ordered belongs to the caller and carries
 * a node; a node is in one heap at most.  The first is found at once; to put one in and to
 * take it out takes a number of steps that grows with the logarithm of how many there are
 * in that heap, and no memory.  Where there are few heaps, base/heap is smaller and faster.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_MELD_H
#define HATCHD_BASE_MELD_H

#include <stdint.h>

struct meld_node {
	uint64_t key;
	struct meld_node *left, *right, *up;
	uint32_t rank; /* nodes from here to the nearest one that lacks a child */
	uint32_t tag;  /* the caller's, for whatever he likes; it lies in a gap */
};

/* In with that key; it is in no heap.  An empty heap is NULL. */
void meld_put(struct meld_node **first, struct meld_node *node, uint64_t key);

/* Out of the heap, which it is in. */
void meld_remove(struct meld_node **first, struct meld_node *node);

#endif
