/*
 * admit: may this client come in?
 *
 * One decision with one list of reasons (invariant I4): log, records and
 * status print the word that admit_reason() gives.  Pure: the caller brings
 * the counts, the verdict is the same for the same request.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_ADMIT_H
#define HATCHD_POLICY_ADMIT_H

#include "policy/access.h"

#include <stdint.h>

enum admit_verdict {
	ADMIT_OK,
	ADMIT_TOTAL,      /* total_instances children live already */
	ADMIT_INSTANCES,  /* the service's instances */
	ADMIT_PER_SOURCE, /* children of the same source */
	ADMIT_ONLY_FROM,  /* not among those that may come in */
	ADMIT_NO_ACCESS,  /* among those that may not */
	_ADMIT_MAX,
};

/* Counts before this client; limits as configured, UINT32_MAX: none. */
struct admit_request {
	uint32_t total, total_limit;
	uint32_t instances, instances_limit;
	uint32_t from_source, per_source_limit;
	enum access_verdict access; /* what the rules say of the address */
};

enum admit_verdict admit(const struct admit_request *request);

/* The stable word for a verdict: "ok", "total_instances", "per_source", ... */
const char *admit_reason(enum admit_verdict verdict);

#endif
