/* rate: limits per time as they are written, and back. */
#include "conf/rate.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)

static void test_rates(void **ctx)
{
	static const struct {
		const char *text;
		struct limit limit;
		const char *back;
	} cases[] = {
		{"unlimited", {0, 0, 0}, "unlimited"},
		{"0", {0, 1, SECOND}, "0"},
		{"0/1h", {0, 1, SECOND}, "0"},
		{"20/s", {20, 20, SECOND}, "20/s"},
		{"20/1s", {20, 20, SECOND}, "20/s"},
		{"5/10s", {5, 5, 10 * SECOND}, "5/10s"},
		{"5/10", {5, 5, 10 * SECOND}, "5/10s"},
		{"100/1min burst 30", {100, 30, 60 * SECOND}, "100/min burst 30"},
		{"60/min burst 60", {60, 60, 60 * SECOND}, "60/min"},
		{"1/h burst 1000000", {1, 1000000, 3600 * SECOND}, "1/h burst 1000000"},
		{"3/ms", {3, 3, 1000}, "3/ms"},
		{"1/15us", {1, 1, 15}, "1/15us"},
		{"1000000/d", {1000000, 1000000, 86400 * SECOND}, "1000000/d"},
		{"1/24h", {1, 1, 86400 * SECOND}, "1/d"},
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct limit limit = {9, 9, 9}, again;
		char buf[RATE_TEXT_MAX];
		const char *why;

		assert_int_equal(rate_parse(cases[i].text, &limit, &why), 0);
		assert_int_equal(limit.count, cases[i].limit.count);
		assert_int_equal(limit.burst, cases[i].limit.burst);
		assert_true(limit.period == cases[i].limit.period);
		assert_true(rate_holds(&limit));
		assert_string_equal(rate_format(&limit, buf), cases[i].back);
		assert_int_equal(rate_parse(buf, &again, &why), 0);
		assert_memory_equal(&limit, &again, sizeof limit);
	}
}

static void test_no_rates(void **ctx)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "is not a rate"},
		{"20", "has no time"},
		{"Unlimited", "is not a rate"},
		{"many burst 3/s", "is not a rate"},
		{"/s", "has no whole number before the /"},
		{"-1/s", "has no whole number before the /"},
		{"1.5/s", "has no whole number before the /"},
		{" 1/s", "has no whole number before the /"},
		{"11111111111111111111111111111111111111/s", "has no whole number before"},
		{"1000001/s", "counts further than to 1000000"},
		{"99999999999999999999999/s", "counts further than to 1000000"},
		{"20/", "has no time"},
		{"20/ burst 3", "has no time"},
		{"20/fortnight", "has no time"},
		{"20/s ", "has no time"},
		{"20/1s2", "has no time"},
		{"20/-1s", "has no time"},
		{"20/1111111111111111111111111111111111111s", "has no time"},
		{"20/25h", "is over a time of more than 1d"},
		{"20/99999999999999999999d", "is over a time of more than 1d"},
		{"20/0s", "is over no time at all"},
		{"20/s burst ", "has no whole number after 'burst'"},
		{"20/s burst x", "has no whole number after 'burst'"},
		{"20/s burst 0", "has a burst of 0"},
		{"20/s burst 1000001", "counts further than to 1000000"},
		{"20/sburst 5", "has no time"},
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct limit limit = {9, 9, 9};
		const char *why = NULL;

		assert_int_equal(rate_parse(cases[i].text, &limit, &why), -EINVAL);
		assert_non_null(why);
		assert_memory_equal(why, cases[i].why, strlen(cases[i].why));
		assert_int_equal(limit.count, 9);
	}
}

/* What comes out of an image may be anything. */
static void test_what_holds(void **ctx)
{
	static const struct limit bad[] = {
		{1, 0, 0},
		{0, 1, 0},
		{1, 0, SECOND},
		{LIMIT_COUNT_MAX + 1, 1, SECOND},
		{1, LIMIT_COUNT_MAX + 1, SECOND},
		{1, 1, LIMIT_PERIOD_MAX + 1},
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(rate_holds(&bad[i]));
}

static void test_penalties(void **ctx)
{
	static const char *const bad[] = {"", "ban", "ban ", "ban ever", "ban 0", "ban 999ms",
		"ban 31d", "ban 99999999999999999999d", "banish 1s", "10min", "refuse "};
	char buf[RATE_TEXT_MAX];
	const char *why;
	uint64_t ban = 9;

	(void)ctx;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(rate_parse_penalty(bad[i], &ban, &why), -EINVAL);
		assert_true(ban == 9);
	}
	assert_int_equal(rate_parse_penalty("refuse", &ban, &why), 0);
	assert_true(ban == 0);
	assert_string_equal(rate_format_penalty(ban, buf), "refuse");
	assert_int_equal(rate_parse_penalty("ban 600s", &ban, &why), 0);
	assert_true(ban == 600 * SECOND);
	assert_string_equal(rate_format_penalty(ban, buf), "ban 10min");
	assert_int_equal(rate_parse_penalty("ban 30d", &ban, &why), 0);
	assert_true(ban == RATE_BAN_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_no_rates),
		cmocka_unit_test(test_what_holds),
		cmocka_unit_test(test_penalties),
	};

	return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
