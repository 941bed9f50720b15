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
#include "master/stats.h"
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
	CALLER_CARRIED, /* is served, or was, and hatchd-tls carries his bytes */
	CALLER_GONE,    /* nothing is left but his place at the worker, who has been told */
};

struct caller {
	struct pending_node pending; /* in the ledger of the service that he came to; in
	                                callers.leaving if nobody serves him any more */
	TAILQ_ENTRY(caller) all, waiting;
	struct belongs to_listener, to_service; /* of `conn`, who take him along */
	struct master *master;
	struct conn conn; /* its descriptor owned, a high number; and what is known of him */
	uint32_t ledger;  /* number of that service */
	enum caller_state state;
	struct worker *worker; /* that reads, or is to */
	bool has_place;        /* there; then `place` is its number */
	uint32_t place;
	unsigned tries; /* workers that he was sent to, and that did not take him */
	unsigned tasks; /* enum front_task: what the worker is told to do */
	bool named;     /* he has come to a tcpmux, and conn.service is what he wants */
	bool offered;   /* the worker has asked whether he may come in, */
	bool refused;   /* and he may not */
	enum channel_verdict verdict; /* what became of that */
	bool plus;                    /* with it: "+go" is to be said */
	bool asks_again;    /* what was looked up before an upgrade is to be known again */
	bool untold;        /* the worker is to be told that, or of his end when he has gone,
	                       as soon as there is room */
	uint8_t *authority; /* owned: conn.authority; NULL: not said */
	bool shaken;        /* he speaks TLS, and what was agreed with him is known */
	uint8_t trust[CONF_TLS_DIGEST_LEN]; /* ... under what was asked of clients then */
	char *facts; /* owned: conn.tls_facts, or the pieces that have come; NULL: nothing */
	size_t facts_len;
	int far_end;    /* owned: hatchd-tls's of the stream pair, until it has it */
	int near_end;   /* owned: a copy of the other one while a worker serves him, whose close
	                   alone would look like an end in order; -EBADF: none */
	bool by_worker; /* who is no program */
	struct stats_place served; /* CALLER_CARRIED: whose client he is, or was */
	bool cut;                  /* hatchd-tls has said that he was cut off */
	struct child *child;       /* who serves him; NULL: nobody, or nobody any more */
	struct inquiry *inquiry; /* owned: what is looked up; NULL: nothing.  conn.findings are
	                            held, and what has come of it */
};

/* He waits from now on, and is looked at again then (usec, monotonic). */
void caller_let_wait(struct caller *caller, enum caller_state state, uint64_t due);

/* He is one of those whose words are awaited, if need be in the place of another one.  0 or
 * -ENOMEM; the setup of his service is in memory, and so it is then. */
int caller_enter_ledger(struct caller *caller, uint64_t now);

/* He is no longer one of those whose words are awaited, or who are leaving. */
void caller_leave_ledger(struct caller *caller);

/* The worker has nothing of him any more. */
void caller_leave_place(struct caller *caller);

/* He goes with the listener and the service of `conn`, if these go.  0 or -ENOMEM. */
int caller_go_with(struct caller *caller);

/* He wants that service from now on.  0 or -ENOMEM, and nothing has changed. */
int caller_choose(struct caller *caller, struct service *service);

/* The last of him, but for his place, whose worker is told. */
void caller_let_go(struct caller *caller, uint64_t now);

/* He waits no longer, if he did. */
void caller_stop_waiting(struct caller *caller);

/* Close that end of the stream pair, later: somebody may have put something into it whose close
 * takes its time. */
void caller_close_end(const struct caller *caller, int *end, uint64_t now);

/* He is with others no longer that come to that service. */
void caller_part(struct caller *caller);

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

/* ------------------------------------------------------------------ caller-tls.c */

/* Is hatchd-tls the worker that he is with, or is to be? */
bool caller_speaks_tls(const struct caller *caller);

/* He has to speak TLS before he is served, and has not begun. */
bool caller_has_to_shake_hands(const struct caller *caller);

/* Give him to hatchd-tls, where he has a place; the setup of his service is in memory.  As
 * channel_send(). */
int caller_tls_begin(struct caller *caller);

/* Is the service still one that he can have chosen, as he has spoken TLS, or not?  A reload may
 * have changed it since; the setup of it is in memory. */
bool caller_tls_fits(struct caller *caller);

/* FACT and OFFER.  False: it lies. */
bool caller_tls_hear(struct caller *caller, const struct channel_answer *answer, uint64_t now);

/* All is known: start who is to serve him, or let him wait. */
void caller_carry(struct caller *caller, uint64_t now);

/* Nobody serves him any more, and he may not have heard everything. */
void caller_leave(struct caller *caller, uint64_t now);

/* He has heard everything, or has gone: the last of him. */
void caller_carried(struct caller *caller, const struct channel_answer *answer);

/* He was cut off.  False: it lies. */
bool caller_hear_cut(struct caller *caller, uint64_t now);

/* What was known of him by TLS is not known. */
void caller_forget_facts(struct caller *caller);

/* He and who serves him know nothing of each other any more. */
void caller_unlink(struct caller *caller);

/* -------------------------------------------------------------- caller-hear.c */

/* Who he is, is known: serve him, have him greeted, or let him wait. */
void caller_go_on(struct caller *caller, uint64_t now);

#endif
