#include "master/handover/codec-refusals.h"

#include "master/handover/codec-policy.h"
#include "master/handover/codec-told.h"
#include "master/refusals-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Its texts are as they were made, and so is its number: a service that has gone has none that
 * is given again. */
static void fields(struct codec *codec, void *object)
{
	struct refusal *refusal = object;

	codec_gate(codec, &refusal->gate);
	codec_u32(codec, &refusal->service);
	codec_verdict(codec, &refusal->verdict);
	codec_source(codec, &refusal->source);
	codec_line(codec, refusal->who, sizeof refusal->who);
	codec_line(codec, refusal->label, sizeof refusal->label);
}

static void read_items(struct codec *codec, struct refusals *refusals)
{
	void *items = NULL;
	size_t n = 0;

	codec_array(codec, &items, &n, sizeof *refusals->items, REFUSALS_MAX, fields);
	if (n > 0)
		memcpy(refusals->items, items, n * sizeof *refusals->items);
	free(items);
}

/* Those that anything is known of. */
static void write_items(struct codec *codec, const struct refusals *refusals)
{
	struct refusal used[REFUSALS_MAX];
	void *items = used;
	size_t n = 0;

	for (size_t i = 0; i < REFUSALS_MAX; i++)
		if (refusals->items[i].gate.window_ends > 0)
			used[n++] = refusals->items[i];
	codec_array(codec, &items, &n, sizeof *used, REFUSALS_MAX, fields);
}

void codec_refusals(struct codec *codec, struct refusals **refusals)
{
	bool there = *refusals;

	codec_bool(codec, &there);
	if (!there)
		return;
	if (!codec_reads(codec)) {
		write_items(codec, *refusals);
		return;
	}
	*refusals = refusals_new();
	if (*refusals)
		read_items(codec, *refusals);
	else
		codec_fault(codec, -ENOMEM);
}

void codec_settle_refusals(struct refusals *refusals, uint64_t now)
{
	for (size_t i = 0; refusals && i < REFUSALS_MAX; i++)
		codec_settle_gate(&refusals->items[i].gate, now);
}
