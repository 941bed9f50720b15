#include "hatchctl/steer/drain-stop.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "hatchctl/ask/request.h"
#include "hatchctl/ask/watch.h"
#include "hatchctl/command.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Nothing may happen for long: then it is looked again. */
#define LONG (3600 * USEC_PER_SEC)

/* From the end of a drain to that of hatchd: longer than it waits for those it told to end. */
#define STOP_PATIENCE_MS 15000

struct waiting {
	const struct drain_stop *how;
	struct watch watch;
	int interrupted; /* owned: readable when somebody wants the waiting to end */
	int process;     /* owned: of hatchd; negative: it cannot be seen from here */
	bool over;       /* hatchd says so, */
	uint64_t left;   /* and how many had not gone */
};

static void waiting_done(struct waiting *waiting)
{
	watch_done(&waiting->watch);
	fd_close(waiting->interrupted);
	fd_close(waiting->process);
}

static void show(const struct waiting *waiting, struct json_value line)
{
	uint64_t n = json_to_number(json_get(line, "connections"));
	struct json_value time = json_get(line, "left_usec");
	char text[TEXT_NUMBER_MAX];

	if (!waiting->how->shows)
		return;
	fprintf(stderr, "\rwaiting: %" PRIu64 " connection%s", n, n == 1 ? "" : "s");
	if (time.at)
		fprintf(stderr, ", %s left", text_format_elapsed(json_to_number(time), text));
	fputs("\033[K", stderr);
}

static void show_no_more(const struct waiting *waiting)
{
	if (waiting->how->shows)
		fputs("\r\033[K", stderr);
}

/* True: it is the last one. */
static bool take_event(struct waiting *waiting, struct json_value line)
{
	_cleanup_free_ char *event = json_to_string(json_get(line, "event"));

	if (event && strcmp(event, "draining") == 0)
		show(waiting, line);
	if (event && strcmp(event, "drained") == 0) {
		waiting->over = true;
		waiting->left = json_to_number(json_get(line, "connections"));
	}
	return event && strcmp(event, "end") == 0;
}

static int tell_interrupted(const struct waiting *waiting)
{
	show_no_more(waiting);
	command_failed("interrupted; hatchd goes on draining, and SIGTERM ends that");
	return COMMAND_FAILED;
}

/* Until hatchd takes leave. */
static int wait_for_end(struct waiting *waiting)
{
	struct json_value line;
	int r;

	for (;;) {
		r = watch_next(
			&waiting->watch, waiting->interrupted, clock_monotonic() + LONG, &line);
		if (r == WATCH_OTHER)
			return tell_interrupted(waiting);
		if (r < 0 || (r == WATCH_EVENT && take_event(waiting, line)))
			break;
	}
	show_no_more(waiting);
	if (waiting->over)
		return COMMAND_DONE;
	return command_failed("hatchd has gone, and has not said that it is drained");
}

/* It says farewell a moment before. */
static int wait_for_process(const struct waiting *waiting)
{
	struct pollfd fds[] = {{.fd = waiting->process, .events = POLLIN},
		{.fd = waiting->interrupted, .events = POLLIN}};

	if (waiting->process < 0)
		return COMMAND_DONE;
	if (poll(fds, ARRAY_SIZE(fds), STOP_PATIENCE_MS) <= 0)
		return command_failed("hatchd is drained, and has not ended yet");
	return fds[0].revents ? COMMAND_DONE : tell_interrupted(waiting);
}

static int ask(struct waiting *waiting)
{
	const struct drain_stop *how = waiting->how;
	_cleanup_answer_ struct answer answer = {0};
	char words[REQUEST_LINE_MAX], text[TEXT_NUMBER_MAX];
	int r;

	snprintf(words, sizeof words, "drain %s%s",
		how->timeout == USEC_INFINITY ? "unlimited"
					      : text_format_duration(how->timeout, text),
		how->kills ? " kill" : "");
	r = request_do(how->path, NULL, words, &answer);
	if (r == COMMAND_DONE && answer.pid > 0)
		waiting->process = (int)syscall(SYS_pidfd_open, answer.pid, 0);
	return r;
}

static int judge(const struct waiting *waiting)
{
	if (waiting->left > 0)
		return command_failed("the time was over: %" PRIu64
				      " connection%s left when hatchd stopped",
			waiting->left, waiting->left == 1 ? " was" : "s were");
	return command_print("hatchd is drained, and has stopped\n");
}

/* What happens is listened to before it can. */
static int run(struct waiting *waiting)
{
	int r = watch_begin(&waiting->watch, waiting->how->path, "");

	waiting->interrupted = signalfd(-1, waiting->how->signals, SFD_CLOEXEC);
	if (r == COMMAND_DONE)
		r = ask(waiting);
	if (r == COMMAND_DONE)
		r = wait_for_end(waiting);
	if (r == COMMAND_DONE)
		r = wait_for_process(waiting);
	return r == COMMAND_DONE ? judge(waiting) : r;
}

int drain_stop(const struct drain_stop *how)
{
	struct waiting *waiting = calloc(1, sizeof *waiting);
	int r;

	if (!waiting)
		return command_failed("there is no memory");
	waiting->how = how;
	waiting->interrupted = waiting->process = -EBADF;
	r = run(waiting);
	waiting_done(waiting);
	free(waiting);
	return r;
}
