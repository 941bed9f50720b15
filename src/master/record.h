/*
 * record: one line per connection, at its end, and one for those that are
 * still open after a while.
 *
 * The journal keeps the same facts as fields with stable names: SERVICE
 * CONNECTION PEER LOCAL PID RESULT STATUS DURATION_USEC CPU_USEC BYTES_IN
 * BYTES_OUT REASON.  What is not known is not there.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_RECORD_H
#define HATCHD_MASTER_RECORD_H

#include "master/account.h"
#include "master/child.h"
#include "master/conn.h"
#include "master/service.h"
#include "os/channel.h"
#include "policy/admit.h"

/* usec; a connection open for so long gets a record of its own. */
#define RECORD_OPEN_AFTER (UINT64_C(10) * 1000 * 1000)

void record_end(struct child *child, const struct child_end *end, uint64_t now);

/* What is told of one who was served, once that is over. */
struct record {
	struct account whole, logged; /* the second is what of it is to be in the log */
	bool is_logged;               /* if anything is */
	bool is_followed;             /* who follows (master/follow) is told, too */
};

/* Tell it; its child may be gone since (master/tally). */
void record_write(const struct service *service, const struct record *record);

/* What a worker says of a connection that is over; NULL: the worker has died. */
void record_session_end(
	const struct child *child, const struct channel_answer *answer, uint64_t now);

void record_open(struct child *child, uint64_t now);

/* Not let in, and banned for so long (usec; 0: not banned).  A flood becomes one line
 * for each source, and one with a count: see master/refusals. */
void record_refused(
	const struct conn *conn, enum admit_verdict verdict, uint64_t banned, uint64_t now);

/* No child came about: "unable to start /usr/bin/tr: exec: No such file or directory". */
void record_not_started(struct child *child, const char *step, int error, uint64_t now);

/* A datagram that nobody took is gone: see master/arrival. */
void record_dropped(const struct listener *listener, const struct addr *sender, uint64_t now);

/* The service takes nobody in for now; at most one line a minute. */
void record_full(struct service *service, uint64_t now);

/* The service's rate is used up; at most one line a minute. */
void record_paced(struct service *service, uint64_t now);

/* The same for another reason that will pass. */
void record_waits(struct service *service, enum admit_verdict verdict, uint64_t now);

/* hatchd-lookup does not say what is wanted, or there is no memory for that: the "name of"
 * 192.0.2.7, the "user at" it, or the "target" www.example.org; at most one line a minute. */
void record_not_found(
	struct service *service, const char *what, const char *whose, const char *why);

/* Nobody takes anybody in: total_instances children live. */
void record_full_total(struct master *master, uint64_t now);

/* Sources that something is to be remembered of are too many, and some have been forgotten;
 * at most one line a minute.  Costs next to nothing if none has. */
void record_forgotten(struct master *master, uint64_t now);

/* Lines that say how many messages were held back, for windows that are over.
 * Returns when the next one is due, USEC_INFINITY: none. */
uint64_t record_report_held_back(struct master *master, uint64_t now);

/* The same at once, before the end. */
void record_flush_held_back(struct master *master);

#endif
