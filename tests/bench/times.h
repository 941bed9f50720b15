/*
 * times: how long each of many took, and the line that a load generator prints.
 */
#ifndef HATCHD_BENCH_TIMES_H
#define HATCHD_BENCH_TIMES_H

#include <stddef.h>
#include <stdint.h>

#define USEC_PER_SEC 1000000

/* All zero: there are none. */
struct times {
	uint32_t *usec; /* owned */
	size_t n, room;
};

/* Monotonic, in usec. */
uint64_t times_now(void);

/* Ends the process if there is no memory. */
void times_add(struct times *times, uint64_t usec);

/*
 * Of those that ended in so many seconds:
 *
 *	connections=N seconds=S rate=R p50_usec=U p99_usec=U max_usec=U total=N errors=E
 *
 * `total` are also those before and after that time.  Frees them.
 */
void times_report(struct times *times, double seconds, uint64_t total, uint64_t errors);

#endif
