/*
 * A hash table with chains.  Entries lie side by side in the order in which they
 * were first needed, so a table for many children costs memory only for those
 * that there were; what is touched at random is four bytes for each.
 *
 * What most entries need not know, because no rate and no ban concerns them, lies
 * apart from them in the same order.
 */
#include "policy/sources.h"

#include "base/own.h"
#include "policy/neighbours.h"
#include "policy/siphash.h"

#include <assert.h>
#include <string.h>

/* Index of no entry: those in use count from 1. */
#define NONE 0

/* Entries that have nothing left to remember are let go, so many with each new one: more
 * than come in, so there is never a crowd of them. */
#define EXPIRE_BATCH 2

struct entry {
	uint64_t service;
	struct addr_source source;
	bool remembers; /* its memory says something; false in one that is free */
	uint8_t bits;   /* if it was banned: of the prefix that it is */
	uint32_t count;
	uint32_t next; /* in its chain, or among the free ones */
};

struct memory {
	struct neighbour place; /* when it ends; without children: among those that are idle */
	uint64_t banned_until;
	struct bucket bucket;
};

/* Twice as many as there can be entries, so that who is not there is seldom compared with
 * anybody. */
struct chains {
	uint32_t *first;
	size_t mask; /* their number - 1, a power of two minus one */
};

struct sources {
	uint8_t key[16];
	size_t max;            /* children that may be counted */
	size_t max_remembered; /* entries without children */
	size_t counted;        /* children counted */
	size_t used;           /* entries in use */
	size_t touched;        /* entries that were ever in use */
	size_t n_everywhere;   /* entries of SOURCES_EVERYWHERE */
	struct chains chains, everywhere;
	struct entry *entries;   /* the first is nobody's */
	struct memory *memories; /* of the entry with the same index */
	struct neighbours idle;  /* those without children */
	uint64_t forgotten;      /* before they had ended */
	uint32_t free;
};

static int make_chains(struct chains *chains, size_t n)
{
	size_t size = 16;

	while (size < 2 * n)
		size *= 2;
	chains->mask = size - 1;
	chains->first = calloc(size, sizeof *chains->first);
	return chains->first ? 0 : -ENOMEM;
}

/*
 * One entry may be neither counted nor remembered yet, or be remembered until it is known
 * who goes.
 *
 * While anybody is banned from all services, each client is looked for there as well, and
 * hardly ever found: few are banned, so chains of their own are short and in the cache.
 */
static int make_tables(struct sources *sources, size_t n)
{
	if (make_chains(&sources->chains, n) < 0 ||
		make_chains(&sources->everywhere, sources->max_remembered) < 0)
		return -ENOMEM;
	sources->entries = calloc(n + 2, sizeof *sources->entries);
	sources->memories = calloc(n + 2, sizeof *sources->memories);
	if (!sources->entries || !sources->memories)
		return -ENOMEM;
	return neighbours_init(&sources->idle, sources->max_remembered + 1, sources->key);
}

struct sources *sources_new(size_t max, size_t max_remembered, const uint8_t key[16])
{
	struct sources *sources = calloc(1, sizeof *sources);

	if (!sources)
		return NULL;
	memcpy(sources->key, key, sizeof sources->key);
	sources->max = max;
	sources->max_remembered = max_remembered;
	if (make_tables(sources, max + max_remembered) < 0)
		return sources_free(sources);
	return sources;
}

struct sources *sources_free(struct sources *sources)
{
	if (sources) {
		free(sources->chains.first);
		free(sources->everywhere.first);
		free(sources->entries);
		free(sources->memories);
		neighbours_done(&sources->idle);
	}
	free(sources);
	return NULL;
}

static uint32_t *chain_of(
	const struct sources *sources, uint64_t service, const struct addr_source *source)
{
	const struct chains *chains =
		service == SOURCES_EVERYWHERE ? &sources->everywhere : &sources->chains;
	struct {
		uint64_t service;
		struct addr_source source;
	} __attribute__((packed)) subject = {.service = service, .source = *source};

	return &chains->first[siphash(&subject, sizeof subject, sources->key) & chains->mask];
}

static bool matches(
	const struct entry *entry, uint64_t service, const struct addr_source *source)
{
	return entry->service == service && memcmp(&entry->source, source, sizeof *source) == 0;
}

/* The link to the entry of that source; to NONE at the end of the chain if it has
 * none. */
static uint32_t *find(
	const struct sources *sources, uint64_t service, const struct addr_source *source)
{
	uint32_t *link = chain_of(sources, service, source);

	while (*link != NONE && !matches(&sources->entries[*link], service, source))
		link = &sources->entries[*link].next;
	return link;
}

uint32_t sources_count(
	const struct sources *sources, uint64_t service, const struct addr_source *source)
{
	return sources->entries[*find(sources, service, source)].count;
}

struct source_facts sources_look(
	const struct sources *sources, uint64_t service, const struct addr_source *source)
{
	uint32_t index = *find(sources, service, source);
	const struct entry *entry = &sources->entries[index];
	const struct memory *memory = &sources->memories[index];
	struct source_facts facts = {.count = entry->count};

	if (entry->remembers) {
		facts.bucket = memory->bucket;
		facts.until = neighbour_ends(&memory->place);
		facts.banned_until = memory->banned_until;
	}
	return facts;
}

/* There is one: see make_tables(). */
static uint32_t take_entry(struct sources *sources)
{
	uint32_t taken = sources->free;

	sources->used++;
	if (taken == NONE)
		return (uint32_t)++sources->touched;
	sources->free = sources->entries[taken].next;
	return taken;
}

/* Its entry, made if there is none. */
static uint32_t need(
	struct sources *sources, uint64_t service, const struct addr_source *source)
{
	uint32_t *link = find(sources, service, source);

	if (*link == NONE) {
		*link = take_entry(sources);
		sources->entries[*link] = (struct entry){.service = service, .source = *source};
		sources->n_everywhere += service == SOURCES_EVERYWHERE;
	}
	return *link;
}

static void drop(struct sources *sources, uint32_t index)
{
	struct entry *entry = &sources->entries[index];

	if (entry->remembers)
		neighbours_remove(&sources->idle, &sources->memories[index].place);
	sources->n_everywhere -= entry->service == SOURCES_EVERYWHERE;
	*find(sources, entry->service, &entry->source) = entry->next;
	entry->remembers = false;
	entry->next = sources->free;
	sources->free = index;
	sources->used--;
}

/* The node is the first member. */
static uint32_t index_of(const struct sources *sources, const struct neighbour *place)
{
	return (uint32_t)((const struct memory *)place - sources->memories);
}

static void expire(struct sources *sources, uint64_t now)
{
	for (int i = 0; i < EXPIRE_BATCH; i++) {
		const struct neighbour *first = neighbours_first(&sources->idle);

		if (!first || neighbour_ends(first) > now)
			return;
		drop(sources, index_of(sources, first));
	}
}

static void make_room(struct sources *sources, uint64_t now)
{
	const struct neighbour *gone = neighbours_surplus(&sources->idle);

	sources->forgotten += neighbour_ends(gone) > now;
	drop(sources, index_of(sources, gone));
}

/* It has no children: is it worth its place? */
static void keep_idle(struct sources *sources, uint32_t index, uint64_t now)
{
	const struct entry *entry = &sources->entries[index];
	struct memory *memory = &sources->memories[index];

	if (!entry->remembers || neighbour_ends(&memory->place) <= now) {
		drop(sources, index);
		return;
	}
	neighbours_put(&sources->idle, &memory->place, entry->service, &entry->source);
	if (sources->idle.n > sources->max_remembered)
		make_room(sources, now);
}

int sources_add(struct sources *sources, uint64_t service, const struct addr_source *source)
{
	uint32_t index;

	if (sources->counted >= sources->max)
		return -ENOSPC;

	index = need(sources, service, source);
	if (sources->entries[index].remembers)
		neighbours_remove(&sources->idle, &sources->memories[index].place);
	sources->entries[index].count++;
	sources->counted++;
	return 0;
}

void sources_remove(struct sources *sources, uint64_t service, const struct addr_source *source,
	uint64_t now)
{
	uint32_t index = *find(sources, service, source);
	struct entry *entry = &sources->entries[index];

	assert(entry->count > 0);

	sources->counted--;
	if (--entry->count == 0)
		keep_idle(sources, index, now);
}

/* Its memory, empty if there was none. */
static struct memory *remember(struct sources *sources, uint32_t index)
{
	struct memory *memory = &sources->memories[index];

	if (!sources->entries[index].remembers)
		*memory = (struct memory){0};
	sources->entries[index].remembers = true;
	return memory;
}

static void remember_until(
	struct sources *sources, uint32_t index, uint64_t until, uint64_t now)
{
	struct memory *memory = &sources->memories[index];

	neighbours_remove(&sources->idle, &memory->place);
	neighbour_set_ends(
		&memory->place, until > memory->banned_until ? until : memory->banned_until);
	if (sources->entries[index].count == 0)
		keep_idle(sources, index, now);
}

void sources_charge(struct sources *sources, uint64_t service, const struct addr_source *source,
	const struct limit *limit, uint64_t now)
{
	struct memory *memory;
	uint32_t index;

	expire(sources, now);
	index = need(sources, service, source);
	memory = remember(sources, index);
	/* It may have filled at another rate than that of today. */
	if (neighbour_ends(&memory->place) <= now)
		memory->bucket = (struct bucket){0};
	bucket_take(&memory->bucket, limit, now);
	remember_until(sources, index, bucket_full_at(&memory->bucket, limit, now), now);
}

void sources_ban(struct sources *sources, uint64_t service, const struct addr_net *who,
	uint64_t until, uint64_t now)
{
	struct memory *memory;
	uint32_t index;

	expire(sources, now);
	index = need(sources, service, &who->source);
	sources->entries[index].bits = who->bits;
	memory = remember(sources, index);
	if (memory->banned_until < until)
		memory->banned_until = until;
	remember_until(sources, index, neighbour_ends(&memory->place), now);
}

size_t sources_places(const struct sources *sources)
{
	return sources->touched;
}

bool sources_banned_at(
	const struct sources *sources, size_t place, uint64_t now, struct source_ban *ret)
{
	const struct entry *entry = &sources->entries[place + 1];
	const struct memory *memory = &sources->memories[place + 1];

	if (!entry->remembers || memory->banned_until <= now)
		return false;
	*ret = (struct source_ban){
		.service = entry->service,
		.who = {.source = entry->source, .bits = entry->bits},
		.until = memory->banned_until,
	};
	return true;
}

void sources_lift_at(struct sources *sources, size_t place)
{
	uint32_t index = (uint32_t)place + 1;
	struct entry *entry = &sources->entries[index];

	if (entry->count == 0) {
		drop(sources, index);
		return;
	}
	/* With children it is in no group. */
	entry->remembers = false;
}

bool sources_memory_at(
	const struct sources *sources, size_t place, uint64_t now, struct source_memory *ret)
{
	const struct entry *entry = &sources->entries[place + 1];
	const struct memory *memory = &sources->memories[place + 1];

	if (!entry->remembers || neighbour_ends(&memory->place) <= now)
		return false;
	*ret = (struct source_memory){
		.service = entry->service,
		.source = entry->source,
		.bits = entry->bits,
		.until = neighbour_ends(&memory->place),
		.banned_until = memory->banned_until,
		.bucket = memory->bucket,
	};
	return true;
}

void sources_remember(struct sources *sources, const struct source_memory *memory, uint64_t now)
{
	struct memory *own;
	uint32_t index;

	if (memory->until <= now && memory->banned_until <= now)
		return;
	index = need(sources, memory->service, &memory->source);
	sources->entries[index].bits = memory->bits;
	own = remember(sources, index);
	own->banned_until = memory->banned_until;
	own->bucket = memory->bucket;
	remember_until(sources, index, memory->until, now);
}

bool sources_any_everywhere(const struct sources *sources)
{
	return sources->n_everywhere > 0;
}

size_t sources_used(const struct sources *sources)
{
	return sources->used;
}

size_t sources_remembered(const struct sources *sources)
{
	return sources->idle.n;
}

uint64_t sources_forgotten(const struct sources *sources)
{
	return sources->forgotten;
}

void sources_add_forgotten(struct sources *sources, uint64_t n)
{
	sources->forgotten += n;
}
