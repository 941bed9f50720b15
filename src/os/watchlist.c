#include "os/watchlist.h"

#include "os/bytes_wire.h"

#include <errno.h>
#include <stdlib.h>

#define PLACES_MIN 256

struct watched {
	uint64_t cookie; /* 0: the place is free */
	uint64_t ticket;
};

/* The kernel counts them up, so that the highest bits of a product are well spread. */
static size_t home(const struct watchlist *list, uint64_t cookie)
{
	return (size_t)((cookie * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (list->n_places - 1);
}

/* Where it is, or the free place where it would be. */
static size_t find(const struct watchlist *list, uint64_t cookie)
{
	size_t at = home(list, cookie);

	while (list->places[at].cookie != 0 && list->places[at].cookie != cookie)
		at = (at + 1) & (list->n_places - 1);
	return at;
}

static int grow(struct watchlist *list)
{
	struct watchlist bigger = {
		.n_places = list->n_places > 0 ? list->n_places * 2 : PLACES_MIN,
		.used = list->used,
	};

	if (list->used >= BYTES_WATCHED_MAX)
		return -ENOBUFS;
	bigger.places = calloc(bigger.n_places, sizeof *bigger.places);
	if (!bigger.places)
		return -ENOMEM;
	for (size_t i = 0; i < list->n_places; i++)
		if (list->places[i].cookie != 0)
			bigger.places[find(&bigger, list->places[i].cookie)] = list->places[i];
	free(list->places);
	*list = bigger;
	return 0;
}

int watchlist_add(struct watchlist *list, uint64_t cookie, uint64_t ticket)
{
	size_t at;

	if (list->used >= list->n_places / 2) {
		int r = grow(list);

		if (r < 0)
			return r;
	}
	at = find(list, cookie);
	list->used += list->places[at].cookie == 0;
	list->places[at] = (struct watched){cookie, ticket};
	return 0;
}

/* Those behind it that would not be found across a gap move up. */
static void close_gap(struct watchlist *list, size_t gap)
{
	size_t mask = list->n_places - 1;

	for (size_t at = (gap + 1) & mask; list->places[at].cookie != 0; at = (at + 1) & mask) {
		size_t from_home = (at - home(list, list->places[at].cookie)) & mask;

		if (from_home < ((at - gap) & mask))
			continue;
		list->places[gap] = list->places[at];
		gap = at;
	}
	list->places[gap].cookie = 0;
}

bool watchlist_take(struct watchlist *list, uint64_t cookie, uint64_t *ret_ticket)
{
	size_t at;

	if (list->used == 0 || cookie == 0)
		return false;
	at = find(list, cookie);
	if (list->places[at].cookie == 0)
		return false;
	*ret_ticket = list->places[at].ticket;
	close_gap(list, at);
	list->used--;
	return true;
}

void watchlist_done(struct watchlist *list)
{
	free(list->places);
	*list = (struct watchlist){0};
}
