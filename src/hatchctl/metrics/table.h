/*
 * metrics/table: which member of an answer to "metrics" is which metric.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_METRICS_TABLE_H
#define HATCHD_HATCHCTL_METRICS_TABLE_H

#include "hatchctl/metrics/exposition.h"

/* Members of the lines that a table is made of. */
enum metrics_member {
	METRICS_ACCEPTED,
	METRICS_BACKEND_STARTED,
	METRICS_BANS,
	METRICS_BYTES_IN,
	METRICS_BYTES_OUT,
	METRICS_CHILDREN,
	METRICS_CPU,
	METRICS_ENDED,
	METRICS_FORGOTTEN,
	METRICS_INSTANCES,
	METRICS_LOG_LOST,
	METRICS_ORPHANS,
	METRICS_QUEUE,
	METRICS_REFUSED,
	METRICS_RELOADS,
	METRICS_REMOVED,
	METRICS_SERVICES,
	METRICS_SESSIONS,
	METRICS_SINCE,
	METRICS_SOURCES,
	METRICS_SPAWN,
	METRICS_STARTED,
	METRICS_TOTAL_INSTANCES,
	METRICS_UP,
	METRICS_WAIT,
	_METRICS_MEMBER_MAX,
};

/* How it is called there. */
const char *metrics_member_key(enum metrics_member member);

/* What it is. */
enum metrics_value {
	METRICS_NUMBER,
	METRICS_USEC,      /* becomes seconds */
	METRICS_WORDS,     /* an object: a number for each word */
	METRICS_DURATIONS, /* a histogram */
};

enum metrics_of {
	METRICS_OF_HATCHD,  /* the first line has it */
	METRICS_OF_SERVICE, /* the others have it */
	METRICS_OF_BOTH,    /* ... and the first has the sum of all services there were */
};

struct metrics_row {
	enum metrics_of of;
	enum metrics_member member;
	enum metrics_value value;
	enum metric_type type;
	const char *stem; /* of its name, behind "hatchd_" or, of all services, "hatchd_all_" */
	const char *unit; /* as in struct metric */
	const char *label; /* of METRICS_WORDS */
	const char *help;  /* a phrase without its full stop */
};

/* The rows in the order in which they are written; NULL behind the last. */
const struct metrics_row *metrics_row(size_t i);

#endif
