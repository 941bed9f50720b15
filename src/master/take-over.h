/*
 * take-over: begin with the sockets of another hatchd on this machine (--take-over).
 *
 * Its control socket is asked for them, as master/successor describes; they become kept sockets
 * (master/kept), which services find when they open their addresses.  The other one goes on
 * serving until it hears that we do, and if we never do.  All of this is before anybody is
 * served here, so it may wait.
 *
 * Until it has said that it drains the sockets are its own as well: they are not shut down, and
 * nothing that leads to them is removed.  If it refuses in the end, or is silent, we do not
 * serve: two would, with limits and bans of their own, for as long as both live.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_TAKE_OVER_H
#define HATCHD_MASTER_TAKE_OVER_H

#include <stdbool.h>

struct master;

struct take_over {
	int fd; /* owned: the connection; -EBADF: nothing is taken over, or that is done */
};

#define TAKE_OVER_NONE ((struct take_over){.fd = -EBADF})

/* Have all its sockets, if there is somebody to take over from.  0, or a negative errno after a
 * line in the log: nothing has changed there. */
int take_over_begin(struct master *master);

/* The configuration is in force.  0: the other one lets nobody in any more, or has ended; or a
 * negative errno after a line in the log: it serves on, and we are to end. */
int take_over_finish(struct master *master);

/* We end before that: whatever we have of its files stays where it is. */
void take_over_give_up(struct master *master);

#endif
