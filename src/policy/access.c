#include "policy/access.h"

#include "base/own.h"
#include "policy/access-internal.h"

#include <endian.h>
#include <string.h>

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

struct key access_key_of(uint8_t family, const uint8_t *bytes)
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
		return answer(
			&v, find4(&v, (uint32_t)access_key_of(who->family, who->bytes).lo));
	case ADDR_SOURCE_IPV6:
		return answer(&v, find6(&v, access_key_of(who->family, who->bytes)));
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
