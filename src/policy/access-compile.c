/*
 * access-compile: rules to a table that access_ask() can look them up in.
 */
#include "policy/access-internal.h"

#include "base/own.h"
#include "policy/siphash.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

/* A network, or an id with its kind in front of it. */
struct span {
	struct key first, last;
	uint8_t bits;
	uint32_t mark;
};

/* From here on the mark decides. */
struct start {
	struct key first;
	uint32_t mark;
};

static uint32_t mark_of(const struct access_rule *rules, size_t i)
{
	return (uint32_t)i * 2 + rules[i].deny;
}

/* All ones behind the first `bits` of `width`. */
static struct key rest_of(unsigned bits, unsigned width)
{
	unsigned n = width - bits;

	if (n == 0)
		return (struct key){0, 0};
	if (n <= 64)
		return (struct key){0, UINT64_MAX >> (64 - n)};
	return (struct key){UINT64_MAX >> (128 - n), UINT64_MAX};
}

static struct span span_of(const struct access_rule *rules, size_t i)
{
	const struct addr_prefix *prefix = &rules[i].prefix;
	struct key first, rest;

	if (rules[i].kind != ACCESS_IP) {
		first = (struct key){rules[i].kind, rules[i].id};
		return (struct span){first, first, 0, mark_of(rules, i)};
	}
	first = access_key_of(prefix->family, prefix->bytes);
	rest = rest_of(prefix->bits, prefix->family == ADDR_SOURCE_IPV4 ? 32 : 128);
	return (struct span){first, {first.hi | rest.hi, first.lo | rest.lo}, prefix->bits,
		mark_of(rules, i)};
}

static int compare_keys(struct key a, struct key b)
{
	return is_before(b, a) - is_before(a, b);
}

/* What holds another comes before it; of the same, the one that decides. */
static int compare_spans(const void *x, const void *y)
{
	const struct span *a = x, *b = y;
	int r = compare_keys(a->first, b->first);

	if (r == 0)
		r = (a->bits > b->bits) - (a->bits < b->bits);
	if (r == 0)
		r = (int)(b->mark & 1) - (int)(a->mark & 1);
	return r ? r : (a->mark > b->mark) - (a->mark < b->mark);
}

static bool same_place(const struct span *a, const struct span *b)
{
	return compare_keys(a->first, b->first) == 0 && a->bits == b->bits;
}

/* Sort, and keep of each place what decides there.  How many are left. */
static size_t settle(struct span *spans, size_t n)
{
	size_t kept = 0;

	if (n > 1)
		qsort(spans, n, sizeof *spans, compare_spans);
	for (size_t i = 0; i < n; i++) {
		if (kept == 0 || !same_place(&spans[kept - 1], &spans[i]))
			spans[kept++] = spans[i];
	}
	return kept;
}

/* Spans nest or lie apart, so those that are open form a stack. */
struct sweep {
	const struct span *open[130];
	size_t depth;
	struct start *starts;
	size_t n;
};

static void put_start(struct sweep *s, struct key first, uint32_t mark)
{
	struct start *last = &s->starts[s->n - 1];

	/* What begins where another one does holds the other. */
	if (compare_keys(last->first, first) == 0)
		last->mark = mark;
	else
		s->starts[s->n++] = (struct start){first, mark};
}

static void close_span(struct sweep *s, unsigned width)
{
	const struct span *span = s->open[--s->depth];
	struct key next = span->last, end = rest_of(0, width);

	if (compare_keys(next, end) == 0)
		return;
	next.hi += ++next.lo == 0;
	put_start(s, next, s->depth > 0 ? s->open[s->depth - 1]->mark : NOBODY);
}

/* Fill starts, of which there is room for 2 * n + 1. */
static size_t flatten(const struct span *spans, size_t n, unsigned width, struct start *starts)
{
	struct sweep s = {.starts = starts};

	if (n == 0)
		return 0;
	starts[s.n++] = (struct start){{0, 0}, NOBODY};
	for (size_t i = 0; i < n; i++) {
		while (s.depth > 0 && is_before(s.open[s.depth - 1]->last, spans[i].first))
			close_span(&s, width);
		assert(s.depth < ARRAY_SIZE(s.open));
		s.open[s.depth++] = &spans[i];
		put_start(&s, spans[i].first, spans[i].mark);
	}
	while (s.depth > 0)
		close_span(&s, width);
	return s.n;
}

/* What becomes of the rules of one sort. */
struct part {
	struct span *spans;
	size_t n_spans;
	struct start *starts;
	size_t n_starts;
};

struct work {
	struct part v4, v6, ids;
	uint32_t flags;
};

static void part_done(struct part *part)
{
	free(part->spans);
	free(part->starts);
}

static void work_done(struct work *w)
{
	part_done(&w->v4);
	part_done(&w->v6);
	part_done(&w->ids);
}

static struct part *part_for(struct work *w, const struct access_rule *rule)
{
	if (rule->kind != ACCESS_IP)
		return &w->ids;
	return rule->prefix.family == ADDR_SOURCE_IPV4 ? &w->v4 : &w->v6;
}

static int make_part(struct part *part)
{
	part->spans = calloc(part->n_spans + 1, sizeof *part->spans);
	part->starts = calloc(2 * part->n_spans + 1, sizeof *part->starts);
	part->n_spans = 0;
	return part->spans && part->starts ? 0 : -ENOMEM;
}

static int sort_rules(struct work *w, const struct access_rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		part_for(w, &rules[i])->n_spans++;
		if (rules[i].kind == ACCESS_GID)
			w->flags |= HAS_GROUPS | (rules[i].deny ? DENIES_GROUPS : 0);
	}
	if (make_part(&w->v4) < 0 || make_part(&w->v6) < 0 || make_part(&w->ids) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct part *part = part_for(w, &rules[i]);

		part->spans[part->n_spans++] = span_of(rules, i);
	}
	w->v4.n_spans = settle(w->v4.spans, w->v4.n_spans);
	w->v6.n_spans = settle(w->v6.spans, w->v6.n_spans);
	w->ids.n_spans = settle(w->ids.spans, w->ids.n_spans);
	w->v4.n_starts = flatten(w->v4.spans, w->v4.n_spans, 32, w->v4.starts);
	w->v6.n_starts = flatten(w->v6.spans, w->v6.n_spans, 128, w->v6.starts);
	return 0;
}

static uint8_t *store32(uint8_t *at, uint64_t value)
{
	uint32_t word = htole32((uint32_t)value);

	memcpy(at, &word, sizeof word);
	return at + sizeof word;
}

static uint8_t *store64(uint8_t *at, uint64_t value)
{
	value = htole64(value);
	memcpy(at, &value, sizeof value);
	return at + sizeof value;
}

static uint8_t *store_starts(uint8_t *at, const struct part *part, bool wide)
{
	for (size_t i = 0; i < part->n_starts; i++) {
		const struct key *first = &part->starts[i].first;

		at = wide ? store64(store64(at, first->hi), first->lo) : store32(at, first->lo);
	}
	for (size_t i = 0; i < part->n_starts; i++)
		at = store32(at, part->starts[i].mark);
	return at;
}

static uint8_t *store_ids(uint8_t *at, const struct part *ids)
{
	for (size_t i = 0; i < ids->n_spans; i++) {
		at = store32(at, ids->spans[i].first.hi);
		at = store32(at, ids->spans[i].first.lo);
		at = store32(at, ids->spans[i].mark);
	}
	return at;
}

/* Not against enemies who choose what they write, but against accidents. */
static void sign(uint8_t *table, size_t len)
{
	static const uint8_t keys[2][16] = {"hatchd access 1", "hatchd access 2"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		store64(table + 8 * i, siphash(table + AT_FLAGS, len - AT_FLAGS, keys[i]));
}

static int store_table(const struct work *w, size_t n, uint8_t **ret_table, size_t *ret_len)
{
	size_t len =
		AT_STARTS + w->v4.n_starts * 8 + w->v6.n_starts * 20 + w->ids.n_spans * ID_LEN;
	uint8_t *table = malloc(len), *at;

	if (!table)
		return -ENOMEM;
	at = store32(table + AT_FLAGS, w->flags);
	at = store32(at, n);
	at = store32(at, w->v4.n_starts);
	at = store32(at, w->v6.n_starts);
	at = store32(at, w->ids.n_spans);
	at = store_starts(at, &w->v4, false);
	at = store_starts(at, &w->v6, true);
	at = store_ids(at, &w->ids);
	assert(at == table + len);
	sign(table, len);
	*ret_table = table;
	*ret_len = len;
	return 0;
}

int access_compile(const struct access_rule *rules, size_t n, bool exclusive,
	uint8_t **ret_table, size_t *ret_len)
{
	struct work w = {.flags = exclusive ? EXCLUSIVE : 0};
	int r;

	if (n > ACCESS_RULES_MAX)
		return -E2BIG;
	r = sort_rules(&w, rules, n);
	if (r == 0)
		r = store_table(&w, n, ret_table, ret_len);
	work_done(&w);
	return r;
}
