/*
 * stats: what has happened to the clients of a service, in numbers that only grow, for
 * whoever measures (hatchctl metrics).
 *
 * They belong to a service from its first client on, live as long as it does, over every
 * reload that keeps it, and go with it; a service that nobody uses has none.  The master has
 * the same numbers for all services that there were.  Without memory a service's are not
 * counted, those of all are.
 *
 * What is counted elsewhere is not counted here: children that were started and refusals are
 * in the service and its `told`.  Workers and backends are nobody's clients.
 *
 * Three times are measured, one after the other, so that an operator sees who is slow:
 *
 *	queue  from the end of the handshake to accept: hatchd did not come, or waited for room
 *	       (instances, rate); TCP only, see os/queued
 *	wait   from accept until there was somebody to serve him: headers, handshakes of TLS,
 *	       names that were looked up, shortages; less than a turn otherwise
 *	spawn  from then until his program was seen to run: clone, everything up to its exec,
 *and what passes until the master looks, at least every 1 to 50 ms
 *
 * Each hook costs a few additions.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_STATS_H
#define HATCHD_MASTER_STATS_H

#include "os/channel.h"
#include "policy/histogram.h"

#include <stdint.h>

struct child;
struct child_end;
struct conn;
struct master;
struct service;

/* How programs end. */
enum stats_end {
	STATS_SUCCESS,     /* status 0 */
	STATS_ERROR,       /* another one */
	STATS_SIGNAL,      /* killed */
	STATS_NOT_STARTED, /* it came to no exec */
	_STATS_END_MAX,
};

/* How sessions of workers end: as enum channel_result says, or ... */
#define STATS_SESSION_LOST CHANNEL_PASSED /* ... with their worker */
#define _STATS_SESSION_MAX (CHANNEL_PASSED + 1)

struct stats {
	uint64_t accepted; /* connections that were taken from the kernel */
	uint64_t ended[_STATS_END_MAX];
	uint64_t sessions[_STATS_SESSION_MAX];
	uint64_t cpu_usec;            /* of programs that have ended */
	uint64_t bytes_in, bytes_out; /* from and to clients, as far as they are known */
	struct histogram queue, wait, spawn;
};

/* The stable words of these. */
const char *stats_end_word(enum stats_end end);
const char *stats_session_word(unsigned session);

/* He has come to that service; whose client he is may be found out later. */
void stats_accepted(const struct conn *conn);

/* There is somebody who serves him. */
void stats_let_in(const struct conn *conn, uint64_t now);

/* His program runs; it could not be started; it has ended. */
void stats_started(const struct child *child, uint64_t now);
void stats_not_started(const struct child *child);
void stats_ended(const struct child *child, const struct child_end *end);

/* A worker says how a session has ended; NULL: the worker has died. */
void stats_session_ended(const struct child *child, const struct channel_answer *answer);

/* So many bytes have come from clients, and have gone to them. */
void stats_bytes(struct service *service, uint64_t in, uint64_t out);

/* A service that may be gone, or stand elsewhere, when there is something to count. */
struct stats_place {
	uint32_t index;  /* in master->services */
	uint32_t number; /* of the service */
};

struct stats_place stats_place_of(const struct service *service);

/* As stats_bytes(); those of a service that is not there any more count for all alone. */
void stats_bytes_at(
	struct master *master, const struct stats_place *place, uint64_t in, uint64_t out);

#endif
