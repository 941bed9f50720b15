/*
 * handing: another hatchd on this machine takes over.  It is given all sockets that wait for
 * clients, and as soon as it serves, this one drains.
 *
 *	hand-over 1       it asks, at the control socket
 *	socket NAME       a line for each, with its descriptor: some in each message
 *	end COUNT
 *	taken             it serves
 *	drains            so this one lets nobody in any more
 *
 * The sockets are the same ones, with the same queues: no client is refused or lost.  Until it
 * has said that it serves nothing has changed here, and nothing has if it never does.  There is
 * one at a time, who may change something; he has a bounded time, and nobody waits for him
 *(I2).
 *
 * What a socket is called is master/kept-name's affair.  Sockets that the service manager has
 * handed over (fd:NAME) are not handed on.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_HANDING_H
#define HATCHD_MASTER_HANDING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct handing;
struct master;

/* Of what both sides say. */
#define HANDING_VERSION_TEXT "1"

/* Sockets in one message. */
#define HANDING_BATCH 64

/* Can somebody take over now?  NULL; else why not, a constant phrase. */
const char *handing_refuses(const struct master *master);

/*
 * Hand over to that process, which has asked: its connection is not in the event loop, and is
 * taken over in any case.  0 or a negative errno.
 */
int handing_begin(struct master *master, int fd, pid_t pid, uint64_t now);

/* When handing_turn() has something to do; USEC_INFINITY: nothing. */
uint64_t handing_due(const struct master *master);

/* It has had its time, or is to be tried again. */
void handing_turn(struct master *master, uint64_t now);

/* At the end: nobody takes over any more. */
void handing_close(struct master *master);

#endif
