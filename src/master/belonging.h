/*
 * belonging: what goes together with something: found by that, whatever else there is.
 *
 * A service or a socket that is closed takes those along who have come to it.  Ten thousand
 * may be closed at once, most of which have nobody; so none of them has a list of its own,
 * and nobody else's has to be looked through.  To find what belongs to one takes a number of
 * steps that grows with the logarithm of how many have something.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_BELONGING_H
#define HATCHD_MASTER_BELONGING_H

#include <sys/queue.h>

/* By address of what they belong to: a tree of search.h; NULL: there are none. */
struct belonging {
	void *tree;
};

struct belonging_crowd;

/* One of those; it is the caller's.  All zero: it belongs to nothing. */
struct belongs {
	LIST_ENTRY(belongs) entry;
	struct belonging_crowd *crowd;
};

/* It belongs to that from now on, and to nothing before.  0 or -ENOMEM. */
int belonging_add(struct belonging *belonging, const void *what, struct belongs *member);

/* The same of one that belongs to something else, which it does no longer; -ENOMEM: it still
 * does. */
int belonging_move(struct belonging *belonging, const void *what, struct belongs *member);

/* Nothing happens if it belongs to nothing. */
void belonging_remove(struct belonging *belonging, struct belongs *member);

/* One that belongs to that; NULL: none does. */
struct belongs *belonging_first(const struct belonging *belonging, const void *what);

#endif
