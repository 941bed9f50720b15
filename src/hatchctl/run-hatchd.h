/*
 * run-hatchd: the hatchd that belongs to this hatchctl (base/sibling), for what it alone can
 * tell.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_RUN_HATCHD_H
#define HATCHD_HATCHCTL_RUN_HATCHD_H

/* What it writes of that is kept, and the rest lost: more than any check says. */
#define RUN_HATCHD_SAID_MAX (16 << 20)

/*
 * Become it, with these words behind its name, NULL at the end: its exit status is ours.
 * Returns only if that cannot be, COMMAND_USAGE after a message: nothing could be told.
 */
int run_hatchd_instead(const char *const *words);

/*
 * Run it with these words and wait for its end.  0, with what it has written to standard
 * output and standard error as one text, which the caller frees, and its exit status, 128+N
 * if a signal has ended it; else a negative errno.  It has no standard input, and no signal
 * is blocked in it.
 */
int run_hatchd(const char *const *words, char **ret_said, int *ret_status);

#endif
