/*
 * A hash table with chains.  Entries lie side by side in the order in which they
 * were first needed, so a table for many children costs memory only for those
 * that there were; what is touched at random is four bytes for each.
 */
#include "policy/sources.h"

#include "base/own.h"
#include "policy/siphash.h"

#include <assert.h>
#include <string.h>

/* Index of no entry: those in use count from 1. */
#define NONE 0

struct entry {
	uint64_t service;
	struct addr_source source;
	uint32_t count;
	uint32_t next; /* in its chain, or among the free ones */
};

struct sources {
	uint8_t key[16];
	size_t max;     /* children that may be counted */
	size_t counted; /* children counted */
	size_t used;    /* entries in use, at most `counted` */
	size_t touched; /* entries that were ever in use */
	size_t mask;    /* chains - 1, a power of two minus one */
	uint32_t *chains;
	struct entry *entries; /* the first is nobody's */
	uint32_t free;
};

struct sources *sources_new(size_t max, const uint8_t key[16])
{
	struct sources *sources;
	size_t size = 16;

	while (size < max)
		size *= 2;

	sources = calloc(1, sizeof *sources);
	if (!sources)
		return NULL;

	sources->chains = calloc(size, sizeof *sources->chains);
	sources->entries = calloc(max + 1, sizeof *sources->entries);
	if (!sources->chains || !sources->entries)
		return sources_free(sources);

	memcpy(sources->key, key, sizeof sources->key);
	sources->max = max;
	sources->mask = size - 1;
	return sources;
}

struct sources *sources_free(struct sources *sources)
{
	if (sources) {
		free(sources->chains);
		free(sources->entries);
	}
	free(sources);
	return NULL;
}

static uint32_t *chain_of(
	const struct sources *sources, uint64_t service, const struct addr_source *source)
{
	struct {
		uint64_t service;
		uint8_t family;
		uint8_t bytes[16];
	} __attribute__((packed)) subject = {.service = service, .family = source->family};

	memcpy(subject.bytes, source->bytes, sizeof subject.bytes);
	return &sources->chains[siphash(&subject, sizeof subject, sources->key) &
				sources->mask];
}

static bool matches(
	const struct entry *entry, uint64_t service, const struct addr_source *source)
{
	return entry->service == service && entry->source.family == source->family &&
	       memcmp(entry->source.bytes, source->bytes, sizeof source->bytes) == 0;
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

/* There is one: each that is in use counts a child. */
static uint32_t take_entry(struct sources *sources)
{
	uint32_t taken = sources->free;

	sources->used++;
	if (taken == NONE)
		return (uint32_t)++sources->touched;
	sources->free = sources->entries[taken].next;
	return taken;
}

int sources_add(struct sources *sources, uint64_t service, const struct addr_source *source)
{
	uint32_t *link;

	if (sources->counted >= sources->max)
		return -ENOSPC;

	link = find(sources, service, source);
	if (*link == NONE) {
		*link = take_entry(sources);
		sources->entries[*link] = (struct entry){.service = service, .source = *source};
	}
	sources->entries[*link].count++;
	sources->counted++;
	return 0;
}

void sources_remove(struct sources *sources, uint64_t service, const struct addr_source *source)
{
	uint32_t *link = find(sources, service, source), index = *link;
	struct entry *entry = &sources->entries[index];

	assert(entry->count > 0);

	sources->counted--;
	if (--entry->count > 0)
		return;
	*link = entry->next;
	entry->next = sources->free;
	sources->free = index;
	sources->used--;
}

size_t sources_used(const struct sources *sources)
{
	return sources->used;
}
