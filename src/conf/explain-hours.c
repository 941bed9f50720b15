/*
 * explain-hours: whether a service is open, by which of its spans, and until when.
 */
#include "conf/explain-internal.h"
#include "conf/hours-conf.h"
#include "conf/print.h"

#include <string.h>

/* Whatever opens or closes does so again after a week; one more day for a clock that is
 * set meanwhile. */
#define MINUTES_MAX (8 * HOURS_DAY_MINUTES)

/* The hours of one service, at one moment. */
struct clock_face {
	const struct hours *hours;
	struct hours_zone zone;
	int64_t now;
};

static void read_face(const struct explain *e, struct clock_face *ret)
{
	ret->hours = e->service->hours;
	hours_conf_zone(e->now, &ret->zone);
	ret->now = e->now - e->now % 60;
}

static bool is_open(const struct clock_face *face, int64_t when)
{
	return hours_open(face->hours, hours_local(&face->zone, when));
}

/* The first minute at which that is otherwise than now; false: there is none. */
static bool find_change(const struct clock_face *face, int64_t *ret)
{
	bool open = is_open(face, face->now);

	for (int64_t i = 1; i <= MINUTES_MAX; i++) {
		if (is_open(face, face->now + 60 * i) == open)
			continue;
		*ret = face->now + 60 * i;
		return true;
	}
	return false;
}

/* The first span that holds that moment; there is one. */
static size_t find_span(const struct clock_face *face, int64_t when)
{
	size_t i = 0;

	for (; i + 1 < face->hours->n; i++) {
		const struct hours one = {.n = 1, .spans = {face->hours->spans[i]}};

		if (hours_open(&one, hours_local(&face->zone, when)))
			break;
	}
	return i;
}

/* "mon 8:00". */
static void put_moment(const struct explain *e, const struct clock_face *face, int64_t when)
{
	const struct hours_moment moment = hours_local(&face->zone, when);

	fprintf(e->out, "%s %u:%02u", hours_day_name(moment.day), moment.minute / 60,
		moment.minute % 60);
}

static int put_face(const struct explain *e, const struct clock_face *face)
{
	bool open = is_open(face, face->now);
	int64_t change = face->now;
	_cleanup_free_ char *span = NULL;

	fputs(open ? ": open" : ": closed", e->out);
	if (find_change(face, &change)) {
		fputs(" until ", e->out);
		put_moment(e, face, change);
	}
	span = print_quote(
		e->service->access_times[find_span(face, open ? face->now : change)]);
	if (!span)
		return -ENOMEM;
	fprintf(e->out, " (%s); it is ", span);
	put_moment(e, face, face->now);
	fputc('\n', e->out);
	return 0;
}

bool explain_is_open(const struct explain *e)
{
	struct clock_face face;

	if (!e->service->hours)
		return true;
	read_face(e, &face);
	return is_open(&face, e->now);
}

int explain_put_hours(const struct explain *e)
{
	struct clock_face face;

	if (!e->service->hours)
		return 0;
	read_face(e, &face);
	explain_put_word(e, "hours");
	explain_put_given(e, conf_option_find("access_times"));
	return put_face(e, &face);
}
