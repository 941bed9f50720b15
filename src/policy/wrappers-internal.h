/*
 * wrappers-internal: how a table of rules of hosts_access(5) is laid out.
 * wrappers-compile writes it, wrappers reads it, and nobody else knows.
 *
 * All numbers are little-endian:
 *
 *	digest		16 bytes over all that follows
 *	length		u32, of the rules
 *	rules		one after the other:
 *	  line		u32
 *	  flags		u8
 *	  lengths	u32 each, of the items about our own address and about the client
 *	  items		of both: kind u8, length u8, and so many bytes
 *
 * A net is its address and its mask, 4 or 16 bytes each; a port is u16; a text has its NUL.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_WRAPPERS_INTERNAL_H
#define HATCHD_POLICY_WRAPPERS_INTERNAL_H

#include "policy/wrappers.h"

enum {
	OF_DENY = 1 << 0,
	DENIES = 1 << 1,
	ALL_RULE_FLAGS = (1 << 2) - 1,
};

enum {
	RULE_LEN = 4 + 1 + 4 + 4,
	ITEM_LEN = 2,
};

/* Is something to hold besides the next item? */
static inline bool wrappers_is_guard(unsigned kind)
{
	return kind >= WRAPPERS_PORT && kind <= WRAPPERS_USER_LIKE;
}

static inline bool wrappers_has_text(unsigned kind)
{
	return (kind >= WRAPPERS_HOST && kind <= WRAPPERS_EITHER_LIKE) ||
	       kind == WRAPPERS_USER_LIKE;
}

#endif
