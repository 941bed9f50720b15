/*
 * hatchctl check and explain: what hatchd itself says of its configuration.  It need not run
 * for that, so it is not asked at its socket: the program is executed, and its exit status is
 * ours.
 */
#include "hatchctl/command.h"
#include "hatchctl/run-hatchd.h"

#include <getopt.h>
#include <string.h>

static const char check_help[] =
	"Usage: hatchctl check [-f FILE] [FLAG...]\n"
	"\n"
	"Say what is wrong with the configuration: the same as hatchd --check, with the same\n"
	"flags.\n"
	"\n"
	"  -f, --file FILE   the main file, if not that of hatchd\n"
	"  -h, --help        this text\n"
	"\n"
	"Exit status: 0 nothing is wrong, else that of hatchd.\n";

static const char explain_help[] =
	"Usage: hatchctl explain [-f FILE] SERVICE ADDRESS [FLAG...]\n"
	"\n"
	"Say whether a client from that address may come in, why, and to what: the same as\n"
	"hatchd --explain, with the same flags.\n"
	"\n"
	"  -f, --file FILE   the main file, if not that of hatchd\n"
	"  -h, --help        this text\n"
	"\n"
	"Exit status: 0 he may come in, else that of hatchd.\n";

/* The first words are `flags`, NULL at the end; then come `argc` others. */
static int become_hatchd(const char *const *flags, int argc, char **argv)
{
	_cleanup_free_ const char **words = NULL;
	size_t n = 0;

	while (flags[n])
		n++;
	words = calloc(n + (size_t)argc + 1, sizeof *words);
	if (!words)
		return command_failed("unable to run hatchd: %s", strerror(ENOMEM));
	memcpy(words, flags, n * sizeof *words);
	memcpy(words + n, argv, (size_t)argc * sizeof *words);
	return run_hatchd_instead(words);
}

int command_check(int argc, char **argv)
{
	static const char *const flags[] = {"--check", NULL};

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return command_print(check_help);
	return become_hatchd(flags, argc - 1, argv + 1);
}

/* The flag wants the service behind it: what stands before that is put at the end. */
int command_explain(int argc, char **argv)
{
	static const struct option options[] = {
		{"file", required_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *flags[] = {"--explain", NULL, NULL, "--file", NULL, NULL};
	int result;

	while ((result = getopt_long(argc, argv, "+:f:h", options, NULL)) != -1) {
		if (result == 'h')
			return command_print(explain_help);
		if (result != 'f')
			return command_bad_option("explain", result, argv, options);
		flags[4] = optarg;
	}
	if (argc - optind < 2)
		return command_misused(
			"explain", "the %s is missing", optind < argc ? "address" : "service");
	flags[1] = argv[optind];
	flags[2] = argv[optind + 1];
	if (!flags[4])
		flags[3] = NULL;
	return become_hatchd(flags, argc - optind - 2, argv + optind + 2);
}
