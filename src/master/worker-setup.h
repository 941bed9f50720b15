/*
 * worker-setup: as what a worker is started: who it is, how many connections it may have,
 * and all else that a configuration says of a service.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_WORKER_SETUP_H
#define HATCHD_MASTER_WORKER_SETUP_H

#include "master/worker.h"

#include <stdbool.h>

/* Its program was not there when we were started, and may have been installed since: it is
 * executed by its path then, where others are by the descriptor that was opened. */
bool worker_may_come_later(const struct worker *worker);

/* Before each start: who it is to be, and how many places it has, may have changed since the
 * last one.  0 or a negative errno. */
int worker_prepare(struct worker *worker);

/* The same of one that runs, and has so many places: -EBADMSG if no worker can. */
int worker_prepare_elder(struct worker *worker, uint32_t places);

/* Other limits are in force since it was started, and nobody would notice another one. */
bool worker_has_wrong_size(const struct worker *worker);

/* The same of one that has connections, and can be started anew only when these are over. */
bool worker_is_outgrown(const struct worker *worker);

#endif
