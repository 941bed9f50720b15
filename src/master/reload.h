/*
 * reload: have the files read again, and put in force what they say.
 *
 * One loader at a time.  While one runs, any number of further requests are one:
 * the files are read once more when it is done.  Whatever goes wrong, the
 * configuration in force stays in force, whole.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_RELOAD_H
#define HATCHD_MASTER_RELOAD_H

#include "master/loader.h"

#include <stdint.h>
#include <systemd/sd-event.h>

struct master;

/*
 * A loader that hangs in a file system that is gone cannot be killed.  It is left
 * alone, and the next request starts another, until there are so many.
 */
#define RELOAD_STUCK_MAX 4

/* Room for why one has failed, NUL included. */
#define RELOAD_REASON_MAX 128

struct reload {
	struct loading loading;
	sd_event_source *ended; /* of the loader; owned; NULL: none runs */
	uint64_t due;           /* usec, monotonic: when the loader is given up */
	bool given_up;          /* killed, and the log knows */
	/* Killed, and not reaped yet; the last place is for one that cannot be watched. */
	pid_t stuck[RELOAD_STUCK_MAX + 1];
	unsigned n_stuck;
	uint64_t reap_due; /* when they are looked for again; UINT64_MAX: there are none */
	bool full;         /* for the whole configuration; else for conditions alone */
	bool again;        /* a request came while it ran */

	/* Of those before it, looks for conditions aside. */
	uint64_t n_done, n_failed;
	uint64_t finished; /* usec, monotonic: the last full one; 0: there was none */
	bool failed;       /* it: the files are not in force */
	char reason[RELOAD_REASON_MAX]; /* why */
	bool hindered;                  /* the last look, which the log has been told */
};

#define RELOAD_NONE \
	((struct reload){.loading = LOADING_NONE, .due = UINT64_MAX, .reap_due = UINT64_MAX})

/* Full reloads that are over, however they went. */
uint64_t reload_ended(const struct reload *reload);

/* What that will be when all that is asked for from now on has been looked at. */
uint64_t reload_next(const struct reload *reload);

/* Somebody asks for a reload (SIGHUP). */
void reload_request(struct master *master, uint64_t now);

/* Only see whether services that wait for a condition can be served now.  What keeps
 * it from being seen is logged once, until it can be seen again. */
void reload_look_again(struct master *master);

/* When reload_turn() has something to do; UINT64_MAX: nothing. */
uint64_t reload_due(const struct reload *reload);

/* Give up a loader that does not answer, and reap those that have ended since. */
void reload_turn(struct master *master, uint64_t now);

/* No more of this: we are stopping. */
void reload_stop(struct reload *reload);

#endif
