/*
 * caller: a client of whom it is not known yet who he is, or what he wants.
 *
 * Where a service expects the header of a proxy, is a tcpmux or greets its clients, a
 * connection goes to hatchd-front first, which reads what has to be read and says what it was:
 *
 *	accept, gate_first()       may he speak at all?
 *	SERVE                      hatchd-front reads, and greets him
 *	OFFER, VERDICT             if what he is to be told depends on whether he may come in
 *	DONE, CHANNEL_PASSED       serve_caller(): now who he is, is known; may he come in?
 *
 * Who he is may have to be looked up as well (master/inquiry): where he has told it himself,
 * before he is told whether he may come in, and for all others at once.
 *
 * The master keeps its own copy of the connection meanwhile, so that nothing has to come back
 * from the worker but what it has read.  Whatever that says, it is believed as far as the
 * client himself is: who he is, of a service that expects a header and of a proxy that is
 * believed; and the name of a service, if he has come to a tcpmux.
 *
 * Where TLS is spoken, hatchd-tls is the first who hears him, or the next after hatchd-front,
 * and goes on with him (caller-tls.c):
 *
 *	SERVE                      hatchd-tls shakes hands
 *	FACT, OFFER                serve_caller(): his program, or the worker that serves him,
 *	                           gets one end of a stream pair
 *	VERDICT                    the other one, or that he may not come in
 *	DONE                       he has heard everything, or has gone
 *
 * From the VERDICT on the one who serves him is a child as any other, and counts; what is kept
 * here is his place at hatchd-tls.  When the child has ended he may not have heard all that it
 * has said: then he is one of those who are leaving, of whom there may be a number as well.
 *
 * A caller is no child and counts as none.  There may be budget.callers of them, and of one
 * service `pending`, whose oldest goes (policy/pending) when another one comes.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_CALLER_H
#define HATCHD_MASTER_CALLER_H

#include "master/belonging.h"
#include "master/conn.h"
#include "master/ledger.h"
#include "master/stats.h"
#include "master/worker.h"
#include "policy/pending.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct caller;
struct handover_caller;

TAILQ_HEAD(caller_list, caller);

/* All of them. */
struct callers {
	struct caller_list all;
	struct caller_list waiting; /* of them, those that wait for somebody to serve them; in
	                               the order in which they have become ready for it */
	struct belonging belonging; /* to the listeners and services that they go with */
	struct ledgers ledgers;
	struct pending leaving; /* those whom nobody serves any more */
	uint64_t due; /* usec: the waiting are to be looked at; USEC_INFINITY: there are none */
};

void callers_init(struct callers *callers);

/* At the end: they are forgotten, but for their descriptors. */
void callers_done(struct callers *callers);

/*
 * Give that client to the worker that is to read what he says.  The connection is the
 * caller's no longer: it is the worker's, or is held.  0, or a negative errno when it could
 * not be passed, which has been told and pauses the service.
 */
int caller_begin(struct conn *conn, uint64_t now);

/* The same of one about whom something has to be looked up first (master/inquiry). */
int caller_ask(struct conn *conn, uint64_t now);

/* He is refused, and there is a banner that says so: have the worker tell him.  False: there
 * is none, or nobody who could, and he is the caller's to drop. */
bool caller_deny(struct conn *conn, uint64_t now);

/* What the worker says, FACT, OFFER, CUT or DONE.  False: it has no such connection, or may not
 * say that of it. */
bool caller_hear(struct worker *worker, const struct channel_answer *answer, uint64_t now);

/* Who has served him has ended. */
void caller_left(struct caller *caller, uint64_t now);

/* Of those who are leaving there may be so many. */
uint32_t callers_leaving_max(const struct master *master);

/* So many of them have not heard everything yet. */
size_t callers_leaving(const struct master *master);

/* The worker has died: those that it had not taken yet go to the next one, the others are
 * gone with it.  Returns how many. */
uint32_t callers_lost(struct worker *worker, uint64_t now);

/* Tell the worker what it could not be told; there is room again, or a new worker. */
void callers_tell(struct worker *worker);

/* Try to serve those that wait; a bounded number. */
void callers_turn(struct master *master, uint64_t now);

/* Let go of those that have come to that socket, or are for that service: it is closed. */
void callers_drop_listener(const struct listener *listener, uint64_t now);
void callers_drop_service(const struct service *service, uint64_t now);

/* Nothing is to be remembered of that service, which is about to be freed. */
void callers_forget(struct service *service, uint64_t now);

/* What is known of one whose bytes hatchd-tls carries, for the next image of hatchd. */
struct carried {
	uint64_t number;
	uint32_t place; /* at the worker */
	struct addr_source source;
	struct stats_place served;
	int near_end, far_end; /* as a caller has them; whoever takes one puts -EBADF there */
	bool gone;             /* he was let go, and the worker has not said yet that he is */
	bool by_worker, cut, untold;
};

/*
 * All those of whom it is not known yet who serves them, for the next image of hatchd, in the
 * order in which they have come: into ret, with room for caller_count(), but for the places of
 * what they go with, which `place` fills in.  How many, or -ENOMEM; what is owned by them is to
 * be freed either way.
 */
struct caller_company {
	const struct service *service;
	const struct listener *listener;
	const struct worker *worker; /* NULL: nobody has him */
};
typedef void (*caller_placed)(
	void *userdata, const struct caller_company *company, struct handover_caller *to);
int callers_save(const struct master *master, struct handover_caller *ret, caller_placed place,
	void *userdata);

/*
 * And one of them back, when the services have their numbers and before elders are heard.  NULL
 * for what is not there any more.  What he has is his then, and -EBADF and NULL are in its
 * place.  False: he is nobody's client any more, or there is no memory; his worker, which has
 * him, is told.
 */
struct caller_company_here {
	struct service *service;
	struct listener *listener;
	struct worker *worker;
};
bool caller_restore(struct master *master, struct handover_caller *from,
	const struct caller_company_here *company, uint64_t now);

/* When elders are heard: what was looked up about them is looked up again. */
void callers_ask_again(struct master *master, uint64_t now);

/* All that there are. */
size_t caller_count(const struct master *master);

/* With which worker the bytes of that child's client are, and where; NULL: with none. */
const struct worker *caller_carrier(const struct child *child, uint32_t *ret_place);

/* Who is at that place, borrowed.  False: nobody. */
bool caller_carried_at(const struct worker *worker, uint32_t place, struct carried *ret);

/* He is at that elder (master/elder), and takes what is his.  False: he cannot be, or there is
 * no memory. */
bool caller_resume(struct worker *worker, struct carried *from);

/* That child serves him.  False: he is not there, or has one. */
bool caller_resume_child(struct worker *worker, uint32_t place, struct child *child);

/* When all children are there: nobody serves the others any more. */
void callers_resume_leaving(struct worker *worker, uint64_t now);

/* Those of that service whose words are read now, for who looks at it. */
uint32_t callers_pending(const struct service *service);

#endif
