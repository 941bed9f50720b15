/*
 * sources: how many children each source of each service has.
 *
 * A bounded hash table with a secret key, so that nobody can choose addresses
 * that collide.  An entry lives exactly while its count is not zero; each
 * count belongs to a living child, so a table with room for all children can
 * never be full and nothing is ever evicted.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_SOURCES_H
#define HATCHD_POLICY_SOURCES_H

#include "base/addr.h"

#include <stddef.h>

struct sources;

/* Room for `max` counted children; `key` is 16 random bytes.  NULL without memory. */
struct sources *sources_new(size_t max, const uint8_t key[16]);
struct sources *sources_free(struct sources *sources);

/* Children counted for that source of that service (any number that names it). */
uint32_t sources_count(
	const struct sources *sources, uint64_t service, const struct addr_source *source);

/* Count one more; -ENOSPC when `max` are counted already.  Constant time. */
int sources_add(struct sources *sources, uint64_t service, const struct addr_source *source);

/* Count one less; it must have been counted. */
void sources_remove(
	struct sources *sources, uint64_t service, const struct addr_source *source);

/* Different sources counted now: for tests. */
size_t sources_used(const struct sources *sources);

#endif
