/*
 * codec-refusals: refusals of which the log is still to be told, as fields of a list
 * (master/handover/codec).
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_HANDOVER_CODEC_REFUSALS_H
#define HATCHD_MASTER_HANDOVER_CODEC_REFUSALS_H

#include "master/handover/codec.h"
#include "master/refusals.h"

/* All of them, NULL or not.  What is read is new, also after a fault. */
void codec_refusals(struct codec *codec, struct refusals **refusals);

/* What was read is taken over: no window is longer than it can be.  NULL is fine. */
void codec_settle_refusals(struct refusals *refusals, uint64_t now);

#endif
