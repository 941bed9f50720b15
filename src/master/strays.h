/*
 * strays: processes that the image of hatchd before us has started for itself, and that are
 * ours to reap.
 *
 * They see that nobody speaks with them any more, finish what they have, and end; nobody waits
 * for them.  There may be STRAYS_MAX of them: one more would be a zombie until hatchd ends, so
 * an upgrade that would leave more is not made.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_STRAYS_H
#define HATCHD_MASTER_STRAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct master;

#define STRAYS_MAX 256

struct strays {
	pid_t pids[STRAYS_MAX];
	size_t n;
	uint64_t pause; /* usec until they are looked for again, growing */
	uint64_t due;   /* usec, monotonic; UINT64_MAX: there are none */
};

#define STRAYS_NONE ((struct strays){.due = UINT64_MAX})

/* One more.  False: there is no place. */
bool strays_add(struct strays *strays, pid_t pid, uint64_t now);

/* Reap those that have ended. */
void strays_turn(struct strays *strays, uint64_t now);

#endif
