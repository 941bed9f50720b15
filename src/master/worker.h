/*
 * worker: a process that serves many connections in the master's place.
 *
 * Started like any child, as the child of a service without sockets: so the pauses between
 * tries, the record of its end and its messages are those of every program.  It is started
 * when the first client needs it; if it dies, its connections are over, and the next client
 * starts another one.
 *
 * What it says is a stranger's word (os/channel): it is believed of connections that
 * it has, and who breaks the rules is killed.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_WORKER_H
#define HATCHD_MASTER_WORKER_H

#include "master/child.h"
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

enum worker_kind {
	WORKER_BUILTIN, /* hatchd-builtin: answers by itself */
	WORKER_RELAY,   /* hatchd-relay: passes them on */
	/* The same for all that is not of IP.  Who is at the other end of a UNIX socket can
	 * send a descriptor along whose close waits for as long as he likes: that harms none of
	 * the network.  Clients of the network who may be passed on to a UNIX socket are here
	 * too. */
	WORKER_BUILTIN_LOCAL,
	WORKER_FRONT, /* hatchd-front: reads what clients say first (master/caller) */
	WORKER_FRONT_LOCAL,
	WORKER_RELAY_LOCAL,
	WORKER_UDP, /* hatchd-udp: a program for each of those who send datagrams */
	WORKER_UDP_LOCAL,
	WORKER_UDP_RELAY, /* the same program, which passes them on to somebody else */
	WORKER_LOOKUP,    /* hatchd-lookup: asks name servers and others (master/inquiry) */
	_WORKER_KIND_MAX,
};

struct worker {
	struct master *master;
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

/* "hatchd-builtin" */
const char *worker_name(const struct worker *worker);

/* Descriptors that a connection takes there at most. */
uint32_t worker_fds(const struct worker *worker);

/* The one that serves clients of that service, who have come by IP or not; NULL: it has a
 * program.  The setup is in memory. */
struct worker *worker_of(const struct service *service, bool is_ip);

/* The one that is given that socket of datagrams, whose service does not wait. */
struct worker *worker_of_socket(const struct listener *listener);

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

/* The one that has to read what clients of that service say before somebody serves them; NULL:
 * nobody has.  The setup is in memory. */
struct worker *worker_of_front(const struct service *service, bool is_ip);

/* The one that has to be asked before clients of that service come in; NULL: none.  The
 * setup is in memory. */
struct worker *worker_of_questions(const struct service *service);

/* Is it one of those? */
bool worker_is_front(const struct worker *worker);

/* Is it one that asks about each of those who send datagrams? */
bool worker_is_for_datagrams(const struct worker *worker);

/* Is it the one that looks names up? */
bool worker_is_for_questions(const struct worker *worker);

/* Its connections, or questions, while it has them. */
uint32_t worker_sessions(const struct worker *worker);

/* Whose process that is, or was until another took its place; NULL: no worker's. */
struct worker *worker_of_process(const struct child *child);

/* It has ended, and is about to be forgotten: so are its connections. */
void worker_ended(struct worker *worker, uint64_t now);

/* Those that pass clients on may have said something that nobody has heard yet. */
void workers_hear(struct master *master);

/* Ask it whether it goes on, now and then; it is killed if it does not answer. */
void worker_ask(struct worker *worker, uint64_t now);

/* Look after those that have not answered; returns when the next is due. */
uint64_t workers_turn(struct master *master, uint64_t now);

/* There was no room for a request: those who are to end are told as soon as there is. */
void worker_wait_for_room(struct worker *worker);

/* The same of a client: until then worker_has_room() says no. */
void worker_is_full(struct worker *worker);

/* It says that it has set itself up, or that it goes on.  False: it was not asked. */
bool worker_is_ready(struct worker *worker);
bool worker_goes_on(struct worker *worker);

/* What hatchd-lookup has read when it was started has changed: another one is asked from now
 * on.  One that has not ended since it was let go last time is killed. */
void workers_renew_lookup(struct master *master, uint64_t now);

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
