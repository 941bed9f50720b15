/*
 * heap: things in the order of a number that each has, usually the time at which
 * it is due.  The first is found at once; to put one in, to move it and to take it
 * out again takes a number of steps that grows with the logarithm of how many
 * there are.
 *
 * What is ordered belongs to the caller and carries a node; the heap keeps pointers
 * to nodes.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_HEAP_H
#define HATCHD_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: in no heap. */
struct heap_node {
	uint64_t key;
	uint32_t place; /* in the heap, from 1; 0: not in it */
};

/* All zero: empty, with no room. */
struct heap {
	struct heap_node **nodes; /* owned */
	size_t n, room;
};

void heap_done(struct heap *heap);

/* Have room for so many nodes: heap_put() cannot fail then.  0 or -ENOMEM. */
int heap_reserve(struct heap *heap, size_t room);

/* In with that key, or to another place if it is in already. */
void heap_put(struct heap *heap, struct heap_node *node, uint64_t key);

/* Out of it; nothing happens if it is not in. */
void heap_remove(struct heap *heap, struct heap_node *node);

/* One whose key is the smallest; NULL if it is empty. */
struct heap_node *heap_first(const struct heap *heap);

static inline bool heap_has(const struct heap_node *node)
{
	return node->place != 0;
}

#endif
