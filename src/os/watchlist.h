/*
 * watchlist: connections whose end somebody wants to know, by the numbers that the kernel
 * has given them.
 *
 * A table with open addressing, never more than half full, that grows as far as
 * BYTES_WATCHED_MAX and not further (I9).  Finding and removing cost O(1).
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_WATCHLIST_H
#define HATCHD_OS_WATCHLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watchlist {
	struct watched *places; /* owned; NULL: none yet */
	size_t n_places;        /* a power of two, or 0 */
	size_t used;
};

/* `cookie` is not 0; one that is there gets the new ticket.  0, -ENOMEM, or -ENOBUFS: there
 * are as many as may be. */
int watchlist_add(struct watchlist *list, uint64_t cookie, uint64_t ticket);

/* Take it out; false: it is not there. */
bool watchlist_take(struct watchlist *list, uint64_t cookie, uint64_t *ret_ticket);

void watchlist_done(struct watchlist *list);

#endif
