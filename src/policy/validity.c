#include "policy/validity.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

enum validity validity_judge(int64_t ends, int64_t now)
{
	if (now >= ends)
		return VALIDITY_ENDED;
	/* As far apart as two numbers can be. */
	return (uint64_t)ends - (uint64_t)now < VALIDITY_SOON ? VALIDITY_ENDING : VALIDITY_GOOD;
}

const char *validity_word(enum validity validity)
{
	static const char *const words[_VALIDITY_MAX] = {
		[VALIDITY_GOOD] = "good",
		[VALIDITY_ENDING] = "ending",
		[VALIDITY_ENDED] = "ended",
	};

	return words[validity];
}

uint64_t validity_wait(int64_t ends, int64_t now)
{
	if (validity_judge(ends, now) != VALIDITY_GOOD)
		return 0;
	return (uint64_t)ends - (uint64_t)now - VALIDITY_SOON + 1;
}

/* ---------------------------------------------------------------------------- days */

/* The calendar is the same again after so many. */
#define ERA_DAYS  146097
#define ERA_YEARS 400

/* From the first of March 0000, with which years begin here so that the day of a leap year
 * is their last, to 1970. */
#define DAYS_TO_1970 719468

struct day {
	int64_t year;
	unsigned month, day; /* from 1 */
};

/* Rounded down, also below 0. */
static int64_t divide(int64_t n, int64_t by)
{
	return n / by - (n % by < 0);
}

static struct day find_day(int64_t at)
{
	int64_t days = divide(at, VALIDITY_DAY) + DAYS_TO_1970, era = divide(days, ERA_DAYS);
	unsigned in_era = (unsigned)(days - era * ERA_DAYS);
	unsigned leaps = in_era / 1460 - in_era / 36524 + in_era / 146096;
	unsigned year = (in_era - leaps) / 365;
	unsigned in_year = in_era - (year * 365 + year / 4 - year / 100);
	/* Five months have 153 days, whichever of them is the first. */
	unsigned month = (5 * in_year + 2) / 153;
	bool next_year = month >= 10;

	return (struct day){
		.year = era * ERA_YEARS + year + next_year,
		.month = next_year ? month - 9 : month + 3,
		.day = in_year - (153 * month + 2) / 5 + 1,
	};
}

const char *validity_format_day(int64_t at, char buf[VALIDITY_DAY_MAX])
{
	const struct day day = find_day(at);

	snprintf(
		buf, VALIDITY_DAY_MAX, "%04" PRId64 "-%02u-%02u", day.year, day.month, day.day);
	return buf;
}

/* ------------------------------------------------------------------------- phrases */

static void format_ending(const char *day, uint64_t days, char buf[VALIDITY_TEXT_MAX])
{
	if (days == 0)
		snprintf(buf, VALIDITY_TEXT_MAX,
			"is only valid until %s, less than a day from now", day);
	else
		snprintf(buf, VALIDITY_TEXT_MAX,
			"is only valid until %s, %" PRIu64 " day%s from now", day, days,
			days == 1 ? "" : "s");
}

const char *validity_format(int64_t ends, int64_t now, char buf[VALIDITY_TEXT_MAX])
{
	char day[VALIDITY_DAY_MAX];

	validity_format_day(ends, day);
	switch (validity_judge(ends, now)) {
	case VALIDITY_ENDING:
		format_ending(day, (uint64_t)(ends - now) / VALIDITY_DAY, buf);
		break;
	case VALIDITY_ENDED:
		snprintf(buf, VALIDITY_TEXT_MAX, "was valid until %s; clients will refuse it",
			day);
		break;
	default:
		snprintf(buf, VALIDITY_TEXT_MAX, "is valid until %s", day);
	}
	return buf;
}
