/*
 * metrics/state: the metrics that are no counts: what hatchd is, how its workers and services
 * are, who waits in the queues of their sockets.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_METRICS_STATE_H
#define HATCHD_HATCHCTL_METRICS_STATE_H

#include "hatchctl/ask/answer.h"
#include "hatchctl/metrics/backlog.h"
#include "hatchctl/metrics/exposition.h"

/* From the first line of the answer to "metrics". */
void metrics_put_hatchd(struct exposition *x, struct json_value line);

/* From the answer to "list". */
void metrics_put_state(
	struct exposition *x, const struct answer *services, const struct backlogs *backlogs);

#endif
