/*
 * inherited: what the process was started with, noted and cleaned.
 *
 * A super-server is started by hands, shells, init systems and broken
 * programs: with standard descriptors closed, signals ignored, strange limits
 * and stray descriptors.  After inherited_take() it is as if nobody had been
 * there before, and what children must get back is kept here.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_INHERITED_H
#define HATCHD_MASTER_INHERITED_H

#include "master/handed-over.h"

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

/* Number of the first socket that a service manager hands over: sd_listen_fds(3). */
#define INHERITED_FIRST 3

struct inherited {
	pid_t pid; /* who was started; behind process 1 (master/init) we are another one */
	uid_t uid;
	gid_t gid;
	bool one_identity; /* real, effective and saved ids are the same */
	gid_t *groups;     /* supplementary ones, owned */
	size_t n_groups;
	struct rlimit nofile; /* as it was: given back to children */
	struct rlimit core;
	bool hands_down_capabilities; /* inheritable or ambient ones: children must not get them
	                               */
	unsigned spawn_reset; /* enum spawn_reset: scheduling of ours that children must not get
	                       */
	char *unit;           /* of systemd, that we are a part of; owned; NULL: none */
	struct handed_over handed_over; /* by the service manager */
};

/*
 * Clean up: standard descriptors open, signals blocked and with default
 * dispositions, stray descriptors closed, not dumpable, core limit 1.  To be
 * called first, but after log_open(), which must see whether standard error
 * was open.  What another image of us has left is left alone, and what that was started with is
 * taken from it.  Negative errno if the process cannot be made fit to serve.
 */
struct resume;
int inherited_take(struct inherited *inherited, struct resume *resume);
void inherited_done(struct inherited *inherited);

#endif
