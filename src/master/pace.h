/*
 * pace: services whose clients have used up their rate.
 *
 * Such a service looks away from its sockets, which stay open (I3): clients wait in
 * the kernel's queue.  It looks again when its bucket has the next token, not before
 * and hardly later; nobody is woken up meanwhile.  However many services
 * wait like that, a turn of the master looks at the first of them (I6).
 *
 * Only services with a rate have a pace.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_PACE_H
#define HATCHD_MASTER_PACE_H

#include "base/heap.h"
#include "policy/limit.h"

struct master;
struct service;

struct pace {
	struct service *service;
	struct limit limit;
	struct bucket bucket;
	struct heap_node due; /* in master->pacing while the service waits */
	uint64_t told;        /* when it was last said that it does; 0: never */
};

/* With room for it among those that wait.  NULL without memory. */
struct pace *pace_new(struct master *master);

/* NULL is fine.  Returns NULL. */
struct pace *pace_free(struct master *master, struct pace *pace);

/* The rate of the service is another: what was taken stays taken.  `spare` is a pace for
 * it if it needs one and has none; what is not needed is freed. */
void service_set_rate(struct service *service, const struct limit *limit, struct pace *spare);

/* A client has come in. */
void service_count_client(struct service *service, uint64_t now);

/* It has no token: look away until it has. */
void service_wait_for_token(struct service *service, uint64_t now);

/* Wait no longer; without service_update(). */
void service_stop_waiting(struct service *service);

/* Does it wait for a token? */
bool service_is_paced(const struct service *service);

/* When the first of them is due, USEC_INFINITY: nobody waits; look again at those that
 * are, or at some of them, and at the others in the next turn. */
uint64_t paces_due(const struct master *master);
void paces_resume(struct master *master, uint64_t now);

#endif
