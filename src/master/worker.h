/*
 * worker: a process that serves many connections in the master's place.
 *
 * Started like any child, as the child of a service without sockets: so the pauses between
 * tries, the record of its end and its messages are those of every program.  It is started
 * when the first client needs it; if it dies, its connections are over, and the next client
 * starts another one.
 *
 * What it says, a stranger's word, and what it is told is master/worker-channel's; which
 * workers there are is master/worker-kind's.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_WORKER_H
#define HATCHD_MASTER_WORKER_H

#include "master/child.h"
#include "master/worker-kind.h"
#include "os/channel.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct caller;
struct inquiry_place;
struct master;
struct peer_offers;
struct service;
struct unread;

struct worker {
	struct master *master;
	enum worker_kind kind;
	int program; /* owned: its program (O_PATH), or the negative errno of why there is none
	              */
	struct service *service;  /* whose child it is; owned; NULL: it was never needed */
	struct child *process;    /* NULL: it does not run */
	struct channel channel;   /* owned */
	sd_event_source *answers; /* owned */
	sd_event_source *room;    /* owned: there is room for requests; NULL: nobody waits */
	uint32_t n_to_end;        /* of its connections, those about which it is to be told */
	uint64_t asked;           /* when it was asked last whether it goes on; usec */
	uint64_t due;             /* when it has to have answered; USEC_INFINITY: it has */
	bool to_ask;              /* there was no room for the question */
	bool is_full;             /* there was none for a client, nor is there yet */
	uint64_t shunned_until;   /* usec: it lacks something, others are asked first */
	int unread; /* owned: its end of the requests, for what it has not read when it dies */
	int theirs; /* owned: its end of the answers, until it has its own */
	struct peer_offers *offers; /* owned: what it asks, see master/peer; NULL: nothing */
	struct unread *kept; /* owned: what one had not read, until the next can be started */
	struct child **sessions; /* owned: its connections by place; NULL: the place is free */
	struct caller **callers; /* the same of hatchd-front, who has no others */
	struct inquiry_place *questions; /* the same of hatchd-lookup, who has questions */
	uint32_t *free;                  /* owned: places that are free, a stack */
	uint32_t places, n_free;
	uint32_t n_posted; /* of the connections, those that are sockets of datagrams */
};

/* So many of master->workers are in use: one of each kind, and elders. */
size_t workers_used(const struct master *master);

/* Open their programs: before anybody is served, the file system may not answer later
 * (I2), and what an upgrade puts in their place is not for us. */
void workers_init(struct master *master);

/* Could it take one more now, after it was started if need be? */
bool worker_has_room(const struct worker *worker);

/* It could not be started, or died at once: is it to be tried again later? */
bool worker_is_paused(const struct worker *worker);

/* Start it if it does not run.  0, or a negative errno: not now. */
int worker_need(struct worker *worker, uint64_t now);

/* A pause of that service is over: if it is a worker's, and somebody waits for it, try again.
 */
void worker_resume(const struct service *service, uint64_t now);

/* Its connections, or questions, while it has them. */
uint32_t worker_sessions(const struct worker *worker);

/* Whose process that is, or was until another took its place; NULL: no worker's. */
struct worker *worker_of_process(const struct child *child);

/* It has ended, and is about to be forgotten: so are its connections. */
void worker_ended(struct worker *worker, uint64_t now);

/* Ask it whether it goes on, now and then; it is killed if it does not answer. */
void worker_ask(struct worker *worker, uint64_t now);

/* Look after those that have not answered; returns when the next is due. */
uint64_t workers_turn(struct master *master, uint64_t now);

/* What hatchd-lookup has read when it was started has changed: another one is asked from now
 * on.  One that has not ended since it was let go last time is killed. */
void workers_renew_lookup(struct master *master, uint64_t now);

/* It lacks what it needs for one more client: say so, and for a while ask others first. */
void worker_refuses(struct worker *worker, uint64_t now);

/* It breaks the rules: say so, and kill it. */
void worker_kill(struct worker *worker, const char *why);

/* Nothing more will come: they finish what they have, and end. */
void workers_drain(struct master *master);

/* Is one about to end that has no client left, or none that stays? */
bool workers_are_ending(const struct master *master);

/* At the end: those that should have ended, and have not. */
void workers_kill_idle(struct master *master);

/* Then: they can be spoken to no more, and what they have not read is let go. */
void workers_done(struct master *master);

/* Then, when nobody is at work any more: forget them. */
void workers_free(struct master *master);

/* Children that are no clients: processes of workers, and sockets that these keep. */
uint32_t workers_not_clients(const struct master *master);

#endif
