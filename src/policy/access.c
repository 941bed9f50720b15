/*
 * A table, all numbers little-endian:
 *
 *	digest		16 bytes over all that follows
 *	flags		u32
 *	n_rules		u32
 *	n4, n6, n_ids	u32 each
 *	starts of IPv4	n4 of u32, ascending from 0
 *	marks of IPv4	n4 of u32
 *	starts of IPv6	n6 of two u64, the upper half first, ascending from 0
 *	marks of IPv6	n6 of u32
 *	ids		n_ids of kind, id and mark, ascending by the first two
 *
 * From its start up to the next one a mark decides.  It is the number of a rule
 * doubled, plus one if the rule denies, or NOBODY.  A family without rules has no
 * starts at all.
 */
#include "policy/access.h"

#include "base/own.h"
#include "policy/siphash.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#define NOBODY UINT32_MAX

enum {
	EXCLUSIVE = 1 << 0,
	HAS_GROUPS = 1 << 1,    /* a rule is about a group */
	DENIES_GROUPS = 1 << 2, /* ... and denies it */
	ALL_FLAGS = (1 << 3) - 1,
};

enum {
	AT_FLAGS = ACCESS_DIGEST_LEN,
	AT_RULES = AT_FLAGS + 4,
	AT_N4 = AT_RULES + 4,
	AT_N6 = AT_N4 + 4,
	AT_IDS = AT_N6 + 4,
	AT_STARTS = AT_IDS + 4,
	ID_LEN = 12,
};

/* An IPv4 address stands in the lower half. */
struct key {
	uint64_t hi, lo;
};

static uint32_t load32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof value);
	return le32toh(value);
}

static uint64_t load64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof value);
	return le64toh(value);
}

static struct key load_key(const uint8_t *at)
{
	return (struct key){load64(at), load64(at + 8)};
}

static bool is_before(struct key a, struct key b)
{
	return a.hi < b.hi || (a.hi == b.hi && a.lo < b.lo);
}

static struct key key_of(uint8_t family, const uint8_t *bytes)
{
	uint64_t half[2];
	uint32_t word;

	if (family == ADDR_SOURCE_IPV4) {
		memcpy(&word, bytes, sizeof word);
		return (struct key){0, be32toh(word)};
	}
	memcpy(half, bytes, sizeof half);
	return (struct key){be64toh(half[0]), be64toh(half[1])};
}

/* Where the parts of a table lie. */
struct view {
	uint32_t flags, n_rules, n4, n6, n_ids;
	const uint8_t *starts4, *marks4, *starts6, *marks6, *ids;
};

static struct view view_of(const uint8_t *table)
{
	struct view v = {
		.flags = load32(table + AT_FLAGS),
		.n_rules = load32(table + AT_RULES),
		.n4 = load32(table + AT_N4),
		.n6 = load32(table + AT_N6),
		.n_ids = load32(table + AT_IDS),
	};

	v.starts4 = table + AT_STARTS;
	v.marks4 = v.starts4 + (size_t)v.n4 * 4;
	v.starts6 = v.marks4 + (size_t)v.n4 * 4;
	v.marks6 = v.starts6 + (size_t)v.n6 * 16;
	v.ids = v.marks6 + (size_t)v.n6 * 4;
	return v;
}

/* ------------------------------------------------------------- answer */

static bool denies(uint32_t mark)
{
	return mark != NOBODY && mark & 1;
}

static struct access_answer answer(const struct view *v, uint32_t mark)
{
	if (mark == NOBODY)
		return (struct access_answer){
			v->flags & EXCLUSIVE ? ACCESS_NOT_LISTED : ACCESS_OK, ACCESS_NO_RULE};
	return (struct access_answer){mark & 1 ? ACCESS_DENIED : ACCESS_OK, mark / 2};
}

/* The last start that is not behind the address; the first is 0. */
static uint32_t find4(const struct view *v, uint32_t address)
{
	uint32_t at = 0, n = v->n4;

	if (n == 0)
		return NOBODY;
	while (n > 1) {
		uint32_t half = n / 2;

		at = load32(v->starts4 + (size_t)(at + half) * 4) <= address ? at + half : at;
		n -= half;
	}
	return load32(v->marks4 + (size_t)at * 4);
}

static uint32_t find6(const struct view *v, struct key address)
{
	uint32_t at = 0, n = v->n6;

	if (n == 0)
		return NOBODY;
	while (n > 1) {
		uint32_t half = n / 2;
		struct key start = load_key(v->starts6 + (size_t)(at + half) * 16);

		at = is_before(address, start) ? at : at + half;
		n -= half;
	}
	return load32(v->marks6 + (size_t)at * 4);
}

static uint64_t id_key(enum access_kind kind, uint32_t id)
{
	return (uint64_t)kind << 32 | id;
}

static uint64_t load_id(const uint8_t *at)
{
	return (uint64_t)load32(at) << 32 | load32(at + 4);
}

static uint32_t find_id(const struct view *v, enum access_kind kind, uint32_t id)
{
	uint64_t wanted = id_key(kind, id);
	uint32_t at = 0, n = v->n_ids;

	while (n > 0) {
		uint32_t half = n / 2;
		uint64_t found = load_id(v->ids + (size_t)(at + half) * ID_LEN);

		if (found == wanted)
			return load32(v->ids + (size_t)(at + half) * ID_LEN + 8);
		if (found < wanted) {
			at += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return NOBODY;
}

/* One that denies, or else the first rule. */
static uint32_t find_groups(const struct view *v, const struct access_peer *peer)
{
	uint32_t best = NOBODY;

	for (size_t i = 0; i < peer->n_groups; i++) {
		uint32_t mark = find_id(v, ACCESS_GID, peer->groups[i]);

		if (denies(mark) != denies(best) ? denies(mark) : mark < best)
			best = mark;
	}
	return best;
}

static struct access_answer ask_unix(const struct view *v, const struct access_peer *peer)
{
	uint32_t uid, mark;

	memcpy(&uid, peer->who.bytes, sizeof uid);
	mark = find_id(v, ACCESS_UID, uid);
	if (mark != NOBODY)
		return answer(v, mark);
	mark = find_groups(v, peer);
	if (peer->more_groups && !denies(mark) && v->flags & DENIES_GROUPS)
		return (struct access_answer){ACCESS_DENIED, ACCESS_NO_RULE};
	return answer(v, mark != NOBODY ? mark : find_id(v, ACCESS_UNIX, 0));
}

static struct access_answer ask_vsock(const struct view *v, const struct access_peer *peer)
{
	uint32_t cid, mark;

	memcpy(&cid, peer->who.bytes, sizeof cid);
	mark = find_id(v, ACCESS_CID, cid);
	return answer(v, mark != NOBODY ? mark : find_id(v, ACCESS_VSOCK, 0));
}

bool access_wants_groups(const uint8_t *table)
{
	return load32(table + AT_FLAGS) & HAS_GROUPS;
}

struct access_answer access_ask(const uint8_t *table, const struct access_peer *peer)
{
	const struct addr_source *who = &peer->who;
	struct view v = view_of(table);

	switch (who->family) {
	case ADDR_SOURCE_IPV4:
		return answer(&v, find4(&v, (uint32_t)key_of(who->family, who->bytes).lo));
	case ADDR_SOURCE_IPV6:
		return answer(&v, find6(&v, key_of(who->family, who->bytes)));
	case ADDR_SOURCE_VSOCK:
		return ask_vsock(&v, peer);
	default:
		return ask_unix(&v, peer);
	}
}

/* -------------------------------------------------------------- check */

static bool mark_holds(const struct view *v, uint32_t mark)
{
	return mark == NOBODY || mark / 2 < v->n_rules;
}

static bool starts4_hold(const struct view *v)
{
	for (uint32_t i = 0; i < v->n4; i++) {
		uint32_t start = load32(v->starts4 + (size_t)i * 4);

		if (i == 0 ? start != 0 : start <= load32(v->starts4 + (size_t)(i - 1) * 4))
			return false;
		if (!mark_holds(v, load32(v->marks4 + (size_t)i * 4)))
			return false;
	}
	return true;
}

static bool starts6_hold(const struct view *v)
{
	struct key before = {0};

	for (uint32_t i = 0; i < v->n6; i++) {
		struct key start = load_key(v->starts6 + (size_t)i * 16);

		if (i == 0 ? (start.hi | start.lo) != 0 : !is_before(before, start))
			return false;
		if (!mark_holds(v, load32(v->marks6 + (size_t)i * 4)))
			return false;
		before = start;
	}
	return true;
}

static bool ids_hold(const struct view *v)
{
	uint64_t before = id_key(ACCESS_UNIX, 0);

	for (uint32_t i = 0; i < v->n_ids; i++) {
		const uint8_t *at = v->ids + (size_t)i * ID_LEN;
		uint64_t key = load_id(at);

		if (key < before || key >= id_key(_ACCESS_KIND_MAX, 0))
			return false;
		/* It is there because a rule decides. */
		if (load32(at + 8) / 2 >= v->n_rules)
			return false;
		before = key + 1;
	}
	return true;
}

int access_check(const uint8_t *table, size_t len)
{
	struct view v;
	uint64_t wanted;

	if (len < AT_STARTS || len > ACCESS_TABLE_MAX)
		return -EBADMSG;
	v = view_of(table);
	wanted = AT_STARTS + (uint64_t)v.n4 * 8 + (uint64_t)v.n6 * 20 +
	         (uint64_t)v.n_ids * ID_LEN;
	if (len != wanted || v.flags > ALL_FLAGS || v.n_rules > ACCESS_RULES_MAX)
		return -EBADMSG;
	return starts4_hold(&v) && starts6_hold(&v) && ids_hold(&v) ? 0 : -EBADMSG;
}

/* ------------------------------------------------------------ compile */

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
	first = key_of(prefix->family, prefix->bytes);
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
