#include "hatchctl/answer.h"

#include "base/fd.h"
#include "base/text.h"
#include "conf/cmdline.h"
#include "hatchctl/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/* A hatchd that runs answers at once. */
#define PATIENCE 30 /* s */

/* More than ten thousand services with their addresses. */
#define ANSWER_BYTES_MAX (UINT32_C(256) << 20)
#define ANSWER_STEP      65536

void answer_done(struct answer *answer)
{
	free(answer->text);
	free(answer->lines);
	*answer = (struct answer){0};
}

static int connect_failed(const char *path, int error)
{
	switch (-error) {
	case ENOENT:
	case ECONNREFUSED:
		return command_failed("unable to connect to %s: %s; is hatchd running?", path,
			strerror(-error));
	case EACCES:
		return command_failed("unable to connect to %s: %s; root may, and the group "
				      "%s",
			path, strerror(-error), CMDLINE_CONTROL_GROUP);
	default:
		return command_failed("unable to connect to %s: %s", path, strerror(-error));
	}
}

/* Whoever is turned away is told so, even if nobody listens to what he says. */
static int open_and_ask(const char *path, const char *request, int *ret_fd)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval patience = {.tv_sec = PATIENCE};
	int r;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0)
		return -errno;
	r = fd_connect_unix(fd, path);
	if (r < 0)
		return r;
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0 && errno != EPIPE)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int make_room(struct answer *answer, size_t *size)
{
	char *text;

	if (*size - answer->len >= ANSWER_STEP)
		return 0;
	if (*size >= ANSWER_BYTES_MAX)
		return -EFBIG;
	*size = *size == 0 ? 2 * ANSWER_STEP : 2 * *size;
	text = realloc(answer->text, *size);
	if (!text)
		return -ENOMEM;
	answer->text = text;
	return 0;
}

/* Look at the lines from *line on that are complete: 1 if one of them is the last. */
static int look_for_end(struct answer *answer, size_t *line)
{
	const char *start = answer->text + *line, *newline;
	struct json_value value;

	while ((newline = memchr(start, '\n', answer->len - *line))) {
		if (!json_parse(start, (size_t)(newline - start), &value))
			return -EBADMSG;
		start = newline + 1;
		*line = (size_t)(start - answer->text);
		answer->n_lines++;
		if (json_get(value, "end").at || json_get(value, "error").at) {
			answer->len = *line;
			return 1;
		}
	}
	return 0;
}

/* That hatchd has nothing more to say is not the same as that it has gone. */
static int read_all(int fd, struct answer *answer)
{
	size_t size = 0, line = 0;
	int r = 0;

	while (r == 0) {
		ssize_t n;

		r = make_room(answer, &size);
		if (r < 0)
			return r;
		n = recv(fd, answer->text + answer->len, ANSWER_STEP, 0);
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (n == 0)
			return -ECONNRESET;
		answer->len += (size_t)n;
		r = look_for_end(answer, &line);
	}
	return r < 0 ? r : 0;
}

/* They are valid: that has been looked at.  The last is the caller's. */
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

static int read_failed(const char *path, int error)
{
	switch (-error) {
	case ETIMEDOUT:
		return command_failed(
			"unable to read from %s: no answer within %d s", path, PATIENCE);
	case EBADMSG:
		return command_failed(
			"unable to read from %s: that is no answer of hatchd", path);
	case ECONNRESET:
		return command_failed(
			"unable to read from %s: the answer has no end; ask again", path);
	default:
		return command_failed("unable to read from %s: %s", path, strerror(-error));
	}
}

static int refused(struct json_value last)
{
	_cleanup_free_ char *why = json_to_string(json_get(last, "error"));
	char shown[256];

	return command_failed(
		"%s", text_escape(why ? why : "", why ? strlen(why) : 0, shown, sizeof shown));
}

int answer_get(const char *path, const char *request, struct answer *ret)
{
	_cleanup_answer_ struct answer answer = {0};
	_cleanup_close_ int fd = -EBADF;
	struct json_value last = {NULL, NULL};
	int r;

	r = open_and_ask(path, request, &fd);
	if (r < 0)
		return connect_failed(path, r);
	r = read_all(fd, &answer);
	if (r == 0)
		r = find_lines(&answer, &last);
	if (r < 0)
		return read_failed(path, r);
	if (json_get(last, "error").at)
		return refused(last);
	*ret = answer;
	answer = (struct answer){0};
	return COMMAND_DONE;
}

int answer_print_lines(const struct answer *answer)
{
	if (fwrite(answer->text, 1, answer->len, stdout) != answer->len || fflush(stdout) != 0)
		return command_failed(
			"unable to write to standard output: %s", strerror(errno));
	return COMMAND_DONE;
}

int answer_parse_options(int argc, char **argv, const char *command, const char *help,
	struct answer_options *ret)
{
	static const struct option options[] = {
		{"control", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"json", no_argument, NULL, 'j'},
		{NULL, 0, NULL, 0},
	};
	int result;

	*ret = (struct answer_options){.path = CMDLINE_CONTROL};
	while ((result = getopt_long(argc, argv, ":hj", options, NULL)) != -1) {
		switch (result) {
		case 'c':
			ret->path = optarg;
			break;
		case 'h':
			ret->helped = true;
			return command_print(help);
		case 'j':
			ret->json = true;
			break;
		default:
			return command_bad_option(command, result, argv, options);
		}
	}
	return COMMAND_DONE;
}
