/*
 * told: what the log has been told of a service, so that it is not told the same again and
 * again, and what is counted for whoever asks.
 *
 * Of most services there is never anything to tell, and there may be ten thousand of them:
 * a service has this from the first time on that there is.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_TOLD_H
#define HATCHD_MASTER_TOLD_H

#include "base/log-gate.h"
#include "policy/admit.h"

#include <stdint.h>

/* Times are usec, monotonic; 0: never. */
struct told {
	struct log_gate failures;
	char *last_failure;           /* what the gate holds back more of; owned */
	unsigned n_news;              /* failures unlike the one before, in this window */
	uint64_t full;                /* when it was last said that new clients wait */
	uint64_t pause;               /* that its pauses are long */
	uint64_t lookup;              /* that something could not be looked up */
	uint64_t refused[_ADMIT_MAX]; /* clients, by reason */
};

struct service;

/* Never NULL: without memory for it, all services that have none share one. */
struct told *service_told(struct service *service);

#endif
