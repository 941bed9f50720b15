/*
 * top/sample: how a hatchd was at one moment, and what has happened since another.
 *
 * Made of the answers to three questions; what the kernel tells of processes and connections
 * is filled in by top/measure.  Pure: the times are those of hatchd, or given.  All texts are
 * escaped and plain ASCII, so each byte takes one column of a screen.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TOP_SAMPLE_H
#define HATCHD_HATCHCTL_TOP_SAMPLE_H

#include "hatchctl/ask/answer.h"

#include <stdint.h>

/* Of a number that nobody has told. */
#define TOP_UNKNOWN UINT64_MAX

/* What a connection uses, or all of a service of which that is known. */
struct top_use {
	uint64_t cpu;            /* usec so far */
	uint64_t memory;         /* bytes */
	uint64_t received, sent; /* bytes so far, as the server sees it */

	/* Since the sample before; negative: not known. */
	double cpu_share;       /* of one processor, percent */
	double receives, sends; /* bytes per second */
};

struct top_connection {
	uint64_t id;
	uint64_t pid;  /* TOP_UNKNOWN: a worker has it */
	uint64_t age;  /* usec */
	char *service; /* these are owned, and "" where nobody has told */
	char *peer, *local, *user, *state, *name, *worker;
	char *proxy, *reached; /* the ends of the TCP connection, if these are not the above */
	struct top_use use;
};

struct top_service {
	char *name, *state, *reason, *addresses; /* owned */
	uint64_t children, limit, pending, started, refused;
	struct top_use use;
	double starts, refusals; /* per second, since the sample before; negative: not known */
};

/* Why clients are refused; the word is that of hatchd. */
struct top_reason {
	char *word; /* owned */
	uint64_t n;
	double rate; /* per second; negative: not known */
};

struct top_sample {
	uint64_t measured; /* usec, monotonic: when `use` was filled in */
	char *version, *state;
	char *reload; /* "done 3 min ago", "none yet" */
	bool reload_failed;
	uint64_t pid, up;                   /* usec */
	pid_t hatchd;                       /* the same by our own numbers; 0: not seen */
	uint64_t children, limit;           /* of all services */
	uint64_t came, refused;             /* clients so far */
	bool compared;                      /* with one before; then rates are known */
	double accepts, refusals;           /* per second; negative: not known */
	double load;                        /* of the machine; negative: not known */
	struct top_reason *reasons;         /* owned */
	struct top_service *services;       /* as hatchd lists them; owned */
	struct top_connection *connections; /* by their ids; owned */
	size_t n_reasons, n_services, n_connections;
	struct top_service **by_name; /* all services; owned */
};

/* Of the answers to status, list and connections.  NULL: no memory. */
struct top_sample *top_sample_new(const struct answer *status, const struct answer *services,
	const struct answer *connections);
struct top_sample *top_sample_free(struct top_sample *sample);

/* Those of that name or number, or NULL.  Logarithmic. */
struct top_service *top_sample_service(const struct top_sample *sample, const char *name);
struct top_connection *top_sample_connection(const struct top_sample *sample, uint64_t id);

/*
 * Fill in what is per second, and the sums of services.  `before` may be NULL, and is then or
 * if it is of another hatchd no help: rates are not known.  A connection that was not there
 * before has done all that it has done since.
 */
void top_sample_compare(struct top_sample *sample, const struct top_sample *before);

#endif
