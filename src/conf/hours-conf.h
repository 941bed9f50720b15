/*
 * hours-conf: access_times, and the time zone that they are in.
 *
 * The master reads no files (I2), so it cannot ask the C library what the clock on
 * the wall shows.  The loader does, and writes down how the time zone of the
 * machine shifts in the years to come.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_HOURS_CONF_H
#define HATCHD_CONF_HOURS_CONF_H

#include "conf/conf.h"

#include <time.h>

/*
 * From texts; without any *ret is NULL.  -EINVAL with *reterr_why a constant phrase
 * about *reterr_text, which is one of them; -ENOMEM.
 */
int hours_conf_read(char *const *texts, struct hours **ret, const char **reterr_text,
	const char **reterr_why);

/* How far the loader looks ahead: a hatchd that is not told to reload for longer has the
 * hours of then. */
#define HOURS_CONF_YEARS 20

/*
 * The shifts of the local time zone (tzset(3)) from a week before `now` on, for so many
 * years.  A zone that shifts more often than there is room for is known for a shorter
 * time.  Some milliseconds.
 */
void hours_conf_zone(time_t now, struct hours_zone *ret);

#endif
