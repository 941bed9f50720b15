#include "policy/histogram.h"

const uint64_t histogram_bounds[HISTOGRAM_BOUNDS] = {500, 1000, 2500, 5000, 10000, 25000, 50000,
	100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000};

/* Most of it is short, and found by the first steps. */
void histogram_add(struct histogram *histogram, uint64_t usec)
{
	size_t i = 0;

	while (i < HISTOGRAM_BOUNDS && usec > histogram_bounds[i])
		i++;
	histogram->counts[i]++;
	histogram->sum += usec;
}

uint64_t histogram_count(const struct histogram *histogram)
{
	uint64_t count = 0;

	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
		count += histogram->counts[i];
	return count;
}

size_t histogram_used(const struct histogram *histogram)
{
	size_t n = HISTOGRAM_BOUNDS + 1;

	while (n > 0 && histogram->counts[n - 1] == 0)
		n--;
	return n;
}
