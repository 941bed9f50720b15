#include "workers/lookup/cache.h"

#include "base/clock.h"
#include "base/own.h"
#include "policy/siphash.h"

#include <string.h>

/* In a chain while it is in use; always in the ring of all, the latest asked for first. */
struct entry {
	struct lookup_question question;
	struct lookup_facts facts;
	uint64_t until; /* usec; 0: not in use */
	struct entry *next_in_chain;
	struct entry *newer, *older;
};

struct cache {
	uint8_t key[16];
	size_t mask; /* chains - 1, a power of two minus one */
	struct entry **chains;
	struct entry *entries;
	struct entry ring; /* `older` is the latest, `newer` who goes next */
};

static void unlink_entry(struct entry *entry)
{
	entry->newer->older = entry->older;
	entry->older->newer = entry->newer;
}

static void put_first(struct cache *cache, struct entry *entry)
{
	entry->newer = &cache->ring;
	entry->older = cache->ring.older;
	entry->older->newer = entry;
	cache->ring.older = entry;
}

static void put_last(struct cache *cache, struct entry *entry)
{
	entry->older = &cache->ring;
	entry->newer = cache->ring.newer;
	entry->newer->older = entry;
	cache->ring.newer = entry;
}

static struct entry **chain_of(
	const struct cache *cache, const struct lookup_question *question)
{
	return &cache->chains[siphash(question, sizeof *question, cache->key) & cache->mask];
}

/* The link to it; to NULL at the end of the chain if it is not there. */
static struct entry **find(const struct cache *cache, const struct lookup_question *question)
{
	struct entry **link = chain_of(cache, question);

	while (*link && memcmp(&(*link)->question, question, sizeof *question) != 0)
		link = &(*link)->next_in_chain;
	return link;
}

/* Out of its chain, and the next to be used. */
static void forget(struct cache *cache, struct entry **link)
{
	struct entry *entry = *link;

	*link = entry->next_in_chain;
	entry->until = 0;
	unlink_entry(entry);
	put_last(cache, entry);
}

const struct lookup_facts *cache_find(
	struct cache *cache, const struct lookup_question *question, uint64_t now)
{
	struct entry **link = find(cache, question), *entry = *link;

	if (!entry)
		return NULL;
	if (now >= entry->until) {
		forget(cache, link);
		return NULL;
	}
	unlink_entry(entry);
	put_first(cache, entry);
	return &entry->facts;
}

static uint64_t lifetime(const struct lookup_facts *facts, uint32_t ttl)
{
	if (facts->result != LOOKUP_FOUND || ttl < CACHE_LEAST)
		ttl = CACHE_LEAST;
	else if (ttl == CACHE_TTL_NONE)
		ttl = CACHE_UNKNOWN;
	else if (ttl > CACHE_MOST)
		ttl = CACHE_MOST;
	return ttl * USEC_PER_SEC;
}

void cache_put(struct cache *cache, const struct lookup_question *question,
	const struct lookup_facts *facts, uint32_t ttl, uint64_t now)
{
	struct entry **link = find(cache, question), *entry;

	if (*link)
		forget(cache, link);
	entry = cache->ring.newer;
	if (entry->until != 0)
		forget(cache, find(cache, &entry->question));
	link = chain_of(cache, question);
	entry->question = *question;
	entry->facts = *facts;
	entry->until = now + lifetime(facts, ttl);
	entry->next_in_chain = *link;
	*link = entry;
	unlink_entry(entry);
	put_first(cache, entry);
}

int cache_new(uint32_t room, const uint8_t key[16], struct cache **ret)
{
	struct cache *cache = calloc(1, sizeof *cache);
	size_t n = 16;

	if (!cache)
		return -ENOMEM;
	while (n < room)
		n *= 2;
	memcpy(cache->key, key, sizeof cache->key);
	cache->mask = n - 1;
	cache->ring.newer = cache->ring.older = &cache->ring;
	cache->chains = calloc(n, sizeof(struct entry *));
	cache->entries = calloc(room, sizeof *cache->entries);
	if (!cache->chains || !cache->entries) {
		cache_free(cache);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < room; i++)
		put_first(cache, &cache->entries[i]);
	*ret = cache;
	return 0;
}

struct cache *cache_free(struct cache *cache)
{
	if (!cache)
		return NULL;
	free(cache->chains);
	free(cache->entries);
	free(cache);
	return NULL;
}
