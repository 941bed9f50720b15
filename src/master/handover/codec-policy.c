#include "master/handover/codec-policy.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bounds of a histogram of any version. */
#define BOUNDS_MAX 256

/* Memories of any version: of them as many are kept as there is room for. */
#define MEMORIES_MAX (UINT32_C(1) << 20)

/* ------------------------------------------------------------------------ of limits */

static bool is_limit(const struct limit *limit)
{
	if (!limit_is_set(limit))
		return limit->count == 0 && limit->burst == 0;
	return limit->count <= LIMIT_COUNT_MAX && limit->burst >= 1 &&
	       limit->burst <= LIMIT_COUNT_MAX && limit->period <= LIMIT_PERIOD_MAX;
}

static void limit_fields(struct codec *codec, void *object)
{
	struct limit *limit = object;

	codec_u32(codec, &limit->count);
	codec_u32(codec, &limit->burst);
	codec_u64(codec, &limit->period);
	codec_expect(codec, is_limit(limit));
}

void codec_limit(struct codec *codec, struct limit *limit)
{
	codec_record(codec, limit_fields, limit);
}

/* One more than it holds may be missing: see bucket_take(). */
static void bucket_fields(struct codec *codec, void *object)
{
	struct bucket *bucket = object;

	codec_u64(codec, &bucket->at);
	codec_u64(codec, &bucket->missing);
	codec_expect(codec, bucket->missing <= (LIMIT_COUNT_MAX + 1) * LIMIT_PARTS);
}

void codec_bucket(struct codec *codec, struct bucket *bucket)
{
	codec_record(codec, bucket_fields, bucket);
}

static void gate_fields(struct codec *codec, void *object)
{
	struct log_gate *gate = object;

	codec_u64(codec, &gate->window_ends);
	codec_u64(codec, &gate->held_back);
}

void codec_gate(struct codec *codec, struct log_gate *gate)
{
	codec_record(codec, gate_fields, gate);
}

/* ------------------------------------------------------------------------- of counts */

static void histogram_fields(struct codec *codec, void *object)
{
	struct histogram *histogram = object;
	uint32_t n = HISTOGRAM_BOUNDS + 1;
	uint64_t none = 0;

	codec_u32(codec, &n);
	codec_expect(codec, n <= BOUNDS_MAX);
	for (uint32_t i = 0; i < n && codec_error(codec) == 0; i++)
		codec_u64(codec, i <= HISTOGRAM_BOUNDS ? &histogram->counts[i] : &none);
	codec_u64(codec, &histogram->sum);
	if (n != HISTOGRAM_BOUNDS + 1)
		*histogram = (struct histogram){0};
}

void codec_histogram(struct codec *codec, struct histogram *histogram)
{
	codec_record(codec, histogram_fields, histogram);
}

struct count {
	char *word; /* borrowed when it is written, else owned */
	uint64_t count;
};

static void count_fields(struct codec *codec, void *object)
{
	struct count *count = object;

	codec_text(codec, &count->word);
	codec_u64(codec, &count->count);
	codec_expect(codec, count->word);
}

/* The number that has the word; `n`: none. */
static unsigned number_of(const char *text, unsigned n, const char *(*word)(unsigned number))
{
	unsigned i = 0;

	while (i < n && strcmp(word(i), text) != 0)
		i++;
	return i;
}

static void write_counts(struct codec *codec, const uint64_t *counts, size_t n,
	const char *(*word)(unsigned number))
{
	struct count items[CODEC_COUNTS_MAX];
	void *array = items;
	size_t used = 0;

	for (unsigned i = 0; i < n; i++)
		if (counts[i] > 0)
			items[used++] = (struct count){(char *)word(i), counts[i]};
	codec_array(codec, &array, &used, sizeof *items, CODEC_COUNTS_MAX, count_fields);
}

static void read_counts(
	struct codec *codec, uint64_t *counts, size_t n, const char *(*word)(unsigned number))
{
	struct count *items;
	void *array = NULL;
	size_t used = 0;

	memset(counts, 0, n * sizeof *counts);
	codec_array(codec, &array, &used, sizeof *items, CODEC_COUNTS_MAX, count_fields);
	items = array;
	for (size_t i = 0; i < used; i++) {
		unsigned number =
			items[i].word ? number_of(items[i].word, (unsigned)n, word) : 0;

		if (codec_error(codec) == 0 && number < n)
			counts[number] = items[i].count;
		free(items[i].word);
	}
	free(items);
}

void codec_counts(
	struct codec *codec, uint64_t *counts, size_t n, const char *(*word)(unsigned number))
{
	assert(n <= CODEC_COUNTS_MAX);

	if (codec_reads(codec))
		read_counts(codec, counts, n, word);
	else
		write_counts(codec, counts, n, word);
}

/* -------------------------------------------------------------------------- of texts */

void codec_word(
	struct codec *codec, unsigned *number, unsigned n, const char *(*word)(unsigned number))
{
	char *text = codec_reads(codec) ? NULL : (char *)word(*number);

	codec_text(codec, &text);
	if (!codec_reads(codec))
		return;
	*number = text ? number_of(text, n, word) : 0;
	codec_expect(codec, *number < n);
	if (*number >= n)
		*number = 0;
	free(text);
}

static void copy_line(const char *from, char *to, size_t size)
{
	size_t len = strnlen(from, size - 1);

	for (size_t i = 0; i < len; i++)
		to[i] = (unsigned char)from[i] < ' ' || from[i] == 0x7f ? '?' : from[i];
	to[len] = '\0';
}

void codec_line(struct codec *codec, char *text, size_t size)
{
	char *line = codec_reads(codec) ? NULL : text;

	codec_text(codec, &line);
	if (!codec_reads(codec))
		return;
	copy_line(line ? line : "", text, size);
	free(line);
}

/* -------------------------------------------------------------------------- of people */

/* Bytes that tell sources of a family apart. */
static size_t width_of(const struct addr_source *source)
{
	switch (source->family) {
	case ADDR_SOURCE_IPV6:
		return 16;
	case ADDR_SOURCE_NONE:
		return 0;
	default:
		return 4;
	}
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

/* What is compared as a whole has nothing in it that does not count. */
static bool is_somebody(const struct addr_source *source)
{
	size_t width = width_of(source);

	return width > 0 && is_zero(source->bytes + width, sizeof source->bytes - width) &&
	       (addr_source_is_link_local(source) ||
		       is_zero(source->scope, sizeof source->scope));
}

static bool is_net(const struct addr_net *net)
{
	uint8_t bytes[sizeof net->source.bytes];

	if (!is_somebody(&net->source) || net->bits > 8 * width_of(&net->source))
		return false;
	memcpy(bytes, net->source.bytes, sizeof bytes);
	addr_net_cut(bytes, net->bits);
	return memcmp(bytes, net->source.bytes, sizeof bytes) == 0;
}

/* One that was cut would be another one. */
static void name_field(struct codec *codec, char name[BANS_SERVICE_MAX + 1])
{
	char longer[BANS_SERVICE_MAX + 2];

	snprintf(longer, sizeof longer, "%s", name);
	codec_line(codec, longer, sizeof longer);
	codec_expect(codec, strlen(longer) <= BANS_SERVICE_MAX);
	snprintf(name, BANS_SERVICE_MAX + 1, "%.*s", BANS_SERVICE_MAX, longer);
}

static void ban_fields(struct codec *codec, void *object)
{
	struct ban *ban = object;

	codec_source(codec, &ban->who.source);
	codec_u8(codec, &ban->who.bits);
	name_field(codec, ban->service);
	codec_u64(codec, &ban->until);
	codec_expect(codec, is_net(&ban->who));
}

void codec_bans(struct codec *codec, struct bans *bans)
{
	void *array = bans->entries;
	size_t n = bans->n;

	codec_array(codec, &array, &n, sizeof *bans->entries, BANS_MAX, ban_fields);
	if (!codec_reads(codec))
		return;
	for (size_t i = 0; i < n && codec_error(codec) == 0; i++)
		if (bans_put(bans, (struct ban *)array + i, 0) < 0)
			codec_fault(codec, -ENOMEM);
	free(array);
}

static void memory_fields(struct codec *codec, void *object)
{
	struct source_memory *memory = object;

	codec_u64(codec, &memory->service);
	codec_source(codec, &memory->source);
	codec_u8(codec, &memory->bits);
	codec_u64(codec, &memory->until);
	codec_u64(codec, &memory->banned_until);
	codec_bucket(codec, &memory->bucket);
	codec_expect(codec,
		is_somebody(&memory->source) && memory->bits <= 8 * width_of(&memory->source));
}

void codec_memories(struct codec *codec, struct source_memory **memories, size_t *n)
{
	void *array = *memories;

	codec_array(codec, &array, n, sizeof **memories, MEMORIES_MAX, memory_fields);
	*memories = array;
}
