/*
 * control: operators ask at a UNIX socket, and are told in lines of JSON.
 *
 * One question for each connection.  A few operators are answered at once, each in memory of
 * its own and as fast as he reads; nobody is waited for (I2).  More may be connected: they cost
 * little, and get their turn when somebody is done, does not read, or has had his for a while.
 * Nobody is left in the kernel's queue.  When too many are connected, one of the user who has
 * the most of them has to go (master/control-seat); so nobody can keep others away (I6).
 *
 * What an operator sends could have descriptors in its tow, whose close sleeps.  So it is
 * looked at where it lies in the kernel's queue, and is taken out of there only if it has
 * none; the connection goes to the closer with all that is still in it.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_CONTROL_H
#define HATCHD_MASTER_CONTROL_H

#include "master/control-listen.h"
#include "master/control-seat.h"
#include "os/control_socket.h"

#include <stdint.h>
#include <systemd/sd-event.h>

struct master;

/* Operators that are connected at once ... */
#define CONTROL_CLIENTS_MAX 32
/* ... and of these, whose answers are being written; each has a bit. */
#define CONTROL_ANSWERS_MAX 8

struct control {
	struct control_socket socket;
	sd_event_source *source; /* of it; owned; NULL: there is none */
	struct control_seats seats;
	uint8_t bits;          /* of those who are answered */
	uint64_t due;          /* usec, monotonic: something is to be done; USEC_INFINITY: no */
	bool look_at_answers;  /* something has come that answers may have waited for */
	bool full;             /* new ones wait in the queue */
	uint64_t look_from;    /* usec: not before, it is looked at the queue again */
	uint64_t refused_told; /* when it was last said that somebody may not ask */
};

#define CONTROL_NONE ((struct control){.socket = CONTROL_SOCKET_NONE, .due = UINT64_MAX})

/* Somebody is in the queue of the socket; an sd_event_io_handler_t of the master. */
int control_on_queue(sd_event_source *source, int listener, uint32_t revents, void *userdata);

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
