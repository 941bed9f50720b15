/*
 * worker-kind: which workers there are, and who needs which.
 *
 * A worker is one of a kind for as long as the master runs, also while it has no process.
 * What kinds differ in is one table here: their programs, what a connection takes there,
 * and what they have at their places, by which the other modules tell them apart.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_WORKER_KIND_H
#define HATCHD_MASTER_WORKER_KIND_H

#include "conf/conf.h"

#include <stdbool.h>
#include <stdint.h>

struct listener;
struct service;
struct worker;

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
	/* hatchd-tls: speaks TLS with clients (master/caller-tls), in as many processes as
	 * tls_workers says. */
	WORKER_TLS,
	WORKER_TLS_LAST = WORKER_TLS + CONF_TLS_WORKERS_MAX - 1,
	_WORKER_KIND_MAX,
};

/* Of the image of hatchd before this one, and those before that (master/elder). */
#define WORKERS_ELDER_MAX 64
#define WORKERS_MAX       (_WORKER_KIND_MAX + WORKERS_ELDER_MAX)

/* What a worker has at its places. */
enum worker_holds {
	WORKER_HOLDS_SESSIONS, /* connections and sockets that it serves (master/pass) */
	WORKER_HOLDS_CALLERS, /* connections that somebody else serves, or is to (master/caller)
	                       */
	WORKER_HOLDS_QUESTIONS, /* no connections (master/inquiry) */
};

enum worker_holds worker_holds(const struct worker *worker);

/* "hatchd-builtin-local": what it is called in messages; and its program, which may be that
 * of others. */
const char *worker_name(const struct worker *worker);
const char *worker_program(const struct worker *worker);

/* The kind that is called so; _WORKER_KIND_MAX: none is. */
enum worker_kind worker_kind_named(const char *name);

/* Does it finish what it has, and get nobody new? */
bool worker_is_elder(const struct worker *worker);

/* Descriptors that a connection takes there at most. */
uint32_t worker_fds(const struct worker *worker);

/* Is it one that asks about each of those who send datagrams? */
bool worker_is_for_datagrams(const struct worker *worker);

/* The one that serves clients of that service, who have come by IP or not; NULL: it has a
 * program.  The setup is in memory, here and below. */
struct worker *worker_of(const struct service *service, bool is_ip);

/* The one that is given that socket of datagrams, whose service does not wait. */
struct worker *worker_of_socket(const struct listener *listener);

/* The one that has to read what clients of that service say before somebody serves them; NULL:
 * nobody has. */
struct worker *worker_of_front(const struct service *service, bool is_ip);

/* Is it one that speaks TLS? */
bool worker_is_for_tls(const struct worker *worker);

/* Is it one that passes clients on to somebody else? */
bool worker_is_relay(const struct worker *worker);

/* Are there more of its kind than are wanted? */
bool worker_is_superfluous(const struct worker *worker);

/* The one that is to speak TLS with the next client of that service, who comes to a socket of
 * its own: of those that may run the one that has fewest; NULL: TLS is not spoken there. */
struct worker *worker_of_tls(const struct service *service);

/* The first that a client of that service has to do with before somebody serves him, or is
 * asked about him: who reads what he says, or speaks TLS with him; NULL: nobody. */
struct worker *worker_of_words(const struct service *service, bool is_ip);

/* The one that has to be asked before clients of that service come in; NULL: none. */
struct worker *worker_of_questions(const struct service *service);

#endif
