#include "master/ledger.h"

#include <search.h>
#include <stdlib.h>
#include <sys/random.h>

struct ledger {
	uint32_t service;
	struct pending pending;
};

static int compare(const void *a, const void *b)
{
	const struct ledger *one = a, *other = b;

	return (one->service > other->service) - (one->service < other->service);
}

static void free_ledger(void *ledger)
{
	pending_done(&((struct ledger *)ledger)->pending);
	free(ledger);
}

static struct ledger *find(const struct ledgers *ledgers, uint32_t service)
{
	struct ledger key = {.service = service};
	struct ledger **node = tfind(&key, &ledgers->tree, compare);

	return node ? *node : NULL;
}

/* Without random numbers, early after boot, its chains may become long: they are bounded. */
static struct ledger *add(struct ledgers *ledgers, uint32_t service)
{
	struct ledger *ledger = calloc(1, sizeof *ledger);

	if (!ledger)
		return NULL;
	ledger->service = service;
	(void)!getrandom(ledger->pending.key, sizeof ledger->pending.key, GRND_NONBLOCK);
	if (tsearch(ledger, &ledgers->tree, compare))
		return ledger;
	free(ledger);
	return NULL;
}

struct pending *ledger_of(struct ledgers *ledgers, uint32_t service, uint32_t room)
{
	struct ledger *ledger = find(ledgers, service);

	if (!ledger)
		ledger = add(ledgers, service);
	if (!ledger || pending_reserve(&ledger->pending, room) < 0)
		return NULL;
	return &ledger->pending;
}

struct pending *ledger_find(const struct ledgers *ledgers, uint32_t service)
{
	struct ledger *ledger = find(ledgers, service);

	return ledger ? &ledger->pending : NULL;
}

void ledger_forget(struct ledgers *ledgers, uint32_t service)
{
	struct ledger *ledger = find(ledgers, service);

	if (!ledger)
		return;
	tdelete(ledger, &ledgers->tree, compare);
	free_ledger(ledger);
}

void ledgers_done(struct ledgers *ledgers)
{
	tdestroy(ledgers->tree, free_ledger);
	ledgers->tree = NULL;
}
