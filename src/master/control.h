/*
 * control: operators ask at a UNIX socket, and are told in lines of JSON.
 *
 * One question for each connection.  A few operators are served at once, each in memory of
 * its own and as fast as he reads; nobody is waited for (I2).  When there is no place,
 * newcomers wait in the kernel's queue until the oldest who keeps silent, does not read, or
 * has been there for a while, has lost his; so nobody can keep others away for long (I6).
 *
 * What an operator sends could have descriptors in its tow, whose close sleeps.  So it is
 * looked at where it lies in the kernel's queue, and is taken out of there only if it has
 * none; the connection goes to the closer with all that is still in it.
 *
 * To have no such socket is no reason not to serve.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_CONTROL_H
#define HATCHD_MASTER_CONTROL_H

#include "os/control_socket.h"

#include <stdint.h>
#include <systemd/sd-event.h>

struct master;
struct control_client;

/* Operators that are served at once. */
#define CONTROL_CLIENTS_MAX 8

struct control {
	struct control_socket socket;
	sd_event_source *source;             /* of it; owned; NULL: there is none */
	struct control_client *first, *last; /* oldest first */
	unsigned n_clients;
	uint8_t bits;          /* of them */
	uint64_t due;          /* usec, monotonic: something is to be done; USEC_INFINITY: no */
	bool look_at_answers;  /* something has come that answers may have waited for */
	bool full;             /* new ones wait in the queue */
	uint64_t look_from;    /* usec: not before, it is looked at the queue again */
	uint64_t refused_told; /* when it was last said that somebody may not ask */
};

#define CONTROL_NONE ((struct control){.socket = CONTROL_SOCKET_NONE, .due = UINT64_MAX})

/* Open the socket if there is to be one.  A failure is logged. */
void control_open(struct master *master);

/* After a reload: open it if it is not there, or no longer; give it to the group of now. */
void control_refresh(struct master *master);

/* When control_turn() has something to do, USEC_INFINITY: nothing. */
uint64_t control_due(const struct control *control);

/* End those who have had their time, and look for new ones again. */
void control_turn(struct master *master, uint64_t now);

/* A reload is over, however it went, or hatchd stops: who waits for that is answered in this
 * turn. */
void control_look_again(struct master *master);

/* No more of this: everything is closed, by the closer if there is one, and the path is
 * removed. */
void control_close(struct master *master);

#endif
