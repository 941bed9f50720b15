/*
 * hatchctl: the operator's hand.  Finds the command word in the table and
 * calls it; knows nothing of what the commands do.
 */
#include "base/fd.h"
#include "base/own.h"
#include "base/text.h"
#include "hatchctl/command.h"

#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

static const struct command commands[] = {
	{"ban", "let nobody in from an address or a network", command_ban},
	{"bans", "who is banned for now", command_bans},
	{"check", "what is wrong with the configuration", command_check},
	{"connect", "connect standard input and output to an address", command_connect},
	{"connections", "who is connected, and what that costs", command_connections},
	{"disable", "let no clients of a service in", command_disable},
	{"drain", "let nobody in, and wait until everybody has gone", command_drain},
	{"enable", "let clients of a service in again, or serve a recipe", command_enable},
	{"events", "what happens, as it happens", command_events},
	{"explain", "whether a client may come in, and why", command_explain},
	{"kill", "end connections", command_kill},
	{"list", "the services of the running hatchd", command_list},
	{"log-level", "change what the log is told", command_log_level},
	{"metrics", "what hatchd counts, for Prometheus", command_metrics},
	{"orphans", "what an earlier hatchd has left running, and its end", command_orphans},
	{"recipes", "what enable --persistent can enable", command_recipes},
	{"reload", "have the files read again, or say what would change", command_reload},
	{"selftest", "be a client of a service, at each of its addresses", command_selftest},
	{"set", "change a limit of a service until the next reload", command_set},
	{"status", "how the running hatchd is, and what it does not serve", command_status},
	{"top", "services and connections, live", command_top},
	{"unban", "lift bans", command_unban},
	{"upgrade", "execute another hatchd in the place of the running one", command_upgrade},
};

static int print_help(void)
{
	char text[4096];
	size_t len;

	len = (size_t)snprintf(text, sizeof text,
		"Usage: hatchctl [OPTION...] COMMAND [ARGUMENT...]\n"
		"\n"
		"Commands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands) && len < sizeof text; i++) {
		len += (size_t)snprintf(text + len, sizeof text - len, "  %-12s %s\n",
			commands[i].name, commands[i].summary);
	}
	if (len < sizeof text) {
		snprintf(text + len, sizeof text - len,
			"\n"
			"  -s, --control PATH   the socket of hatchd; also behind a command\n"
			"  -h, --help           this text\n"
			"  -V, --version        the version\n"
			"\n"
			"'hatchctl COMMAND --help' tells more about one of them.\n"
			"Exit status: 0 done, 1 failed, 2 the command line is wrong.\n");
	}
	return command_print(text);
}

static int unknown_command(const char *word)
{
	const char *names[ARRAY_SIZE(commands) + 1] = {NULL};

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		names[i] = commands[i].name;

	return command_unknown(NULL, "command", word, text_nearest(word, names));
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

/* As if --control stood first behind the command: another one there counts. */
static int run_with_control(char *path, int argc, char **argv)
{
	_cleanup_free_ char **words = calloc((size_t)argc + 3, sizeof *words);
	char option[] = "--control";

	if (!words)
		return command_failed("unable to begin: %s", strerror(ENOMEM));
	if (argc == 0)
		return run_command(argc, argv);
	words[0] = argv[0];
	words[1] = option;
	words[2] = path;
	memcpy(words + 3, argv + 1, (size_t)(argc - 1) * sizeof *words);
	return run_command(argc + 2, words);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"control", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	char *control = NULL;
	int r;

	r = fd_fill_stdio();
	if (r < 0)
		return command_failed("unable to open /dev/null: %s", strerror(-r));

	/* For the width of characters. */
	setlocale(LC_CTYPE, "");
	opterr = 0;
	while ((r = getopt_long(argc, argv, "+:hs:V", options, NULL)) == 's')
		control = optarg;
	switch (r) {
	case -1:
		argc -= optind;
		argv += optind;
		return control ? run_with_control(control, argc, argv)
		               : run_command(argc, argv);
	case 'h':
		return print_help();
	case 'V':
		return command_print("hatchctl " PACKAGE_VERSION "\n");
	default:
		return command_bad_option(NULL, r, argv, options);
	}
}
