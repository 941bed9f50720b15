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
int handover_gather(struct master *master, struct handover *ret);

/* The same for who only reads it, and takes nothing over: without what would have to be read
 * from the configuration, which takes its time with ten thousand services while others are to
 * be served, and changes nothing. */
int handover_rehearse(const struct master *master, struct handover *ret);

#endif
