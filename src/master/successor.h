/*
 * successor: another hatchd on this machine takes over.  It is given all sockets that wait for
 * clients, and as soon as it serves, this one drains.
 *
 *	take-over 1       it asks, at the control socket
 *	socket NAME       a line for each, with its descriptor: some in each message
 *	end COUNT
 *	taken             it serves
 *	drains            so this one lets nobody in any more
 *
 * The sockets are the same ones, with the same queues: no client is refused or lost.  Until it
 * has said that it serves nothing has changed here, and nothing has if it never does.  There is
 * one at a time, who may change something; it has a bounded time, and nobody waits for it (I2).
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

/*
 * Give them to that process, which has asked: its connection is not in the event loop, and is
 * taken over in any case.  0 or a negative errno.
 */
int successor_begin(struct master *master, int fd, pid_t pid, uint64_t now);

/* When successor_turn() has something to do; USEC_INFINITY: nothing. */
uint64_t successor_due(const struct master *master);

/* It has had its time, or is to be tried again. */
void successor_turn(struct master *master, uint64_t now);

/* At the end: nobody takes over any more. */
void successor_close(struct master *master);

#endif
