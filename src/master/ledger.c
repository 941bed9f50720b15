#include "master/ledger.h"

#include "base/own.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct ledger {
	uint32_t service;
	struct heap_node order; /* among those with clients */
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
	if (heap_reserve(&ledgers->most, ledgers->n_ledgers + 1) < 0) {
		free(ledger);
		return NULL;
	}
	ledger->service = service;
	(void)!getrandom(ledger->pending.key, sizeof ledger->pending.key, GRND_NONBLOCK);
	if (tsearch(ledger, &ledgers->tree, compare)) {
		ledgers->n_ledgers++;
		return ledger;
	}
	free(ledger);
	return NULL;
}

int ledger_reserve(struct ledgers *ledgers, uint32_t service, uint32_t room)
{
	struct ledger *ledger = find(ledgers, service);

	if (!ledger)
		ledger = add(ledgers, service);
	return ledger ? pending_reserve(&ledger->pending, room) : -ENOMEM;
}

/* It has another number of clients than it had. */
static void put(struct ledgers *ledgers, struct ledger *ledger, size_t before)
{
	ledgers->n = ledgers->n - before + ledger->pending.n;
	if (ledger->pending.n > 0)
		heap_put(&ledgers->most, &ledger->order, UINT64_MAX - ledger->pending.n);
	else
		heap_remove(&ledgers->most, &ledger->order);
}

static struct pending_node *make_room(struct ledgers *ledgers, struct ledger *ledger,
	const struct addr_source *source, const struct pending_limits *limits)
{
	size_t before = ledger->pending.n;
	struct pending_node *node = pending_make_room(&ledger->pending, source, limits);

	put(ledgers, ledger, before);
	return node;
}

static struct ledger *fullest(const struct ledgers *ledgers)
{
	struct heap_node *first = heap_first(&ledgers->most);

	return first ? (struct ledger *)((char *)first - offsetof(struct ledger, order)) : NULL;
}

struct pending_node *ledger_make_room(struct ledgers *ledgers, uint32_t service,
	const struct addr_source *source, const struct pending_limits *limits, size_t all)
{
	struct pending_node *node = make_room(ledgers, find(ledgers, service), source, limits);
	struct ledger *other = fullest(ledgers);
	struct pending_limits as_it_is;

	if (node || ledgers->n < all || !other)
		return node;
	as_it_is = (struct pending_limits){
		.all = (uint32_t)other->pending.n,
		.per_source = UINT32_MAX,
	};
	return make_room(ledgers, other, source, &as_it_is);
}

void ledger_add(struct ledgers *ledgers, uint32_t service, struct pending_node *node,
	const struct addr_source *source)
{
	struct ledger *ledger = find(ledgers, service);
	size_t before = ledger->pending.n;

	pending_add(&ledger->pending, node, source);
	put(ledgers, ledger, before);
}

void ledger_remove(struct ledgers *ledgers, uint32_t service, struct pending_node *node)
{
	struct ledger *ledger = find(ledgers, service);
	size_t before;

	/* It was forgotten, with all that was said of who is in it. */
	if (!ledger) {
		memset(node, 0, sizeof *node);
		return;
	}
	before = ledger->pending.n;
	pending_remove(&ledger->pending, node);
	put(ledgers, ledger, before);
}

uint32_t ledger_count(const struct ledgers *ledgers, uint32_t service)
{
	const struct ledger *ledger = find(ledgers, service);

	return ledger ? (uint32_t)ledger->pending.n : 0;
}

void ledger_forget(struct ledgers *ledgers, uint32_t service)
{
	struct ledger *ledger = find(ledgers, service);

	if (!ledger)
		return;
	tdelete(ledger, &ledgers->tree, compare);
	ledgers->n_ledgers--;
	ledgers->n -= ledger->pending.n;
	heap_remove(&ledgers->most, &ledger->order);
	free_ledger(ledger);
}

void ledgers_done(struct ledgers *ledgers)
{
	tdestroy(ledgers->tree, free_ledger);
	heap_done(&ledgers->most);
	*ledgers = (struct ledgers){0};
}
