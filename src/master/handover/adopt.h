/*
 * adopt: go on with what was handed over (master/handover/gather), once a configuration is in
 * force: limits, children, clients who are held, processes to be reaped.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_HANDOVER_ADOPT_H
#define HATCHD_MASTER_HANDOVER_ADOPT_H

#include "master/handover/handover.h"

struct master;

/* What is taken out of the handover is the master's then.  What there is no memory for is let
 * go, with a line in the log. */
void handover_adopt(struct handover *handover, struct master *master, uint64_t now);

#endif
