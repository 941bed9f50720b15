/*
 * orphans: what an earlier hatchd has left running, by a crash, SIGKILL, or because it was to.
 *
 * Programs go on with their connections when their hatchd dies, and workers until they are
 * done.  Nobody waits for them, and they count for no limit; but operators see them, and can
 * end them.  Another process looks for them (os/orphan_search): when somebody asks, a while
 * after a start before which there was a hatchd, as far as can be seen, and from time to time
 * as long as there are any.
 *
 * A look goes through all processes of the machine, and whoever may look may ask all the time.
 * So what was found is the answer for a while, the longer the more it has cost.
 *
 * What is asked for is done one after the other.  ORPHANS_QUEUE_MAX may be on their way; who
 * asks after that is refused.  What nobody waits for any more is not begun.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_ORPHANS_H
#define HATCHD_MASTER_ORPHANS_H

#include "master/lineage.h"
#include "os/orphan_search.h"

#include <systemd/sd-event.h>

struct master;

/* More than those who can wait for an answer at once (master/control). */
#define ORPHANS_QUEUE_MAX 16

/* What was asked for, and what became of it. */
struct orphans_request {
	struct orphan_order order;
	int result;         /* 0, or why it was not done: a negative errno */
	uint32_t n_told;    /* processes that were sent a signal */
	uint32_t n_waiting; /* who have asked for it and are still there */
	bool ours;          /* we look by ourselves */
};

struct orphans {
	struct lineage lineage;
	struct orphan_search *search; /* owned; NULL: there is no family, so nothing is left */
	sd_event_source *source;      /* owned; of the search */
	struct orphans_request queue[ORPHANS_QUEUE_MAX]; /* by the remainder of their numbers */
	uint64_t n_asked;      /* numbers that were given out, from 0 */
	uint64_t n_over;       /* of them; the next one is under way if the search runs */
	struct orphan *found;  /* by the last one, by their pids; owned */
	size_t n_listed;       /* of these */
	uint32_t n_found;      /* the same without a bound */
	struct orphan *coming; /* by the one that runs; owned, room for ORPHANS_TOLD_MAX */
	size_t n_coming;
	bool known;           /* one of them went well */
	bool told_left;       /* what the log was last told: there are some, or none */
	uint64_t left_told;   /* when it was last told the one ... */
	uint64_t none_told;   /* ... and the other */
	uint64_t failed_told; /* when it was last said that a search has failed */
	uint64_t begun;       /* usec, monotonic: the search that runs */
	uint64_t fresh_look;  /* the number of the last look ... */
	uint64_t fresh_until; /* ... which is the answer to who asks before that; usec */
	uint64_t look_due;    /* usec, monotonic: the next look; USEC_INFINITY: none */
	uint64_t look_again;  /* usec: from one look of our own to the next */
	uint64_t pause_end;   /* usec, monotonic: no search is begun before */
	uint64_t due;         /* when something is to be done */
};

#define ORPHANS_NONE ((struct orphans){.look_due = UINT64_MAX, .due = UINT64_MAX})

/* Open what is needed, before anybody is served; `main_file` is of the configuration.
 * 0 or a negative errno. */
int orphans_init(struct master *master, const char *main_file);

/* The sockets are open, and something of an earlier hatchd was there: look after a while. */
void orphans_begin(struct master *master, uint64_t now);

/* Ask for that.  NULL, and it has that number, until orphans_leave(); or why not, a constant
 * phrase. */
const char *orphans_ask(struct master *master, enum orphan_order_kind kind, const char *service,
	uint64_t now, uint64_t *ret_number);

/* Whoever has asked for that waits no longer, whether or not it is over. */
void orphans_leave(struct orphans *orphans, uint64_t number);

/* What became of it; NULL: it is not over.  Of the last ORPHANS_QUEUE_MAX that is known. */
const struct orphans_request *orphans_answer(const struct orphans *orphans, uint64_t number);

/* The first of those that are listed with a higher pid; NULL: there is none. */
const struct orphan *orphans_next(const struct orphans *orphans, pid_t after);

/* To be called in each turn. */
void orphans_turn(struct master *master, uint64_t now);

void orphans_done(struct orphans *orphans);

#endif
