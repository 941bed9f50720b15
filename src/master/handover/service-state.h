/*
 * service-state: what a service has counted and remembers, so that the next image of hatchd
 * goes on with it: its number, pauses and what led to them, tokens of its rate, what operators
 * have set, what the log has been told, counts for whoever measures.
 *
 * Not its children, sockets and configuration: those are master/handover's own.
 *
 * It is read into memory of its own first, which needs no service, so that it can be found out
 * whether it can be read; nothing that is read makes a limit worse than it can become by
 * itself.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_HANDOVER_SERVICE_STATE_H
#define HATCHD_MASTER_HANDOVER_SERVICE_STATE_H

#include "base/wire.h"
#include "master/steer.h"
#include "policy/limit.h"

#include <stdbool.h>
#include <stdint.h>

struct service;
struct stats;
struct told;

struct saved_service {
	uint32_t number;    /* of the service; 0: it is not known */
	bool disabled;      /* by an operator: its sockets need not be opened */
	uint64_t n_started; /* but for programs that live: they count when they are added */

	uint8_t deaths, pause_why, pauses, fruitless; /* as in struct service */
	uint64_t deaths_since;
	uint64_t paused_until; /* usec, monotonic; 0: not paused */

	bool has_pace;
	struct bucket bucket; /* of its rate, ... */
	uint64_t pace_told;   /* ... and when it was last said that clients wait for it */

	struct steered steered; /* but for what was configured */
	uint32_t instances;     /* if they are set, likewise ... */
	struct limit rate;      /* ... */

	struct told *told;   /* owned; NULL: nothing */
	struct stats *stats; /* owned; NULL: nothing */
};

/* What there is to keep.  0, or -ENOMEM: the writer is of no use then. */
int service_state_save(const struct service *service, struct wire_writer *out);

/* 0, -EBADMSG or -ENOMEM; *ret is to be released in any case. */
int service_state_read(const void *data, size_t len, struct saved_service *ret);

/*
 * Go on with it: the service is configured, and has no child yet, nor has anybody kept its
 * number.  No other service has the number that is in the state: those that are new have one
 * above all of these, see master_state_put().
 *
 * 0, or -ENOMEM: it is as it was.  What is in the state is given away.
 */
int service_state_put(struct saved_service *state, struct service *service, uint64_t now);

void service_state_done(struct saved_service *state);

#endif
