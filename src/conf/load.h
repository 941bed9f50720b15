/*
 * load: everything the loader does, from a command line to an exit status.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_LOAD_H
#define HATCHD_CONF_LOAD_H

#include "conf/cmdline.h"

/* Exit statuses of the loader, which --check and --print-config pass on. */
#define LOAD_OK       0
#define LOAD_MISTAKES 1 /* mistakes (for --check: conditions as well) */
#define LOAD_UNKNOWN  2 /* usage, unreadable main file */

/* --conditions: they are as they were, so nothing is written. */
#define LOAD_NOTHING_NEW 3

/* --once, as env(1) and timeout(1) report it. */
#define LOAD_ONCE_FAILED     125 /* a mistake in the command line */
#define LOAD_ONCE_CANNOT_RUN 126 /* the program is there, but may not be executed */
#define LOAD_ONCE_NOT_FOUND  127

/* What was read and built. */
struct load;

/*
 * Load as `cmdline` says, diagnostics to `err`, results (--print-config, the
 * summary of --check) to `out`, the image to cmdline->image_fd if that is not
 * negative, with it the secrets to cmdline->secrets_fd.  Returns the exit status, and in *ret
 * what is to be released with load_free(), or NULL; a process that is about to end is faster
 * without.
 */
int load_run(const struct cmdline *cmdline, FILE *out, FILE *err, struct load **ret);

/* NULL is fine.  Returns NULL. */
struct load *load_free(struct load *load);

#endif
