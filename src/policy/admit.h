/*
 * admit: may this client come in?
 *
 * One decision with one list of reasons (invariant I4): log, records and
 * status print the word that admit_reason() gives.  Pure: the caller brings
 * the counts, the buckets and the time, the verdict is the same for the same
 * request.  Nothing is counted here: who is refused takes no token.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_ADMIT_H
#define HATCHD_POLICY_ADMIT_H

#include "policy/access.h"
#include "policy/limit.h"

#include <stdbool.h>
#include <stdint.h>

enum admit_verdict {
	ADMIT_OK,
	ADMIT_TOTAL,           /* total_instances children live already */
	ADMIT_INSTANCES,       /* the service's instances */
	ADMIT_PER_SOURCE,      /* children of the same source */
	ADMIT_ONLY_FROM,       /* not among those that may come in */
	ADMIT_NO_ACCESS,       /* among those that may not */
	ADMIT_RATE,            /* the service's rate */
	ADMIT_PER_SOURCE_RATE, /* that of the source */
	ADMIT_BANNED,          /* the source is banned, from this service or from all */
	ADMIT_SENSOR,          /* nobody comes in here: who tries is banned */
	ADMIT_TIMES,           /* outside its access_times */
	ADMIT_LOAD,            /* the load average is above max_load */
	ADMIT_IDENT,           /* his machine does not say who he is, and it has to */
	ADMIT_TARGET,          /* nobody knows where to pass him on to */
	ADMIT_HOSTS_ACCESS,    /* hosts.allow and hosts.deny keep him out */

	/* Why it does not come to the question; admit() answers none of these. */
	ADMIT_PROXY_FROM,        /* he is none of the proxies that are believed */
	ADMIT_HEADER,            /* what he has said first is not what it should be */
	ADMIT_HEADER_TIMEOUT,    /* he has not said it in time */
	ADMIT_PENDING,           /* too many have not said it yet, and he was the oldest */
	ADMIT_TCPMUX,            /* there is no service of the name that he has asked for */
	ADMIT_HANDSHAKE,         /* TLS could not be agreed with him */
	ADMIT_HANDSHAKE_TIMEOUT, /* ... in time */
	_ADMIT_MAX,
};

/* Counts before this client; limits as configured, UINT32_MAX: none.  What is left out
 * limits nothing. */
struct admit_request {
	uint32_t total, total_limit;
	uint32_t instances, instances_limit;
	uint32_t from_source, per_source_limit;
	enum access_verdict access; /* what the rules say of the address */
	bool hosts_denied;          /* ... or hosts.allow and hosts.deny of the client */
	bool closed;                /* these are not its hours */
	bool no_user;               /* nobody has said who he is, and somebody has to */
	bool no_target;             /* he is to be passed on, and it is not known where to */
	uint32_t load, max_load;    /* hundredths; above the limit, not at it */

	uint64_t now;                /* usec, monotonic; for what follows */
	struct limit rate;           /* of the service, ... */
	struct bucket bucket;        /* ... as it is now */
	struct limit source_rate;    /* of the source, ... */
	struct bucket source_bucket; /* ... as it is now */
	uint64_t banned_until;       /* the source */
	bool sensor;
};

enum admit_verdict admit(const struct admit_request *request);

/* The stable word for a verdict: "ok", "total_instances", "per_source", ... */
const char *admit_reason(enum admit_verdict verdict);

#endif
