/*
 * metrics/write: what hatchd counts and how it is, as metrics.
 *
 * doc/metrics.md has the table of them; tests/functional/test_metrics.py compares the two.
 * Labels are bounded by the configuration: services, their addresses, and words of our own.
 * Clients are in none.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_METRICS_WRITE_H
#define HATCHD_HATCHCTL_METRICS_WRITE_H

#include "hatchctl/ask/answer.h"
#include "hatchctl/metrics/backlog.h"
#include "hatchctl/metrics/exposition.h"

struct metrics {
	struct answer counts;   /* to "metrics"; owned, and so are the others */
	struct answer services; /* to "list" */
	struct backlogs backlogs;
};

void metrics_done(struct metrics *metrics);

#define _cleanup_metrics_ _cleanup_(metrics_done)

/* 0; -ENOMEM; -EBADMSG: what hatchd has said is something else. */
int metrics_write(const struct metrics *metrics, FILE *out, enum exposition_format format);

#endif
