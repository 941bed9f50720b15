#include "base/clock.h"

#include <assert.h>
#include <time.h>

static uint64_t read_clock(clockid_t clock)
{
	struct timespec ts;
	int r = clock_gettime(clock, &ts);

	/* It exists on every Linux; a failure is a mistake of ours. */
	assert(r == 0);
	(void)r;
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_monotonic(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_boot(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

struct timespec clock_wall(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now;
}
