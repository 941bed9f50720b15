/*
 * program: what a service runs, from words to a path and an argument vector.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_PROGRAM_H
#define HATCHD_CONF_PROGRAM_H

#include "conf/build.h"
#include "conf/memo.h"
#include "conf/report.h"

/* The words alone: argv, and the path where it stands in the file.  0 or -ENOMEM. */
int program_prepare(struct service_conf *service);

/* Look at the file system: search the command line's program, check that the
 * program can be run.  0 or -ENOMEM. */
int program_check(struct service_conf *service, const struct build_context *context,
	struct memo *memo, struct report *report);

/* That nobody can put another program, or another interpreter of a script, in
 * its place but root and the service's user, who is known by now. */
void program_check_writers(
	struct service_conf *service, struct memo *memo, struct report *report);

/* That the directories of the service are there.  0 or -ENOMEM. */
int program_check_directories(
	struct service_conf *service, struct memo *memo, struct report *report);

#endif
