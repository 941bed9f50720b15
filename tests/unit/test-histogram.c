/* histogram: every duration is in one bucket, the right one. */
#include "base/own.h"
#include "policy/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* A bound belongs to the bucket that it ends. */
static void test_bounds(void **ctx)
{
	(void)ctx;
	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		struct histogram h = {0};

		assert_true(i == 0 || histogram_bounds[i] > histogram_bounds[i - 1]);
		histogram_add(&h, histogram_bounds[i]);
		assert_int_equal(h.counts[i], 1);
		histogram_add(&h, histogram_bounds[i] + 1);
		assert_int_equal(h.counts[i], 1);
		assert_int_equal(h.counts[i + 1], 1);
	}
}

static void test_sums(void **ctx)
{
	static const uint64_t usecs[] = {0, 1, 700, 700, 4000000};
	struct histogram h = {0};

	(void)ctx;
	assert_int_equal(histogram_count(&h), 0);
	assert_int_equal(histogram_used(&h), 0);
	for (size_t i = 0; i < ARRAY_SIZE(usecs); i++)
		histogram_add(&h, usecs[i]);
	assert_int_equal(histogram_count(&h), ARRAY_SIZE(usecs));
	assert_int_equal(h.sum, 4001401);
	assert_int_equal(h.counts[0], 2);
	assert_int_equal(h.counts[1], 2);
	assert_int_equal(histogram_used(&h), 13);
}

static void test_longest(void **ctx)
{
	struct histogram h = {0};

	(void)ctx;
	histogram_add(&h, UINT64_MAX / 2);
	assert_int_equal(h.counts[HISTOGRAM_BOUNDS], 1);
	assert_int_equal(histogram_used(&h), HISTOGRAM_BOUNDS + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
