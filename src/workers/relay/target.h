/*
 * target: the way to one of several targets, without ever waiting for it.
 *
 * A search tries one after the other until one takes the connection.  One that does not is
 * skipped for a while by later searches of its service, unless there is no other: it is tried
 * then, since nobody knows better.  Another service may be more patient (connect_timeout), and
 * finds out by itself.  What is known of failing ones is bounded for all services together.
 *
 * A UNIX socket whose queue is full says so at once (EAGAIN) and cannot be waited for: it is
 * asked again, less and less often, for as long as one of TCP would be.
 *
 * One for datagrams takes whoever comes: what there is to know of it is known when it has
 * answered, or somebody else has said that it is not there, and is the caller's to tell.
 *
 * One of them may be started on demand (redirect.await_timeout): while nobody is there, it is
 * looked for again and again, until its time is over or search_give_up() says that it will not
 * come.  Then the others have their turn.
 *
 * It knows no epoll and no clock; both are the caller's.
 *
 * Layer: worker.
 */
#ifndef HATCHD_WORKERS_RELAY_TARGET_H
#define HATCHD_WORKERS_RELAY_TARGET_H

#include "base/redirect.h"

/* For how long a failing target is skipped. */
#define TARGET_SKIP_TIME (UINT64_C(10) * 1000 * 1000)

/* How soon a UNIX socket with a full queue is asked again: each time twice as long. */
#define TARGET_RETRY_MIN (UINT64_C(10) * 1000)
#define TARGET_RETRY_MAX (UINT64_C(1000) * 1000)

/* The same of one that is started on demand: it may take long, and who waits wants it soon. */
#define TARGET_AWAIT_MIN (UINT64_C(5) * 1000)
#define TARGET_AWAIT_MAX (UINT64_C(100) * 1000)

/* Failing targets that are remembered; above that, the one that would be forgotten first
 * makes room. */
#define TARGET_FAILING_MAX 256

/* Services that take turns of their own; more of them share some. */
#define TARGET_TURNS_MAX 1024

struct target_failing {
	struct addr addr;
	uint32_t service; /* whose connections it has failed */
	uint64_t until;   /* usec, monotonic */
};

/* What searches share.  All zero is right at the start. */
struct targets {
	/* One that was not known to fail does: `error` is an errno.  NULL: nobody is told. */
	void (*tell)(const struct addr *addr, int error);
	uint32_t n_failing;
	struct target_failing failing[TARGET_FAILING_MAX];
	uint32_t turns[TARGET_TURNS_MAX]; /* by service */
};

/* Of one for datagrams, what has become of what it was sent: it is not there (`error` is an
 * errno), or it is. */
void targets_failed(struct targets *targets, uint32_t service, const struct addr *addr,
	int error, uint64_t now);
void targets_answered(struct targets *targets, uint32_t service, const struct addr *addr);

/* What the master has sent along (base/redirect).  It is good until the next one is read.  0
 * or a negative errno; -EBADMSG: that is nothing of his. */
int targets_read(int text, struct redirect *ret);

enum search_state {
	SEARCH_WAITS,
	SEARCH_FOUND,  /* search_take() has it */
	SEARCH_FAILED, /* none can be had */
};

struct search;

/* Begin, without trying anything yet: search_go() does.  `targets` is borrowed, what is in
 * `redirect` copied.  0 or -ENOMEM. */
int search_new(struct targets *targets, const struct redirect *redirect, struct search **ret);
struct search *search_free(struct search *search);

/* Go on: `events` are those of epoll(7) for search_fd(), 0 at the start or because it is due;
 * `now` is monotonic, in usec. */
enum search_state search_go(struct search *search, uint32_t events, uint64_t now);

/* While it waits: for what, with which descriptor (-EBADF: for none, only until it is due),
 * and until when. */
int search_fd(const struct search *search);
uint32_t search_events(const struct search *search);
uint64_t search_due(const struct search *search);

/* Another number says that the descriptor before has been closed. */
unsigned search_attempt(const struct search *search);

/* The one that is started on demand will not come: nobody waits for it any longer.  To be
 * followed by search_go(). */
void search_give_up(struct search *search);

/* Whether it was found, or was waited for in vain until its time was over. */
bool search_has_come(const struct search *search);
bool search_has_missed(const struct search *search);

/* The connection that was found; the caller's, and non-blocking. */
int search_take(struct search *search);

/* Whose it is; borrowed from the search. */
const struct addr *search_target(const struct search *search);

/* Why none was: the errno of the last one.  Whether that was the fault of targets; else we
 * lack something. */
int search_error(const struct search *search);
bool search_is_unreachable(const struct search *search);

#endif
