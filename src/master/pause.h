/*
 * pause: services that look away from their sockets for a while.
 *
 * A service whose children cannot be started is not switched off: its sockets stay
 * open (I3), clients wait in the kernel's queue, and after a while it tries again
 * (I6).
 *
 * How long depends on who can have caused it.  What no client can bring about may
 * pause a service for longer and longer: nobody would be served anyway.  What a
 * client may have brought about never does, or a few clients could keep a service
 * away from everybody else: there each pause is a short one, and between two of
 * them a whole batch of clients is served.  It makes no difference how many
 * different addresses such deaths come from: addresses are cheap, a single host has
 * as many IPv6 networks as its owner asks for, so they prove nothing.
 *
 * A program that runs and ends by itself, with any status but the shell's "cannot
 * be run" (126, 127), is never a reason, however short it lives: date, grep.
 *
 * The first good start ends such a pause and all growth.  It needs a client to be
 * tried with: after a repair the next one is served when the pause is over.  Whoever
 * knows better, as a reload does, calls service_recovered().
 *
 * However many services are paused, a turn of the master looks at one number,
 * and the list is walked at most once per PAUSE_GRID.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_PAUSE_H
#define HATCHD_MASTER_PAUSE_H

#include <stdint.h>

struct master;
struct service;

/* Why a service looks away. */
enum pause_why {
	/* hatchd lacks descriptors, memory or processes: 0.1 s, doubling to 1 s.
	 * All services feel it, so the log has one line a minute for all of them. */
	PAUSE_MACHINE,
	/* The program cannot be started: missing, not executable, a loop of
	 * interpreters, a directory that is gone.  0.1 s, doubling to 30 s. */
	PAUSE_BROKEN,
	/* The user of the service may have no more processes: the same, but the end of
	 * one of its children ends it, see service_end_pause(). */
	PAUSE_PROCESSES,
	/* The program dies at once, or leaves what woke it.  A client may have caused
	 * that: always 0.1 s. */
	PAUSE_SUSPECT,
	/* The program ends, or is ended, before it has said that it is ready (notify = yes),
	 * and until then it takes no clients: 0.1 s, doubling to 30 s. */
	PAUSE_UNREADY,
	_PAUSE_WHY_MAX,
};

/*
 * Look away from its sockets for a while, with a line in the log: "REASON, retrying
 * in ...".  Without a reason the caller has said what is wrong, and only long
 * pauses are told of.  Nothing happens if it is paused already, since failures of a
 * batch count once, or if it no longer serves.
 */
void service_pause(struct service *service, enum pause_why why, const char *reason);

/* A child was started, and is ready if it is to say so: failures to start no longer add up, and
 * a pause because of them is over. */
void service_recovered(struct service *service);

/* If it is paused for that reason, look at its sockets again now. */
void service_end_pause(struct service *service, enum pause_why why);

/* It was paused until then before an upgrade (master/handover), and is so again, for as long as
 * a pause may be at most.  Nothing happens if that is over, or if it does not serve. */
void service_pause_again(struct service *service, uint64_t until, uint64_t now);

/* Have it looked at again in 0.1 s, without a word: for service_update(). */
void service_look_away(struct service *service, uint64_t now);

/* The same in a second, because what hinders it is not hatchd's. */
void service_look_away_longer(struct service *service, uint64_t now);

/* Why it looks away, as of the last pause that had a reason; NULL: it does not, or never
 * had one. */
const char *service_pause_reason(const struct service *service);

/* Forget what there was against it, and do not look away any longer. */
void service_forgive(struct service *service);

/* It is going to be freed: take it off the lists of the paused, the starved and those that
 * wait for a token. */
void service_leave_lists(struct service *service);

/* The time has come, master->paused_due: resume paused services. */
void services_resume(struct master *master, uint64_t now);

#endif
