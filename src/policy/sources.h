/*
 * sources: what is known of each source of each service: how many children it has,
 * what its rate has left, whether it is banned.
 *
 * A bounded hash table with a secret key, so that nobody can choose addresses that
 * collide.  An entry lives
 *
 * - while it counts children.  Each count belongs to a living child, so there is
 *   always room for these, and such an entry is never dropped;
 * - without children for as long as there is something to remember: until its bucket
 *   is full again and its ban is over.
 *
 * Of the second sort there are at most `max_remembered`.  When there is one more, the service
 * and neighbourhood that has most of them gives one up, the one whose memory would have
 * ended first: see policy/neighbours.  So whoever has a whole network at his disposal, and
 * lets all of it do what is remembered for long, drops what he has done himself.  He drops
 * neither a ban nor a used up rate of others, nor of other services, as long as these have
 * fewer such memories than he has; he would need as many neighbourhoods as there is room
 * for.  Who is dropped is treated like somebody new, never worse.  An entry
 * with children is in no such group; it comes into it, or comes back, when they have gone.
 *
 * Memory is used for as many entries as there have been at once.  To look takes the same
 * time whatever the table holds; to begin and to end remembering takes some 50 steps more.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_SOURCES_H
#define HATCHD_POLICY_SOURCES_H

#include "base/addr-net.h"
#include "policy/limit.h"

#include <stddef.h>

struct sources;

/* Services are told apart by any number but this, which stands for all of them. */
#define SOURCES_EVERYWHERE 0

/* What is known of one; all zero: nothing. */
struct source_facts {
	uint32_t count;        /* children */
	struct bucket bucket;  /* of its rate */
	uint64_t until;        /* usec; of the past: the bucket is full, whatever it says */
	uint64_t banned_until; /* usec; of the past: not banned */
};

/* Room for `max` counted children; `key` is 16 random bytes.  NULL without memory. */
struct sources *sources_new(size_t max, size_t max_remembered, const uint8_t key[16]);
struct sources *sources_free(struct sources *sources);

/* Of that source of that service. */
struct source_facts sources_look(
	const struct sources *sources, uint64_t service, const struct addr_source *source);

/* Its count alone. */
uint32_t sources_count(
	const struct sources *sources, uint64_t service, const struct addr_source *source);

/* Count one more; -ENOSPC when `max` are counted already. */
int sources_add(struct sources *sources, uint64_t service, const struct addr_source *source);

/* Count one less; it must have been counted. */
void sources_remove(struct sources *sources, uint64_t service, const struct addr_source *source,
	uint64_t now);

/* Take a token out of its bucket, which has one, and remember that until it is full.  If
 * the limit changes meanwhile, a source without children is still remembered for as long
 * as the one that it was counted with says. */
void sources_charge(struct sources *sources, uint64_t service, const struct addr_source *source,
	const struct limit *limit, uint64_t now);

/* Remember that it is banned: until then, or longer if it was already.  To whoever asks it is
 * shown with as many bits as are said here. */
void sources_ban(struct sources *sources, uint64_t service, const struct addr_net *who,
	uint64_t until, uint64_t now);

/* One that is banned. */
struct source_ban {
	uint64_t service;
	struct addr_net who;
	uint64_t until; /* usec */
};

/* Places of the table, from 0, in which there was ever anybody.  A source stays at its place
 * for as long as it is known. */
size_t sources_places(const struct sources *sources);

/* Who is at a place.  False: nobody who is banned. */
bool sources_banned_at(
	const struct sources *sources, size_t place, uint64_t now, struct source_ban *ret);

/* Who is at that place is banned no longer.  He begins anew: what his rate had left is
 * forgotten as well, or it might have him banned at once. */
void sources_lift_at(struct sources *sources, size_t place);

/* What is remembered of one, so that it can be remembered elsewhere. */
struct source_memory {
	uint64_t service;
	struct addr_source source;
	uint8_t bits;          /* if it is banned, or was: as which it is shown */
	uint64_t until;        /* usec: then there is nothing left to remember */
	uint64_t banned_until; /* usec; 0: it never was */
	struct bucket bucket;
};

/* Of who is at a place, with children or without.  False: nothing. */
bool sources_memory_at(
	const struct sources *sources, size_t place, uint64_t now, struct source_memory *ret);

/*
 * Remember that, instead of what is remembered of him by now.  It is as if he had been here:
 * without children he has a place among those who are remembered, and when there are too many
 * of these, somebody goes, as above.  So of a whole table children are counted first.
 */
void sources_remember(
	struct sources *sources, const struct source_memory *memory, uint64_t now);

/* Is anybody banned from all services?  If not, nobody need look for SOURCES_EVERYWHERE. */
bool sources_any_everywhere(const struct sources *sources);

/* How many have been dropped although there was something to remember, since the beginning. */
uint64_t sources_forgotten(const struct sources *sources);

/* So many more had been dropped, by a table from which this one goes on. */
void sources_add_forgotten(struct sources *sources, uint64_t n);

/* Different sources known now, and those of them without children: for tests. */
size_t sources_used(const struct sources *sources);
size_t sources_remembered(const struct sources *sources);

#endif
