/*
 * Open addressing with linear probing in a table at most half full.  Removal
 * moves later entries of the cluster back instead of leaving tombstones, so
 * the table never degrades.
 */
#include "policy/sources.h"

#include "base/own.h"
#include "policy/siphash.h"

#include <assert.h>
#include <string.h>

struct entry {
	uint64_t service;
	struct addr_source source;
	uint32_t count; /* 0: free */
};

struct sources {
	uint8_t key[16];
	size_t max;     /* children that may be counted */
	size_t counted; /* children counted */
	size_t used;    /* entries in use, at most `counted` */
	size_t mask;    /* table size - 1, a power of two minus one */
	struct entry *table;
};

struct sources *sources_new(size_t max, const uint8_t key[16])
{
	struct sources *sources;
	size_t size = 16;

	while (size / 2 < max)
		size *= 2;

	sources = calloc(1, sizeof *sources);
	if (!sources)
		return NULL;

	sources->table = calloc(size, sizeof *sources->table);
	if (!sources->table)
		return sources_free(sources);

	memcpy(sources->key, key, sizeof sources->key);
	sources->max = max;
	sources->mask = size - 1;
	return sources;
}

struct sources *sources_free(struct sources *sources)
{
	if (sources)
		free(sources->table);
	free(sources);
	return NULL;
}

static size_t home(
	const struct sources *sources, uint64_t service, const struct addr_source *source)
{
	struct {
		uint64_t service;
		uint8_t family;
		uint8_t bytes[16];
	} __attribute__((packed)) subject = {.service = service, .family = source->family};

	memcpy(subject.bytes, source->bytes, sizeof subject.bytes);
	return (size_t)siphash(&subject, sizeof subject, sources->key) & sources->mask;
}

static bool matches(
	const struct entry *entry, uint64_t service, const struct addr_source *source)
{
	return entry->service == service && entry->source.family == source->family &&
	       memcmp(entry->source.bytes, source->bytes, sizeof source->bytes) == 0;
}

/* The entry of that source, or the free one where it would go. */
static struct entry *find(
	const struct sources *sources, uint64_t service, const struct addr_source *source)
{
	size_t i = home(sources, service, source);

	while (sources->table[i].count && !matches(&sources->table[i], service, source))
		i = (i + 1) & sources->mask;
	return &sources->table[i];
}

uint32_t sources_count(
	const struct sources *sources, uint64_t service, const struct addr_source *source)
{
	return find(sources, service, source)->count;
}

int sources_add(struct sources *sources, uint64_t service, const struct addr_source *source)
{
	struct entry *entry;

	if (sources->counted >= sources->max)
		return -ENOSPC;

	entry = find(sources, service, source);
	if (entry->count == 0) {
		entry->service = service;
		entry->source = *source;
		sources->used++;
	}
	entry->count++;
	sources->counted++;
	return 0;
}

/* May the entry at `at`, whose home is `wanted`, move back into the hole? */
static bool may_fill(size_t hole, size_t at, size_t wanted, size_t mask)
{
	return ((at - wanted) & mask) >= ((at - hole) & mask);
}

static void close_gap(struct sources *sources, size_t hole)
{
	size_t i = hole;

	for (;;) {
		struct entry *entry;

		i = (i + 1) & sources->mask;
		entry = &sources->table[i];
		if (entry->count == 0)
			break;
		if (!may_fill(hole, i, home(sources, entry->service, &entry->source),
			    sources->mask))
			continue;
		sources->table[hole] = *entry;
		hole = i;
	}
	memset(&sources->table[hole], 0, sizeof sources->table[hole]);
}

void sources_remove(struct sources *sources, uint64_t service, const struct addr_source *source)
{
	struct entry *entry = find(sources, service, source);

	assert(entry->count > 0);

	sources->counted--;
	if (--entry->count > 0)
		return;
	sources->used--;
	close_gap(sources, (size_t)(entry - sources->table));
}

size_t sources_used(const struct sources *sources)
{
	return sources->used;
}
