/*
 * behind: clients of a socket that is about to be closed (master/last-look), for whom there is
 * no place now.  They were accepted, and wait behind the one whom a listener can hold
 * (master/conn), in the order in which they came.
 *
 * As many as `backlog` says wait at a socket, and so may be here; without memory, or
 * descriptors, those who are left stay in the queue of the socket and go with it.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_BEHIND_H
#define HATCHD_MASTER_BEHIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct behind; /* NULL: there is nobody */

/* One more at the end, accepted at `since` (usec, monotonic).  0, and the descriptor is its
 * own; -ENOMEM: it stays the caller's. */
int behind_add(struct behind **behind, int fd, uint64_t since);

/* Take the first: the descriptor is the caller's.  False: there is nobody. */
bool behind_take(struct behind **behind, int *ret_fd, uint64_t *ret_since);

size_t behind_count(const struct behind *behind);

#endif
