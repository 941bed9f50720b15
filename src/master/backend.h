/*
 * backend: the program behind a redirect, which is started when the first client comes, and
 * stopped when nobody has been there for a while.
 *
 * Started like any child, as the child of a service without sockets, as a worker is: so the
 * pauses between tries, the record of its end and its messages are those of every program.
 * The master connects to nobody (I1, I2).  Whether the program takes clients is known to the
 * worker that passes them on: it tries again and again, and says of each client that he has
 * got there, or that he waited in vain.  When the program ends before, the worker is told to
 * give up.
 *
 *	off       nobody was there yet, or for long; the next client has it started
 *	starting  nobody has got there yet
 *	running   somebody has
 *	stopping  it was told to end, and nobody is there.  Its service looks away from its
 *	          sockets: who comes now waits in the kernel's queue, and has it started anew
 *
 * It is stopped only while nobody is there, or when those who are have not got there, and one
 * of them has waited in vain; so no client is lost between the decision and its end.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_BACKEND_H
#define HATCHD_MASTER_BACKEND_H

#include "base/heap.h"
#include "conf/conf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct child;
struct master;
struct service;

enum backend_state {
	BACKEND_OFF,
	BACKEND_STARTING,
	BACKEND_RUNNING,
	BACKEND_STOPPING,
};

/* How it is between a connection and its backend. */
enum backend_news {
	BACKEND_NONE,     /* it has none */
	BACKEND_AWAITED,  /* it is not there yet */
	BACKEND_REACHED,  /* it was */
	BACKEND_MISSED,   /* it was not in time */
	BACKEND_GIVEN_UP, /* the program has ended before, and the worker was told */
};

struct backend {
	struct master *master;
	/* Whose clients it serves.  If it is `parted`, that is another's task from now on, and
	 * this one is there only as long as it has connections. */
	struct service *owner;
	struct service *service; /* whose child it is; owned */
	struct child *process;   /* BACKEND_OFF: NULL */
	enum backend_state state;
	bool parted;
	bool outdated;        /* the next one is to be started otherwise: as soon as nobody is
	                         there */
	uint32_t n_sessions;  /* connections that are passed on to it */
	uint32_t n_reached;   /* of them, those that have got there */
	uint64_t idle_stop;   /* usec; DURATION_UNLIMITED: never */
	uint64_t idle_since;  /* usec, monotonic; counts while there are none */
	struct heap_node due; /* when it is to be stopped or, if it was, killed */
	LIST_ENTRY(backend) all;
};

/* Of the master.  All zero: there are none. */
struct backends {
	LIST_HEAD(, backend) all;
	struct heap due;
	size_t n;
	bool changed; /* there may be some that nobody needs */
};

/* What another configuration of its service means for it. */
enum backend_fate {
	BACKEND_STAYS,
	BACKEND_RESTARTS, /* another takes its place, when nobody is there */
	BACKEND_PARTS,    /* its service has none any more, or one at another address */
};

/* What it is called: "starting". */
const char *backend_describe(const struct service *service);

/* Can clients be let in, as far as it is concerned, after it was started if need be?  Also of
 * a service that has none.  The setup is in memory. */
bool backend_has_room(const struct service *service);

/* It has not: have the service look again when it may. */
void backend_let_wait(struct service *service, uint64_t now);

/* Is it being stopped?  Looks at state only. */
bool backend_is_stopping(const struct service *service);

/* Have it started if the service has one, and it is off.  0, or a negative errno: not now,
 * which has been told if it had to be. */
int backend_need(struct service *service, uint64_t now);

/* A connection is passed on to the backend of its service, if that has one; and is over. */
void backend_enter(struct child *child);
void backend_leave(struct child *child, uint64_t now);

/* The worker says of it that it has got there; or that it waited in vain.  False: it is not
 * waiting. */
bool backend_reached(struct child *child);
bool backend_missed(struct child *child, uint64_t now);

/* Why a connection ended that never got there, for its record; NULL: not for its sake. */
const char *backend_reason(const struct child *child);

/* Whose process that is; NULL: no backend's. */
struct backend *backend_of_process(const struct child *child);

/* That has ended, and is about to be forgotten. */
void backend_ended(struct backend *backend, uint64_t now);

/* First half of a reload, and second one. */
enum backend_fate backend_judge(const struct service *service, const struct service_conf *conf);
void backend_follow(
	struct service *service, enum backend_fate fate, uint64_t idle_stop, uint64_t now);

/* The service is retired, or about to be freed. */
void backend_retire(struct service *service, uint64_t now);
void backend_part(struct service *service, uint64_t now);

/*
 * One that an image of hatchd before us has started, for that service, whose configuration may
 * be another one by now; the process is to be put there.  NULL: no memory, or there is one.
 */
struct backend *backend_resume(
	struct service *owner, enum backend_state state, bool parted, uint64_t idle_since);

/* Its process is that one, which is its own. */
void backend_resume_process(struct backend *b, struct child *process);

/* That connection is passed on to it, and so far is that. */
void backend_resume_session(struct backend *b, struct child *child, enum backend_news news);

/* Is its owner there for certain? */
bool backend_has_owner(const struct backend *b);

/* All of them and all connections are there: what does the configuration say? */
void backends_begin(struct master *master, uint64_t now);

/* Stop those that nobody needs, kill those that do not end. */
void backends_turn(struct master *master, uint64_t now);
uint64_t backends_due(const struct master *master);

/* hatchd stops: so do those that nobody is connected to any more.  How many have yet to end. */
size_t backends_stop(struct master *master, uint64_t now);

/* Nobody waits for them any longer: tell those that are to end, whoever is there. */
void backends_leave(struct master *master);

/* At the end: forget them all. */
void backends_free(struct master *master);

#endif
