/*
 * state: what hatchd is doing, as text in the log, for whoever sends SIGUSR1.
 *
 * A line about all, and one for each service.  A turn of the master writes a bounded
 * number of them.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_STATE_H
#define HATCHD_MASTER_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct master;

struct state {
	bool asked;  /* somebody wants to know, and has not been told of all */
	size_t next; /* service in master->services */
};

struct service;

/* What keeps it from taking somebody in, the most important first, or "serving". */
const char *state_describe(const struct service *service);

/* Services that are configured no longer and have children. */
size_t state_count_retired(const struct master *master);

/* Tell it from the beginning. */
void state_request(struct master *master);

/* When there is something to tell, usec; USEC_INFINITY: there is not. */
uint64_t state_due(const struct state *state);

/* Tell some of it. */
void state_turn(struct master *master);

#endif
