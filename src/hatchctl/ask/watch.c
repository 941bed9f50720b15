#include "hatchctl/ask/watch.h"

#include "base/clock.h"
#include "base/text.h"
#include "hatchctl/command.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

void watch_done(struct watch *watch)
{
	question_done(&watch->question);
}

/* 1: *ret is the next line that is there; it stays where it is until more is read. */
static int take_line(struct watch *watch, struct json_value *ret)
{
	const char *start = watch->buf + watch->taken;
	const char *newline = memchr(start, '\n', watch->len - watch->taken);

	if (!newline)
		return 0;
	if (!json_parse(start, (size_t)(newline - start), ret))
		return -EBADMSG;
	watch->taken += (size_t)(newline + 1 - start);
	return 1;
}

static int read_more(struct watch *watch)
{
	ssize_t n;

	memmove(watch->buf, watch->buf + watch->taken, watch->len - watch->taken);
	watch->len -= watch->taken;
	watch->taken = 0;
	if (watch->len == sizeof watch->buf)
		return -EBADMSG;
	n = recv(watch->question.fd, watch->buf + watch->len, sizeof watch->buf - watch->len,
		MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	watch->len += (size_t)n;
	return 0;
}

/* Rounded up: it is not to be looked at before that time again and again. */
static int milliseconds_until(uint64_t until)
{
	uint64_t now = clock_monotonic();

	return until <= now ? 0 : (int)((until - now) / USEC_PER_MSEC + 1);
}

int watch_next(struct watch *watch, int other, uint64_t until, struct json_value *ret)
{
	struct pollfd fds[] = {
		{.fd = watch->question.fd, .events = POLLIN}, {.fd = other, .events = POLLIN}};

	for (;;) {
		int r = take_line(watch, ret), n;

		if (r != 0)
			return r > 0 ? WATCH_EVENT : r;
		n = poll(fds, ARRAY_SIZE(fds), milliseconds_until(until));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return WATCH_TIME;
		if (n > 0 && fds[1].revents)
			return WATCH_OTHER;
		r = n > 0 ? read_more(watch) : 0;
		if (r < 0)
			return r;
	}
}

static int refused(struct json_value line)
{
	_cleanup_free_ char *why = json_to_string(json_get(line, "error"));
	char shown[256];

	return answer_refused(
		text_escape(why ? why : "", why ? strlen(why) : 0, shown, sizeof shown));
}

/* The first line says that it has begun. */
int watch_begin(struct watch *watch, const char *path, const char *service)
{
	const uint64_t until = clock_monotonic() + QUESTION_PATIENCE * USEC_PER_SEC;
	struct json_value line = {NULL, NULL};
	char request[128];
	int r;

	question_init(&watch->question, true);
	watch->len = watch->taken = 0;
	snprintf(request, sizeof request, "events %s\n", service);
	if (question_ask(&watch->question, path, request) < 0)
		return command_failed("%s", watch->question.why);
	r = watch_next(watch, -1, until, &line);
	if (r == WATCH_EVENT && json_get(line, "error").at)
		return refused(line);
	if (r == WATCH_TIME)
		r = -ETIMEDOUT;
	if (r < 0)
		return command_failed("unable to read from %s: %s", path, strerror(-r));
	return COMMAND_DONE;
}
