/*
 * drain: nobody new is let in, and whoever is there may stay until he goes, or until a
 * deadline; then hatchd stops (master/stop).
 *
 * Sockets are closed at once, after a last look at who waits in their queues
 * (master/last-look).  Clients that have been accepted are served, whatever they wait for.
 * Nobody is told to end but programs that have a socket themselves (wait = yes), as when a
 * service is disabled; `stop` counts only when it is over.
 *
 * How it goes is told to the log, to those who follow, and to the service manager, who is asked
 * for more time for as long as it really goes on.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_DRAIN_H
#define HATCHD_MASTER_DRAIN_H

#include "master/last-look.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct master;

struct drain {
	bool on;           /* and stays so while hatchd stops then */
	bool kills;        /* those who are left at the deadline */
	bool looks_at_all; /* only clients who are held were left, whom nobody counts */
	int signal;        /* that hatchd stops because of, as stop_begin() has it */
	uint64_t deadline; /* usec, monotonic; USEC_INFINITY: none */
	uint64_t due;      /* when it is looked again how it goes; USEC_INFINITY: it does not */
	size_t told;       /* how many were left when it was last told */
	uint64_t told_at;  /* when that was: usec, monotonic */
	uint64_t log_due;  /* when the log is told next; the times between grow */
	uint64_t log_wait; /* usec: this one */
	struct last_look last_look;
};

#define DRAIN_NONE ((struct drain){.due = UINT64_MAX})

/* How it is to end. */
struct drain_request {
	uint64_t timeout; /* usec; DURATION_UNLIMITED: when nobody is left */
	bool kills;       /* then end those who are left, whatever `stop` says */
	bool keeps;       /* sockets stay with the service manager, if it has them: those who
	                     come wait for the next hatchd */
	int signal;       /* that asks for it; 0: an operator does */
};

/* Begin; of a drain that goes on already only the deadline, and what is done then, is another.
 * Nothing happens while hatchd stops. */
void drain_begin(struct master *master, const struct drain_request *request, uint64_t now);

/* A signal that ends hatchd: SIGTERM drains if drain_timeout says so and nothing of the kind
 * goes on yet; it stops otherwise. */
void drain_on_signal(struct master *master, int signal, uint64_t now);

/* Connections that there are, those about which nothing is decided yet among them. */
size_t drain_left(const struct master *master);

/* When drain_turn() has something to do without an event; USEC_INFINITY: nothing. */
uint64_t drain_due(const struct drain *drain);

/* To be called on every turn. */
void drain_turn(struct master *master, uint64_t now);

#endif
