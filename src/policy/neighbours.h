/*
 * neighbours: things that are remembered of sources, in groups, each of which is of one
 * service and one neighbourhood; and which of them goes when there are too many.
 *
 * A neighbourhood is what one person can have for the asking: the /48 of an IPv6 source (on
 * one interface, if it is link-local), the /24 of an IPv4 source, all of 127.0.0.0/8, all
 * users of this machine, all machines of vsock.
 *
 * The group that has most gives one up: the one that ends first.  Of several that have as
 * many it is the one whose first ends first, to a millisecond or so.  Thus a crowd out of one
 * network makes room for itself: it takes nothing from others as long as these have less than
 * it has, and nothing from the same network at other services either.
 *
 * To put one in and to take it out takes O(log n) steps.  Memory is reserved once, and used for
 * as many groups as there have been at once.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_NEIGHBOURS_H
#define HATCHD_POLICY_NEIGHBOURS_H

#include "base/addr.h"
#include "base/heap.h"
#include "base/meld.h"

#include <stddef.h>

/* Most of them; a count has so many bits where groups are compared. */
#define NEIGHBOURS_MAX ((UINT32_C(1) << 17) - 1)

/* The caller's.  All zero: in no group. */
struct neighbour {
	struct meld_node order; /* in its group, whose number, from 1, is the tag */
};

struct neighbour_group;

/* All zero: nobody, and no room for anybody. */
struct neighbours {
	uint8_t key[16];
	size_t n;                       /* neighbours in all groups */
	size_t mask;                    /* chains - 1, a power of two minus one */
	uint32_t *chains;               /* owned: the first group of each */
	uint32_t free;                  /* groups that are empty */
	uint32_t touched;               /* groups that were ever in use */
	struct heap most;               /* the group that has most first */
	struct heap first_end;          /* the group whose first one ends first */
	struct neighbour_group *groups; /* owned */
};

/* Room for `max`, at most NEIGHBOURS_MAX; `key` is random.  0 or -ENOMEM. */
int neighbours_init(struct neighbours *neighbours, size_t max, const uint8_t key[16]);

/* Release what was reserved; also after neighbours_init() has failed. */
void neighbours_done(struct neighbours *neighbours);

/* One more, for which there is room and which is in no group. */
void neighbours_put(struct neighbours *neighbours, struct neighbour *neighbour,
	uint64_t service, const struct addr_source *source);

/* Out of its group; nothing happens if it is in none. */
void neighbours_remove(struct neighbours *neighbours, struct neighbour *neighbour);

/* The one of all that ends first; NULL: there is nobody. */
struct neighbour *neighbours_first(const struct neighbours *neighbours);

/* The one that is to go when there are too many, of whom there is one at least. */
struct neighbour *neighbours_surplus(const struct neighbours *neighbours);

/* When it ends, usec.  To be told only while it is in no group, and kept when it leaves. */
static inline uint64_t neighbour_ends(const struct neighbour *neighbour)
{
	return neighbour->order.key;
}

static inline void neighbour_set_ends(struct neighbour *neighbour, uint64_t ends)
{
	neighbour->order.key = ends;
}

#endif
