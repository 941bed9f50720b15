/*
 * sources-try: what tests of tables of sources do with them.
 */
#ifndef HATCHD_TESTS_SOURCES_TRY_H
#define HATCHD_TESTS_SOURCES_TRY_H

#include "policy/sources.h"

#define SECOND UINT64_C(1000000)

static const uint8_t key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const struct limit slow = {.count = 1, .burst = 10, .period = SECOND};

/* With all of his neighbourhood. */
static inline void ban(struct sources *sources, uint64_t service,
	const struct addr_source *source, uint64_t until, uint64_t now)
{
	struct addr_net who;

	addr_net_of(source, 24, 56, &who);
	sources_ban(sources, service, &who, until, now);
}

/* All that is remembered, and how many were forgotten; children are not. */
static inline void copy_memories(const struct sources *from, struct sources *to, uint64_t now)
{
	struct source_memory memory;

	for (size_t i = 0; i < sources_places(from); i++)
		if (sources_memory_at(from, i, now, &memory))
			sources_remember(to, &memory, now);
	sources_add_forgotten(to, sources_forgotten(from));
}

#endif
