/* hours: what is written, what the wall shows, and who may come when. */
#include "policy/hours.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(a)[0])

enum { SUN, MON, TUE, WED, THU, FRI, SAT };

static struct hours hours_of(const char *const *texts)
{
	struct hours hours = {0};
	const char *why;

	for (; *texts; texts++)
		assert_int_equal(hours_parse(*texts, &hours.spans[hours.n++], &why), 0);
	return hours;
}

static bool is_open(const char *text, unsigned day, unsigned hour, unsigned minute)
{
	const struct hours hours = hours_of((const char *const[]){text, NULL});

	return hours_open(&hours, (struct hours_moment){day, hour * 60 + minute});
}

/* ---------------------------------------------------------------- parsing */

static void test_what_can_be_written(void **ctx)
{
	static const struct {
		const char *text;
		struct hours_span span;
	} cases[] = {
		{"8:00-12:00", {0x7f, 480, 720}},
		{"08:05-12:59", {0x7f, 485, 779}},
		{"22:00-6:00", {0x7f, 1320, 360}},
		{"0:00-24:00", {0x7f, 0, 1440}},
		{"22:00-0:00", {0x7f, 1320, 0}},
		{"mon 8:00-12:00", {0x02, 480, 720}},
		{"sun 8:00-12:00", {0x01, 480, 720}},
		{"Sat  8:00-12:00", {0x40, 480, 720}},
		{"mon-fri 8:00-12:00", {0x3e, 480, 720}},
		{"fri-mon 8:00-12:00", {0x63, 480, 720}},
		{"sun-sat 8:00-12:00", {0x7f, 480, 720}},
		{"wed-wed 8:00-12:00", {0x08, 480, 720}},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hours_span span;
		const char *why;

		assert_int_equal(hours_parse(cases[i].text, &span, &why), 0);
		assert_int_equal(span.days, cases[i].span.days);
		assert_int_equal(span.from, cases[i].span.from);
		assert_int_equal(span.to, cases[i].span.to);
	}
}

static void test_names_of_days(void **ctx)
{
	struct hours_span span;
	const char *why;

	(void)ctx;
	assert_string_equal(hours_day_name(SUN), "sun");
	assert_string_equal(hours_day_name(SAT), "sat");
	for (unsigned day = SUN; day <= SAT; day++) {
		char text[32];

		snprintf(text, sizeof text, "%s 8:00-12:00", hours_day_name(day));
		assert_int_equal(hours_parse(text, &span, &why), 0);
		assert_int_equal(span.days, 1 << day);
	}
}

static void test_what_cannot(void **ctx)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "does not begin"},
		{" 8:00-12:00", "does not begin"},
		{"-8:00-12:00", "does not begin"},
		{"monday 8:00-12:00", "does not begin"},
		{"mon8:00-12:00", "does not begin"},
		{"mon-", "does not begin"},
		{"mon- 8:00-12:00", "does not begin"},
		{"mon-xyz 8:00-12:00", "does not begin"},
		{"mo", "does not begin"},
		{"mon", "does not begin"},
		{"mon ", "is not a time"},
		{"mon tue 8:00-12:00", "is not a time"},
		{"8-12", "is not a time"},
		{"8:0-12:00", "is not a time"},
		{"8:", "is not a time"},
		{"8:00", "is not a time"},
		{"8:00-", "is not a time"},
		{"8:00-12", "is not a time"},
		{"8:00-12:0", "is not a time"},
		{"8:00-12:00 ", "is not a time"},
		{"8:00 - 12:00", "is not a time"},
		{"8:00-12:000", "is not a time"},
		{"8:60-12:00", "is not a time"},
		{"8:x0-12:00", "is not a time"},
		{"8:0x-12:00", "is not a time"},
		{"24:01-12:00", "is not a time"},
		{"8:00-25:00", "is not a time"},
		{"100:00-12:00", "is not a time"},
		{"24:00-6:00", "begins at 24:00"},
		{"8:00-8:00", "begins when it ends"},
		{"0:00-0:00", "begins when it ends"},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hours_span span = {.from = 4711};
		const char *why = "";

		assert_int_equal(hours_parse(cases[i].text, &span, &why), -EINVAL);
		assert_ptr_equal(strstr(why, cases[i].why), why);
		assert_int_equal(span.from, 4711);
	}
}

/* --------------------------------------------------------------- deciding */

static void test_first_minute_in_and_last_out(void **ctx)
{
	(void)ctx;
	assert_false(is_open("8:00-12:00", TUE, 7, 59));
	assert_true(is_open("8:00-12:00", TUE, 8, 0));
	assert_true(is_open("8:00-12:00", TUE, 11, 59));
	assert_false(is_open("8:00-12:00", TUE, 12, 0));
	assert_true(is_open("0:00-24:00", TUE, 0, 0));
	assert_true(is_open("0:00-24:00", TUE, 23, 59));
}

static void test_across_midnight(void **ctx)
{
	(void)ctx;
	assert_false(is_open("22:00-6:00", TUE, 21, 59));
	assert_true(is_open("22:00-6:00", TUE, 22, 0));
	assert_true(is_open("22:00-6:00", TUE, 23, 59));
	assert_true(is_open("22:00-6:00", TUE, 0, 0));
	assert_true(is_open("22:00-6:00", TUE, 5, 59));
	assert_false(is_open("22:00-6:00", TUE, 6, 0));
	assert_true(is_open("22:00-0:00", TUE, 23, 59));
	assert_false(is_open("22:00-0:00", TUE, 0, 0));
}

/* The night belongs to the day on which it begins. */
static void test_days(void **ctx)
{
	(void)ctx;
	assert_true(is_open("mon-fri 8:00-12:00", MON, 9, 0));
	assert_true(is_open("mon-fri 8:00-12:00", FRI, 9, 0));
	assert_false(is_open("mon-fri 8:00-12:00", SAT, 9, 0));
	assert_false(is_open("mon-fri 8:00-12:00", SUN, 9, 0));

	assert_false(is_open("fri 22:00-6:00", FRI, 5, 0));
	assert_true(is_open("fri 22:00-6:00", FRI, 23, 0));
	assert_true(is_open("fri 22:00-6:00", SAT, 5, 0));
	assert_false(is_open("fri 22:00-6:00", SAT, 23, 0));
	/* The week has no end. */
	assert_true(is_open("sat 22:00-6:00", SUN, 5, 0));
	assert_false(is_open("sat 22:00-6:00", SUN, 23, 0));
	assert_true(is_open("sun 22:00-6:00", MON, 5, 0));
}

static void test_any_of_several(void **ctx)
{
	static const char *const texts[] = {
		"8:00-12:00", "14:00-18:00", "sat 20:00-22:00", NULL};
	const struct hours hours = hours_of(texts);
	const struct hours nothing = {0};

	(void)ctx;
	assert_true(hours_open(&hours, (struct hours_moment){MON, 9 * 60}));
	assert_false(hours_open(&hours, (struct hours_moment){MON, 13 * 60}));
	assert_true(hours_open(&hours, (struct hours_moment){MON, 15 * 60}));
	assert_false(hours_open(&hours, (struct hours_moment){MON, 21 * 60}));
	assert_true(hours_open(&hours, (struct hours_moment){SAT, 21 * 60}));
	assert_false(hours_open(&nothing, (struct hours_moment){SAT, 21 * 60}));
}

/* ------------------------------------------------------------- the wall */

/* Berlin in 2026: forward on 29 March at 1:00 UTC, back on 25 October at 1:00 UTC. */
#define FORWARD INT64_C(1774746000)
#define BACK    INT64_C(1792890000)
static const struct hours_zone berlin = {
	.n = 3,
	.shifts = {{FORWARD - 5000000, 3600}, {FORWARD, 7200}, {BACK, 3600}},
};

static void assert_shown(const struct hours_zone *zone, int64_t now, unsigned day,
	unsigned hour, unsigned minute)
{
	struct hours_moment moment = hours_local(zone, now);

	assert_int_equal(moment.day, day);
	assert_int_equal(moment.minute, hour * 60 + minute);
}

static void test_utc(void **ctx)
{
	const struct hours_zone utc = {0};

	(void)ctx;
	assert_shown(&utc, 0, THU, 0, 0);
	assert_shown(&utc, 59, THU, 0, 0);
	assert_shown(&utc, 60, THU, 0, 1);
	assert_shown(&utc, 86399, THU, 23, 59);
	assert_shown(&utc, 86400, FRI, 0, 0);
	assert_shown(&utc, FORWARD, SUN, 1, 0);
	/* Clocks that were never set. */
	assert_shown(&utc, -1, WED, 23, 59);
	assert_shown(&utc, -86400, WED, 0, 0);
	assert_shown(&utc, -86401, TUE, 23, 59);
	assert_shown(&utc, -7 * 86400, THU, 0, 0);
}

static void test_summer_begins_and_ends(void **ctx)
{
	(void)ctx;
	assert_shown(&berlin, FORWARD - 1, SUN, 1, 59);
	assert_shown(&berlin, FORWARD, SUN, 3, 0);
	assert_shown(&berlin, BACK - 1, SUN, 2, 59);
	assert_shown(&berlin, BACK, SUN, 2, 0);
	/* Before all that is known, and after. */
	assert_shown(&berlin, 0, THU, 1, 0);
	assert_shown(&berlin, BACK + INT64_C(100) * 7 * 86400, SUN, 2, 0);
}

/* Another day than in Greenwich, on either side of it. */
static void test_far_away(void **ctx)
{
	const struct hours_zone kiritimati = {.n = 1, .shifts = {{0, 14 * 3600}}};
	const struct hours_zone honolulu = {.n = 1, .shifts = {{0, -10 * 3600}}};
	const struct hours_zone kathmandu = {.n = 1, .shifts = {{0, 5 * 3600 + 2700}}};

	(void)ctx;
	assert_shown(&kiritimati, 12 * 3600, FRI, 2, 0);
	assert_shown(&honolulu, 3 * 3600, WED, 17, 0);
	assert_shown(&kathmandu, 0, THU, 5, 45);
}

static bool open_at(const char *text, int64_t now)
{
	const struct hours hours = hours_of((const char *const[]){text, NULL});

	return hours_open(&hours, hours_local(&berlin, now));
}

/* What the wall never shows is never open, what it shows twice is open twice. */
static void test_hours_that_are_left_out_or_come_twice(void **ctx)
{
	(void)ctx;
	for (int64_t now = FORWARD - 7200; now < FORWARD + 7200; now += 60)
		assert_false(open_at("2:15-2:45", now));
	assert_true(open_at("2:15-2:45", FORWARD + 86400 - 3600 + 1800 - 900));

	assert_true(open_at("2:15-2:45", BACK - 3600 + 1800));
	assert_false(open_at("2:15-2:45", BACK - 60));
	assert_true(open_at("2:15-2:45", BACK + 1800));
	assert_false(open_at("2:15-2:45", BACK + 3600));
}

/* The night that is an hour shorter, or longer, is the same night. */
static void test_night_of_the_change(void **ctx)
{
	(void)ctx;
	/* From 22:00 (21:00 UTC) on Saturday to 6:00 (4:00 UTC) on Sunday. */
	assert_false(open_at("sat 22:00-6:00", FORWARD - 4 * 3600 - 1));
	assert_true(open_at("sat 22:00-6:00", FORWARD - 4 * 3600));
	assert_true(open_at("sat 22:00-6:00", FORWARD + 3 * 3600 - 1));
	assert_false(open_at("sat 22:00-6:00", FORWARD + 3 * 3600));
	/* From 22:00 (20:00 UTC) to 6:00 (5:00 UTC). */
	assert_false(open_at("sat 22:00-6:00", BACK - 5 * 3600 - 1));
	assert_true(open_at("sat 22:00-6:00", BACK - 5 * 3600));
	assert_true(open_at("sat 22:00-6:00", BACK + 4 * 3600 - 1));
	assert_false(open_at("sat 22:00-6:00", BACK + 4 * 3600));
}

/* A clock that jumps away and comes back leaves nothing behind. */
static void test_clock_jumps(void **ctx)
{
	const int64_t noon = BACK + 10 * 3600;

	(void)ctx;
	assert_true(open_at("11:00-13:00", noon));
	assert_false(open_at("11:00-13:00", noon + 5 * 3600));
	assert_true(open_at("11:00-13:00", noon));
	assert_false(open_at("11:00-13:00", 0));
	assert_false(open_at("11:00-13:00", -INT64_C(5000000000)));
	assert_true(open_at("11:00-13:00", noon));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_can_be_written),
		cmocka_unit_test(test_names_of_days),
		cmocka_unit_test(test_what_cannot),
		cmocka_unit_test(test_first_minute_in_and_last_out),
		cmocka_unit_test(test_across_midnight),
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_any_of_several),
		cmocka_unit_test(test_utc),
		cmocka_unit_test(test_summer_begins_and_ends),
		cmocka_unit_test(test_far_away),
		cmocka_unit_test(test_hours_that_are_left_out_or_come_twice),
		cmocka_unit_test(test_night_of_the_change),
		cmocka_unit_test(test_clock_jumps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
