#include "times.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t times_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

static void grow(struct times *times)
{
	times->room = times->room ? times->room * 2 : 65536;
	times->usec = realloc(times->usec, times->room * sizeof *times->usec);
	if (times->usec)
		return;
	fputs("unable to allocate memory for the times\n", stderr);
	exit(1);
}

void times_add(struct times *times, uint64_t usec)
{
	if (times->n == times->room)
		grow(times);
	times->usec[times->n++] = usec > UINT32_MAX ? UINT32_MAX : (uint32_t)usec;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t percentile(const struct times *times, unsigned percent)
{
	return times->n > 0 ? times->usec[(times->n - 1) * percent / 100] : 0;
}

void times_report(struct times *times, double seconds, uint64_t total, uint64_t errors)
{
	if (times->n > 0)
		qsort(times->usec, times->n, sizeof *times->usec, compare);
	printf("connections=%zu seconds=%.3f rate=%.1f p50_usec=%u p99_usec=%u max_usec=%u "
	       "total=%llu errors=%llu\n",
		times->n, seconds, seconds > 0 ? (double)times->n / seconds : 0,
		percentile(times, 50), percentile(times, 99), percentile(times, 100),
		(unsigned long long)total, (unsigned long long)errors);
	free(times->usec);
	*times = (struct times){0};
}
