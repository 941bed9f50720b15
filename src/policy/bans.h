/*
 * bans: whom operators keep out, as a net each (base/addr-net), from all services or from one,
 * for a time or until somebody lifts it.
 *
 * There are few of them, and every client is looked for, so they are sorted: by how long
 * their prefix is, and then by the prefix.  To look takes, for each length that is in use, the
 * logarithm of how many have it, and as many steps more as there are bans of one and the same
 * prefix; without a ban it takes nothing.  To put one in and to lift it moves the others.
 *
 * What rules ban is in policy/sources.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_BANS_H
#define HATCHD_POLICY_BANS_H

#include "base/addr-net.h"

#include <stddef.h>

/* When there are so many, another one is an error: it is an operator's to lift what he does
 * not want any more, or to write a list into a file. */
#define BANS_MAX 1024

/* Bytes of the name of a service. */
#define BANS_SERVICE_MAX 64

/* Lengths of prefixes that there are, of all families. */
#define BANS_LENGTHS_MAX 164

struct ban {
	struct addr_net who;
	char service[BANS_SERVICE_MAX + 1]; /* its name; "": all */
	uint64_t until;                     /* usec; UINT64_MAX: somebody has to lift it */
};

/* All zero: nobody is banned. */
struct bans {
	struct ban *entries; /* sorted; owned; NULL: there was none yet */
	size_t n;
	size_t n_lengths;
	struct bans_length {
		uint8_t family, bits;
		uint16_t first, n; /* of the entries */
	} lengths[BANS_LENGTHS_MAX];
	uint64_t next_end; /* no ban ends before */
};

void bans_done(struct bans *bans);

/*
 * Ban them.  One of the same net and the same service is replaced.  0; -ENOSPC: there are
 * BANS_MAX in force; -ENOMEM.
 */
int bans_put(struct bans *bans, const struct ban *ban, uint64_t now);

/* Lift those of that net and that service; NULL: of whatever service, and of all.  How many
 * there were. */
size_t bans_lift(
	struct bans *bans, const struct addr_net *who, const char *service, uint64_t now);

/* Is anybody banned?  If not, nobody need be looked for. */
bool bans_any(const struct bans *bans);

/* Until when one is banned from the service of that name, as which he counts with all his
 * bits; NULL: from all.  0: he is not. */
uint64_t bans_until(
	struct bans *bans, const struct addr_source *source, const char *service, uint64_t now);

/* The first behind that one, which need not be there any more; NULL: the first.  NULL: there
 * is none. */
const struct ban *bans_next(struct bans *bans, const struct ban *after, uint64_t now);

#endif
