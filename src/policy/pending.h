/*
 * pending: the connections of one service whose header a worker is still reading, so
 * that nobody knows yet who they are from, or what they want.
 *
 * They cost the peer nothing but a connection and hold a descriptor of the master's, so
 * they are bounded in all and for each source, which is the one that the socket tells.
 * There is always room for one more, because somebody else goes:
 *
 * - when his source has as many as it may, the oldest of that source;
 * - when all are as many as they may, the oldest of the source that has the most, which
 *   is his own if no other has more; of several that have as many, the one whose oldest
 *   is oldest.
 *
 * So a source takes a place from another one only while that one has more than itself.
 * Were it always the oldest of all that goes, the few sources that it takes to fill the
 * ledger could keep everybody else out: by renewing their connections they would make his
 * the oldest.  As it is, who has one connection loses it only to a crowd of as many sources
 * as there are places, and only when all have one and his is the oldest.
 *
 * Nothing is allocated but by pending_reserve().  Finding a source takes the same time
 * whatever addresses there are, because the hash has a secret key; order among sources
 * takes a number of steps that grows with the logarithm of how many there are.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_PENDING_H
#define HATCHD_POLICY_PENDING_H

#include "base/addr.h"
#include "base/heap.h"

#include <stddef.h>

/* Most connections of one ledger. */
#define PENDING_MAX 65535

/* At least 1 each. */
struct pending_limits {
	uint32_t all;        /* at most what is reserved */
	uint32_t per_source; /* beyond `all': no limit */
};

/* What each connection carries; it is the caller's, and stays where it is while it is in
 * the ledger.  All zero: in none. */
struct pending_node {
	struct heap_node order; /* the first member; of the oldest of each source only */
	struct addr_source source;
	uint32_t count;                     /* of its source; right in its oldest only */
	uint64_t number;                    /* the younger, the larger */
	struct pending_node *older, *newer; /* of its source, in a ring */
	struct pending_node *next_in_chain; /* the oldest of another source */
};

/* All zero but for the key: empty, and pending_reserve() comes first. */
struct pending {
	uint8_t key[16]; /* random */
	uint64_t numbers;
	size_t n;                     /* connections in it */
	size_t mask;                  /* chains - 1, a power of two minus one */
	struct pending_node **chains; /* owned; NULL: none */
	struct heap most;             /* the oldest of each source */
};

/* Release what was reserved; the connections are the caller's. */
void pending_done(struct pending *pending);

/* Have room for so many, at most PENDING_MAX: 0 or -ENOMEM.  What there is stays; room
 * is never given back. */
int pending_reserve(struct pending *pending, size_t room);

/*
 * Who goes so that one more of that source can come: out of the ledger already, the caller
 * closes the connection.  NULL: nobody, there is room.
 *
 * To be asked until it says NULL.  One goes at most, unless a limit is lower than it was.
 */
struct pending_node *pending_make_room(struct pending *pending,
	const struct addr_source *source, const struct pending_limits *limits);

/* One more of that source, for which there is room; `node` is in no ledger. */
void pending_add(
	struct pending *pending, struct pending_node *node, const struct addr_source *source);

/* Its header was read, or it is over; nothing happens if it is not in. */
void pending_remove(struct pending *pending, struct pending_node *node);

/* How many of that source. */
uint32_t pending_count(const struct pending *pending, const struct addr_source *source);

#endif
