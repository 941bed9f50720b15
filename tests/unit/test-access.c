/* access: compiled rules, asked beside a search through all of them. */
#include "policy/access.h"

#include "base/own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* Allocations until one fails; 0: none does. */
static size_t fail_in;

void *__real_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	return fail_in > 0 && --fail_in == 0 ? NULL : __real_calloc(n, size);
}

void *__wrap_malloc(size_t size)
{
	return fail_in > 0 && --fail_in == 0 ? NULL : __real_malloc(size);
}

struct table {
	uint8_t *bytes;
	size_t len;
};

static void table_done(struct table *table)
{
	free(table->bytes);
}
#define _cleanup_table_ _cleanup_(table_done)

static struct access_rule ip(const char *text, bool deny)
{
	struct access_rule rule = {.kind = ACCESS_IP, .deny = deny};

	assert_int_equal(addr_parse_prefix(text, &rule.prefix), 0);
	assert_false(addr_prefix_cut(&rule.prefix));
	return rule;
}

static struct access_rule id(enum access_kind kind, uint32_t number, bool deny)
{
	return (struct access_rule){.kind = kind, .deny = deny, .id = number};
}

static struct table compile(const struct access_rule *rules, size_t n, bool exclusive)
{
	struct table table;

	assert_int_equal(access_compile(rules, n, exclusive, &table.bytes, &table.len), 0);
	assert_int_equal(access_check(table.bytes, table.len), 0);
	return table;
}

static struct access_peer peer_at(const char *text)
{
	struct access_peer peer = {0};
	struct addr_prefix prefix;

	assert_int_equal(addr_parse_prefix(text, &prefix), 0);
	peer.who.family = prefix.family;
	memcpy(peer.who.bytes, prefix.bytes, sizeof prefix.bytes);
	return peer;
}

static void assert_answer(
	const struct table *table, const char *text, enum access_verdict verdict, uint32_t rule)
{
	struct access_peer peer = peer_at(text);
	struct access_answer answer = access_ask(table->bytes, &peer);

	if (answer.verdict != verdict || answer.rule != rule)
		print_error("%s: %d by %u\n", text, answer.verdict, answer.rule);
	assert_int_equal(answer.verdict, verdict);
	assert_int_equal(answer.rule, rule);
}

static void test_without_rules(void **ctx)
{
	_cleanup_table_ struct table open = compile(NULL, 0, false);
	_cleanup_table_ struct table shut = compile(NULL, 0, true);

	(void)ctx;
	assert_answer(&open, "192.0.2.1", ACCESS_OK, ACCESS_NO_RULE);
	assert_answer(&open, "2001:db8::1", ACCESS_OK, ACCESS_NO_RULE);
	assert_answer(&shut, "192.0.2.1", ACCESS_NOT_LISTED, ACCESS_NO_RULE);
	assert_answer(&shut, "2001:db8::1", ACCESS_NOT_LISTED, ACCESS_NO_RULE);
}

static void test_longest_prefix(void **ctx)
{
	const struct access_rule rules[] = {
		ip("10.0.0.0/8", false),
		ip("10.1.0.0/16", true),
		ip("10.1.2.0/24", false),
		ip("10.1.2.3/32", true),
		ip("255.255.255.255/32", false),
		ip("2001:db8::/32", false),
		ip("2001:db8:0:1::/64", true),
		ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", false),
	};
	_cleanup_table_ struct table table = compile(rules, ARRAY_SIZE(rules), true);

	(void)ctx;
	assert_answer(&table, "9.255.255.255", ACCESS_NOT_LISTED, ACCESS_NO_RULE);
	assert_answer(&table, "10.0.0.0", ACCESS_OK, 0);
	assert_answer(&table, "10.0.255.255", ACCESS_OK, 0);
	assert_answer(&table, "10.1.0.0", ACCESS_DENIED, 1);
	assert_answer(&table, "10.1.2.2", ACCESS_OK, 2);
	assert_answer(&table, "10.1.2.3", ACCESS_DENIED, 3);
	assert_answer(&table, "10.1.2.4", ACCESS_OK, 2);
	assert_answer(&table, "10.1.3.0", ACCESS_DENIED, 1);
	assert_answer(&table, "10.2.0.0", ACCESS_OK, 0);
	assert_answer(&table, "11.0.0.0", ACCESS_NOT_LISTED, ACCESS_NO_RULE);
	assert_answer(&table, "255.255.255.255", ACCESS_OK, 4);
	assert_answer(&table, "2001:db8::", ACCESS_OK, 5);
	assert_answer(&table, "2001:db8:0:1::7", ACCESS_DENIED, 6);
	assert_answer(&table, "2001:db8:0:2::", ACCESS_OK, 5);
	assert_answer(&table, "2001:db9::", ACCESS_NOT_LISTED, ACCESS_NO_RULE);
	assert_answer(&table, "::", ACCESS_NOT_LISTED, ACCESS_NO_RULE);
	assert_answer(&table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ACCESS_OK, 7);
}

/* In whichever order they stand. */
static void test_ties_deny(void **ctx)
{
	const struct access_rule rules[] = {
		ip("10.0.0.0/8", false),
		ip("10.0.0.0/8", true),
		ip("10.0.0.0/8", true),
		ip("::/0", true),
		ip("::/0", false),
		ip("0.0.0.0/0", false),
		ip("0.0.0.0/0", false),
		id(ACCESS_UID, 7, false),
		id(ACCESS_UID, 7, true),
	};
	_cleanup_table_ struct table table = compile(rules, ARRAY_SIZE(rules), false);
	struct access_peer peer = {0};

	(void)ctx;
	assert_answer(&table, "10.1.1.1", ACCESS_DENIED, 1);
	assert_answer(&table, "::1", ACCESS_DENIED, 3);
	assert_answer(&table, "127.0.0.1", ACCESS_OK, 5);
	addr_source_uid(7, &peer.who);
	assert_int_equal(access_ask(table.bytes, &peer).verdict, ACCESS_DENIED);
	assert_int_equal(access_ask(table.bytes, &peer).rule, 8);
}

/* All of a family is nothing of the other. */
static void test_everybody(void **ctx)
{
	const struct access_rule rules[] = {ip("0.0.0.0/0", false)};
	_cleanup_table_ struct table table = compile(rules, 1, true);

	(void)ctx;
	assert_answer(&table, "0.0.0.0", ACCESS_OK, 0);
	assert_answer(&table, "255.255.255.255", ACCESS_OK, 0);
	assert_answer(&table, "::1", ACCESS_NOT_LISTED, ACCESS_NO_RULE);
}

static void test_mapped(void **ctx)
{
	const struct access_rule rules[] = {ip("::ffff:10.0.0.0/104", false)};
	_cleanup_table_ struct table table = compile(rules, 1, true);
	struct access_peer peer = {0};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct addr addr;

	(void)ctx;
	assert_answer(&table, "10.9.9.9", ACCESS_OK, 0);
	assert_answer(&table, "::ffff:10.9.9.9", ACCESS_OK, 0);
	assert_answer(&table, "::10.9.9.9", ACCESS_NOT_LISTED, ACCESS_NO_RULE);

	/* As accept(2) says it on a socket for both. */
	memcpy(&in6.sin6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\1\2\3", 16);
	addr_from_sockaddr(ADDR_TCP, (struct sockaddr *)&in6, sizeof in6, &addr);
	addr_source(&addr, 32, 128, &peer.who);
	assert_int_equal(access_ask(table.bytes, &peer).verdict, ACCESS_OK);
}

static enum access_verdict ask_unix(
	const struct table *table, uint32_t uid, const uint32_t *groups, size_t n, bool more)
{
	struct access_peer peer = {.groups = groups, .n_groups = n, .more_groups = more};

	addr_source_uid(uid, &peer.who);
	return access_ask(table->bytes, &peer).verdict;
}

static void test_unix(void **ctx)
{
	static const uint32_t none[] = {5}, friends[] = {5, 20, 21}, both[] = {20, 30, 5},
			      both_again[] = {30, 20};
	const struct access_rule rules[] = {
		id(ACCESS_UID, 0, false),
		id(ACCESS_UID, 1000, true),
		id(ACCESS_GID, 20, false),
		id(ACCESS_GID, 30, true),
		id(ACCESS_GID, 21, false),
	};
	_cleanup_table_ struct table table = compile(rules, ARRAY_SIZE(rules), true);
	_cleanup_table_ struct table allows = compile(&rules[2], 1, true);
	_cleanup_table_ struct table users = compile(rules, 2, true);

	(void)ctx;
	assert_true(access_wants_groups(table.bytes));
	assert_false(access_wants_groups(users.bytes));
	assert_int_equal(ask_unix(&table, 0, NULL, 0, false), ACCESS_OK);
	assert_int_equal(ask_unix(&table, 0, both, 3, true), ACCESS_OK);
	assert_int_equal(ask_unix(&table, 1000, friends, 3, false), ACCESS_DENIED);
	assert_int_equal(ask_unix(&table, 1001, none, 1, false), ACCESS_NOT_LISTED);
	assert_int_equal(ask_unix(&table, 1001, friends, 3, false), ACCESS_OK);
	assert_int_equal(ask_unix(&table, 1001, both, 3, false), ACCESS_DENIED);
	assert_int_equal(ask_unix(&table, 1001, both_again, 2, false), ACCESS_DENIED);
	assert_int_equal(ask_unix(&table, 1001, both, 3, true), ACCESS_DENIED);

	/* One of those that are not known may be a denied one. */
	assert_int_equal(ask_unix(&table, 1001, friends, 3, true), ACCESS_DENIED);
	assert_int_equal(ask_unix(&allows, 1001, friends, 3, true), ACCESS_OK);
	assert_int_equal(ask_unix(&allows, 1001, none, 1, true), ACCESS_NOT_LISTED);
	assert_answer(&table, "127.0.0.1", ACCESS_NOT_LISTED, ACCESS_NO_RULE);
}

static void test_any(void **ctx)
{
	static const uint32_t groups[] = {20};
	const struct access_rule rules[] = {
		id(ACCESS_UNIX, 0, true),
		id(ACCESS_GID, 20, false),
		id(ACCESS_VSOCK, 0, true),
		id(ACCESS_CID, 2, false),
	};
	_cleanup_table_ struct table table = compile(rules, ARRAY_SIZE(rules), false);
	struct access_peer peer = {.who = {.family = 2, .bytes = {2}}};

	(void)ctx;
	assert_int_equal(ask_unix(&table, 1, NULL, 0, false), ACCESS_DENIED);
	assert_int_equal(ask_unix(&table, 1, groups, 1, false), ACCESS_OK);
	assert_int_equal(access_ask(table.bytes, &peer).verdict, ACCESS_OK);
	peer.who.bytes[0] = 3;
	assert_int_equal(access_ask(table.bytes, &peer).verdict, ACCESS_DENIED);
	assert_int_equal(access_ask(table.bytes, &peer).rule, 2);
}

/*
 * Beside a search through all rules.
 */

static uint32_t seed = 1;

static uint32_t draw(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(seed >> 4) * n >> 28);
}

/* Few bits that differ, so that much nests and is the same. */
static void draw_bytes(uint8_t bytes[16], unsigned width)
{
	memset(bytes, 0, 16);
	for (unsigned i = 0; i < width / 8; i += 1 + draw(3))
		bytes[i] = (uint8_t)(draw(4) * 85);
}

static struct access_rule draw_rule(void)
{
	struct access_rule rule = {.kind = ACCESS_IP, .deny = draw(2)};
	unsigned width = draw(2) ? 32 : 128;

	rule.prefix.family = width == 32 ? 4 : 6;
	rule.prefix.bits = (uint8_t)draw(width + 1);
	draw_bytes(rule.prefix.bytes, width);
	addr_prefix_cut(&rule.prefix);
	return rule;
}

static bool holds(const struct addr_prefix *prefix, const struct addr_source *who)
{
	struct addr_prefix cut = {.family = who->family, .bits = prefix->bits};

	if (prefix->family != who->family)
		return false;
	memcpy(cut.bytes, who->bytes, sizeof cut.bytes);
	addr_prefix_cut(&cut);
	return memcmp(cut.bytes, prefix->bytes, sizeof cut.bytes) == 0;
}

static struct access_answer search(const struct access_rule *rules, size_t n, bool exclusive,
	const struct addr_source *who)
{
	const struct access_rule *best = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct access_rule *rule = &rules[i];

		if (!holds(&rule->prefix, who))
			continue;
		if (!best || rule->prefix.bits > best->prefix.bits ||
			(rule->prefix.bits == best->prefix.bits && rule->deny && !best->deny))
			best = rule;
	}
	if (!best)
		return (struct access_answer){
			exclusive ? ACCESS_NOT_LISTED : ACCESS_OK, ACCESS_NO_RULE};
	return (struct access_answer){
		best->deny ? ACCESS_DENIED : ACCESS_OK, (uint32_t)(best - rules)};
}

static void compare_once(size_t n)
{
	bool exclusive = draw(2);
	struct access_rule rules[64];
	_cleanup_table_ struct table table = {0};

	for (size_t i = 0; i < n; i++)
		rules[i] = draw_rule();
	table = compile(rules, n, exclusive);
	for (int i = 0; i < 200; i++) {
		struct access_peer peer = {.who.family = draw(2) ? 4 : 6};
		struct access_answer found, wanted;

		draw_bytes(peer.who.bytes, peer.who.family == 4 ? 32 : 128);
		found = access_ask(table.bytes, &peer);
		wanted = search(rules, n, exclusive, &peer.who);
		assert_int_equal(found.verdict, wanted.verdict);
		assert_int_equal(found.rule, wanted.rule);
	}
}

static void test_beside_a_search(void **ctx)
{
	(void)ctx;
	for (int i = 0; i < 300; i++)
		compare_once(draw(64));
}

/* As deep as they can nest. */
static void test_depth(void **ctx)
{
	_cleanup_table_ struct table table = {0};
	struct access_rule rules[129];

	(void)ctx;
	for (unsigned i = 0; i <= 128; i++)
		rules[i] = (struct access_rule){
			.kind = ACCESS_IP, .prefix = {.family = 6, .bits = (uint8_t)i}};
	table = compile(rules, 129, true);
	assert_answer(&table, "::", ACCESS_OK, 128);
	assert_answer(&table, "::1", ACCESS_OK, 127);
	assert_answer(&table, "::1:0:0:0", ACCESS_OK, 79);
	assert_answer(&table, "8000::", ACCESS_OK, 0);
}

/*
 * Damage.
 */

/* Whatever one byte becomes, it is refused or can be asked. */
static void test_every_byte(void **ctx)
{
	static const uint8_t values[] = {0x00, 0x01, 0x02, 0x7f, 0x80, 0xfe, 0xff};
	static const char *const peers[] = {"0.0.0.0", "10.1.2.3", "255.255.255.255",
		"::", "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
	const struct access_rule rules[] = {ip("10.0.0.0/8", false), ip("10.1.0.0/16", true),
		ip("2001:db8::/32", true), id(ACCESS_UID, 3, true), id(ACCESS_GID, 3, false)};
	_cleanup_table_ struct table table = compile(rules, ARRAY_SIZE(rules), true);
	size_t refused = 0;

	(void)ctx;
	for (size_t i = 0; i < table.len * ARRAY_SIZE(values); i++) {
		uint8_t *at = &table.bytes[i / ARRAY_SIZE(values)], was = *at;

		*at = values[i % ARRAY_SIZE(values)];
		if (access_check(table.bytes, table.len) < 0)
			refused++;
		else
			for (size_t j = 0; j < ARRAY_SIZE(peers); j++) {
				struct access_peer peer = peer_at(peers[j]);
				uint32_t rule = access_ask(table.bytes, &peer).rule;

				assert_true(rule == ACCESS_NO_RULE ||
					    rule < ARRAY_SIZE(rules) + 256);
			}
		*at = was;
	}
	assert_true(refused > table.len);
}

static void set32(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static void assert_damaged(struct table *table, size_t at, uint32_t value)
{
	uint8_t was[4];

	memcpy(was, table->bytes + at, sizeof was);
	set32(table->bytes + at, value);
	assert_int_equal(access_check(table->bytes, table->len), -EBADMSG);
	memcpy(table->bytes + at, was, sizeof was);
	assert_int_equal(access_check(table->bytes, table->len), 0);
}

static void test_damage(void **ctx)
{
	enum { FLAGS = 16, RULES = 20, N4 = 24, N6 = 28, IDS = 32, STARTS4 = 36 };
	const struct access_rule rules[] = {ip("10.0.0.0/8", false), ip("2001:db8::/32", true),
		id(ACCESS_UID, 3, true), id(ACCESS_UID, 4, true)};
	_cleanup_table_ struct table table = compile(rules, ARRAY_SIZE(rules), true);
	/* 0.0.0.0, 10.0.0.0 and 11.0.0.0; the same of IPv6; two users. */
	const size_t marks4 = STARTS4 + 3 * 4, starts6 = marks4 + 3 * 4,
		     marks6 = starts6 + 3 * 16, ids = marks6 + 3 * 4;

	(void)ctx;
	assert_int_equal(table.len, ids + 2 * 12);
	assert_damaged(&table, FLAGS, 8);
	assert_damaged(&table, RULES, 0);
	assert_damaged(&table, RULES, ACCESS_RULES_MAX + 1);
	assert_damaged(&table, N4, 2);
	assert_damaged(&table, N4, UINT32_MAX);
	assert_damaged(&table, N6, 4);
	assert_damaged(&table, IDS, 0);
	assert_damaged(&table, STARTS4, 1);
	assert_damaged(&table, STARTS4 + 4, 0);
	assert_damaged(&table, STARTS4 + 8, 10 << 24);
	assert_damaged(&table, marks4 + 4, 8);
	assert_damaged(&table, starts6, 1);
	assert_damaged(&table, starts6 + 8, 1);
	assert_damaged(&table, starts6 + 16 + 4, 0);
	assert_damaged(&table, starts6 + 2 * 16 + 4, 0);
	assert_damaged(&table, marks6, 9);
	assert_damaged(&table, ids, 0);
	assert_damaged(&table, ids, ACCESS_VSOCK);
	assert_damaged(&table, ids + 4, 4);
	assert_damaged(&table, ids + 12, _ACCESS_KIND_MAX);
	assert_damaged(&table, ids + 8, UINT32_MAX);
	for (size_t len = 0; len < table.len; len++)
		assert_int_equal(access_check(table.bytes, len), -EBADMSG);
	assert_int_equal(access_check(table.bytes, (size_t)ACCESS_TABLE_MAX + 1), -EBADMSG);
}

static void test_digest(void **ctx)
{
	const struct access_rule rules[] = {ip("10.0.0.0/8", false), ip("11.0.0.0/8", false)};
	const struct access_rule other[] = {ip("10.0.0.0/8", false), ip("11.0.0.0/8", true)};
	_cleanup_table_ struct table a = compile(rules, 2, true), b = compile(rules, 2, true),
				     c = compile(other, 2, true), d = compile(rules, 2, false);

	(void)ctx;
	assert_memory_equal(a.bytes, b.bytes, ACCESS_DIGEST_LEN);
	assert_memory_not_equal(a.bytes, c.bytes, ACCESS_DIGEST_LEN);
	assert_memory_not_equal(a.bytes, d.bytes, ACCESS_DIGEST_LEN);
}

/* As many as there may be, and one more. */
static void test_bound(void **ctx)
{
	size_t n = ACCESS_RULES_MAX;
	_cleanup_free_ struct access_rule *rules = calloc(n + 1, sizeof *rules);
	_cleanup_table_ struct table table = {0};

	(void)ctx;
	for (size_t i = 0; i < n; i++) {
		rules[i].kind = ACCESS_IP;
		rules[i].prefix = (struct addr_prefix){.family = 6, .bits = 127};
		set32(rules[i].prefix.bytes + 8, (uint32_t)i);
	}
	table = compile(rules, n, false);
	assert_true(table.len < ACCESS_TABLE_MAX);
	assert_int_equal(access_compile(rules, n + 1, false, &table.bytes, &table.len), -E2BIG);
}

static void test_without_memory(void **ctx)
{
	const struct access_rule rules[] = {
		ip("10.0.0.0/8", false), ip("::/0", true), id(ACCESS_UID, 1, true)};
	struct table table = {0};
	size_t failures = 0;
	int r;

	(void)ctx;
	for (;;) {
		fail_in = failures + 1;
		r = access_compile(rules, 3, true, &table.bytes, &table.len);
		fail_in = 0;
		if (r == 0)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_null(table.bytes);
		failures++;
	}
	assert_int_equal(failures, 7);
	table_done(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_rules),
		cmocka_unit_test(test_longest_prefix),
		cmocka_unit_test(test_ties_deny),
		cmocka_unit_test(test_everybody),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_beside_a_search),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
