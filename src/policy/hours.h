/*
 * hours: when a service is open.
 *
 *	8:00-12:00            every day
 *	22:00-6:00            across midnight
 *	14:00-24:00           to the end of the day
 *	mon-fri 8:00-18:00    of some days: those on which it begins
 *	sat 10:00-14:00
 *
 * Hours are those of the clock on the wall.  Where that is set forward, times that
 * it leaves out do not come; where it is set back, those that come twice count
 * twice.  A span holds its first minute and ends with the beginning of its last.
 *
 * Pure: what time it is comes from the caller, in seconds since 1970 (UTC); what the
 * wall shows then, from a table of the shifts of its time zone.  Nothing is
 * remembered, so a clock that jumps is right again at once.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_HOURS_H
#define HATCHD_POLICY_HOURS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most spans of one service. */
#define HOURS_SPANS_MAX 64

/* Most shifts of one time zone: two a year for more than twenty years. */
#define HOURS_SHIFTS_MAX 48

/* An offset from UTC is less than a day and a bit (RFC 8536 3.2). */
#define HOURS_OFFSET_MAX (26 * 3600)

#define HOURS_DAY_MINUTES 1440

struct hours_span {
	uint8_t days;  /* on which it begins; bit 0 is Sunday */
	uint16_t from; /* minute of the day, 0 to 1439 */
	uint16_t to;   /* 0 to 1440, and not `from`; below it: of the next day */
};

struct hours {
	size_t n;
	struct hours_span spans[HOURS_SPANS_MAX];
};

struct hours_shift {
	int64_t from;   /* seconds since 1970, UTC; that of the first does not count */
	int32_t offset; /* from then on: seconds to be added to UTC */
};

/* In the order of time.  Without any, the wall shows UTC. */
struct hours_zone {
	uint32_t n;
	struct hours_shift shifts[HOURS_SHIFTS_MAX];
};

/* What the clock on the wall shows. */
struct hours_moment {
	unsigned day;    /* 0 to 6, 0 is Sunday */
	unsigned minute; /* of the day */
};

/* "sun" to "sat", as spans have them; `day` is that of a moment. */
const char *hours_day_name(unsigned day);

/*
 * Parse one span.  0, or -EINVAL with *reterr_why pointing at a constant phrase such
 * as "is not a time such as 8:00-12:00".
 */
int hours_parse(const char *text, struct hours_span *ret, const char **reterr_why);

struct hours_moment hours_local(const struct hours_zone *zone, int64_t now);

bool hours_open(const struct hours *hours, struct hours_moment moment);

#endif
