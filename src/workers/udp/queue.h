/*
 * queue: the first datagrams of a peer, for as long as it is not known whether he may come
 * in: QUEUE_MAX of them and QUEUE_BYTES at most.  What is beyond that is lost, as datagrams
 * are.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_UDP_QUEUE_H
#define HATCHD_WORKERS_UDP_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#define QUEUE_MAX   8
#define QUEUE_BYTES 65536

struct queued {
	struct queued *next;
	size_t len;
	uint8_t bytes[];
};

/* All zero: empty. */
struct queue {
	struct queued *first, *last; /* owned */
	unsigned n;
	size_t bytes;
};

/* 0; -ENOBUFS: it is full; -ENOMEM. */
int queue_put(struct queue *queue, const void *bytes, size_t len);

/* The first, which is the caller's to free; NULL: there is none. */
struct queued *queue_take(struct queue *queue);

/* Forget them all. */
void queue_clear(struct queue *queue);

#endif
