/*
 * rate: limits per time as they are written, "20/s" or "100/1min burst 30", and back;
 * and what becomes of a source that is above one of its limits.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_RATE_H
#define HATCHD_CONF_RATE_H

#include "policy/limit.h"

#include <stddef.h>

/* Shortest and longest time for which somebody may be banned, usec. */
#define RATE_BAN_MIN UINT64_C(1000000)
#define RATE_BAN_MAX (UINT64_C(30) * 86400 * 1000000)

/* Room for what rate_format() and rate_format_penalty() write, NUL included. */
#define RATE_TEXT_MAX 80

/*
 * COUNT/TIME, COUNT/TIME burst COUNT, 0 or unlimited.  The number of a time may be left
 * out if it is 1: "20/s".  A burst that is not said is the count.  0, or -EINVAL with
 * *ret_why, to be put after the text: "is above 1000000 ...".
 */
int rate_parse(const char *text, struct limit *ret, const char **ret_why);
const char *rate_format(const struct limit *limit, char buf[RATE_TEXT_MAX]);

/* Whether it is one that rate_parse() can have made. */
bool rate_holds(const struct limit *limit);

/* "refuse", which is 0, or "ban DURATION", in usec; -EINVAL as above. */
int rate_parse_penalty(const char *text, uint64_t *ret, const char **ret_why);
const char *rate_format_penalty(uint64_t ban, char buf[RATE_TEXT_MAX]);

#endif
