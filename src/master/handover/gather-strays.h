/*
 * gather-strays: processes of ours that the next image of hatchd has to reap, and knows nothing
 * else of (master/strays).
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_HANDOVER_GATHER_STRAYS_H
#define HATCHD_MASTER_HANDOVER_GATHER_STRAYS_H

#include "master/handover/handover.h"

struct master;

/* Add them, for STRAYS_MAX of whom there is room.  0; -EUSERS: there are more. */
int gather_strays(const struct master *master, struct handover *handover);

#endif
