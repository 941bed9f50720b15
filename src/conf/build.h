/*
 * build: raw sections to a configuration.
 *
 * Merges `defaults`, converts values, looks up users, groups, services and
 * programs, prepares argv and environment, checks what must hold between
 * options and between services.  Runs in the loader only: it asks NSS and the
 * file system.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_BUILD_H
#define HATCHD_CONF_BUILD_H

#include "conf/conf.h"
#include "conf/raw.h"

/* The world that a configuration is built for; everything that is not in the
 * files.  Tests give their own. */
struct build_context {
	uid_t uid; /* who the master runs as */
	gid_t gid;
	char *const *environ; /* the master's environment, for pass_env and PATH */
	const char *
		cwd; /* absolute; for adhoc: where the program runs, and relative paths start */
	int64_t now; /* seconds since 1970: certificates end */
	bool adhoc;  /* from a command line: runs as the caller, program searched in PATH */
	const char *hosts_allow; /* other files than those of conf/wrappers; NULL: these */
	const char *hosts_deny;
	const char *programs; /* folder of ours, to be executed; NULL: where they are
	                         (base/sibling) */
	bool thorough;        /* look around also for services that will be left out: --check */
};

/* Stands for a file in the origins of what a command line says. */
#define COMMAND_LINE "command line"

/*
 * Build `conf` from `raw`.  The file of a mistake is marked `refused` in
 * `sources` and all its services are left out; with a mistake in the main file,
 * or in ad-hoc mode, all services are.  Conditions leave the service in, with
 * `condition` set.
 *
 * First everything is judged that the words alone tell.  Then users, programs
 * and directories are looked at for each service whose words are right, unless
 * it is disabled or its file is refused already; with `thorough`, there too.
 * That a service of root's must name a user counts as the second, since it
 * depends on who asks.
 *
 * Files that are no configuration but are named in one, and of which there is
 * something to say, are added to the end of `sources`.
 *
 * Origins in `conf` borrow from `raw` and `sources`.  0 or a negative errno; then `conf`
 * is empty, and all but -ENOMEM has been told.
 */
int conf_build(const struct raw_conf *raw, struct source **sources,
	const struct build_context *context, struct conf *conf, struct diag_list *diags);

#endif
