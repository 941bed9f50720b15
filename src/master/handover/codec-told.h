/*
 * codec-told: what has been counted of clients, and what the log has been told, for
 * master/handover/codec.
 *
 * Counts only grow for whoever measures, also over an upgrade; and what was told a moment ago
 * is not told again.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_HANDOVER_CODEC_TOLD_H
#define HATCHD_MASTER_HANDOVER_CODEC_TOLD_H

#include "master/handover/codec.h"
#include "master/stats.h"
#include "master/told.h"

void codec_stats(struct codec *codec, struct stats *stats);

/* Clients refused, by reason. */
void codec_refused(struct codec *codec, uint64_t refused[_ADMIT_MAX]);

/* A reason; one that is not known is a fault. */
void codec_verdict(struct codec *codec, enum admit_verdict *verdict);

/* Its text is new memory when it is read, also after a fault. */
void codec_told(struct codec *codec, struct told *told);

/* It was told of then: not later than now. */
void codec_settle_told(struct told *told, uint64_t now);

#endif
