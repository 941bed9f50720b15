/*
 * clock: the only reader of time.  Everything else is given `now`, so that it
 * can be tested without waiting.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_CLOCK_H
#define HATCHD_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC  UINT64_C(1000000)
#define USEC_INFINITY UINT64_MAX

/* CLOCK_MONOTONIC in microseconds: for durations; never goes back. */
uint64_t clock_monotonic(void);

/* CLOCK_BOOTTIME in microseconds: by which the kernel tells when a process was started. */
uint64_t clock_boot(void);

/* CLOCK_REALTIME: only to be compared with what the kernel stamps with it; may jump. */
struct timespec clock_wall(void);

#endif
