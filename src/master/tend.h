/*
 * tend: look after children from their birth to their record.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_TEND_H
#define HATCHD_MASTER_TEND_H

#include "master/child.h"

struct master;

/* A child has been reaped: its record, its counts, its service's next turn. */
void tend_on_end(void *userdata, struct child *child, const struct child_end *end);

/*
 * Look at the children that still use our memory or our descriptors: close our
 * copy of a connection once the child has its own, say how the start went,
 * kill those that do not get to their exec in time.
 */
void tend_slots(struct master *master, uint64_t now);

/* Is one of them there since before that, in usec? */
bool tend_is_stuck(const struct master *master, uint64_t since);

/* They do not get to their exec any more. */
void tend_kill_slots(struct master *master);

/* Records of connections that have been open for a while.  Returns when the
 * next one is due, USEC_INFINITY: none. */
uint64_t tend_young(struct master *master, uint64_t now);

#endif
