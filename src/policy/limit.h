/*
 * limit: how many in how much time.
 *
 * A bucket holds tokens, `burst` of them at most.  Whoever comes in takes one, and
 * `count` of them come back in each `period`, evenly.  So in any time t no more
 * than burst + count * t / period come in.
 *
 * The clock is the caller's: microseconds that never go back (CLOCK_MONOTONIC).  A
 * bucket that was not looked at for years is full; nothing overflows.  What it lacks
 * is counted in parts of tokens and does not depend on the limit: a bucket may be asked
 * with another limit from one moment to the next, and what was taken stays taken.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_LIMIT_H
#define HATCHD_POLICY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: no limit.  A count of 0 lets nobody in. */
struct limit {
	uint32_t count;  /* tokens that come back in each period; at most LIMIT_COUNT_MAX */
	uint32_t burst;  /* at once; from 1 to LIMIT_COUNT_MAX */
	uint64_t period; /* usec, from 1 to LIMIT_PERIOD_MAX; 0: no limit */
};

#define LIMIT_COUNT_MAX  UINT32_C(1000000)
#define LIMIT_PERIOD_MAX (UINT64_C(86400) * 1000000)

/* All zero: full. */
struct bucket {
	uint64_t at;      /* when `missing` was right */
	uint64_t missing; /* tokens, of which each has LIMIT_PARTS */
};

#define LIMIT_PARTS UINT64_C(65536)

static inline bool limit_is_set(const struct limit *limit)
{
	return limit->period != 0;
}

/* Does it hold a token?  Always without a limit. */
bool bucket_has(const struct bucket *bucket, const struct limit *limit, uint64_t now);

/* Take one, which it has.  Without a limit nothing is counted. */
void bucket_take(struct bucket *bucket, const struct limit *limit, uint64_t now);

/* The limit is about to be another one: what has come back by that one so far stays so. */
void bucket_settle(struct bucket *bucket, const struct limit *limit, uint64_t now);

/* When it has one, if nobody takes any: `now` if it has, UINT64_MAX if it never will. */
uint64_t bucket_has_at(const struct bucket *bucket, const struct limit *limit, uint64_t now);

/* When it is full, likewise: from then on there is nothing to remember.  A count of 0
 * leaves nothing to remember. */
uint64_t bucket_full_at(const struct bucket *bucket, const struct limit *limit, uint64_t now);

#endif
