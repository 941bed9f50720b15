/*
 * successor: another hatchd on this machine takes over.  It is given all sockets that wait for
 * clients, and as soon as it serves, this one drains.
 *
 *	take-over 1       it asks, at the control socket
 *	socket NAME       a line for each, with its descriptor: some in each message
 *	end COUNT
 *	taken             it is ready to serve
 *	drains            so this one lets nobody in any more, and closes the connection
 *	refused WHY       instead of anything: this one gives up, and serves on
 *
 * The sockets are the same ones, with the same queues: no client is refused or lost.  What
 * divides before from after is that "drains" has got into the connection.  Until then nothing
 *has changed here, and nothing has if that is never said or cannot be; from then on the sockets
 *are the other one's alone, whatever becomes of us.  So there are never two who serve for good,
 * nor none: who takes over looks there as well (master/take-over).
 *
 * If this one is told to stop when the other one has got everything it does not wait for
 * "taken": there would be nobody who serves.
 *
 * There is one at a time, who may change something; it has a bounded time, and nobody waits for
 * it (I2).
 *
 * What a socket is called is master/kept-name's affair.  Those that the service manager has
 * opened (fd:NAME) stay.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_SUCCESSOR_H
#define HATCHD_MASTER_SUCCESSOR_H

#include "os/rights.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct master;
struct successor;

/* Of what both sides say. */
#define SUCCESSOR_VERSION_TEXT "1"

/* Sockets in one message. */
#define SUCCESSOR_BATCH RIGHTS_MAX

/* Can somebody take over now?  NULL; else why not, a constant phrase. */
const char *successor_refuses(const struct master *master);

/* Give them to that process, which has asked: its connection is not in the event loop, and is
 * closed in any case.  A failure is logged. */
void successor_begin(struct master *master, int fd, pid_t pid, uint64_t now);

/* When successor_turn() has something to do; USEC_INFINITY: nothing. */
uint64_t successor_due(const struct master *master);

/* It has had its time, or is to be tried again; or it has all, and is let go. */
void successor_turn(struct master *master, uint64_t now);

/*
 * Hatchd is about to close its sockets.  True: the other one has them, and was told that they
 * are its own; what leads to them, and to the control socket, stays, and the service manager is
 * to forget them.  False: there is none, or it has not got them all, and is given up.
 */
bool successor_inherits(struct master *master);

/* At the end: nobody takes over any more. */
void successor_close(struct master *master);

#endif
