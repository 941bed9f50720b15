/*
 * service: the runtime half of a configured service.
 *
 * Points at its configuration, never the other way round.  service_update()
 * is the one place that decides whether its sockets are polled: it looks only
 * at state, may be called at any time, and must be called after every change
 * of state, count or configuration.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_SERVICE_H
#define HATCHD_MASTER_SERVICE_H

#include "base/log-gate.h"
#include "master/backend.h"
#include "master/child.h"
#include "master/listener.h"
#include "master/pace.h"
#include "master/pause.h"
#include "master/setup.h"
#include "master/stats.h"
#include "master/told.h"

struct master;
struct steered;

enum service_state {
	SERVICE_ACTIVE,   /* serves, on those of its addresses that can be had */
	SERVICE_WAITING,  /* a condition of its configuration keeps it from being served */
	SERVICE_DISABLED, /* an operator lets nobody in: its listeners have no sockets, unless
	                     others are chosen there */
	SERVICE_STOPPED,  /* no longer listens; its children may live on */
};

/* There may be ten thousand: without holes. */
struct service {
	struct master *master;
	struct setup *setup;   /* what the next child is started with, if it is in memory: see
	                          service_setup(); held */
	uint32_t index;        /* its place in master->image */
	uint16_t setup_place;  /* in master->setups */
	uint8_t told_to;       /* operators, each a bit: see master/control-answer */
	bool setup_used : 1;   /* since the clock came by */
	bool told_to_wait : 1; /* the log says so: for a condition */
	bool claimed : 1;      /* scratch of apply(), false outside */
	bool wait : 1;         /* one child gets the socket itself */
	bool takes_all : 1;    /* ... gets all of them */
	bool starved : 1;      /* no slot was free; in master->starved */
	bool retired : 1;      /* in master->retired: removed, but not forgotten */
	bool sensor : 1;       /* whoever connects is banned */
	bool refuses : 1;      /* overflow = refuse */
	bool tallies : 1;      /* account_bytes: of its programs it is counted what they say */
	bool for_several : 1;  /* clients of TLS choose others at its sockets (tls_name) */
	enum service_state state : 4;
	unsigned deaths : 4;          /* children in a row that died at once */
	enum pause_why pause_why : 4; /* of this pause, or else the last */
	unsigned pauses : 4;          /* in a row for that reason: they grow */
	uint8_t fruitless;  /* wait children in a row that left at once what woke them */
	uint32_t instances; /* COUNT_UNLIMITED: no limit */

	struct listener **listeners; /* owned, one for each address of its configuration */
	struct listener *single;     /* where they are if there is only one */
	uint32_t n_listeners;
	int log_stream; /* the journal's stream for standard error, owned; -EBADF: none */

	struct child *first;      /* its children, oldest first; see service_youngest() */
	uint64_t n_started;       /* children there ever were */
	uint32_t n_children;      /* of them, those with a client */
	uint32_t n_in_flight;     /* of them still in our memory */
	uint32_t n_tallied;       /* children that are gone, and their records wait for bytes */
	uint32_t n_closing;       /* descriptors with the closer; atomic */
	uint32_t number;          /* never given twice, from 1: names it to master->sources */
	struct child *wait_child; /* pass_as = listen_fds: who has all sockets now */

	struct service *next_starved, *prev_starved;
	struct service *next_retired; /* in master->retired */
	struct told *told;            /* owned; NULL: nothing yet, see service_told() */
	struct steered *steered;      /* what an operator has set, owned; NULL: nothing */
	struct stats *stats;          /* owned; NULL: nothing yet */
	struct pace *pace;            /* of its rate, owned; NULL: unlimited */
	struct backend *backend;      /* in master->backends; NULL: none was needed yet */

	uint64_t paused_until; /* usec, monotonic; 0: not paused, else in master->paused */
	struct service *next_paused, *prev_paused;

	uint64_t deaths_since; /* when the first of `deaths` was born */
	char label[];          /* "upper: " before messages; "" in ad-hoc mode */
};

/* A new service of that name, without setup and listeners; NULL without memory. */
struct service *service_new(struct master *master, const char *name);

/* Whether that is its name; in ad-hoc mode there is one service only. */
bool service_is_called(const struct service *service, const char *name);

/* Its name; "" where its configuration cannot be read. */
const char *service_name(struct service *service);

/* Close what is open; children must be gone or are abandoned, and
 * service_closing() be 0 by then. */
struct service *service_free(struct service *service);

/*
 * Have a listener for each address and open those that are not open.  0, or the
 * negative errno of the first that failed, after saying which and why; in a daemon
 * the others serve, and it is tried again.
 */
int service_open(struct service *service);

/* Is there an address that cannot be had? */
bool service_lacks_address(const struct service *service);

/* Does it serve anybody: active, and with a socket, or to be had by its name? */
bool service_is_served(const struct service *service);

/* Are clients taken from its sockets: for itself, or, while an operator lets nobody in, for
 * those that are chosen there (for_several)? */
bool service_takes_in(const struct service *service);

/* Take over an array of `n` listeners, which is freed or kept. */
void service_take_listeners(struct service *service, struct listener **listeners, uint32_t n);

/* Close its sockets; service_open() opens them again. */
void service_close_listeners(struct service *service);

/* Close its sockets for good; children are untouched. */
void service_close(struct service *service);

/* Have a journal stream for standard error of its children, if they need one. */
void service_open_log(struct service *service);

/* Tell those of its children that have a socket of ours to end (SIGTERM). */
void service_end_wait_children(struct service *service);

/* Tell a worker that has sockets of it to let go of them. */
void service_take_back_sockets(struct service *service);

/* Another hatchd has their sockets as well: what leads to those stays when they are closed. */
void services_leave_paths(struct master *master);

/*
 * It is configured no longer: close its sockets, and free it as soon as its last
 * child is gone.  service_unretire() takes that back, services_bury() looks who is
 * left alone.
 */
void service_retire(struct service *service);
void service_unretire(struct service *service);
void services_bury(struct master *master);

/* At the end: free them all, with children or without. */
void services_forget_retired(struct master *master);

/* As many children as `instances` allows. */
bool service_is_full(const struct service *service);

/* Poll its sockets or do not. */
void service_update(struct service *service);

/* Have the descriptor of that connection (0: it has no child) closed by somebody who may
 * wait (os/closer), from `now` on (usec, monotonic): after a while he gets help. */
void service_close_later(struct service *service, int fd, uint64_t connection, uint64_t now);

/* The same for a copy of it, where whoever has the other one says himself when it is over. */
void service_close_copy_later(
	struct service *service, int fd, uint64_t connection, uint64_t now);

/* The same for a socket, whose address somebody else may wait for. */
void service_close_listener_later(struct service *service, int fd, uint64_t now);

/* Descriptors that are on their way to be closed. */
uint32_t service_closing(const struct service *service);

/* The child that was born last, or NULL. */
struct child *service_youngest(const struct service *service);

void service_add_child(struct service *service, struct child *child);
void service_remove_child(struct service *service, struct child *child);

/* From now on so many bits of an address make a source: so do those of its living children,
 * or who has as many as he may could have as many again. */
void service_recount_sources(struct service *service, unsigned prefix4, unsigned prefix6);

#endif
