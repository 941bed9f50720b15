/*
 * waiting: what cannot be served now is tried again (I7).
 *
 * An address may be taken by somebody else, its interface be down, a user or a
 * program be missing.  Each concerns its service alone.  Addresses are tried
 * again after 1 s, then twice as long up to a minute, and as soon as the kernel
 * tells that an address or an interface has changed (rtnetlink(7)); whether a
 * user or a program has come is for the loader to find out, at the same times.
 * Nobody is woken up while nothing is missing.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_WAITING_H
#define HATCHD_MASTER_WAITING_H

#include <stdint.h>
#include <systemd/sd-event.h>

struct master;

struct waiting {
	uint64_t due; /* usec, monotonic: when to try again; USEC_INFINITY: nothing to try */
	uint64_t look_due;        /* usec, monotonic: not before, the loader is asked again */
	uint64_t delay;           /* usec, from then until the time after that */
	sd_event_source *changes; /* of addresses and interfaces; owned; NULL: not needed yet */
};

/* The configuration in force is another: at start and after a reload.  Logs which
 * services are served now and what the others wait for, and begins with 1 s again. */
void waiting_begin(struct master *master, uint64_t now);

/* Conditions may have come: after a look at them.  Logs which services are served now;
 * those that still do are tried when it was their turn anyway. */
void waiting_go_on(struct master *master);

/* A service has lost its addresses, and has been told of those that it did not get back: try
 * again from now on, if that is not done already. */
void waiting_resume(struct master *master, uint64_t now);

/* What was in the way has just gone: try at once. */
void waiting_hurry(struct master *master, uint64_t now);

/* Try again if it is time. */
void waiting_turn(struct master *master, uint64_t now);

/* Nobody is waited for any more. */
void waiting_give_up(struct waiting *waiting);

void waiting_done(struct waiting *waiting);

#endif
