/*
 * The connections of a source are a ring, from the oldest to the newest.  The oldest
 * stands for all of them: it is in the chain of the hash table, and in the heap.  When
 * it goes, the next takes its places.
 *
 * The heap has the source with the most connections first, and of several that with the
 * oldest one: when every source has one, this is the oldest of all.
 */
#include "policy/pending.h"

#include "base/own.h"
#include "policy/siphash.h"

#include <assert.h>
#include <string.h>

/* In 48 bits; a million a second are there after nine years. */
#define NUMBER_BITS 48

void pending_done(struct pending *pending)
{
	free(pending->chains);
	heap_done(&pending->most);
	*pending = (struct pending){0};
}

static struct pending_node **chain_of(
	const struct pending *pending, const struct addr_source *source)
{
	return &pending->chains[siphash(source, sizeof *source, pending->key) & pending->mask];
}

static bool is_of(const struct pending_node *node, const struct addr_source *source)
{
	return memcmp(&node->source, source, sizeof *source) == 0;
}

/* The link to the oldest of that source; to NULL at the end of the chain if it has none. */
static struct pending_node **find(
	const struct pending *pending, const struct addr_source *source)
{
	struct pending_node **link = chain_of(pending, source);

	while (*link && !is_of(*link, source))
		link = &(*link)->next_in_chain;
	return link;
}

/* All that are in a chain are in the heap as well. */
static void move_to_chains(struct pending *pending, struct pending_node **chains, size_t n)
{
	free(pending->chains);
	pending->chains = chains;
	pending->mask = n - 1;
	for (size_t i = 0; i < pending->most.n; i++) {
		struct pending_node *node = (struct pending_node *)pending->most.nodes[i];
		struct pending_node **link = chain_of(pending, &node->source);

		node->next_in_chain = *link;
		*link = node;
	}
}

int pending_reserve(struct pending *pending, size_t room)
{
	struct pending_node **chains;
	size_t n = 16;

	assert(room <= PENDING_MAX);

	if (heap_reserve(&pending->most, room) < 0)
		return -ENOMEM;
	while (n < room)
		n *= 2;
	if (pending->chains && n <= pending->mask + 1)
		return 0;
	chains = calloc(n, sizeof(struct pending_node *));
	if (!chains)
		return -ENOMEM;
	move_to_chains(pending, chains, n);
	return 0;
}

/* It stands for its source, in the place that `link` leads to. */
static void put_oldest(
	struct pending *pending, struct pending_node **link, struct pending_node *node)
{
	uint64_t fewer = PENDING_MAX - node->count;

	*link = node;
	heap_put(&pending->most, &node->order, fewer << NUMBER_BITS | node->number);
}

void pending_add(
	struct pending *pending, struct pending_node *node, const struct addr_source *source)
{
	struct pending_node **link = find(pending, source), *oldest = *link;

	assert(pending->n < pending->most.room);

	*node = (struct pending_node){.source = *source, .number = pending->numbers++};
	if (!oldest)
		oldest = node->older = node;
	node->newer = oldest;
	node->older = oldest->older;
	node->older->newer = node;
	oldest->older = node;
	oldest->count++;
	pending->n++;
	put_oldest(pending, link, oldest);
}

/* Another one stands for its source, or nobody if it was the last. */
static void replace_oldest(
	struct pending *pending, struct pending_node **link, struct pending_node *node)
{
	struct pending_node *next = node->newer;

	heap_remove(&pending->most, &node->order);
	if (next == node) {
		*link = node->next_in_chain;
		return;
	}
	next->count = node->count;
	next->next_in_chain = node->next_in_chain;
	put_oldest(pending, link, next);
}

void pending_remove(struct pending *pending, struct pending_node *node)
{
	struct pending_node **link, *oldest;

	if (!node->newer)
		return;
	link = find(pending, &node->source);
	oldest = *link;
	oldest->count--;
	if (oldest == node)
		replace_oldest(pending, link, node);
	else
		put_oldest(pending, link, oldest);
	node->older->newer = node->newer;
	node->newer->older = node->older;
	node->older = node->newer = NULL;
	pending->n--;
}

/* The oldest of the source that loses one; NULL: there is room. */
static struct pending_node *choose(const struct pending *pending,
	const struct addr_source *source, const struct pending_limits *limits)
{
	struct pending_node *own = *find(pending, source);
	struct pending_node *most = (struct pending_node *)heap_first(&pending->most);

	if (own && own->count >= limits->per_source)
		return own;
	if (pending->n < limits->all)
		return NULL;
	return own && own->count >= most->count ? own : most;
}

struct pending_node *pending_make_room(struct pending *pending,
	const struct addr_source *source, const struct pending_limits *limits)
{
	struct pending_node *gone = choose(pending, source, limits);

	if (gone)
		pending_remove(pending, gone);
	return gone;
}

uint32_t pending_count(const struct pending *pending, const struct addr_source *source)
{
	const struct pending_node *oldest = *find(pending, source);

	return oldest ? oldest->count : 0;
}
