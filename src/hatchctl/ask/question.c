#include "hatchctl/ask/question.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "conf/cmdline.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/* More than ten thousand services with their addresses. */
#define ANSWER_BYTES_MAX (UINT32_C(256) << 20)
#define ANSWER_STEP      65536

void question_init(struct question *question, bool waits)
{
	*question =
		(struct question){.fd = -EBADF, .waits = waits, .patience = QUESTION_PATIENCE};
}

static void forget(struct question *question)
{
	own_close(&question->fd);
	question->fd = -EBADF;
	free(question->path);
	question->path = NULL;
	answer_done(&question->answer);
	question->size = question->line = 0;
}

void question_done(struct question *question)
{
	forget(question);
}

static int _printf_(3, 4) fail(struct question *question, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(question->why, sizeof question->why, format, args);
	va_end(args);
	forget(question);
	return error;
}

static int connect_failed(struct question *question, const char *path, int error)
{
	switch (-error) {
	case ENOENT:
	case ECONNREFUSED:
		return fail(question, error, "unable to connect to %s: %s; is hatchd running?",
			path, strerror(-error));
	case EACCES:
		return fail(question, error,
			"unable to connect to %s: %s; root may, and the group %s", path,
			strerror(-error), CMDLINE_CONTROL_GROUP);
	case EAGAIN:
		return fail(question, error,
			"unable to connect to %s: others are waiting there", path);
	default:
		return fail(
			question, error, "unable to connect to %s: %s", path, strerror(-error));
	}
}

static int open_socket(const struct question *question)
{
	const struct timeval patience = {.tv_sec = question->patience};
	int flags = SOCK_CLOEXEC | (question->waits ? 0 : SOCK_NONBLOCK);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | flags, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0)
		return -errno;
	return take_fd(&fd);
}

/* Whoever is turned away is told so, even if nobody listens to what he says. */
static int open_and_ask(const struct question *question, const char *path, const char *request)
{
	_cleanup_close_ int fd = open_socket(question);
	int r;

	if (fd < 0)
		return fd;
	r = fd_connect_unix(fd, path);
	if (r < 0)
		return r;
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0 && errno != EPIPE)
		return -errno;
	return take_fd(&fd);
}

/* Who has opened the socket there: a number of its own it may have anywhere. */
static pid_t peer_of(int fd)
{
	struct ucred peer = {0};
	socklen_t len = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ? 0 : peer.pid;
}

int question_ask(struct question *question, const char *path, const char *request)
{
	int r;

	forget(question);
	question->asked = clock_monotonic();
	r = open_and_ask(question, path, request);
	if (r < 0)
		return connect_failed(question, path, r);
	question->fd = r;
	question->answer.pid = peer_of(r);
	question->path = strdup(path);
	if (!question->path)
		return connect_failed(question, path, -ENOMEM);
	return 0;
}

static int make_room(struct question *question)
{
	size_t size = question->size;
	char *text;

	if (size - question->answer.len >= ANSWER_STEP)
		return 0;
	if (size >= ANSWER_BYTES_MAX)
		return -EFBIG;
	size = size == 0 ? 2 * ANSWER_STEP : 2 * size;
	text = realloc(question->answer.text, size);
	if (!text)
		return -ENOMEM;
	question->answer.text = text;
	question->size = size;
	return 0;
}

/* Look at the new lines that are complete: 1 if one of them is the last. */
static int look_for_end(struct question *question)
{
	struct answer *answer = &question->answer;
	const char *start = answer->text + question->line, *newline;
	struct json_value value;

	while ((newline = memchr(start, '\n', answer->len - question->line))) {
		if (!json_parse(start, (size_t)(newline - start), &value))
			return -EBADMSG;
		start = newline + 1;
		question->line = (size_t)(start - answer->text);
		answer->n_lines++;
		if (json_get(value, "end").at || json_get(value, "error").at) {
			answer->len = question->line;
			return 1;
		}
	}
	return 0;
}

/* Whoever says a little again and again has no more time than others. */
static int await(const struct question *question)
{
	uint64_t until = question->asked + question->patience * USEC_PER_SEC;
	struct pollfd poll_fd = {.fd = question->fd, .events = POLLIN};
	uint64_t now = clock_monotonic();
	int r;

	if (!question->waits)
		return 0;
	if (now >= until)
		return -ETIMEDOUT;
	r = poll(&poll_fd, 1, (int)((until - now) / USEC_PER_MSEC) + 1);
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	return r == 0 ? -ETIMEDOUT : 0;
}

/* That hatchd has nothing more to say is not the same as that it has gone. */
static int read_some(struct question *question)
{
	struct answer *answer = &question->answer;
	ssize_t n;
	int r = make_room(question);

	if (r < 0)
		return r;
	r = await(question);
	if (r < 0)
		return r;
	n = recv(question->fd, answer->text + answer->len, ANSWER_STEP, 0);
	if (n < 0 && errno == EAGAIN)
		return question->waits ? -ETIMEDOUT : 0;
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ECONNRESET;
	answer->len += (size_t)n;
	return look_for_end(question);
}

/* They are valid: that has been looked at.  The last is not one of them any more. */
static int find_lines(struct answer *answer, struct json_value *ret_last)
{
	const char *at = answer->text, *end;

	answer->lines = calloc(answer->n_lines, sizeof *answer->lines);
	if (!answer->lines)
		return -ENOMEM;
	for (size_t i = 0; i < answer->n_lines; i++) {
		end = memchr(at, '\n', answer->len - (size_t)(at - answer->text));
		json_parse(at, (size_t)(end - at), &answer->lines[i]);
		at = end + 1;
	}
	*ret_last = answer->lines[--answer->n_lines];
	return 0;
}

static int read_failed(struct question *question, int error)
{
	const char *path = question->path;

	switch (-error) {
	case ETIMEDOUT:
		return fail(question, error, "unable to read from %s: no answer within %u s",
			path, question->patience);
	case EBADMSG:
		return fail(question, error,
			"unable to read from %s: that is no answer of hatchd", path);
	case EFBIG:
		return fail(question, error, "unable to read from %s: the answer is too long",
			path);
	case ECONNRESET:
		return fail(question, error,
			"unable to read from %s: the answer has no end; ask again", path);
	default:
		return fail(
			question, error, "unable to read from %s: %s", path, strerror(-error));
	}
}

static int refused(struct question *question, struct json_value last)
{
	_cleanup_free_ char *why = json_to_string(json_get(last, "error"));
	char shown[256];

	return fail(question, -EREMOTEIO, "%s",
		text_escape(why ? why : "", why ? strlen(why) : 0, shown, sizeof shown));
}

int question_read(struct question *question, struct answer *ret)
{
	struct json_value last = {NULL, NULL};
	int r = read_some(question);

	if (r == 0)
		return 0;
	if (r > 0)
		r = find_lines(&question->answer, &last);
	if (r < 0)
		return read_failed(question, r);
	if (json_get(last, "error").at)
		return refused(question, last);
	*ret = question->answer;
	question->answer = (struct answer){0};
	forget(question);
	return 1;
}
