#include "conf/rate.h"

#include "base/clock.h"
#include "base/own.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define BURST " burst "

static int bad(const char **ret_why, const char *why)
{
	*ret_why = why;
	return -EINVAL;
}

/* A piece of a text, as one of its own; false if it is longer than any that is right. */
static bool cut(const char *from, size_t len, char buf[TEXT_NUMBER_MAX])
{
	if (len >= TEXT_NUMBER_MAX)
		return false;
	memcpy(buf, from, len);
	buf[len] = '\0';
	return true;
}

static int parse_count(
	const char *from, size_t len, uint32_t *ret, const char *not_one, const char **ret_why)
{
	char text[TEXT_NUMBER_MAX];
	uint64_t count;
	int r = cut(from, len, text) ? text_parse_u64(text, &count) : -EINVAL;

	if (r == -EINVAL)
		return bad(ret_why, not_one);
	if (r < 0 || count > LIMIT_COUNT_MAX)
		return bad(ret_why, "counts further than to 1000000");
	*ret = (uint32_t)count;
	return 0;
}

/* "s" is "1s". */
static int parse_period(const char *from, size_t len, uint64_t *ret, const char **ret_why)
{
	char text[TEXT_NUMBER_MAX + 1] = "1";
	bool bare = len > 0 && (from[0] < '0' || from[0] > '9');
	int r = cut(from, len, text + bare) ? text_parse_duration(text, ret) : -EINVAL;

	if (r == -EINVAL || len == 0)
		return bad(ret_why, "has no time such as s, 10s or 1min after the /");
	if (r < 0 || *ret > LIMIT_PERIOD_MAX)
		return bad(ret_why, "is over a time of more than 1d");
	if (*ret == 0)
		return bad(ret_why, "is over no time at all");
	return 0;
}

static int parse_burst(const char *text, uint32_t *ret, const char **ret_why)
{
	int r = parse_count(text, strlen(text), ret,
		"has no whole number after 'burst'; write 100/1min burst 30", ret_why);

	if (r == 0 && *ret == 0)
		return bad(ret_why, "has a burst of 0; write 0 alone to let nobody in");
	return r;
}

static int parse(const char *text, struct limit *limit, const char **ret_why)
{
	const char *slash = strchr(text, '/'), *burst = strstr(text, BURST);
	size_t end = burst ? (size_t)(burst - text) : strlen(text);
	int r;

	if (text[0] && text[strspn(text, "0123456789")] == '\0')
		return bad(ret_why, "has no time; write COUNT/s, COUNT/10s or COUNT/min");
	if (!slash || slash >= text + end)
		return bad(ret_why,
			"is not a rate such as 20/s or \"100/1min burst 30\", 0 or unlimited");
	r = parse_count(text, (size_t)(slash - text), &limit->count,
		"has no whole number before the /", ret_why);
	if (r == 0)
		r = parse_period(
			slash + 1, (size_t)(text + end - slash - 1), &limit->period, ret_why);
	if (r < 0 || !burst)
		return r;
	return parse_burst(burst + strlen(BURST), &limit->burst, ret_why);
}

int rate_parse(const char *text, struct limit *ret, const char **ret_why)
{
	struct limit limit = {.period = USEC_PER_SEC};
	int r = 0;

	if (strcmp(text, "unlimited") == 0) {
		*ret = (struct limit){0};
		return 0;
	}
	if (strcmp(text, "0") != 0)
		r = parse(text, &limit, ret_why);
	if (r < 0)
		return r;
	/* Nobody in a second is nobody in an hour: one way to say it. */
	if (limit.count == 0)
		limit = (struct limit){.period = USEC_PER_SEC, .burst = 1};
	if (limit.burst == 0)
		limit.burst = limit.count;
	*ret = limit;
	return 0;
}

const char *rate_format(const struct limit *limit, char buf[RATE_TEXT_MAX])
{
	char period[TEXT_NUMBER_MAX], burst[TEXT_NUMBER_MAX] = "";
	bool bare;

	if (!limit_is_set(limit))
		return strcpy(buf, "unlimited");
	if (limit->count == 0)
		return strcpy(buf, "0");
	text_format_duration(limit->period, period);
	bare = period[0] == '1' && (period[1] < '0' || period[1] > '9');
	if (limit->burst != limit->count)
		snprintf(burst, sizeof burst, BURST "%u", limit->burst);
	snprintf(buf, RATE_TEXT_MAX, "%u/%s%s", limit->count, period + bare, burst);
	return buf;
}

bool rate_holds(const struct limit *limit)
{
	if (!limit_is_set(limit))
		return limit->count == 0 && limit->burst == 0;
	return limit->period <= LIMIT_PERIOD_MAX && limit->count <= LIMIT_COUNT_MAX &&
	       limit->burst >= 1 && limit->burst <= LIMIT_COUNT_MAX;
}

int rate_parse_penalty(const char *text, uint64_t *ret, const char **ret_why)
{
	uint64_t ban;
	int r;

	_Static_assert(
		RATE_BAN_MIN == USEC_PER_SEC && RATE_BAN_MAX == 30 * 86400 * USEC_PER_SEC,
		"it is told");
	if (strcmp(text, "refuse") == 0) {
		*ret = 0;
		return 0;
	}
	if (strncmp(text, "ban ", 4) != 0)
		return bad(
			ret_why, "is neither 'refuse' nor \"ban TIME\", such as \"ban 10min\"");
	r = text_parse_duration(text + 4, &ban);
	if (r == -EINVAL)
		return bad(ret_why, "has no time such as 10min after 'ban', up to 30d");
	if (r < 0 || ban < RATE_BAN_MIN || ban > RATE_BAN_MAX)
		return bad(ret_why, "bans for a time outside the range from 1s to 30d");
	*ret = ban;
	return 0;
}

const char *rate_format_penalty(uint64_t ban, char buf[RATE_TEXT_MAX])
{
	char text[TEXT_NUMBER_MAX];

	if (ban == 0)
		return strcpy(buf, "refuse");
	snprintf(buf, RATE_TEXT_MAX, "ban %s", text_format_duration(ban, text));
	return buf;
}
