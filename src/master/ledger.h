/*
 * ledger: for each service, its clients whose first words have not been read yet.
 *
 * A service has one from its first such client on until it is forgotten: most never have
 * any, and there may be ten thousand of them.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_LEDGER_H
#define HATCHD_MASTER_LEDGER_H

#include "policy/pending.h"

#include <stdint.h>

/* All zero: there are none. */
struct ledgers {
	void *tree;       /* by number of the service: a tree of search.h */
	size_t n_ledgers; /* in it */
	struct heap most; /* those with clients, the fullest first */
	size_t n;         /* clients in all of them */
};

/* Have one for the service, with room for so many: 0 or -ENOMEM. */
int ledger_reserve(struct ledgers *ledgers, uint32_t service, uint32_t room);

/*
 * Who goes so that one more of that source can come to that service, and there are less than
 * `all` of all services (at least 1): out of his ledger already, as pending_make_room() has
 * it.  Where it is for all of them, the service that has most loses one.  NULL: nobody.
 *
 * To be asked until it says NULL; what is reserved comes first.
 */
struct pending_node *ledger_make_room(struct ledgers *ledgers, uint32_t service,
	const struct addr_source *source, const struct pending_limits *limits, size_t all);

/* One more, for whom there is room. */
void ledger_add(struct ledgers *ledgers, uint32_t service, struct pending_node *node,
	const struct addr_source *source);

/* One less; nothing happens if he is not in.  He may go to another ledger then, also if this
 * one was forgotten while he was in it. */
void ledger_remove(struct ledgers *ledgers, uint32_t service, struct pending_node *node);

/* How many of that service. */
uint32_t ledger_count(const struct ledgers *ledgers, uint32_t service);

/* It is gone, and whoever is in it will be removed. */
void ledger_forget(struct ledgers *ledgers, uint32_t service);

/* All of them. */
void ledgers_done(struct ledgers *ledgers);

#endif
