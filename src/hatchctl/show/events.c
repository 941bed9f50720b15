/*
 * hatchctl events: what happens at a running hatchd, as it happens.
 *
 * A line for each event, written as soon as it is there; for people, or as it came.  What
 * comes may be anybody's: a line that is no JSON ends it, and texts are escaped.
 */
#include "hatchctl/command.h"

#include "base/clock.h"
#include "base/json-read.h"
#include "base/text.h"
#include "conf/cmdline.h"
#include "hatchctl/ask/question.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

/* Longest line of hatchd, and more. */
#define LINE_BYTES_MAX 16384

/* Of a text of somebody else's, as it is shown. */
#define SHOWN_MAX 1024

static const char help[] =
	"Usage: hatchctl events [OPTION]... [SERVICE]\n"
	"\n"
	"Tell what happens, as it happens: of all services, or of that one.\n"
	"\n"
	"  -e, --event=WORD,...    only these: open, close, refused, failed, paused,\n"
	"                          disabled, enabled, reload, upgrade, draining, drained\n"
	"  -n, --count=N           end after so many\n"
	"  -j, --json              a line of JSON for each, as hatchd says it\n"
	"  -s, --control=PATH      the control socket (" CMDLINE_CONTROL ")\n"
	"  -h, --help              print this\n";

enum kind {
	KIND_OPEN,
	KIND_CLOSE,
	KIND_REFUSED,
	KIND_FAILED,
	KIND_PAUSED,
	KIND_DISABLED,
	KIND_ENABLED,
	KIND_RELOAD,
	KIND_UPGRADE,
	KIND_DRAINING,
	KIND_DRAINED,
	_KIND_CHOICE, /* those before can be chosen; these are shown whatever is chosen */
	KIND_LOST = _KIND_CHOICE,
	KIND_END,
	_KIND_SHOWN, /* and of the others nothing is known */
};

static const char *const kinds[_KIND_SHOWN + 1] = {"open", "close", "refused", "failed",
	"paused", "disabled", "enabled", "reload", "upgrade", "draining", "drained", "lost",
	"end", NULL};

struct events {
	const char *path;
	const char *service; /* NULL: all */
	unsigned chosen;     /* a bit for each kind; 0: all */
	uint64_t left;       /* to be shown */
	bool json;

	struct question question;
	char buf[LINE_BYTES_MAX];
	size_t len;
	bool ended; /* hatchd says so, or enough was shown */
};

/* ------------------------------------------------------------------- for people */

/* A member of the line that is a text, escaped; "" if there is none. */
static const char *shown(struct json_value line, const char *key, char buf[SHOWN_MAX])
{
	_cleanup_free_ char *text = json_to_string(json_get(line, key));

	buf[0] = '\0';
	if (text)
		text_escape(text, strlen(text), buf, SHOWN_MAX);
	return buf;
}

static void print_time(struct json_value line)
{
	uint64_t usec = json_to_number(json_get(line, "time_usec"));
	time_t seconds = (time_t)(usec / USEC_PER_SEC);
	char text[32] = "";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s.%03u ", text, (unsigned)(usec % USEC_PER_SEC / 1000));
}

static void print_text(const char *before, struct json_value line, const char *key)
{
	char text[SHOWN_MAX];

	if (shown(line, key, text)[0])
		printf("%s%s", before, text);
}

static void print_duration(struct json_value line)
{
	struct json_value duration = json_get(line, "duration_usec");
	char text[TEXT_NUMBER_MAX];

	if (duration.at)
		printf(", %s", text_format_elapsed(json_to_number(duration), text));
}

static void print_bytes(struct json_value line)
{
	struct json_value in = json_get(line, "bytes_in"), out = json_get(line, "bytes_out");

	if (in.at && out.at)
		printf(", %" PRIu64 " bytes in, %" PRIu64 " out", json_to_number(in),
			json_to_number(out));
}

/* "exit 0", "signal 15", "finished" */
static void print_result(struct json_value line)
{
	struct json_value status = json_get(line, "status");

	print_text(": ", line, "reason");
	print_text(json_get(line, "reason").at ? ", " : ": ", line, "result");
	if (status.at)
		printf(" %" PRIu64, json_to_number(status));
}

static void print_server(struct json_value line)
{
	struct json_value pid = json_get(line, "pid");

	if (pid.at)
		printf(", child %" PRIu64, json_to_number(pid));
	else
		print_text(", ", line, "worker");
}

static void print_client(struct json_value line, enum kind kind)
{
	printf(" %" PRIu64, json_to_number(json_get(line, "connection")));
	print_text(" from ", line, "peer");
	print_text(" (", line, "peer_name");
	if (json_get(line, "peer_name").at)
		putchar(')');
	if (kind == KIND_OPEN) {
		print_server(line);
		return;
	}
	if (kind != KIND_CLOSE) {
		print_text(": ", line, "reason");
		return;
	}
	print_result(line);
	print_duration(line);
	print_bytes(line);
}

/* ": 12 connections, 40 s left" */
static void print_left(struct json_value line)
{
	uint64_t n = json_to_number(json_get(line, "connections"));
	struct json_value time = json_get(line, "left_usec");
	char text[TEXT_NUMBER_MAX];

	printf(": %" PRIu64 " connection%s", n, n == 1 ? "" : "s");
	if (time.at)
		printf(", %s left", text_format_elapsed(json_to_number(time), text));
}

static void print_line(struct json_value line, enum kind kind)
{
	print_time(line);
	print_text("", line, "service");
	printf("%s%s", json_get(line, "service").at ? ": " : "", kinds[kind]);
	if (kind <= KIND_FAILED)
		print_client(line, kind);
	else if (kind == KIND_RELOAD || kind == KIND_UPGRADE)
		print_text(": ", line, "result");
	else if (kind == KIND_DRAINING || kind == KIND_DRAINED)
		print_left(line);
	else if (kind == KIND_LOST)
		printf(": %" PRIu64 " events", json_to_number(json_get(line, "count")));
	if (kind > KIND_FAILED)
		print_text(": ", line, "reason");
	putchar('\n');
}

/* ------------------------------------------------------------------ line by line */

static enum kind kind_of(struct json_value line)
{
	_cleanup_free_ char *word = json_to_string(json_get(line, "event"));
	int kind = 0;

	while (word && kind < _KIND_SHOWN && strcmp(word, kinds[kind]) != 0)
		kind++;
	return word ? (enum kind)kind : _KIND_SHOWN;
}

static bool is_chosen(const struct events *events, enum kind kind)
{
	return events->chosen == 0 ? kind < _KIND_SHOWN
	                           : kind >= _KIND_CHOICE || (events->chosen & (1U << kind));
}

static void show(struct events *events, struct json_value line, enum kind kind)
{
	if (kind == KIND_END)
		events->ended = true;
	if (kind == _KIND_SHOWN || !is_chosen(events, kind))
		return;
	if (events->json)
		printf("%.*s\n", (int)(line.end - line.at), line.at);
	else
		print_line(line, kind);
	if (kind < _KIND_CHOICE && --events->left == 0)
		events->ended = true;
}

static int refused(struct json_value line)
{
	char text[SHOWN_MAX];

	return answer_refused(shown(line, "error", text));
}

static int take_line(struct events *events, const char *text, size_t len)
{
	struct json_value line;

	if (!json_parse(text, len, &line))
		return command_failed(
			"unable to read from %s: that is no answer of hatchd", events->path);
	if (json_get(line, "error").at)
		return refused(line);
	show(events, line, kind_of(line));
	return COMMAND_DONE;
}

/* All lines that are complete. */
static int take_lines(struct events *events)
{
	char *start = events->buf, *newline;
	size_t left = events->len;
	int status = COMMAND_DONE;

	while (status == COMMAND_DONE && !events->ended &&
		(newline = memchr(start, '\n', left))) {
		status = take_line(events, start, (size_t)(newline - start));
		left -= (size_t)(newline + 1 - start);
		start = newline + 1;
	}
	memmove(events->buf, start, left);
	events->len = left;
	if (status == COMMAND_DONE && fflush(stdout) != 0)
		return command_failed(
			"unable to write to standard output: %s", strerror(errno));
	return status;
}

static int read_some(struct events *events)
{
	ssize_t n;

	if (events->len == sizeof events->buf)
		return command_failed(
			"unable to read from %s: that is no answer of hatchd", events->path);
	n = recv(events->question.fd, events->buf + events->len,
		sizeof events->buf - events->len, 0);
	if (n < 0 && errno == EINTR)
		return COMMAND_DONE;
	if (n <= 0)
		return command_failed("unable to read from %s: %s", events->path,
			n < 0 ? strerror(errno) : "hatchd has gone");
	events->len += (size_t)n;
	return take_lines(events);
}

/* Nothing may happen for long. */
static void wait_for_ever(int fd)
{
	const struct timeval no_limit = {0};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &no_limit, sizeof no_limit);
}

static int follow(struct events *events)
{
	char request[128];
	int status = COMMAND_DONE;

	snprintf(
		request, sizeof request, "events %s\n", events->service ? events->service : "");
	if (question_ask(&events->question, events->path, request) < 0)
		return command_failed("%s", events->question.why);
	wait_for_ever(events->question.fd);
	while (status == COMMAND_DONE && !events->ended)
		status = read_some(events);
	return status;
}

/* -------------------------------------------------------------- the command line */

static int choose(struct events *events, char *words)
{
	const char *candidates[_KIND_CHOICE + 1] = {NULL}, *nearest, *word;

	memcpy(candidates, kinds, _KIND_CHOICE * sizeof *kinds);
	while ((word = strsep(&words, ","))) {
		int kind = 0;

		while (kind < _KIND_CHOICE && strcmp(word, kinds[kind]) != 0)
			kind++;
		events->chosen |= 1U << kind;
		if (kind < _KIND_CHOICE)
			continue;
		nearest = text_nearest(word, candidates);
		return command_misused("events", "unknown event '%s'%s%s%s", word,
			nearest ? "; did you mean '" : "", nearest ? nearest : "",
			nearest ? "'?" : "");
	}
	return COMMAND_DONE;
}

static int count(struct events *events, const char *text)
{
	if (text_parse_u64(text, &events->left) == 0 && events->left > 0)
		return COMMAND_DONE;
	return command_misused("events", "--count: '%s' is not a number above 0", text);
}

static int parse_options(int argc, char **argv, struct events *events, bool *ret_helped)
{
	static const struct option options[] = {
		{"control", required_argument, NULL, 's'},
		{"count", required_argument, NULL, 'n'},
		{"event", required_argument, NULL, 'e'},
		{"help", no_argument, NULL, 'h'},
		{"json", no_argument, NULL, 'j'},
		{NULL, 0, NULL, 0},
	};
	int result, status = COMMAND_DONE;

	while (status == COMMAND_DONE &&
		(result = getopt_long(argc, argv, ":s:n:e:hj", options, NULL)) != -1) {
		switch (result) {
		case 's':
			events->path = optarg;
			break;
		case 'n':
			status = count(events, optarg);
			break;
		case 'e':
			status = choose(events, optarg);
			break;
		case 'j':
			events->json = true;
			break;
		case 'h':
			*ret_helped = true;
			return command_print(help);
		default:
			return command_bad_option("events", result, argv, options);
		}
	}
	return status;
}

static int parse(int argc, char **argv, struct events *events, bool *ret_helped)
{
	int status = parse_options(argc, argv, events, ret_helped);

	if (status != COMMAND_DONE || *ret_helped)
		return status;
	return command_take_service("events", argc, argv, &events->service);
}

int command_events(int argc, char **argv)
{
	struct events *events = calloc(1, sizeof *events);
	bool helped = false;
	int status;

	if (!events)
		return command_failed("there is no memory");
	events->path = CMDLINE_CONTROL;
	events->left = UINT64_MAX;
	question_init(&events->question, true);
	status = parse(argc, argv, events, &helped);
	if (status == COMMAND_DONE && !helped)
		status = follow(events);
	question_done(&events->question);
	free(events);
	return status;
}
