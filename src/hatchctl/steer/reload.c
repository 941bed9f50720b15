/*
 * hatchctl reload: have the files read again, or say what would come of it.
 */
#include "hatchctl/ask/request.h"
#include "hatchctl/command.h"
#include "hatchctl/flags.h"
#include "hatchctl/run-hatchd.h"
#include "hatchctl/steer/reloading.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
	"Usage: hatchctl reload [-s PATH] [--plan]\n"
	"\n"
	"Have the running hatchd read its files again, and wait until that is over.  If they\n"
	"have mistakes nothing changes, and these are shown.\n"
	"\n"
	"      --plan           change nothing, and say what would become of services and\n"
	"                       sockets (hatchd --plan)\n"
	"  -s, --control PATH   the socket of hatchd (/run/hatchd/control)\n"
	"  -h, --help           this text\n"
	"\n"
	"Exit status: 0 done, or with --plan possible, 1 not done, 2 the command line is\n"
	"wrong, or the plan could not be made.\n";

static int plan(const char *path)
{
	_cleanup_answer_ struct answer status = {0};
	_cleanup_free_ char *file = NULL;
	char pid[32];
	int r;

	r = request_do(path, NULL, "status", &status);
	if (r != COMMAND_DONE)
		return r == COMMAND_FAILED ? COMMAND_USAGE : r;
	file = request_text(&status, "config");
	if (!file) {
		command_failed("hatchd serves its command line, and no file");
		return COMMAND_USAGE;
	}
	snprintf(pid, sizeof pid, "--pid=%" PRIu64, request_number(&status, "pid"));
	return run_hatchd_instead((const char *const[]){"--plan", "-f", file, pid, NULL});
}

int command_reload(int argc, char **argv)
{
	bool planned = false;
	const struct flag own[] = {{"plan", &planned, NULL}, {NULL, NULL, NULL}};
	struct flags flags;
	int r;

	r = flags_parse(argc, argv, "reload", help, own, &flags);
	if (r != COMMAND_DONE || flags.helped)
		return r;
	if (optind < argc)
		return command_misused("reload", "unexpected argument '%s'", argv[optind]);
	if (planned)
		return plan(flags.control);
	r = reloading_do(flags.control);
	return r == COMMAND_DONE ? command_print("reloaded\n") : r;
}
