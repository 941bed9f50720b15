/* limit: token buckets, with a clock that the test has in hand. */
#include "policy/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)
#define DAY    (UINT64_C(86400) * SECOND)
#define START  (UINT64_C(12345) * SECOND)

static const struct limit none;
static const struct limit nobody = {.count = 0, .burst = 1, .period = SECOND};

/* As many as there are at that moment. */
static unsigned take_all(struct bucket *bucket, const struct limit *limit, uint64_t now)
{
	unsigned n = 0;

	while (bucket_has(bucket, limit, now)) {
		bucket_take(bucket, limit, now);
		n++;
	}
	return n;
}

static void test_no_limit(void **ctx)
{
	struct bucket bucket = {0};

	(void)ctx;
	assert_false(limit_is_set(&none));
	for (int i = 0; i < 1000; i++) {
		assert_true(bucket_has(&bucket, &none, 0));
		bucket_take(&bucket, &none, 0);
	}
	assert_true(bucket.missing == 0);
	assert_true(bucket_has_at(&bucket, &none, 7) == 7);
	assert_true(bucket_full_at(&bucket, &none, 7) == 7);
}

static void test_nobody(void **ctx)
{
	struct bucket bucket = {0};

	(void)ctx;
	assert_true(limit_is_set(&nobody));
	assert_false(bucket_has(&bucket, &nobody, START));
	assert_true(bucket_has_at(&bucket, &nobody, START) == UINT64_MAX);
	assert_true(bucket_full_at(&bucket, &nobody, START) == START);
	/* Something is missing from the time of another limit: it stays so. */
	bucket = (struct bucket){.at = START, .missing = 1};
	assert_false(bucket_has(&bucket, &nobody, START + DAY));
	bucket_take(&bucket, &nobody, START + DAY);
	assert_true(bucket.missing == 1 + LIMIT_PARTS);
}

static void test_burst_then_evenly(void **ctx)
{
	const struct limit limit = {.count = 20, .burst = 5, .period = SECOND};
	struct bucket bucket = {0};
	uint64_t now = START;

	(void)ctx;
	assert_int_equal(take_all(&bucket, &limit, now), 5);
	for (int i = 0; i < 100; i++) {
		assert_true(bucket_has_at(&bucket, &limit, now) == now + SECOND / 20);
		assert_int_equal(take_all(&bucket, &limit, now + SECOND / 20 - 1), 0);
		now += SECOND / 20;
		assert_int_equal(take_all(&bucket, &limit, now), 1);
	}
	/* However long nobody comes, no more than a burst is there. */
	assert_int_equal(take_all(&bucket, &limit, now + DAY), 5);
}

/* Thirds of a second: what is rounded is never rounded in favour of who takes. */
static void test_rests(void **ctx)
{
	const struct limit limit = {.count = 3, .burst = 1, .period = SECOND};
	struct bucket bucket = {0};
	uint64_t now = START;

	(void)ctx;
	for (int i = 0; i < 30000; i++) {
		assert_int_equal(take_all(&bucket, &limit, now), 1);
		assert_false(bucket_has(&bucket, &limit, now));
		now = bucket_has_at(&bucket, &limit, now);
		assert_false(bucket_has(&bucket, &limit, now - 1));
		assert_true(bucket_has(&bucket, &limit, now));
	}
	assert_true(now - START >= 10000 * SECOND);
	assert_true(now - START < 10001 * SECOND);
}

static void test_full(void **ctx)
{
	const struct limit limit = {.count = 100, .burst = 30, .period = 60 * SECOND};
	struct bucket bucket = {0};
	uint64_t full;

	(void)ctx;
	assert_true(bucket_full_at(&bucket, &limit, START) == START);
	bucket_take(&bucket, &limit, START);
	assert_true(bucket_full_at(&bucket, &limit, START) == START + 600000);
	assert_int_equal(take_all(&bucket, &limit, START), 29);
	full = bucket_full_at(&bucket, &limit, START);
	assert_true(full == START + 18 * SECOND);
	assert_true(bucket_full_at(&bucket, &limit, START + 1) == full);
	assert_true(bucket_full_at(&bucket, &limit, full) == full);
	assert_int_equal(take_all(&bucket, &limit, full), 30);
}

/* Nothing overflows: the largest numbers, and a machine that runs for millennia. */
static void test_extremes(void **ctx)
{
	static const uint64_t times[] = {0, 1, START, UINT64_MAX / 2, UINT64_MAX - 2 * DAY};
	static const uint32_t counts[] = {1, 3, 999983, LIMIT_COUNT_MAX};
	static const uint64_t periods[] = {1, 7, SECOND, DAY - 1, LIMIT_PERIOD_MAX};

	(void)ctx;
	for (size_t i = 0; i < 5 * 4 * 4 * 5; i++) {
		const struct limit limit = {
			.count = counts[i / 5 % 4],
			.burst = counts[i / 20 % 4],
			.period = periods[i / 80 % 5],
		};
		struct bucket bucket = {
			.at = times[i % 5], .missing = limit.burst * LIMIT_PARTS};
		uint64_t now = times[i % 5], next = bucket_has_at(&bucket, &limit, now);
		uint64_t one = (limit.period + limit.count - 1) / limit.count;

		assert_false(bucket_has(&bucket, &limit, now));
		assert_true(next == now + one);
		assert_false(bucket_has(&bucket, &limit, next - 1));
		assert_true(bucket_has(&bucket, &limit, next));
		assert_true(bucket_has(&bucket, &limit, UINT64_MAX));
		assert_true(bucket_full_at(&bucket, &limit, now) >= next);
		bucket_take(&bucket, &limit, next);
		assert_true(bucket.missing <= limit.burst * LIMIT_PARTS);
	}
}

/* Of a clock that stands or goes back nobody gets anything. */
static void test_clock(void **ctx)
{
	const struct limit limit = {.count = 2, .burst = 4, .period = SECOND};
	struct bucket bucket = {0};

	(void)ctx;
	assert_int_equal(take_all(&bucket, &limit, START), 4);
	assert_int_equal(take_all(&bucket, &limit, START), 0);
	assert_int_equal(take_all(&bucket, &limit, START - 100 * SECOND), 0);
	assert_true(bucket_has_at(&bucket, &limit, START - 100 * SECOND) == START + SECOND / 2);
	assert_true(bucket_full_at(&bucket, &limit, 0) == START + 2 * SECOND);
	assert_int_equal(take_all(&bucket, &limit, START + SECOND), 2);
	/* Taken in the past: it counts from the latest time that was. */
	assert_int_equal(take_all(&bucket, &limit, START + 2 * SECOND), 2);
	bucket = (struct bucket){.at = START, .missing = 0};
	bucket_take(&bucket, &limit, START - SECOND);
	assert_true(bucket.at == START);
	assert_int_equal(take_all(&bucket, &limit, START), 3);
}

/* What was taken stays taken, whatever the limit is from now on. */
static void test_another_limit(void **ctx)
{
	const struct limit slow = {.count = 5, .burst = 5, .period = 60 * SECOND};
	const struct limit fast = {.count = 10, .burst = 10, .period = SECOND};
	struct bucket bucket = {0};

	(void)ctx;
	assert_int_equal(take_all(&bucket, &slow, START), 5);
	assert_int_equal(take_all(&bucket, &fast, START), 5);
	assert_true(bucket_has_at(&bucket, &fast, START) == START + SECOND / 10);
	/* More is missing than the bucket holds now: it is empty, not in debt. */
	assert_false(bucket_has(&bucket, &slow, START));
	assert_true(bucket_has_at(&bucket, &slow, START) == START + 12 * SECOND);
}

/* In any stretch of time there are no more than a burst and what comes back. */
/* Who was idle for long does not pay for what was taken under the limit of before. */
static void test_settled(void **ctx)
{
	const struct limit slow = {.count = 1, .burst = 1, .period = 3600 * SECOND};
	const struct limit fast = {.count = 50, .burst = 50, .period = SECOND};
	struct bucket bucket = {0};

	(void)ctx;
	bucket_take(&bucket, &fast, START);
	bucket_settle(&bucket, &none, START + SECOND);
	assert_int_equal(bucket.at, START);
	bucket_settle(&bucket, &fast, START + 2 * SECOND);
	assert_true(bucket_has(&bucket, &slow, START + 2 * SECOND));
	bucket_take(&bucket, &slow, START + 2 * SECOND);
	/* A clock that goes back takes nothing. */
	bucket_settle(&bucket, &slow, START + SECOND);
	assert_int_equal(bucket.at, START + 2 * SECOND);
	assert_false(bucket_has(&bucket, &slow, START + 3 * SECOND));
}

static void test_never_more_than_promised(void **ctx)
{
	const struct limit limit = {.count = 7, .burst = 11, .period = 10 * SECOND};
	uint64_t state = 88172645463325252, now = START;
	struct bucket bucket = {0};
	uint64_t taken = 0;

	(void)ctx;
	for (int i = 0; i < 100000; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		now += state % SECOND;
		if (!bucket_has(&bucket, &limit, now))
			continue;
		bucket_take(&bucket, &limit, now);
		taken++;
		assert_true(taken <= 11 + (now - START) * 7 / (10 * SECOND));
	}
	/* And not noticeably less. */
	assert_true(taken >= (now - START) * 7 / (10 * SECOND) * 999 / 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_burst_then_evenly),
		cmocka_unit_test(test_rests),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_another_limit),
		cmocka_unit_test(test_settled),
		cmocka_unit_test(test_never_more_than_promised),
	};

	return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
