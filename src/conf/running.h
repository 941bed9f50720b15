/*
 * running: the configuration that a running hatchd has in force.
 *
 * The master keeps the sealed memfd that it was given; here it is found in
 * /proc and read.  Anybody can name a memfd like that and put anything in it:
 * what comes from there is somebody else's word, and is shown as such.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_RUNNING_H
#define HATCHD_CONF_RUNNING_H

#include "conf/conf.h"

struct running {
	pid_t pid;
	uid_t uid; /* who the master is */
	gid_t gid;
	char **environ; /* what it was started with, for pass_env */
	struct conf conf;
};

/*
 * Find the hatchd that serves `file`, or the one that is `pid` if that is not
 * 0; then `file` may be NULL for whatever it serves.  Only a hatchd in our own
 * file system counts.  0 with *ret to be released by running_done(); else
 * -ESRCH (there is none), -ENOTUNIQ, -EACCES or what else kept us from
 * finding out, after a line on `err` that says it.
 */
int running_find(const char *file, pid_t pid, struct running *ret, FILE *err);
void running_done(struct running *running);

#endif
