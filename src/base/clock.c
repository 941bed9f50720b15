#include "base/clock.h"

#include <assert.h>
#include <time.h>

uint64_t clock_monotonic(void)
{
	struct timespec ts;
	int r = clock_gettime(CLOCK_MONOTONIC, &ts);

	/* It exists on every Linux; a failure is a mistake of ours. */
	assert(r == 0);
	(void)r;
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

struct timespec clock_wall(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now;
}
