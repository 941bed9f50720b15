/*
 * child: one living program and what its record will say.
 *
 * Or one connection that a worker serves (master/worker): whoever counts children and looks
 * after their time need not know the difference.
 *
 * The table has its final size from start (I9).  Each child is watched by its
 * pidfd in one epoll set of our own below sd-event's, so that the cost of a
 * child's end does not depend on how many others live, and one wake-up serves
 * many ends.  A pidfd is armed once: it needs no removal before it is closed,
 * even while a child in flight still holds a copy of it.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_CHILD_H
#define HATCHD_MASTER_CHILD_H

#include "base/addr.h"
#include "base/heap.h"
#include "base/tcp-diag.h"
#include "os/spawn.h"
#include "policy/lifetime.h"
#include "policy/outcome.h"

#include <stdint.h>
#include <sys/types.h>

struct backend;
struct caller;
struct conn;
struct findings;
struct service;
struct setup;
struct listener;
struct readiness;
struct tally_place;
struct worker;

/* What the kernel knows a connection by, where the client is somebody else: behind a proxy. */
struct tcp_ends {
	struct addr local, peer;
};

struct child {
	struct service *service;
	struct setup *setup; /* what it was started with; held */
	struct listener
		*listener;   /* wait = yes: whose socket it has; NULL once that is closed */
	uint64_t connection; /* its number, never reused */
	pid_t pid;
	int pidfd; /* owned */
	int conn;  /* our copy of the connection, owned; -EBADF: closed, or none (wait) */
	struct spawn_slot *slot;    /* while it uses our memory; then NULL */
	struct spawn_report report; /* how its start went; valid once slot is NULL */
	uint64_t born;              /* usec, monotonic */
	struct worker *worker;      /* serves it, and it has no process; NULL: it has */
	uint32_t place;             /* there */
	bool came_by_ip;            /* whoever spoke for him, and wherever he is himself */
	bool posted;                /* there: a socket of datagrams; nobody's client */
	bool end_wanted;            /* there: is to be told to end, as soon as there is room */
	bool gives_up;              /* ... or only that a target will not come */
	bool on_pair;               /* there: one end of a stream pair (master/caller) */
	bool client_cut;            /* there: hatchd-tls says that its client was cut off */
	bool broke_off;             /* there: it is over, and not everything was said */
	uint8_t news;               /* there: of its backend, enum backend_news */
	bool put_off;               /* there: what it asks waits, see master/peer */
	uint16_t n_offers;          /* there: questions without an answer */
	uint32_t next_ticket;       /* there: of the next question */
	unsigned workers_tried;     /* that it was sent to, see master/unread */
	struct backend *backend;    /* there: to which it is passed on; else that whose process
	                               it is; NULL: none */
	bool unwanted;              /* to get SIGTERM once it has executed */
	bool killed_late;           /* not executed within start_timeout, killed by us */
	bool announced;             /* has been open for RECORD_OPEN_AFTER */

	struct addr peer; /* kind is that of the socket; len 0: unknown or unnamed */
	struct addr local;
	struct ucred peer_cred;    /* UNIX peers; uid (uid_t)-1: unknown */
	struct addr_source source; /* ADDR_SOURCE_NONE: not counted per source */

	/* How long it may live, see master/overdue; without a deadline: as it likes. */
	struct heap_node due; /* in the table's heap, or not */
	struct lifetime life;
	struct readiness *readiness; /* what it says of itself (notify = yes); NULL: nothing */
	struct tcp_handle tcp;       /* of its connection, if that is watched */
	uint64_t taken;              /* bytes of its client that its program will not see */
	struct tcp_ends *ends; /* the addresses that it has; owned; NULL: local and peer */
	struct findings
		*findings; /* what was looked up about its client; held; NULL: nothing */
	struct tally_place *tallied; /* where its bytes are counted (master/tally), or NULL */
	struct caller *carrier; /* its client, who speaks TLS; NULL: he does not, or has gone
	                         */
	uint8_t asking; /* how it is; times its lock kept the answer away, and one; 0: not */
	bool holds;     /* the lock for so long that it gets little time to end */

	struct child *next, *prev;             /* all children of the service, oldest first; of
	                                          the oldest `prev` is the youngest */
	bool late;                             /* cannot be reaped yet */
	struct child *next_late;               /* waiting to be watched again */
	struct child *next_young, *prev_young; /* not announced yet, oldest first */
};

/* How a child ended. */
struct child_end {
	struct outcome outcome;
	uint64_t cpu_usec; /* user and system time of the child and those it waited for */
};

struct child_table;

/* Called for each end, with the child still in the table. */
typedef void (*child_ended)(void *userdata, struct child *child, const struct child_end *end);

/* Room for `max` children, numbers of pidfds that stay from `high` on. */
int child_table_new(
	size_t max, int high, child_ended ended, void *userdata, struct child_table **ret);
struct child_table *child_table_free(struct child_table *table);

/* Readable when a child has ended; belongs to the table. */
int child_table_fd(const struct child_table *table);

size_t child_table_used(const struct child_table *table);

/* Do fewer live than there is room for? */
bool child_table_has_room(const struct child_table *table);

/* Places that were ever taken: a child keeps its own while it lives. */
size_t child_table_places(const struct child_table *table);

/* Who is at that place, or NULL. */
const struct child *child_table_at(const struct child_table *table, size_t place);

/* The connection with that number, or NULL.  Looks at all of them. */
struct child *child_table_find(const struct child_table *table, uint64_t connection);

/* A zeroed child, or NULL when `max` live. */
struct child *child_new(struct child_table *table);

/* Give it back; the caller has taken it off the service's list. */
void child_free(struct child_table *table, struct child *child);

/*
 * A signal for it and its process group: a pipeline is more than the shell that we
 * started.  Never for somebody else: it is ours until it is reaped, and nobody has
 * its number before.  To a worker any signal says that the connection is to be ended, and
 * SIGKILL that it did not do so when it was told.
 */
void child_signal(struct child *child, int signal);

/* The same as soon as its program runs: before, it throws away what comes. */
void child_end_early(struct child *child);

/* It has begun: it is among the young until it is announced. */
void child_begin(struct child_table *table, struct child *child);

/* Watch child->pidfd.  Where that fails it is tried again in a while. */
void child_watch(struct child_table *table, struct child *child, uint64_t now);

/*
 * Watch again those whose end could not be taken: a program that is traced by
 * its own user stays a zombie until the tracer lets go of it, and its pidfd
 * would wake us all that time.
 */
void child_table_retry(struct child_table *table, uint64_t now);

/* When the next one is due; USEC_INFINITY: none. */
uint64_t child_table_retry_due(const struct child_table *table);

/* Reap those that have ended, a bounded number, calling `ended` for each. */
void child_table_reap(struct child_table *table, uint64_t now);

/* Something is to be done about it at that time; USEC_INFINITY: nothing is.  O(log n). */
void child_set_due(struct child_table *table, struct child *child, uint64_t due);

/* When something is to be done about the first of them; USEC_INFINITY: never. */
uint64_t child_table_due(const struct child_table *table);

/* Who is due first, if that is not after `now`, or NULL. */
struct child *child_table_overdue(const struct child_table *table, uint64_t now);

/*
 * Note by which addresses the kernel knows its connection, where the client is somebody else,
 * for whom a proxy speaks: child->ends.  False: there is no memory for that.
 */
bool child_learn_ends(struct child *child, const struct conn *conn);

/* The oldest child that is not announced yet, or NULL. */
struct child *child_table_young(const struct child_table *table);
void child_announced(struct child_table *table, struct child *child);

#endif
