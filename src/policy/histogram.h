/*
 * histogram: how long something took, as counts in buckets with fixed bounds.
 *
 * The bounds are the same for everything that is measured, so that it can be compared and
 * added up: each is two or two and a half times the one before, from half a millisecond,
 * which a good start takes, to the half minute after which few clients still wait.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_HISTOGRAM_H
#define HATCHD_POLICY_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS 15

/* usec, ascending: a bucket has what took so long at most, and longer than the bound
 * before. */
extern const uint64_t histogram_bounds[HISTOGRAM_BOUNDS];

/* All zero: nothing was measured. */
struct histogram {
	uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* the last: longer than all bounds */
	uint64_t sum;                          /* usec */
};

/* It has taken so long (usec). */
void histogram_add(struct histogram *histogram, uint64_t usec);

/* How often something was measured. */
uint64_t histogram_count(const struct histogram *histogram);

/* Counts up to the last one that is not 0. */
size_t histogram_used(const struct histogram *histogram);

#endif
