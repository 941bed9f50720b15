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

/* By number of the service: a tree of search.h; NULL: there are none. */
struct ledgers {
	void *tree;
};

/* That of the service with room for so many, new if need be; NULL: no memory for it. */
struct pending *ledger_of(struct ledgers *ledgers, uint32_t service, uint32_t room);

/* The same if there is one, else NULL. */
struct pending *ledger_find(const struct ledgers *ledgers, uint32_t service);

/* There is nobody in it any more, and there will not be. */
void ledger_forget(struct ledgers *ledgers, uint32_t service);

/* All of them. */
void ledgers_done(struct ledgers *ledgers);

#endif
