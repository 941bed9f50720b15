/*
 * caller-internal: what caller.c, where callers are kept, and caller-hear.c, where it is heard
 * what the worker says of them, share.  For nobody else.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_CALLER_INTERNAL_H
#define HATCHD_MASTER_CALLER_INTERNAL_H

#include "base/clock.h"
#include "master/caller.h"
#include "master/inquiry.h"
#include "policy/admit.h"

#include <stddef.h>

/* How long those that wait are not looked at. */
#define CALLER_LOOK (20 * USEC_PER_MSEC)

enum caller_state {
	CALLER_IN_HAND, /* something is being done about him: whoever does that sees to him */
	CALLER_NEW,     /* waits for the worker */
	CALLER_SPEAKS,  /* the worker reads what he says */
	CALLER_ASKED,   /* something is looked up about him */
	CALLER_KNOWN,   /* waits for somebody to serve him */
	CALLER_GONE,    /* nothing is left but his place at the worker, who has been told */
};

struct caller {
	struct pending_node pending; /* in the ledger of the service that he came to */
	TAILQ_ENTRY(caller) all, waiting;
	struct belongs to_listener, to_service; /* of `conn`, who take him along */
	struct master *master;
	struct conn conn; /* its descriptor owned, a high number; and what is known of him */
	uint32_t ledger;  /* number of that service */
	enum caller_state state;
	struct worker *worker; /* that reads, or is to */
	uint32_t place;        /* there: of CALLER_SPEAKS and CALLER_GONE */
	unsigned tries;        /* workers that he was sent to, and that did not take him */
	unsigned tasks;        /* enum front_task: what the worker is told to do */
	bool named;            /* he has come to a tcpmux, and conn.service is what he wants */
	bool offered;          /* the worker has asked whether he may come in, */
	bool refused;          /* and he may not */
	enum channel_verdict verdict; /* what became of that */
	bool plus;                    /* with it: "+go" is to be said */
	bool untold;        /* the worker is to be told that, or of his end when he has gone,
	                       as soon as there is room */
	uint8_t *authority; /* owned: conn.authority; NULL: not said */
	struct inquiry *inquiry; /* owned: what is looked up; NULL: nothing.  conn.findings are
	                            held, and what has come of it */
};

/* He waits from now on, and is looked at again then (usec, monotonic). */
void caller_let_wait(struct caller *caller, enum caller_state state, uint64_t due);

/* The worker has nothing of him any more. */
void caller_leave_place(struct caller *caller);

/* What he has asked for has gone, or where he came to, while he was in hand. */
bool caller_is_alone(const struct caller *caller);

/* He is no caller any more: without a place, and not waiting; the descriptor is somebody
 * else's. */
void caller_forget(struct caller *caller);

/* Tell of it that he may not come in. */
void caller_refuse(struct caller *caller, enum admit_verdict verdict, uint64_t now);

/* What became of his offer, or that he has to end; the latter if he has gone. */
void caller_tell_worker(struct caller *caller);

/* Something is to be looked up about him.  False: not now, for lack of memory. */
bool caller_inquire(struct caller *caller, uint64_t now);

/* That is known: say what becomes of the offer about him. */
void caller_answer_offer(struct caller *caller, uint64_t now);

/* Who he is, is known: serve him, have him greeted, or let him wait. */
void caller_go_on(struct caller *caller, uint64_t now);

#endif
