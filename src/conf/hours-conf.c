#include "conf/hours-conf.h"

#include <errno.h>
#include <stdlib.h>

#define DAY 86400

/* Every shift lasts longer than that, or is not seen. */
#define STEP DAY

int hours_conf_read(char *const *texts, struct hours **ret, const char **reterr_text,
	const char **reterr_why)
{
	_cleanup_free_ struct hours *hours = NULL;

	*ret = NULL;
	if (!texts || !*texts)
		return 0;
	hours = calloc(1, sizeof *hours);
	if (!hours)
		return -ENOMEM;
	for (; *texts; texts++) {
		*reterr_text = *texts;
		_Static_assert(HOURS_SPANS_MAX == 64, "it is told");
		*reterr_why = "is one too many, there may be 64";
		if (hours->n == HOURS_SPANS_MAX ||
			hours_parse(*texts, &hours->spans[hours->n], reterr_why) < 0)
			return -EINVAL;
		hours->n++;
	}
	*ret = take_ptr(hours);
	return 0;
}

static int32_t offset_at(time_t when)
{
	struct tm tm;

	return localtime_r(&when, &tm) ? (int32_t)tm.tm_gmtoff : 0;
}

/* The first second that has another offset than `from` has; `to` has another one. */
static time_t find_shift(time_t from, time_t to)
{
	const int32_t before = offset_at(from);

	while (to - from > 1) {
		time_t middle = from + (to - from) / 2;

		if (offset_at(middle) == before)
			from = middle;
		else
			to = middle;
	}
	return to;
}

static void add_shift(struct hours_zone *zone, time_t from, int32_t offset)
{
	zone->shifts[zone->n++] = (struct hours_shift){.from = from, .offset = offset};
}

void hours_conf_zone(time_t now, struct hours_zone *ret)
{
	time_t from = now - 7 * DAY, end = now + HOURS_CONF_YEARS * 366 * (time_t)DAY;
	int32_t before, offset;

	tzset();
	*ret = (struct hours_zone){0};
	before = offset_at(from);
	add_shift(ret, from, before);
	for (; from < end && ret->n < HOURS_SHIFTS_MAX; from += STEP, before = offset) {
		offset = offset_at(from + STEP);
		if (offset != before)
			add_shift(ret, find_shift(from, from + STEP), offset);
	}
}
