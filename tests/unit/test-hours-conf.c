/* hours-conf: a time zone in a few numbers shows what the C library shows. */
#include "conf/hours-conf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The fifth of January 2026, 11:06:40 UTC. */
#define NOW 1767611200

#define HOUR 3600
#define YEAR (365 * 24 * HOUR)

static void make_zone(const char *tz, struct hours_zone *ret)
{
	assert_int_equal(setenv("TZ", tz, 1), 0);
	hours_conf_zone(NOW, ret);
}

static void assert_as_libc(const struct hours_zone *zone, time_t when)
{
	struct hours_moment moment = hours_local(zone, when);
	struct tm tm;

	assert_non_null(localtime_r(&when, &tm));
	assert_int_equal(moment.day, tm.tm_wday);
	assert_int_equal(moment.minute, tm.tm_hour * 60 + tm.tm_min);
}

/* Rules of our own: no file of the machine is needed. */
static const char *const zones[] = {
	"UTC0",
	"CET-1CEST,M3.5.0,M10.5.0/3",
	"EST5EDT,M3.2.0,M11.1.0",
	"AEST-10AEDT,M10.1.0,M4.1.0/3",
	"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
	"<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
	"<+14>-14",
	"<-12>12",
};

static void test_as_libc_for_twenty_years(void **ctx)
{
	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(zones); i++) {
		struct hours_zone zone;

		make_zone(zones[i], &zone);
		for (time_t t = NOW - 6 * 24 * HOUR; t < NOW + (time_t)20 * YEAR; t += HOUR / 2)
			assert_as_libc(&zone, t);
		/* To the second. */
		for (uint32_t j = 0; j < zone.n; j++) {
			assert_as_libc(&zone, zone.shifts[j].from);
			if (j > 0)
				assert_as_libc(&zone, zone.shifts[j].from - 1);
		}
	}
}

static void test_shifts(void **ctx)
{
	struct hours_zone zone;

	(void)ctx;
	make_zone("CET-1CEST,M3.5.0,M10.5.0/3", &zone);
	assert_int_equal(zone.shifts[0].offset, HOUR);
	assert_int_equal(zone.shifts[1].from, 1774746000);
	assert_int_equal(zone.shifts[1].offset, 2 * HOUR);
	assert_int_equal(zone.shifts[2].from, 1792890000);
	assert_int_equal(zone.shifts[2].offset, HOUR);
	assert_true(zone.n >= 1 + 2 * HOURS_CONF_YEARS);
	for (uint32_t i = 1; i < zone.n; i++)
		assert_true(zone.shifts[i].from > zone.shifts[i - 1].from);
}

static void test_no_shifts(void **ctx)
{
	struct hours_zone zone;

	(void)ctx;
	make_zone("UTC0", &zone);
	assert_int_equal(zone.n, 1);
	assert_int_equal(zone.shifts[0].offset, 0);
	/* What nobody understands is UTC, as for everybody. */
	make_zone("nonsense", &zone);
	assert_int_equal(zone.n, 1);
	assert_int_equal(zone.shifts[0].offset, 0);
}

static void test_texts(void **ctx)
{
	char *texts[] = {"8:00-12:00", "sat 10:00-14:00", NULL}, *none[] = {NULL};
	struct hours *hours = NULL;
	const char *text, *why;

	(void)ctx;
	assert_int_equal(hours_conf_read(texts, &hours, &text, &why), 0);
	assert_int_equal(hours->n, 2);
	assert_int_equal(hours->spans[1].days, 0x40);
	free(hours);
	assert_int_equal(hours_conf_read(none, &hours, &text, &why), 0);
	assert_null(hours);
	assert_int_equal(hours_conf_read(NULL, &hours, &text, &why), 0);
	assert_null(hours);

	texts[1] = "noon";
	assert_int_equal(hours_conf_read(texts, &hours, &text, &why), -EINVAL);
	assert_null(hours);
	assert_string_equal(text, "noon");
	assert_string_equal(
		why, "does not begin with a time, or with days such as mon or mon-fri");
}

static void test_too_many(void **ctx)
{
	char *texts[HOURS_SPANS_MAX + 2];
	struct hours *hours = NULL;
	const char *text, *why;

	(void)ctx;
	for (size_t i = 0; i <= HOURS_SPANS_MAX; i++)
		texts[i] = "8:00-12:00";
	texts[HOURS_SPANS_MAX + 1] = NULL;
	assert_int_equal(hours_conf_read(texts, &hours, &text, &why), -EINVAL);
	assert_string_equal(why, "is one too many, there may be 64");
	texts[HOURS_SPANS_MAX] = NULL;
	assert_int_equal(hours_conf_read(texts, &hours, &text, &why), 0);
	assert_int_equal(hours->n, HOURS_SPANS_MAX);
	free(hours);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_libc_for_twenty_years),
		cmocka_unit_test(test_shifts),
		cmocka_unit_test(test_no_shifts),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests_name("hours-conf", tests, NULL, NULL);
}
