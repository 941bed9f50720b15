/*
 * cache: answers that were had, for a while.
 *
 * Bounded: when it is full, the answer that nobody has asked for the longest goes.  A crowd
 * of strangers can so push out what others want to know, which costs a question more, and
 * never the answer; what is wanted often stays.
 *
 * An answer lives as long as who gave it says, but CACHE_LEAST and CACHE_MOST at least and at
 * most; CACHE_UNKNOWN if he does not say.  That there is none, or that it failed, lives for
 * CACHE_LEAST: long enough for a storm of the same, too short to be in anybody's way.
 *
 * Finding one takes the same time whatever is asked, because the hash has a secret key.
 * Nothing is allocated after cache_new().
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_LOOKUP_CACHE_H
#define HATCHD_WORKERS_LOOKUP_CACHE_H

#include "os/lookup.h"

#include <stdint.h>

/* Seconds. */
#define CACHE_LEAST   5
#define CACHE_MOST    300
#define CACHE_UNKNOWN 60

/* As a time to live: nobody has said one. */
#define CACHE_TTL_NONE UINT32_MAX

struct cache;

/* For `room` answers, at least 1; `key` is random.  0 or -ENOMEM. */
int cache_new(uint32_t room, const uint8_t key[16], struct cache **ret);

/* Returns NULL. */
struct cache *cache_free(struct cache *cache);

/* The answer, which is the cache's and stays until the next call; NULL: there is none at
 * `now` (usec, monotonic). */
const struct lookup_facts *cache_find(
	struct cache *cache, const struct lookup_question *question, uint64_t now);

/* Have that one from now on; `ttl` in seconds, or CACHE_TTL_NONE. */
void cache_put(struct cache *cache, const struct lookup_question *question,
	const struct lookup_facts *facts, uint32_t ttl, uint64_t now);

#endif
