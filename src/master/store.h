/*
 * store: listening sockets are kept with the service manager as well, so that neither a crash
 * nor a restart refuses a client (I3).
 *
 * FDSTORE of sd_notify(3): the manager has a copy of each, under a name (master/kept-name), and
 * hands them over to the next life of hatchd.  Meanwhile clients wait in the queues of the
 * sockets.  A socket that nobody is served on any more is taken back, or the manager would go
 * on holding its address.
 *
 * In use when the environment says how many descriptors there may be (FDSTORE, from systemd 254
 * on by itself), and bounded by that, by what names an environment has room for, and by what
 * we can be handed over at a start (RLIMIT_NOFILE).  Beyond these sockets are not kept, and the
 * log says so once.  Nothing waits for the manager (I2): it is told a few things, and more when
 * it has read those, so that it has time for others.  One that is gone keeps nothing: from the
 * first message that is lost on the store is not in use, with a line in the log.
 *
 * Names to be taken back are bounded like sockets: a new one is sent only when none of them is
 * left, so there are never more than what the manager had.
 *
 * Sockets that the manager has opened itself (master/handed-over) are its own affair.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_STORE_H
#define HATCHD_MASTER_STORE_H

#include "conf/conf.h"

#include <systemd/sd-event.h>

struct listener;
struct master;

/* A name that the manager has, or is to have, a socket under. */
struct stored {
	struct stored *next; /* of those to be taken back */
	bool sent;           /* it has: until it is taken back */
	char name[];
};

struct store {
	uint32_t max;     /* sockets; 0: the store is not in use */
	uint32_t n;       /* names that there are, those to be taken back not among them */
	size_t n_bytes;   /* that they have in all, with what separates them */
	size_t name_room; /* that they may have */
	bool active; /* what is closed is taken back: not at the beginning, nor at the end */
	bool told_left_out;           /* the log knows that some are not kept */
	bool look;                    /* there may be listeners to be kept: */
	uint32_t generation;          /* of the services that are looked at, */
	size_t service;               /* and the one where that goes on */
	struct stored *first, **last; /* to be taken back */
	unsigned n_said;              /* messages since the last barrier */
	uint64_t said_at;             /* usec, monotonic: the first of them */
	sd_event_source *barrier;     /* tells when the manager has read them; owned; NULL: none
	                                 is on its way */
	uint64_t due; /* usec, monotonic: when store_turn() wants to be called */
};

#define STORE_NONE ((struct store){.due = UINT64_MAX})

/* What the environment says.  `environment` is the value of FDSTORE or NULL. */
void store_init(struct master *master, const char *environment);

/* Sockets that the manager hands over under names of ours go to master->kept; what cannot be
 * used is closed and taken back, with a line in the log. */
void store_take_inherited(struct master *master);

/* Of one that the manager has under that name; NULL without memory, and then it stays there. */
struct stored *store_note(struct master *master, const char *name);

/* The listener has a socket that is as `conf` says, or was told so: the manager is to have it
 * under the name of that. */
void store_listener(struct listener *listener, const struct service_conf *conf);

/* Would the manager keep its socket if that was closed now? */
bool store_keeps(const struct listener *listener);

/* Its socket is to be closed.  True: it stays with the manager, and so what leads to it has to
 * stay; false: the manager does not have it, or gives it up, and nobody gets in there. */
bool store_leave(struct listener *listener);

/* The manager is to forget that; NULL is nothing. */
void store_forget(struct master *master, struct stored *stored);

/*
 * What the manager was not told to forget yet, for the next image, which has nobody else to
 * learn it from: names, each with its NUL, in fresh memory of the caller; *ret_len 0: none.  0
 * or -ENOMEM.
 */
int store_write_forgotten(const struct store *store, uint8_t **ret, size_t *ret_len);

/* And there: to be told.  What is no name of ours is passed over. */
void store_read_forgotten(struct master *master, const uint8_t *names, size_t len);

/* How many sockets the manager has, for all that is known: it was sent them, and is there. */
size_t store_count(const struct master *master);

/* Its socket is another hatchd's from now on: the manager is to forget it, and nothing else
 * becomes of it. */
void store_give_away(struct listener *listener);

/* Is there something that the manager is to forget, and was not told so yet? */
bool store_has_to_tell(const struct store *store);

/* Tell the manager what it is to be told. */
void store_turn(struct master *master, uint64_t now);

void store_done(struct store *store);

#endif
