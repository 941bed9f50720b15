/*
 * master: what the one privileged process knows, and the order of its turns.  From where that
 * comes, and how it ends, is master/run's.
 *
 * A turn is one event of sd-event, and then: look at the children
 * that still use our memory, do what has become due, write the log.  Nothing
 * in a turn blocks (I2) and nothing touches a byte of a connection (I1).
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_MASTER_H
#define HATCHD_MASTER_MASTER_H

#include "base/heap.h"
#include "base/log-gate.h"
#include "conf/cmdline.h"
#include "conf/image.h"
#include "master/accounting.h"
#include "master/announce.h"
#include "master/backend.h"
#include "master/budget.h"
#include "master/caller.h"
#include "master/child.h"
#include "master/control.h"
#include "master/detach.h"
#include "master/drain.h"
#include "master/expiry.h"
#include "master/follow.h"
#include "master/inherited.h"
#include "master/inquiry.h"
#include "master/kept.h"
#include "master/orphans.h"
#include "master/overdue.h"
#include "master/readiness.h"
#include "master/reload.h"
#include "master/setup.h"
#include "master/state.h"
#include "master/stats.h"
#include "master/store.h"
#include "master/strays.h"
#include "master/successor.h"
#include "master/take-over.h"
#include "master/tally.h"
#include "master/told.h"
#include "master/upgrade.h"
#include "master/waiting.h"
#include "master/watchdog.h"
#include "master/worker.h"
#include "os/closer.h"
#include "os/notify.h"
#include "os/spawn.h"
#include "policy/bans.h"
#include "policy/sources.h"

#include <systemd/sd-event.h>

/* Sources without children that are remembered, for their rate or a ban. */
#define SOURCES_REMEMBERED_MAX 65536

struct master {
	const struct cmdline *cmdline; /* borrowed from main */
	char **argv;                   /* the same, for the loader; borrowed */
	char *cwd;                     /* where we were started; owned */
	char *loader;                  /* path of hatchd-load; owned */
	char *program;                 /* ... of hatchd, for an upgrade; owned; NULL: unknown */
	struct inherited inherited;    /* what we were started with */
	struct kept kept;              /* sockets that a former life has left */
	struct store store;            /* of the service manager, for the next one */
	struct detach detach;
	struct image *image; /* the configuration in force, owned; NULL: none yet */
	struct setups setups;
	struct budget budget;

	sd_event *event;
	int listeners_fd; /* epoll set of the listeners that are polled; a high number */
	sd_event_source *arrivals; /* of it; owned */
	uint32_t looks;            /* at it so far */
	struct spawner *spawner;
	struct child_table *children;
	struct sources *sources;        /* children, rates and bans per source */
	uint8_t address_key[16];        /* of hashes of addresses (master/conceal) */
	struct bans banned;             /* whom operators have banned */
	struct refusals *refusals;      /* that the log has been told of; NULL: none yet */
	struct refusals *bans;          /* the same of those that begin a ban */
	struct log_gate other_refusals; /* for which there is no place among these */
	struct notify *notify;          /* to the service manager */
	struct watchdog watchdog;       /* that it has set on us */
	struct announced announced;     /* what it knows of us */
	struct closer *closer; /* closes what programs and clients have had their hands on */
	uint32_t n_closing;    /* descriptors of no service with it; atomic */
	struct worker workers[WORKERS_MAX]; /* one of each kind, then elders */
	size_t n_elders;
	struct callers callers;
	struct inquiries inquiries;
	struct backends backends;
	struct overdue overdue;
	struct readinesses readinesses;
	struct tally tally;
	struct state state;
	struct control control;
	struct followers followers;
	struct accounting accounting;
	struct orphans orphans;
	struct told told; /* of services that have no memory for theirs */
	int null_fd;      /* /dev/null, for children; a low number */

	struct service **services; /* in the order of the configuration in force */
	size_t n_services;
	uint32_t generation;     /* of services[]: another one with each that is put in force */
	struct service *retired; /* not in it, with children; linked by `next_retired` */
	bool retired_changed;    /* one of them may be alone now */
	struct service *
		starved; /* waiting for a free slot or child record, linked by `next_starved` */
	bool slot_came_free;    /* one of these came free in this turn */
	struct service *paused; /* linked by `next_paused`, in no order */
	uint64_t paused_due;    /* no pause ends before; USEC_INFINITY: nobody is paused */
	struct heap pacing;     /* services that wait for the next token of their rate */
	size_t n_paces;         /* paces that there are, waiting or not */
	uint32_t last_service;  /* number of the service that was made last */

	struct reload reload;
	struct upgrade upgrade;
	struct strays strays;
	struct waiting waiting;
	struct expiry expiry;

	uint64_t started;             /* usec, monotonic: when hatchd was */
	uint64_t refused[_ADMIT_MAX]; /* clients, by reason; of all services there were */
	uint64_t n_bans;              /* begun or made longer since then */
	struct stats stats;           /* of all services there were */
	uint64_t next_connection;     /* number of the next connection, from 1 */
	uint64_t slot_delay;          /* usec until slots in flight are looked at again */
	uint64_t young_due;           /* when the next connection has been open for a while */
	uint64_t spare_due;           /* when memory of children that were is given back */
	uint64_t workers_due;         /* when a worker has to have answered */
	uint64_t closer_due;          /* when the closer wants to be looked after */
	uint64_t gates_due; /* earliest end of a log gate's window, or USEC_INFINITY */

	uint32_t load;    /* average, in hundredths, as of `load_at` */
	uint64_t load_at; /* usec; 0: never looked at */

	uint64_t full_told;     /* when it was last said that all is full; 0: never */
	uint64_t shortage_told; /* ... that hatchd itself lacks something */
	uint64_t forgot_told;   /* ... that sources were forgotten */
	uint64_t forgot_before; /* how many by then */

	struct successor *successor; /* owned: another hatchd, which takes over; NULL: none */
	struct take_over take_over;
	struct drain drain;
	bool leaving; /* hatchd drains, or stops: nobody new is let in, and nothing is reloaded
	               */
	bool stopping;
	bool stop_told;    /* children that are to end have been told */
	bool once_over;    /* the one client of --once is served no longer: */
	int once_status;   /* how that ended */
	int stop_status;   /* exit status if no program says otherwise */
	uint64_t stop_due; /* when stopping no longer waits for children */
	bool done;
	int status; /* exit status once done */
};

/* Have the event loop look at signals, listeners, children and helpers: everything else is
 * there by then.  0 or a negative errno. */
int master_add_sources(struct master *master);

/* Turn after turn until master_exit().  0 with master->status, or a negative errno, which was
 * logged: there is no waiting for events. */
int master_loop(struct master *master);

/* The client of --once is served no longer: end with that status, when he has heard everything
 * (master/caller). */
void master_end_once(struct master *master, int status);

/* Leave the loop with that status, at the end of this turn. */
void master_exit(struct master *master, int status);

/* What the machine allows has been computed anew. */
void master_set_budget(struct master *master, const struct budget *budget);

/* Move a descriptor out of the part of the table that children copy; where that fails
 * it stays where it is.  Its number from now on. */
int master_move_up(const struct master *master, int fd);

/* Children that have a client: what total_instances is about. */
uint32_t master_clients(const struct master *master);

/* Have that done by somebody who may wait (os/closer).  Its ticket is set here. */
void master_have_closed(struct master *master, struct closer_job job, uint64_t now);

/* Have a descriptor that is no service's closed by somebody who may wait (os/closer); at once
 * where the start failed before there was one. */
void master_close_later(struct master *master, int fd, uint64_t now);

/* The same for a socket, whose address somebody else may wait for. */
void master_close_listener_later(struct master *master, int fd, uint64_t now);

/* A log gate of ours has closed: its count is due at that time. */
void master_gate_closed(struct master *master, uint64_t due);

#endif
