/*
 * gather: what there is to be handed over, as it is now.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_HANDOVER_GATHER_H
#define HATCHD_MASTER_HANDOVER_GATHER_H

#include "master/handover/handover.h"

struct master;

/* Into *ret, which is to be released with handover_done(), also after a failure.  What it has
 * of the next image of hatchd is the caller's to add.  0, -ENOMEM, -EUSERS when
 * there are more strays than there may be, or what reading the configuration says. */
int handover_gather(const struct master *master, struct handover *ret);

#endif
