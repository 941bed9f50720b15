/* validity: of a certificate, to the second; and days, beside those of the C library. */
#include "policy/validity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* 2033-05-18 03:33:20 */
#define END INT64_C(2000000000)
#define DAY VALIDITY_DAY

static void judged(int64_t ends, int64_t now, enum validity want, uint64_t wait)
{
	assert_int_equal(validity_judge(ends, now), want);
	assert_int_equal(validity_wait(ends, now), wait);
	/* When the time has come, and not a second earlier. */
	if (want == VALIDITY_GOOD && wait < INT32_MAX) {
		assert_int_equal(validity_judge(ends, now + (int64_t)wait - 1), VALIDITY_GOOD);
		assert_int_equal(validity_judge(ends, now + (int64_t)wait), VALIDITY_ENDING);
	}
}

static void test_judge(void **ctx)
{
	(void)ctx;
	judged(END, END - 100 * DAY, VALIDITY_GOOD, 86 * DAY + 1);
	judged(END, END - 14 * DAY - 1, VALIDITY_GOOD, 2);
	judged(END, END - 14 * DAY, VALIDITY_GOOD, 1);
	judged(END, END - 14 * DAY + 1, VALIDITY_ENDING, 0);
	judged(END, END - 1, VALIDITY_ENDING, 0);
	judged(END, END, VALIDITY_ENDED, 0);
	judged(END, END + 1, VALIDITY_ENDED, 0);
}

/* Whatever a certificate says, and a clock that was never set. */
static void test_extremes(void **ctx)
{
	(void)ctx;
	judged(INT64_MAX, INT64_MIN, VALIDITY_GOOD, UINT64_MAX - 14 * DAY + 1);
	judged(INT64_MAX, INT64_MAX, VALIDITY_ENDED, 0);
	judged(INT64_MAX, INT64_MAX - 1, VALIDITY_ENDING, 0);
	judged(INT64_MIN, INT64_MAX, VALIDITY_ENDED, 0);
	judged(INT64_MIN, INT64_MIN, VALIDITY_ENDED, 0);
	judged(END, 0, VALIDITY_GOOD, END - 14 * DAY + 1);
}

static void test_words(void **ctx)
{
	(void)ctx;
	assert_string_equal(validity_word(VALIDITY_GOOD), "good");
	assert_string_equal(validity_word(VALIDITY_ENDING), "ending");
	assert_string_equal(validity_word(VALIDITY_ENDED), "ended");
}

static void is_on(int64_t at, const char *want)
{
	char day[VALIDITY_DAY_MAX];

	assert_string_equal(validity_format_day(at, day), want);
}

static void test_days(void **ctx)
{
	(void)ctx;
	is_on(0, "1970-01-01");
	is_on(-1, "1969-12-31");
	is_on(DAY - 1, "1970-01-01");
	is_on(DAY, "1970-01-02");
	is_on(END, "2033-05-18");
	/* What is said of certificates that never end: 9999-12-31 23:59:59. */
	is_on(INT64_C(253402300799), "9999-12-31");
	is_on(INT64_C(-62167219200), "0000-01-01");
	is_on(INT64_C(-62167219201), "-001-12-31");
	is_on(INT64_MAX, "292277026596-12-04");
	is_on(INT64_MIN, "-292277022657-01-27");
}

/* Each day of 1,000 years, and the last second of it. */
static void test_all_days(void **ctx)
{
	(void)ctx;
	for (int64_t at = INT64_C(-15000000000); at < INT64_C(17000000000); at += DAY) {
		const time_t when = (time_t)at;
		char want[VALIDITY_DAY_MAX];
		struct tm tm;

		assert_non_null(gmtime_r(&when, &tm));
		assert_int_not_equal(strftime(want, sizeof want, "%Y-%m-%d", &tm), 0);
		is_on(at, want);
		is_on(at - at % DAY + (at < 0 && at % DAY ? -1 : DAY - 1), want);
	}
}

static void is_told(int64_t ends, int64_t now, const char *want)
{
	char text[VALIDITY_TEXT_MAX];

	assert_string_equal(validity_format(ends, now, text), want);
	assert_in_range(strlen(text), 1, VALIDITY_TEXT_MAX - 1);
}

static void test_phrases(void **ctx)
{
	(void)ctx;
	is_told(END, END - 14 * DAY, "is valid until 2033-05-18");
	is_told(END, END - 14 * DAY + 1, "is only valid until 2033-05-18, 13 days from now");
	is_told(END, END - 2 * DAY, "is only valid until 2033-05-18, 2 days from now");
	is_told(END, END - 2 * DAY + 1, "is only valid until 2033-05-18, 1 day from now");
	is_told(END, END - DAY, "is only valid until 2033-05-18, 1 day from now");
	is_told(END, END - DAY + 1, "is only valid until 2033-05-18, less than a day from now");
	is_told(END, END - 1, "is only valid until 2033-05-18, less than a day from now");
	is_told(END, END, "was valid until 2033-05-18; clients will refuse it");
	is_told(INT64_MAX, INT64_MAX - 1,
		"is only valid until 292277026596-12-04, less than a day from now");
	is_told(INT64_MIN, 0, "was valid until -292277022657-01-27; clients will refuse it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_all_days),
		cmocka_unit_test(test_phrases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
