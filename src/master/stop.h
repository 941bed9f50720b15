/*
 * stop: the end of the master.
 *
 * Sockets are closed at once.  Children of services with `stop = terminate`
 * get SIGTERM, as soon as they have executed (before, it would be forgotten
 * with everything else that was pending); all others live on.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_STOP_H
#define HATCHD_MASTER_STOP_H

#include "master/master.h"

#include <stdbool.h>

/* usec; stopping waits no longer than this for children that were told to end. */
#define STOP_PATIENCE (UINT64_C(5) * 1000 * 1000)

/* usec; all of it takes no longer, as the service manager is told. */
#define STOP_TIME (2 * STOP_PATIENCE)

/*
 * Hatchd is about to close its sockets, to stop at once or to drain (master/drain): nothing is
 * begun any more, and what has begun and would lead to something else is given up.  True:
 * another hatchd has the sockets (master/successor).
 */
bool stop_leave(struct master *master);

/* Begin to stop because of that signal; a second call no longer waits. */
void stop_begin(struct master *master, int signal, uint64_t now);

/* To be called on every turn while stopping. */
void stop_turn(struct master *master, uint64_t now);

/* Descriptors that are on their way to be closed. */
size_t stop_count_closing(const struct master *master);

/*
 * Give the closer a moment, and kill those children whose connection cannot be closed
 * because they hold its lock: a thread that sleeps there would keep hatchd from ending,
 * whatever anybody does.  False: there is something left all the same.
 */
bool stop_wait_for_closer(struct master *master);

#endif
