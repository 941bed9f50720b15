#include "workers/program.h"

#include <stdio.h>
#include <string.h>

static int fail(const struct program *program, const char *what, int r)
{
	fprintf(stderr, "%s: unable to %s: %s\n", program->name, what, strerror(-r));
	return 1;
}

static int work_inside(
	const struct program *program, struct work *work, const struct sandbox *sandbox)
{
	struct sandbox_report report;
	int r = sandbox_enter(sandbox, &report);

	if (r < 0)
		return fail(program, report.failed ? report.failed : "enter the sandbox", r);
	r = work_run(work);
	return r < 0 ? fail(program, "go on", r) : 0;
}

int program_main(const struct program *program, int argc, char **argv)
{
	uint32_t places = work_places(argc, argv);
	struct sandbox sandbox = {0};
	struct work *work;
	int r;

	if (places == 0) {
		fprintf(stderr, "%s: is started by hatchd\n", program->name);
		return 2;
	}
	work_begin(program->name);
	r = program->prepare(argv[0], places, &sandbox);
	if (r == 0)
		r = work_new(program->kind, places, &work);
	if (r < 0)
		return fail(program, "begin", r);
	r = work_inside(program, work, &sandbox);
	work_free(work);
	return r;
}
