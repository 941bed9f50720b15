/*
 * hatchctl kill: end connections.
 */
#include "base/text.h"
#include "hatchctl/ask/request.h"
#include "hatchctl/command.h"
#include "hatchctl/flags.h"
#include "hatchctl/steer/connections-of.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

static const char help[] =
	"Usage: hatchctl kill [-s PATH] CONNECTION...\n"
	"       hatchctl kill [-s PATH] --service SERVICE\n"
	"\n"
	"End the connections with these numbers, or all of a service.  Their programs get\n"
	"SIGTERM, and SIGKILL after kill_after; it is not waited for that.\n"
	"\n"
	"      --service SERVICE\n"
	"                       all connections of that service\n"
	"  -s, --control PATH   the socket of hatchd (/run/hatchd/control)\n"
	"  -h, --help           this text\n"
	"\n"
	"Exit status: 0 done, 1 not done, 2 the command line is wrong, or there is no such\n"
	"connection or service.\n";

/* All of them, also if one is not there: the worst status. */
static int kill_each(const char *path, char **numbers)
{
	char words[REQUEST_LINE_MAX], why[REQUEST_WHY_MAX];
	int worst = COMMAND_DONE, r = 0;

	for (; *numbers && (r == 0 || request_is_about(r)); numbers++) {
		snprintf(words, sizeof words, "kill %s", *numbers);
		r = request_try(path, words, NULL, why);
		if (r < 0)
			worst = request_tell(*numbers, r, why);
	}
	return worst;
}

/* Nobody has a connection of a service that is not there, but one that a reload has removed
 * may still have some. */
static int kill_service(const char *path, const char *service)
{
	char why[REQUEST_WHY_MAX], text[64];
	size_t n;
	int r;

	r = connections_kill(path, service, &n, why);
	if (r == 0 && n == 0)
		r = request_service(path, service, NULL, why);
	if (r < 0)
		return request_tell(service, r, why);
	snprintf(text, sizeof text, "%zu %s told to end\n", n,
		n == 1 ? "connection is" : "connections are");
	return command_print(text);
}

static int check_numbers(char **numbers)
{
	uint64_t number;

	for (; *numbers; numbers++)
		if (text_parse_u64(*numbers, &number) < 0 || number == 0)
			return command_misused(
				"kill", "'%s' is not the number of a connection", *numbers);
	return COMMAND_DONE;
}

int command_kill(int argc, char **argv)
{
	const char *service = NULL;
	const struct flag own[] = {{"service", NULL, &service}, {NULL, NULL, NULL}};
	struct flags flags;
	int r;

	r = flags_parse(argc, argv, "kill", help, own, &flags);
	if (r != COMMAND_DONE || flags.helped)
		return r;
	if (service && optind < argc)
		return command_misused(
			"kill", "unexpected argument '%s' beside --service", argv[optind]);
	if (service) {
		r = command_check_service("kill", service);
		return r == COMMAND_DONE ? kill_service(flags.control, service) : r;
	}
	if (optind == argc)
		return command_misused("kill", "the number of a connection is missing");
	r = check_numbers(argv + optind);
	return r == COMMAND_DONE ? kill_each(flags.control, argv + optind) : r;
}
