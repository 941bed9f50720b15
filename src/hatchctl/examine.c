/*
 * hatchctl check and explain: what hatchd itself says of its configuration.  It need not run
 * for that, so it is not asked at its socket: the program is executed, and its exit status is
 * ours.
 */
#include "hatchctl/command.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
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

/* In a build directory it lies beside us, installed under sbin. */
static int find_hatchd(char path[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	self[len > 0 ? len : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash &&
		snprintf(path, PATH_MAX, "%.*s/hatchd", (int)(slash - self), self) < PATH_MAX &&
		access(path, X_OK) == 0)
		return 0;
	if (snprintf(path, PATH_MAX, "%s/hatchd", SBINDIR) >= PATH_MAX)
		return -ENAMETOOLONG;
	return access(path, X_OK) < 0 ? -errno : 0;
}

/* The first words are `flags`, NULL at the end; then come `argc` others. */
static int become_hatchd(const char *const *flags, int argc, char **argv)
{
	_cleanup_free_ const char **words = NULL;
	char path[PATH_MAX];
	size_t n = 0;
	int r = find_hatchd(path);

	if (r < 0)
		return command_failed("unable to find hatchd: %s", strerror(-r));
	while (flags[n])
		n++;
	words = calloc(n + (size_t)argc + 2, sizeof *words);
	if (!words)
		return command_failed("unable to run hatchd: %s", strerror(ENOMEM));
	words[0] = "hatchd";
	memcpy(words + 1, flags, n * sizeof *words);
	memcpy(words + 1 + n, argv, (size_t)argc * sizeof *words);
	execv(path, (char *const *)words);
	return command_failed("unable to run %s: %s", path, strerror(errno));
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
