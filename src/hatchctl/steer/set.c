/*
 * hatchctl set, hatchctl log-level: change what the configuration says while hatchd runs.
 */
#include "hatchctl/ask/request.h"
#include "hatchctl/command.h"
#include "hatchctl/flags.h"

#include <getopt.h>
#include <stdio.h>

static const char help_set[] =
	"Usage: hatchctl set [-s PATH] SERVICE LIMIT VALUE\n"
	"\n"
	"Change a limit of a service until the next reload: instances, per_source, rate or\n"
	"per_source_rate; VALUE is as in hatchd.conf(5).  Connections above it stay.\n"
	"\n"
	"  -s, --control PATH   the socket of hatchd (/run/hatchd/control)\n"
	"  -h, --help           this text\n"
	"\n"
	"Exit status: 0 done, 1 not done, 2 the command line is wrong, there is no such\n"
	"service, or that is no value of that limit.\n";

static const char help_level[] =
	"Usage: hatchctl log-level [-s PATH] LEVEL\n"
	"\n"
	"From now on hatchd tells its log what is error, warning, notice, info or debug, and\n"
	"what is worse than that.  A reload does not change it.\n"
	"\n"
	"  -s, --control PATH   the socket of hatchd (/run/hatchd/control)\n"
	"  -h, --help           this text\n"
	"\n"
	"Exit status: 0 done, 1 not done, 2 the command line is wrong.\n";

/* The words one behind the other, as a shell takes them apart: 20/s burst 40.  False: longer
 * than any request. */
static bool join(char *const *words, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (; *words && len < size; words++) {
		int n = snprintf(text + len, size - len, "%s%s", len > 0 ? " " : "", *words);

		len += (size_t)n;
	}
	return len < size;
}

int command_set(int argc, char **argv)
{
	char value[REQUEST_LINE_MAX], words[REQUEST_LINE_MAX];
	struct flags flags;
	int r;

	r = flags_parse(argc, argv, "set", help_set, NULL, &flags);
	if (r != COMMAND_DONE || flags.helped)
		return r;
	argv += optind;
	if (argc - optind < 3)
		return command_misused("set", "a service, a limit and a value are wanted");
	r = command_check_service("set", argv[0]);
	if (r != COMMAND_DONE)
		return r;
	if (!join(argv + 2, value, sizeof value) ||
		snprintf(words, sizeof words, "set %s %s %s", argv[0], argv[1], value) >=
			(int)sizeof words)
		return command_misused("set", "that is too long");
	return request_do(flags.control, argv[0], words, NULL);
}

int command_log_level(int argc, char **argv)
{
	char words[REQUEST_LINE_MAX];
	struct flags flags;
	int r;

	r = flags_parse(argc, argv, "log-level", help_level, NULL, &flags);
	if (r != COMMAND_DONE || flags.helped)
		return r;
	if (optind == argc)
		return command_misused("log-level", "the level is missing");
	if (argc - optind > 1)
		return command_misused(
			"log-level", "unexpected argument '%s'", argv[optind + 1]);
	if (snprintf(words, sizeof words, "log-level %s", argv[optind]) >= (int)sizeof words)
		return command_misused("log-level", "that is too long");
	return request_do(flags.control, NULL, words, NULL);
}
