/*
 * hatchctl: the operator's hand.  Finds the command word in the table and
 * calls it; knows nothing of what the commands do.
 */
#include "base/fd.h"
#include "base/own.h"
#include "base/text.h"
#include "hatchctl/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const struct command commands[] = {
	{"connect", "connect standard input and output to an address", command_connect},
	{"events", "what happens, as it happens", command_events},
	{"list", "the services of the running hatchd", command_list},
	{"status", "how the running hatchd is, and what it does not serve", command_status},
};

static int print_help(void)
{
	char text[1024];
	size_t len;

	len = (size_t)snprintf(text, sizeof text,
		"Usage: hatchctl [--help] [--version] COMMAND [ARGUMENT...]\n"
		"\n"
		"Commands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands) && len < sizeof text; i++) {
		len += (size_t)snprintf(text + len, sizeof text - len, "  %-12s %s\n",
			commands[i].name, commands[i].summary);
	}
	if (len < sizeof text) {
		snprintf(text + len, sizeof text - len,
			"\n"
			"'hatchctl COMMAND --help' tells more about one of them.\n"
			"Exit status: 0 done, 1 failed, 2 the command line is wrong.\n");
	}
	return command_print(text);
}

static int unknown_command(const char *word)
{
	const char *names[ARRAY_SIZE(commands) + 1] = {NULL}, *nearest;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		names[i] = commands[i].name;

	nearest = text_nearest(word, names);
	if (nearest)
		return command_misused(
			NULL, "unknown command '%s'; did you mean '%s'?", word, nearest);
	return command_misused(NULL, "unknown command '%s'", word);
}

static int run_command(int argc, char **argv)
{
	if (argc == 0)
		return command_misused(NULL, "the command is missing");

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[0], commands[i].name) != 0)
			continue;
		optind = 0; /* getopt_long starts afresh */
		return commands[i].run(argc, argv);
	}
	return unknown_command(argv[0]);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	int r;

	r = fd_fill_stdio();
	if (r < 0)
		return command_failed("unable to open /dev/null: %s", strerror(-r));

	opterr = 0;
	r = getopt_long(argc, argv, "+:hV", options, NULL);
	switch (r) {
	case -1:
		return run_command(argc - optind, argv + optind);
	case 'h':
		return print_help();
	case 'V':
		return command_print("hatchctl " PACKAGE_VERSION "\n");
	default:
		return command_bad_option(NULL, r, argv, options);
	}
}
