/*
 * Groups are found by a hash table with chains.  Each is in two heaps; its members are in
 * one of their own, because there can be as many groups as there are members.
 */
#include "policy/neighbours.h"

#include "base/own.h"
#include "policy/siphash.h"

#include <assert.h>
#include <string.h>

/* Number of no group. */
#define NONE 0

/* A count of 17 bits leaves that for a time: thousands of years, in units of 1024 usec. */
#define TIME_BITS  47
#define TIME_MAX   ((UINT64_C(1) << TIME_BITS) - 1)
#define TIME_SHIFT 10

struct neighbour_group {
	uint64_t service;
	struct addr_source place; /* what its members have in common */
	uint32_t count;
	uint32_t next;  /* in its chain, or among the free ones */
	uint32_t *link; /* that leads to it */
	struct meld_node *first;
	struct heap_node most, first_end; /* in these heaps */
};

int neighbours_init(struct neighbours *neighbours, size_t max, const uint8_t key[16])
{
	size_t n_chains = 16;

	assert(max <= NEIGHBOURS_MAX);

	*neighbours = (struct neighbours){0};
	memcpy(neighbours->key, key, sizeof neighbours->key);
	while (n_chains < 2 * max)
		n_chains *= 2;
	neighbours->mask = n_chains - 1;
	neighbours->chains = calloc(n_chains, sizeof *neighbours->chains);
	/* The first is nobody's. */
	neighbours->groups = calloc(max + 1, sizeof *neighbours->groups);
	if (!neighbours->chains || !neighbours->groups ||
		heap_reserve(&neighbours->most, max) < 0)
		return -ENOMEM;
	return heap_reserve(&neighbours->first_end, max);
}

void neighbours_done(struct neighbours *neighbours)
{
	free(neighbours->chains);
	free(neighbours->groups);
	heap_done(&neighbours->most);
	heap_done(&neighbours->first_end);
	*neighbours = (struct neighbours){0};
}

static struct addr_source place_of(const struct addr_source *source)
{
	struct addr_source place = {.family = source->family};

	memcpy(place.scope, source->scope, sizeof place.scope);
	if (source->family == ADDR_SOURCE_IPV6)
		memcpy(place.bytes, source->bytes, 6);
	else if (source->family == ADDR_SOURCE_IPV4)
		memcpy(place.bytes, source->bytes, source->bytes[0] == 127 ? 1 : 3);
	return place;
}

static uint32_t *chain_of(
	const struct neighbours *neighbours, uint64_t service, const struct addr_source *place)
{
	struct {
		uint64_t service;
		struct addr_source place;
	} __attribute__((packed)) subject = {.service = service, .place = *place};

	return &neighbours->chains[siphash(&subject, sizeof subject, neighbours->key) &
				   neighbours->mask];
}

static bool matches(
	const struct neighbour_group *group, uint64_t service, const struct addr_source *place)
{
	return group->service == service && memcmp(&group->place, place, sizeof *place) == 0;
}

static void lead_to(struct neighbours *neighbours, uint32_t *link, uint32_t number)
{
	*link = number;
	if (number != NONE)
		neighbours->groups[number].link = link;
}

/* There is one, since no group is empty and there is room for one more member. */
static uint32_t take_group(struct neighbours *neighbours)
{
	uint32_t taken = neighbours->free;

	if (taken == NONE)
		return ++neighbours->touched;
	neighbours->free = neighbours->groups[taken].next;
	return taken;
}

/* Its number, made if there is none. */
static uint32_t need_group(
	struct neighbours *neighbours, uint64_t service, const struct addr_source *place)
{
	uint32_t *chain = chain_of(neighbours, service, place), number;
	struct neighbour_group *group;

	for (number = *chain; number != NONE; number = neighbours->groups[number].next)
		if (matches(&neighbours->groups[number], service, place))
			return number;
	number = take_group(neighbours);
	group = &neighbours->groups[number];
	*group = (struct neighbour_group){.service = service, .place = *place};
	lead_to(neighbours, &group->next, *chain);
	lead_to(neighbours, chain, number);
	return number;
}

static void give_back(struct neighbours *neighbours, struct neighbour_group *group)
{
	heap_remove(&neighbours->most, &group->most);
	heap_remove(&neighbours->first_end, &group->first_end);
	lead_to(neighbours, group->link, group->next);
	group->next = neighbours->free;
	neighbours->free = (uint32_t)(group - neighbours->groups);
}

/* It has one more or one less. */
static void settle(struct neighbours *neighbours, struct neighbour_group *group)
{
	uint64_t fewer = NEIGHBOURS_MAX - group->count, ends = group->first->key;
	uint64_t time = ends >> TIME_SHIFT;

	if (time > TIME_MAX)
		time = TIME_MAX;
	heap_put(&neighbours->most, &group->most, fewer << TIME_BITS | time);
	heap_put(&neighbours->first_end, &group->first_end, ends);
}

void neighbours_put(struct neighbours *neighbours, struct neighbour *neighbour,
	uint64_t service, const struct addr_source *source)
{
	struct addr_source place = place_of(source);
	struct neighbour_group *group;

	neighbour->order.tag = need_group(neighbours, service, &place);
	group = &neighbours->groups[neighbour->order.tag];
	meld_put(&group->first, &neighbour->order, neighbour_ends(neighbour));
	group->count++;
	neighbours->n++;
	settle(neighbours, group);
}

void neighbours_remove(struct neighbours *neighbours, struct neighbour *neighbour)
{
	struct neighbour_group *group = &neighbours->groups[neighbour->order.tag];

	if (neighbour->order.tag == NONE)
		return;
	neighbour->order.tag = NONE;
	meld_remove(&group->first, &neighbour->order);
	neighbours->n--;
	if (--group->count == 0)
		give_back(neighbours, group);
	else
		settle(neighbours, group);
}

/* The node is the first member. */
static struct neighbour *first_of(const struct neighbour_group *group)
{
	return (struct neighbour *)group->first;
}

struct neighbour *neighbours_first(const struct neighbours *neighbours)
{
	const struct heap_node *node = heap_first(&neighbours->first_end);

	if (!node)
		return NULL;
	return first_of(
		(const struct neighbour_group *)((const char *)node -
						 offsetof(struct neighbour_group, first_end)));
}

struct neighbour *neighbours_surplus(const struct neighbours *neighbours)
{
	const char *node = (const char *)heap_first(&neighbours->most);

	return first_of((
		const struct neighbour_group *)(node - offsetof(struct neighbour_group, most)));
}
