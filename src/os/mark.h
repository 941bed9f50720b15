/*
 * mark: by what a process is known as one that a hatchd has started, and by which.
 *
 * It stands in the environment of all of them, HATCHD_MASTER=FAMILY-PID-START-SESSION: whose
 * program has started many others hands it on to them.  A family is what a hatchd and the next
 * one that is started in its place have in common, and two that serve side by side have not
 * (master/lineage).  The pid and the start say which of the family it was, so that anybody can
 * see whether that one lives.  The session is the one that was made for the child: who has left
 * it, as daemons do, has the mark, and is on his own.  Its number is given to nobody else as
 * long as one is in there.
 *
 * A process can forge its own mark, and nobody else's: it is shown among others, or is not.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_MARK_H
#define HATCHD_OS_MARK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MARK_NAME "HATCHD_MASTER"

struct mark {
	uint64_t family;
	pid_t pid;
	uint64_t start; /* ticks since the machine was, as in /proc/PID/stat */
	pid_t session;  /* of who has the mark: the pid of the child; 0: it is nobody's yet */
};

/* Room for NAME=VALUE and a NUL. */
#define MARK_ENTRY_MAX 96

/* The entry of an environment.  Returns buf. */
const char *mark_format(const struct mark *mark, char buf[MARK_ENTRY_MAX]);

/* The value of such an entry, which is somebody's.  False: it is none, and *ret is untouched.
 */
bool mark_parse(const char *value, struct mark *ret);

#endif
