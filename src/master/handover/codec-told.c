#include "master/handover/codec-told.h"

#include "base/own.h"
#include "master/handover/codec-policy.h"

#include <errno.h>
#include <string.h>

_Static_assert(_ADMIT_MAX <= CODEC_COUNTS_MAX, "all reasons have a count");

static const char *end_word(unsigned end)
{
	return stats_end_word((enum stats_end)end);
}

static const char *reason_word(unsigned verdict)
{
	return admit_reason((enum admit_verdict)verdict);
}

static void stats_fields(struct codec *codec, void *object)
{
	struct stats *stats = object;

	codec_u64(codec, &stats->accepted);
	codec_counts(codec, stats->ended, _STATS_END_MAX, end_word);
	codec_counts(codec, stats->sessions, _STATS_SESSION_MAX, stats_session_word);
	codec_u64(codec, &stats->cpu_usec);
	codec_u64(codec, &stats->bytes_in);
	codec_u64(codec, &stats->bytes_out);
	codec_histogram(codec, &stats->queue);
	codec_histogram(codec, &stats->wait);
	codec_histogram(codec, &stats->spawn);
}

void codec_stats(struct codec *codec, struct stats *stats)
{
	codec_record(codec, stats_fields, stats);
}

void codec_refused(struct codec *codec, uint64_t refused[_ADMIT_MAX])
{
	codec_counts(codec, refused, _ADMIT_MAX, reason_word);
}

void codec_verdict(struct codec *codec, enum admit_verdict *verdict)
{
	unsigned number = *verdict;

	codec_word(codec, &number, _ADMIT_MAX, reason_word);
	*verdict = (enum admit_verdict)number;
}

/* The text is compared and never shown. */
static void told_fields(struct codec *codec, void *object)
{
	struct told *told = object;

	codec_gate(codec, &told->failures);
	codec_text(codec, &told->last_failure);
	codec_u32(codec, &told->n_news);
	codec_u64(codec, &told->full);
	codec_u64(codec, &told->pause);
	codec_u64(codec, &told->lookup);
	codec_refused(codec, told->refused);
}

void codec_told(struct codec *codec, struct told *told)
{
	codec_record(codec, told_fields, told);
}

void codec_settle_told(struct told *told, uint64_t now)
{
	codec_settle_gate(&told->failures, now);
	told->full = codec_not_after(told->full, now);
	told->pause = codec_not_after(told->pause, now);
	told->lookup = codec_not_after(told->lookup, now);
}
