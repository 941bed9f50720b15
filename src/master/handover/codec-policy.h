/*
 * codec-policy: what limits know, and what the log has been told, for master/handover/codec.
 *
 * Each is a record of its own.  Numbers that cannot be are a fault.  Times are those of the
 * monotonic clock, which goes on over an exec; whoever takes them over sees to it that none
 * of them is later than it can be (codec_not_after()), or a limit might never recover (I6).
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_HANDOVER_CODEC_POLICY_H
#define HATCHD_MASTER_HANDOVER_CODEC_POLICY_H

#include "base/log-gate.h"
#include "master/handover/codec.h"
#include "policy/bans.h"
#include "policy/histogram.h"
#include "policy/limit.h"
#include "policy/sources.h"

void codec_limit(struct codec *codec, struct limit *limit);
void codec_bucket(struct codec *codec, struct bucket *bucket);
void codec_gate(struct codec *codec, struct log_gate *gate);

/* What is read with other bounds than those of today says nothing, and reads as empty. */
void codec_histogram(struct codec *codec, struct histogram *histogram);

/*
 * Counts, each with the word that it is told under, since numbers of reasons may be others in
 * another version; those that are 0 are not in it.  What is read under a word that is not
 * known is left out.  `n` is at most CODEC_COUNTS_MAX.
 */
#define CODEC_COUNTS_MAX 64
void codec_counts(
	struct codec *codec, uint64_t *counts, size_t n, const char *(*word)(unsigned number));

/* The word of a number below `n`; one that is not known is a fault. */
void codec_word(struct codec *codec, unsigned *number, unsigned n,
	const char *(*word)(unsigned number));

/* A text in memory of that size, NUL included.  It is cut if it is longer, and control
 * characters, which could forge lines of the log, become question marks: no upgrade fails for
 * what was to be told. */
void codec_line(struct codec *codec, char *text, size_t size);

/* Whom operators have banned.  What is read goes into `bans`, which is empty before, and more
 * than it can hold is a fault. */
void codec_bans(struct codec *codec, struct bans *bans);

/* What is remembered of sources; what is read is new memory. */
void codec_memories(struct codec *codec, struct source_memory **memories, size_t *n);

static inline uint64_t codec_not_after(uint64_t time, uint64_t last)
{
	return time < last ? time : last;
}

/* That of a gate. */
static inline void codec_settle_gate(struct log_gate *gate, uint64_t now)
{
	gate->window_ends = codec_not_after(gate->window_ends, now + LOG_GATE_WINDOW);
}

#endif
