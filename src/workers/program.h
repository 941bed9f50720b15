/*
 * program: what the main() of every worker does.
 *
 * Begin, enter the sandbox, work until there is nothing left to do; and say which of these
 * could not be done.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_PROGRAM_H
#define HATCHD_WORKERS_PROGRAM_H

#include "os/sandbox.h"
#include "workers/work.h"

struct program {
	const char *name; /* in /proc and in messages */
	const struct work_kind *kind;

	/*
	 * Have what must come from outside of the sandbox, and say what that is to be like:
	 * *ret is all zero.  `called` is the name that the master gives it, `places` the
	 * connections that it has to have room for.  0 or a negative errno.
	 */
	int (*prepare)(const char *called, uint32_t places, struct sandbox *ret);
};

/* The exit status. */
int program_main(const struct program *program, int argc, char **argv);

#endif
