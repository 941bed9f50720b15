#include "policy/hours.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define DAYS          7
#define DAY_SECONDS   86400
#define EVERY_DAY     0x7f
#define EPOCH_WEEKDAY 4 /* the first of January 1970 was a Thursday */

static const char day_names[DAYS][4] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

const char *hours_day_name(unsigned day)
{
	return day_names[day];
}

/* ---------------------------------------------------------------- parsing */

/* Advance over a day's name: its number, or -1. */
static int take_day(const char **text)
{
	for (int day = 0; day < DAYS; day++) {
		if (strncasecmp(*text, day_names[day], 3) == 0) {
			*text += 3;
			return day;
		}
	}
	return -1;
}

/* "mon " or "fri-mon ": the week goes on after Saturday. */
static bool take_days(const char **text, uint8_t *ret)
{
	int first = take_day(text), last = first;

	if (first >= 0 && **text == '-') {
		++*text;
		last = take_day(text);
	}
	if (last < 0 || **text != ' ')
		return false;
	*text += strspn(*text, " ");
	*ret = (uint8_t)(1U << last);
	for (int day = first; day != last; day = (day + 1) % DAYS)
		*ret |= (uint8_t)(1U << day);
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "8:00" to "24:00", as minutes of the day. */
static bool take_time(const char **text, uint16_t *ret)
{
	const char *p = *text;
	unsigned hour = 0, minute;

	if (!is_digit(*p))
		return false;
	hour = (unsigned)(*p++ - '0');
	if (is_digit(*p))
		hour = hour * 10 + (unsigned)(*p++ - '0');
	if (p[0] != ':' || !is_digit(p[1]) || !is_digit(p[2]))
		return false;
	minute = (unsigned)(p[1] - '0') * 10 + (unsigned)(p[2] - '0');
	if (minute > 59 || hour * 60 + minute > HOURS_DAY_MINUTES)
		return false;
	*text = p + 3;
	*ret = (uint16_t)(hour * 60 + minute);
	return true;
}

static int bad(const char *why, const char **reterr_why)
{
	*reterr_why = why;
	return -EINVAL;
}

int hours_parse(const char *text, struct hours_span *ret, const char **reterr_why)
{
	struct hours_span span = {.days = EVERY_DAY};

	if (!is_digit(*text) && !take_days(&text, &span.days))
		return bad("does not begin with a time, or with days such as mon or mon-fri",
			reterr_why);
	if (!take_time(&text, &span.from) || *text++ != '-' || !take_time(&text, &span.to) ||
		*text)
		return bad("is not a time such as 8:00-12:00 or 22:00-6:00, up to 24:00",
			reterr_why);
	if (span.from == HOURS_DAY_MINUTES)
		return bad("begins at 24:00; write 0:00 of the next day", reterr_why);
	if (span.from == span.to)
		return bad(
			"begins when it ends; write 0:00-24:00 for the whole day", reterr_why);
	*ret = span;
	return 0;
}

/* --------------------------------------------------------------- deciding */

static int32_t offset_at(const struct hours_zone *zone, int64_t now)
{
	uint32_t i = zone->n;

	if (zone->n == 0)
		return 0;
	while (i > 1 && zone->shifts[i - 1].from > now)
		i--;
	return zone->shifts[i - 1].offset;
}

struct hours_moment hours_local(const struct hours_zone *zone, int64_t now)
{
	int64_t local = now + offset_at(zone, now);
	int64_t days = local / DAY_SECONDS, second = local % DAY_SECONDS;

	/* Before 1970: a clock that was never set. */
	if (second < 0) {
		second += DAY_SECONDS;
		days--;
	}
	return (struct hours_moment){
		.day = (unsigned)((days % DAYS + EPOCH_WEEKDAY + DAYS) % DAYS),
		.minute = (unsigned)(second / 60),
	};
}

static bool span_open(const struct hours_span *span, struct hours_moment moment)
{
	bool today = span->days >> moment.day & 1;
	bool yesterday = span->days >> (moment.day + DAYS - 1) % DAYS & 1;

	if (span->from < span->to)
		return today && moment.minute >= span->from && moment.minute < span->to;
	return (today && moment.minute >= span->from) ||
	       (yesterday && moment.minute < span->to);
}

bool hours_open(const struct hours *hours, struct hours_moment moment)
{
	for (size_t i = 0; i < hours->n; i++) {
		if (span_open(&hours->spans[i], moment))
			return true;
	}
	return false;
}
