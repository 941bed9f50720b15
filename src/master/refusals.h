/*
 * refusals: which sources of which services were refused in these seconds, and how often.
 *
 * The log has one line for each of them and for each reason, and when a window of
 * LOG_GATE_WINDOW is over another one with a count.  REFUSALS_MAX may be in such a window at
 * once; all that is refused beyond that is counted together, so that an attack from many
 * addresses makes no more lines than that.  A service has no more of these places than it
 * leaves free: what happens to one does not hide what happens to the others.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_REFUSALS_H
#define HATCHD_MASTER_REFUSALS_H

#include "base/addr.h"
#include "base/log-gate.h"
#include "policy/admit.h"

#define REFUSALS_MAX 64

struct service;
struct refusals;

/* Without memory NULL: then all that is refused is counted together. */
struct refusals *refusals_new(void);
struct refusals *refusals_free(struct refusals *refusals);

/* The gate for one more of them; NULL: there is no place for it.  The setup of the service
 * is in memory. */
struct log_gate *refusals_gate(struct refusals *refusals, const struct service *service,
	const struct addr_source *source, enum admit_verdict verdict, uint64_t now);

/* Lines for windows that are over; returns when the next one is, USEC_INFINITY: none. */
uint64_t refusals_report(struct refusals *refusals, uint64_t now);

#endif
