/*
 * announce: say where we listen, who can reach it, and how we are.
 *
 * The service manager shows one line (STATUS= of sd_notify(3)): how many services are served,
 * and how many connections there are.  What happens to the first is told at once, with the
 * message that it belongs to.  The second changes all the time, and is told now and then: it
 * is looked at again when it has changed, ANNOUNCE_EVERY later, and told if it is another one
 * still.  Such a message never waits in the queue of those that count (os/notify).
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_ANNOUNCE_H
#define HATCHD_MASTER_ANNOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct master;

#define ANNOUNCE_EVERY UINT64_C(3000000) /* usec */

/* Room for the line, NUL included. */
#define ANNOUNCE_TEXT_MAX 128

/* What the service manager has been told. */
struct announced {
	char text[ANNOUNCE_TEXT_MAX];
	size_t clients; /* when it was looked at last */
	bool again;     /* since then services may have come, or gone */
	uint64_t due;   /* usec, monotonic: when it is looked at; UINT64_MAX: nothing is known
	                   to have changed */
};

#define ANNOUNCED_NONE ((struct announced){.due = UINT64_MAX})

/* Ad-hoc mode: one line per address.  Else one line with counts. */
void announce_listeners(const struct master *master);

/* Tell the service manager how many are served, after `state`: lines as of
 * sd_notify(3), each with its line feed, or none. */
void announce_status(struct master *master, const char *state);

/* Other addresses may be open than it was told of. */
void announce_again(struct master *master);

/* Tell it now and then what has changed; once a turn. */
void announce_turn(struct master *master, uint64_t now);

#endif
