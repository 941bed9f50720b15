#include "os/mark.h"

#include "base/text.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAMILY_DIGITS 16

const char *mark_format(const struct mark *mark, char buf[MARK_ENTRY_MAX])
{
	snprintf(buf, MARK_ENTRY_MAX, MARK_NAME "=%016" PRIx64 "-%d-%" PRIu64 "-%d",
		mark->family, (int)mark->pid, mark->start, (int)mark->session);
	return buf;
}

/* The part that begins there and ends with `end`; *at is behind it then. */
static bool take_number(const char **at, char end, uint64_t *ret)
{
	const char *stop = strchr(*at, end);
	char text[TEXT_NUMBER_MAX];
	size_t len;

	if (!stop)
		return false;
	len = (size_t)(stop - *at);
	if (len >= sizeof text)
		return false;
	memcpy(text, *at, len);
	text[len] = '\0';
	*at = stop + 1;
	return text_parse_u64(text, ret) == 0;
}

static bool take_pid(const char **at, char end, pid_t *ret)
{
	uint64_t pid;

	if (!take_number(at, end, &pid) || pid == 0 || pid > INT_MAX)
		return false;
	*ret = (pid_t)pid;
	return true;
}

bool mark_parse(const char *value, struct mark *ret)
{
	struct mark mark;
	const char *at;

	if (strspn(value, "0123456789abcdef") != FAMILY_DIGITS || value[FAMILY_DIGITS] != '-')
		return false;
	mark.family = strtoull(value, NULL, 16);
	at = value + FAMILY_DIGITS + 1;
	if (!take_pid(&at, '-', &mark.pid) || !take_number(&at, '-', &mark.start) ||
		!take_pid(&at, '\0', &mark.session))
		return false;
	*ret = mark;
	return true;
}
