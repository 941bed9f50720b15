/*
 * access-internal: how a table of rules is laid out.  access-compile writes it, access
 * reads it, and nobody else knows.
 *
 * All numbers are little-endian:
 *
 *	digest		16 bytes over all that follows
 *	flags		u32
 *	n_rules		u32
 *	n4, n6, n_ids	u32 each
 *	starts of IPv4	n4 of u32, ascending from 0
 *	marks of IPv4	n4 of u32
 *	starts of IPv6	n6 of two u64, the upper half first, ascending from 0
 *	marks of IPv6	n6 of u32
 *	ids		n_ids of kind, id and mark, ascending by the first two
 *
 * From its start up to the next one a mark decides.  It is the number of a rule
 * doubled, plus one if the rule denies, or NOBODY.  A family without rules has no
 * starts at all.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_ACCESS_INTERNAL_H
#define HATCHD_POLICY_ACCESS_INTERNAL_H

#include "policy/access.h"

/* A mark where no rule decides. */
#define NOBODY UINT32_MAX

enum {
	EXCLUSIVE = 1 << 0,
	HAS_GROUPS = 1 << 1,    /* a rule is about a group */
	DENIES_GROUPS = 1 << 2, /* ... and denies it */
	ALL_FLAGS = (1 << 3) - 1,
};

enum {
	AT_FLAGS = ACCESS_DIGEST_LEN,
	AT_RULES = AT_FLAGS + 4,
	AT_N4 = AT_RULES + 4,
	AT_N6 = AT_N4 + 4,
	AT_IDS = AT_N6 + 4,
	AT_STARTS = AT_IDS + 4,
	ID_LEN = 12,
};

/* An IPv4 address stands in the lower half. */
struct key {
	uint64_t hi, lo;
};

/* From the bytes of an address; `family` is one of enum addr_source_family. */
struct key access_key_of(uint8_t family, const uint8_t *bytes);

static inline bool is_before(struct key a, struct key b)
{
	return a.hi < b.hi || (a.hi == b.hi && a.lo < b.lo);
}

#endif
