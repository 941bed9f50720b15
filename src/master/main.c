#include "base/tls-programs.h"
#include "conf/cmdline.h"
#include "master/loader.h"
#include "master/prove.h"
#include "master/run.h"
#include "os/facility.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#ifndef BUILT_WITH
#define BUILT_WITH "libraries of unknown versions"
#endif

/* How children would be started on this machine, and why so. */
static void print_spawn_mode(const struct cmdline *cmdline)
{
	char *description = master_describe_spawning(cmdline);

	if (description)
		printf("children start with %s\n", description);
	free(description);
	fflush(stdout);
}

static void print_libraries(void)
{
	const char *rest = BUILT_WITH;

	puts("built with:");
	while (*rest) {
		size_t len = strcspn(rest, ",");

		printf("  %.*s\n", (int)len, rest);
		rest += len;
		rest += strspn(rest, ", ");
	}
}

/* What a build can do is one thing, what is installed of it another. */
static void print_tls(void)
{
	char path[PATH_MAX], why[TLS_PROGRAM_WHY_MAX];

	if (tls_programs_find(NULL, path, why) < 0)
		puts(why);
	else
		puts("TLS is installed");
}

static void print_facility(const struct facility *facility)
{
	int version = facility->find();

	if (version == 0)
		printf("  %-13s  no: %s\n", facility->name, facility->without);
	else if (facility->newest == 0)
		printf("  %-13s  yes\n", facility->name);
	else
		printf("  %-13s  yes, version %d of up to %d\n", facility->name, version,
			facility->newest);
}

/* For a report of a mistake as well: how it was built, and what it has found here. */
static int print_version(const struct cmdline *cmdline)
{
	struct utsname kernel = {0};

	printf("hatchd %s\n", PACKAGE_VERSION);
	print_spawn_mode(cmdline);
	print_tls();
	print_libraries();
	uname(&kernel);
	printf("%s %s has, of what hatchd uses:\n", kernel.sysname, kernel.release);
	for (const struct facility *f = facilities; f->name; f++)
		print_facility(f);
	return fflush(stdout) == 0 ? 0 : 2;
}

static int become_loader(const struct cmdline *cmdline, char **argv)
{
	int r;

	if (cmdline->verbose > 0 && cmdline->mode == CMDLINE_CHECK)
		print_spawn_mode(cmdline);
	r = loader_exec(argv);
	fprintf(stderr, "hatchd: unable to run the loader: %s\n", strerror(-r));
	return 2;
}

static int run(const struct cmdline *cmdline, char **argv)
{
	switch (cmdline->mode) {
	case CMDLINE_VERSION:
		return print_version(cmdline);
	case CMDLINE_HELP:
		cmdline_help(stdout);
		return 0;
	case CMDLINE_CHECK:
	case CMDLINE_PRINT_CONFIG:
	case CMDLINE_PLAN:
	case CMDLINE_EXPLAIN:
	case CMDLINE_SELF_SIGNED:
		return become_loader(cmdline, argv);
	default:
		return master_run(cmdline, argv);
	}
}

int main(int argc, char **argv)
{
	struct cmdline cmdline;
	int status;

	if (argc > 1 && strcmp(argv[1], PROVE_OPTION) == 0)
		return prove(argv);
	if (cmdline_parse(argc, argv, &cmdline, stderr) < 0) {
		master_decline(argv);
		return 2;
	}
	status = run(&cmdline, argv);
	cmdline_done(&cmdline);
	return status;
}
