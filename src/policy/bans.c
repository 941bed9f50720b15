#include "policy/bans.h"

#include "base/own.h"

#include <string.h>

void bans_done(struct bans *bans)
{
	free(bans->entries);
	*bans = (struct bans){0};
}

/* ------------------------------------------------------------------------- in order */

static int compare_lengths(const struct addr_net *a, const struct addr_net *b)
{
	return a->source.family != b->source.family ? a->source.family - b->source.family
	                                            : a->bits - b->bits;
}

static int compare_bytes(const struct addr_net *a, const uint8_t bytes[16])
{
	return memcmp(a->source.bytes, bytes, sizeof a->source.bytes);
}

static int compare_nets(const struct addr_net *a, const struct addr_net *b)
{
	int order = compare_lengths(a, b);

	if (order == 0)
		order = compare_bytes(a, b->source.bytes);
	if (order == 0)
		order = memcmp(a->source.scope, b->source.scope, sizeof a->source.scope);
	return order;
}

static int compare(const struct ban *a, const struct ban *b)
{
	int order = compare_nets(&a->who, &b->who);

	return order != 0 ? order : strcmp(a->service, b->service);
}

/* How many are before that one. */
static size_t find(const struct bans *bans, const struct ban *ban)
{
	size_t low = 0, high = bans->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (compare(&bans->entries[middle], ban) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* After each change: which lengths there are, and when the first ban ends. */
static void survey(struct bans *bans)
{
	struct bans_length *length = NULL;

	bans->n_lengths = 0;
	bans->next_end = UINT64_MAX;
	for (size_t i = 0; i < bans->n; i++) {
		const struct ban *ban = &bans->entries[i];

		if (ban->until < bans->next_end)
			bans->next_end = ban->until;
		if (i == 0 || compare_lengths(&ban[-1].who, &ban->who) != 0) {
			length = &bans->lengths[bans->n_lengths++];
			*length = (struct bans_length){.family = ban->who.source.family,
				.bits = ban->who.bits,
				.first = (uint16_t)i};
		}
		length->n++;
	}
}

/* ------------------------------------------------------------------ they come and go */

/* Those whose time is over make room. */
static void expire(struct bans *bans, uint64_t now)
{
	size_t kept = 0;

	if (bans->n == 0 || now < bans->next_end)
		return;
	for (size_t i = 0; i < bans->n; i++)
		if (bans->entries[i].until > now)
			bans->entries[kept++] = bans->entries[i];
	bans->n = kept;
	survey(bans);
}

static int insert(struct bans *bans, size_t place, const struct ban *ban)
{
	if (bans->n == BANS_MAX)
		return -ENOSPC;
	if (!bans->entries)
		bans->entries = calloc(BANS_MAX, sizeof *bans->entries);
	if (!bans->entries)
		return -ENOMEM;
	memmove(&bans->entries[place + 1], &bans->entries[place],
		(bans->n - place) * sizeof *bans->entries);
	bans->entries[place] = *ban;
	bans->n++;
	return 0;
}

int bans_put(struct bans *bans, const struct ban *ban, uint64_t now)
{
	size_t place;
	int r = 0;

	expire(bans, now);
	place = find(bans, ban);
	if (place < bans->n && compare(&bans->entries[place], ban) == 0)
		bans->entries[place].until = ban->until;
	else
		r = insert(bans, place, ban);
	survey(bans);
	return r;
}

static bool is_meant(const struct ban *ban, const struct addr_net *who, const char *service)
{
	return compare_nets(&ban->who, who) == 0 &&
	       (!service || strcmp(ban->service, service) == 0);
}

size_t bans_lift(
	struct bans *bans, const struct addr_net *who, const char *service, uint64_t now)
{
	size_t kept = 0, before;

	expire(bans, now);
	before = bans->n;
	for (size_t i = 0; i < before; i++)
		if (!is_meant(&bans->entries[i], who, service))
			bans->entries[kept++] = bans->entries[i];
	bans->n = kept;
	survey(bans);
	return before - kept;
}

/* -------------------------------------------------------------------------- to look */

bool bans_any(const struct bans *bans)
{
	return bans->n > 0;
}

/* The first of that length that is not before these bytes; behind them: there is none. */
static const struct ban *find_prefix(
	const struct bans *bans, const struct bans_length *length, const uint8_t bytes[16])
{
	const struct ban *low = bans->entries + length->first, *high = low + length->n;

	while (low < high) {
		const struct ban *middle = low + (high - low) / 2;

		if (compare_bytes(&middle->who, bytes) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_on_link(const struct ban *ban, const struct addr_source *source)
{
	static const uint8_t any[sizeof source->scope];
	const uint8_t *scope = ban->who.source.scope;

	return memcmp(scope, any, sizeof any) == 0 ||
	       memcmp(scope, source->scope, sizeof any) == 0;
}

static bool is_of(const struct ban *ban, const char *service)
{
	return !ban->service[0] || (service && strcmp(ban->service, service) == 0);
}

/* By bans of that length. */
static uint64_t until_by_length(const struct bans *bans, const struct bans_length *length,
	const struct addr_source *source, const char *service)
{
	const struct ban *end = bans->entries + length->first + length->n;
	uint64_t until = 0;
	uint8_t bytes[16];

	memcpy(bytes, source->bytes, sizeof bytes);
	addr_net_cut(bytes, length->bits);
	for (const struct ban *ban = find_prefix(bans, length, bytes);
		ban < end && compare_bytes(&ban->who, bytes) == 0; ban++)
		if (ban->until > until && is_of(ban, service) && is_on_link(ban, source))
			until = ban->until;
	return until;
}

uint64_t bans_until(
	struct bans *bans, const struct addr_source *source, const char *service, uint64_t now)
{
	uint64_t until = 0;

	expire(bans, now);
	for (size_t i = 0; i < bans->n_lengths; i++) {
		const struct bans_length *length = &bans->lengths[i];
		uint64_t by_this;

		if (length->family != source->family)
			continue;
		by_this = until_by_length(bans, length, source, service);
		if (by_this > until)
			until = by_this;
	}
	return until;
}

const struct ban *bans_next(struct bans *bans, const struct ban *after, uint64_t now)
{
	size_t place;

	expire(bans, now);
	place = after ? find(bans, after) : 0;
	if (after && place < bans->n && compare(&bans->entries[place], after) == 0)
		place++;
	return place < bans->n ? &bans->entries[place] : NULL;
}
