/*
 * All in 64 bits: a count is below 2^20, a period below 2^37, a token has 2^16
 * parts.  A product of two of them, or of a rest of one with another, fits.
 */
#include "policy/limit.h"

static uint64_t capacity(const struct limit *limit)
{
	return limit->burst * LIMIT_PARTS;
}

/* Parts that have come back in that time, rounded down; any number that is not below
 * the capacity if it is full. */
static uint64_t gained(const struct limit *limit, uint64_t elapsed)
{
	uint64_t periods = elapsed / limit->period;
	uint64_t rest = elapsed % limit->period * limit->count;

	if (limit->count == 0)
		return 0;
	if (periods >= limit->burst)
		return capacity(limit);
	return (periods * limit->count + rest / limit->period) * LIMIT_PARTS +
	       rest % limit->period * LIMIT_PARTS / limit->period;
}

/* The shortest time in which so many parts come back, at most a capacity; the
 * count is not 0. */
static uint64_t time_for(const struct limit *limit, uint64_t parts)
{
	uint64_t tokens = parts / LIMIT_PARTS * limit->period;
	uint64_t rest =
		tokens % limit->count * LIMIT_PARTS + parts % LIMIT_PARTS * limit->period;
	uint64_t divisor = limit->count * LIMIT_PARTS;

	return tokens / limit->count + rest / divisor + (rest % divisor != 0);
}

/* What was missing then, with the limit of today: an empty bucket is not in debt. */
static uint64_t missing_then(const struct bucket *bucket, const struct limit *limit)
{
	return bucket->missing < capacity(limit) ? bucket->missing : capacity(limit);
}

static uint64_t missing(const struct bucket *bucket, const struct limit *limit, uint64_t now)
{
	uint64_t parts = missing_then(bucket, limit), back;

	if (now <= bucket->at)
		return parts;
	back = gained(limit, now - bucket->at);
	return back < parts ? parts - back : 0;
}

bool bucket_has(const struct bucket *bucket, const struct limit *limit, uint64_t now)
{
	if (!limit_is_set(limit))
		return true;
	if (limit->count == 0)
		return false;
	return missing(bucket, limit, now) + LIMIT_PARTS <= capacity(limit);
}

/* A clock that stands still or goes back must not give twice what it gave. */
void bucket_take(struct bucket *bucket, const struct limit *limit, uint64_t now)
{
	if (!limit_is_set(limit))
		return;
	bucket->missing = missing(bucket, limit, now) + LIMIT_PARTS;
	if (now > bucket->at)
		bucket->at = now;
}

void bucket_settle(struct bucket *bucket, const struct limit *limit, uint64_t now)
{
	if (!limit_is_set(limit))
		return;
	bucket->missing = missing(bucket, limit, now);
	if (now > bucket->at)
		bucket->at = now;
}

/* When no more than that is missing; from the time that the number is of, since what has
 * come back until now is rounded. */
static uint64_t falls_to(
	const struct bucket *bucket, const struct limit *limit, uint64_t parts, uint64_t now)
{
	uint64_t then = missing_then(bucket, limit), when;

	if (then <= parts)
		return now;
	if (__builtin_add_overflow(bucket->at, time_for(limit, then - parts), &when))
		return UINT64_MAX;
	return when > now ? when : now;
}

uint64_t bucket_has_at(const struct bucket *bucket, const struct limit *limit, uint64_t now)
{
	if (!limit_is_set(limit))
		return now;
	if (limit->count == 0)
		return UINT64_MAX;
	return falls_to(bucket, limit, capacity(limit) - LIMIT_PARTS, now);
}

uint64_t bucket_full_at(const struct bucket *bucket, const struct limit *limit, uint64_t now)
{
	if (!limit_is_set(limit) || limit->count == 0)
		return now;
	return falls_to(bucket, limit, 0, now);
}
