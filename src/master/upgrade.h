/*
 * upgrade: execute another image of hatchd in the place of this one, which keeps listening
 * sockets, children, limits and counters.
 *
 *	prove    the program is started as a child of its own, which reads what it would be
 *	         given and has the configuration loaded (master/prove); clients are served
 *	wait     for a reload that is under way, and for children that do not get to their
 *	         exec; clients are served
 *	settle   nobody is taken in for a moment, until no child uses our memory any more
 *	leap     write down all there is (master/handover), and execve(2)
 *
 * Until the last step the image that serves goes on serving whatever happens, with one line in
 * the log; and behind it the next one goes back to it if it cannot begin (master/resume).
 *
 * What is not taken along: helpers, which see that nobody speaks with them any more, and end;
 * operators at the control socket, who are told by hatchctl
 * what has become of it.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_UPGRADE_H
#define HATCHD_MASTER_UPGRADE_H

#include "master/loader.h"
#include "master/prove.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct master;

enum upgrade_phase {
	UPGRADE_IDLE,
	UPGRADE_PROVING,
	UPGRADE_WAITING,
	UPGRADE_SETTLING,
};

/* Room for why one has failed, NUL included. */
#define UPGRADE_REASON_MAX 192

struct upgrade {
	enum upgrade_phase phase;
	struct loading proof;
	sd_event_source *ended; /* of its process; owned; NULL: none runs.  While none is under
	                           way: it was killed, and has not ended yet */
	int answer;             /* owned: what it says of itself */
	int program;            /* owned: that is to be executed (O_PATH) */
	int image, secrets;     /* owned: the configuration that it has loaded */
	struct prove_answer who;
	uint64_t due;   /* usec, monotonic: when the phase is given up; UINT64_MAX: never */
	uint64_t look;  /* ... when it is looked again whether it is over */
	uint64_t until; /* ... when nothing is waited for any more */
	bool killed;    /* children that did not get to their exec by then */
	uint64_t n_done, n_failed;
	char reason[UPGRADE_REASON_MAX]; /* of the last one that has failed; "": it has not */
	bool foreign;                    /* ... it never will: what is to be executed does not
	                                    take over from us, and can only be started anew */
};

#define UPGRADE_NONE                             \
	((struct upgrade){.proof = LOADING_NONE, \
		.answer = -EBADF,                \
		.program = -EBADF,               \
		.image = -EBADF,                 \
		.secrets = -EBADF,               \
		.due = UINT64_MAX})

/* Somebody asks for it (SIGUSR2, hatchctl upgrade).  NULL: it is on its way, or was already;
 * else why it cannot be begun, which the log knows and which is valid until the next one. */
const char *upgrade_request(struct master *master, uint64_t now);

/* There were so many before, and this one has brought us here, or has failed. */
void upgrade_count(struct upgrade *upgrade, uint64_t done, uint64_t failed, bool good);

/* Is one under way?  Then nobody else is to change what is configured: it would be undone. */
bool upgrade_runs(const struct upgrade *upgrade);

/* When upgrade_turn() has something to do. */
uint64_t upgrade_due(const struct upgrade *upgrade);
void upgrade_turn(struct master *master, uint64_t now);

/* We are stopping. */
void upgrade_stop(struct master *master);

#endif
