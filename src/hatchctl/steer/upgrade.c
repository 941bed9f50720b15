/*
 * hatchctl upgrade: have another image of hatchd executed in the place of the one that runs.
 *
 * The one that runs answers before it tries, since the next one does not know who has asked; so
 * what has become of it is asked for until it is known.
 */
#include "base/clock.h"
#include "base/text.h"
#include "hatchctl/ask/request.h"
#include "hatchctl/command.h"
#include "hatchctl/flags.h"

#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* It loads the configuration, and may wait for clients who have not said what they want. */
#define PATIENCE (90 * USEC_PER_SEC)

/* Milliseconds from question to question. */
#define LOOK_AGAIN 20

static const char help[] =
	"Usage: hatchctl upgrade [-s PATH]\n"
	"\n"
	"Have the hatchd that is installed now executed in the place of the one that runs.  "
	"It\n"
	"keeps listening sockets, programs, limits and counters, so that no client notices.  "
	"If\n"
	"it cannot be executed, or has mistakes in its files, the one that runs serves on.\n"
	"\n"
	"  -s, --control PATH   the socket of hatchd (/run/hatchd/control)\n"
	"  -h, --help           this text\n"
	"\n"
	"Exit status: 0 done, 1 not done, 2 the command line is wrong, 3 the one that is\n"
	"installed cannot go on where the one that runs is, which has to be started again.\n";

struct progress {
	bool running, foreign;
	uint64_t pid, done, failed;
	char *version, *reason; /* owned */
};

static void progress_done(struct progress *progress)
{
	free(progress->version);
	free(progress->reason);
	*progress = (struct progress){0};
}
#define _cleanup_progress_ _cleanup_(progress_done)

static int ask(const char *path, struct progress *ret, char why[REQUEST_WHY_MAX])
{
	_cleanup_answer_ struct answer status = {0};
	struct json_value upgrade;
	int r = request_try(path, "status", &status, why);

	if (r < 0)
		return r;
	upgrade = status.n_lines > 0 ? json_get(status.lines[0], "upgrade")
	                             : (struct json_value){NULL, NULL};
	*ret = (struct progress){
		.running = json_is_true(json_get(upgrade, "running")),
		.foreign = json_is_true(json_get(upgrade, "foreign")),
		.pid = request_number(&status, "pid"),
		.done = json_to_number(json_get(upgrade, "done")),
		.failed = json_to_number(json_get(upgrade, "failed")),
		.version = request_text(&status, "hatchd"),
		.reason = json_to_string(json_get(upgrade, "reason")),
	};
	return 0;
}

static int tell(const struct progress *before, const struct progress *after)
{
	char shown[512];

	if (after->done > before->done) {
		printf("upgraded to hatchd %s\n", after->version ? after->version : "?");
		return command_flush();
	}
	command_failed("not upgraded: %s",
		after->reason
			? text_escape(after->reason, strlen(after->reason), shown, sizeof shown)
			: "the next hatchd could not take over");
	return after->foreign ? COMMAND_FOREIGN : COMMAND_FAILED;
}

/* While one image becomes the other, nobody answers, or in the middle of it no more. */
static int wait_for_end(const char *path, const struct progress *before)
{
	uint64_t until = clock_monotonic() + PATIENCE;
	char why[REQUEST_WHY_MAX] = "";

	while (clock_monotonic() < until) {
		_cleanup_progress_ struct progress now = {0};
		int r = ask(path, &now, why);

		if (r == 0 && now.pid != before->pid)
			return command_failed(
				"not upgraded: hatchd was started anew meanwhile");
		if (r == 0 && !now.running &&
			(now.done != before->done || now.failed != before->failed))
			return tell(before, &now);
		if (request_found_nobody(r))
			return command_failed("not upgraded: %s", why);
		poll(NULL, 0, LOOK_AGAIN);
	}
	return command_failed("it is not known whether hatchd was upgraded: %s",
		why[0] ? why : "it takes too long");
}

int command_upgrade(int argc, char **argv)
{
	_cleanup_progress_ struct progress before = {0};
	char why[REQUEST_WHY_MAX];
	struct flags flags;
	int r;

	r = flags_parse(argc, argv, "upgrade", help, NULL, &flags);
	if (r != COMMAND_DONE || flags.helped)
		return r;
	if (optind < argc)
		return command_misused("upgrade", "unexpected argument '%s'", argv[optind]);
	r = ask(flags.control, &before, why);
	if (r < 0)
		return request_tell(NULL, r, why);
	r = request_try(flags.control, "upgrade", NULL, why);
	/* It may have become the next one before it has answered. */
	if (r < 0 && r != -ECONNRESET) {
		command_failed("not upgraded: %s", why);
		return request_status(r);
	}
	return wait_for_end(flags.control, &before);
}
