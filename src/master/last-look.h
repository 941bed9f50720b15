/*
 * last-look: who waits in the queue of a socket is accepted before hatchd closes it to drain:
 * the kernel would break him off.
 *
 * One socket after the other, some clients in each turn, until its queue is empty or as many
 * were taken from it as `backlog` lets wait there: who comes meanwhile has no end.  Then it is
 * closed.  A client is served or refused as always; if it is not his turn now he is held until
 * it is (master/behind), unless the service manager keeps the socket: then he can wait in its
 * queue, for the next hatchd.
 *
 * What goes on in other hands is closed without a look: datagrams, and sockets that programs
 * have (wait = yes).
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_LAST_LOOK_H
#define HATCHD_MASTER_LAST_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct master;

struct last_look {
	bool goes_on;
	size_t service; /* where it is: services stay as they are while hatchd drains */
	uint32_t listener;
	uint32_t n; /* clients taken from that one so far */
};

/* Begin; the first of them are closed when this returns, all of them if they are few. */
void last_look_begin(struct master *master, uint64_t now);

/* To be called on every turn for as long as it goes on. */
void last_look_turn(struct master *master, uint64_t now);

#endif
