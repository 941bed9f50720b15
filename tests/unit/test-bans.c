/* bans: who is banned by prefix, against a search through all of them. */
#include "policy/bans.h"

#include "base/own.h"

#include "short-of-memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)
#define EVER   UINT64_MAX

static struct addr_net net(const char *text)
{
	struct addr_net net;

	assert_int_equal(addr_net_parse(text, &net), 0);
	return net;
}

static struct ban ban_of(const char *who, const char *service, uint64_t until)
{
	struct ban ban = {.who = net(who), .until = until};

	snprintf(ban.service, sizeof ban.service, "%s", service);
	return ban;
}

static int put(
	struct bans *bans, const char *who, const char *service, uint64_t until, uint64_t now)
{
	struct ban ban = ban_of(who, service, until);

	return bans_put(bans, &ban, now);
}

static size_t lift(struct bans *bans, const char *who, const char *service, uint64_t now)
{
	struct addr_net meant = net(who);

	return bans_lift(bans, &meant, service, now);
}

static uint64_t until(struct bans *bans, const char *who, const char *service, uint64_t now)
{
	struct addr_net asker = net(who);

	return bans_until(bans, &asker.source, service, now);
}

static void test_nobody(void **ctx)
{
	struct bans bans = {0};

	(void)ctx;
	assert_false(bans_any(&bans));
	assert_true(until(&bans, "192.0.2.1", "a", 0) == 0);
	assert_int_equal(lift(&bans, "192.0.2.1", NULL, 0), 0);
	assert_null(bans_next(&bans, NULL, 0));
	bans_done(&bans);
}

/* Of several the one that ends last counts. */
static void test_who_is_banned(void **ctx)
{
	struct bans bans = {0};

	(void)ctx;
	assert_int_equal(put(&bans, "192.0.2.0/24", "", 5 * SECOND, 0), 0);
	assert_int_equal(put(&bans, "192.0.2.7", "", EVER, 0), 0);
	assert_int_equal(put(&bans, "192.0.0.0/16", "a", 9 * SECOND, 0), 0);
	assert_int_equal(put(&bans, "2001:db8::1", "", 7 * SECOND, 0), 0);
	assert_int_equal(put(&bans, "uid:1000", "b", EVER, 0), 0);
	assert_true(bans_any(&bans));

	assert_true(until(&bans, "192.0.2.1", NULL, 0) == 5 * SECOND);
	assert_true(until(&bans, "192.0.2.1", "b", 0) == 5 * SECOND);
	assert_true(until(&bans, "192.0.2.1", "a", 0) == 9 * SECOND);
	assert_true(until(&bans, "192.0.2.7", "a", 0) == EVER);
	assert_true(until(&bans, "192.0.3.1", "a", 0) == 9 * SECOND);
	assert_true(until(&bans, "192.0.3.1", "b", 0) == 0);
	assert_true(until(&bans, "192.0.3.1", NULL, 0) == 0);
	assert_true(until(&bans, "192.1.2.1", "a", 0) == 0);
	assert_true(until(&bans, "2001:db8::ffff/128", "a", 0) == 7 * SECOND);
	assert_true(until(&bans, "2001:db8:0:1::/128", "a", 0) == 0);
	assert_true(until(&bans, "uid:1000", "b", 0) == EVER);
	assert_true(until(&bans, "uid:1000", "a", 0) == 0);
	assert_true(until(&bans, "vsock:1000", "b", 0) == 0);
	bans_done(&bans);
}

static void test_links(void **ctx)
{
	struct bans bans = {0};

	(void)ctx;
	assert_int_equal(put(&bans, "fe80::1%1", "", 1 * SECOND, 0), 0);
	assert_int_equal(put(&bans, "fe80::2", "", 2 * SECOND, 0), 0);
	assert_int_equal(put(&bans, "fe80::2%2", "", 3 * SECOND, 0), 0);
	assert_true(until(&bans, "fe80::1%1", NULL, 0) == 1 * SECOND);
	assert_true(until(&bans, "fe80::1%2", NULL, 0) == 0);
	assert_true(until(&bans, "fe80::2%1", NULL, 0) == 2 * SECOND);
	assert_true(until(&bans, "fe80::2%2", NULL, 0) == 3 * SECOND);
	assert_int_equal(lift(&bans, "fe80::1", NULL, 0), 0);
	assert_int_equal(lift(&bans, "fe80::1%1", NULL, 0), 1);
	assert_true(until(&bans, "fe80::1%1", NULL, 0) == 0);
	bans_done(&bans);
}

static void test_time(void **ctx)
{
	struct bans bans = {0};

	(void)ctx;
	assert_int_equal(put(&bans, "192.0.2.1", "", 5 * SECOND, 0), 0);
	assert_int_equal(put(&bans, "192.0.2.2", "", 9 * SECOND, 0), 0);
	assert_true(until(&bans, "192.0.2.1", NULL, 5 * SECOND - 1) == 5 * SECOND);
	assert_true(until(&bans, "192.0.2.1", NULL, 5 * SECOND) == 0);
	assert_true(until(&bans, "192.0.2.2", NULL, 5 * SECOND) == 9 * SECOND);
	assert_int_equal(bans.n, 1);

	/* Another time for the same is that time, shorter as well. */
	assert_int_equal(put(&bans, "192.0.2.2", "", EVER, 5 * SECOND), 0);
	assert_true(until(&bans, "192.0.2.2", NULL, 1000 * SECOND) == EVER);
	assert_int_equal(put(&bans, "192.0.2.2", "", 2000 * SECOND, 1000 * SECOND), 0);
	assert_int_equal(bans.n, 1);
	assert_true(until(&bans, "192.0.2.2", NULL, 2000 * SECOND) == 0);
	assert_false(bans_any(&bans));
	bans_done(&bans);
}

static void test_lift(void **ctx)
{
	static const char *const services[] = {"", "a", "b"};
	struct bans bans = {0};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
		assert_int_equal(put(&bans, "192.0.2.0/24", services[i], EVER, 0), 0);
		assert_int_equal(put(&bans, "192.0.2.0/25", services[i], 5 * SECOND, 0), 0);
	}
	assert_int_equal(lift(&bans, "192.0.2.0/24", "c", 0), 0);
	assert_int_equal(lift(&bans, "192.0.2.0/26", NULL, 0), 0);
	assert_int_equal(lift(&bans, "192.0.2.0/24", "a", 0), 1);
	assert_int_equal(lift(&bans, "192.0.2.0/24", "a", 0), 0);
	assert_int_equal(lift(&bans, "192.0.2.0/24", "", 0), 1);
	assert_int_equal(lift(&bans, "192.0.2.0/24", NULL, 0), 1);
	assert_int_equal(bans.n, 3);
	/* What is over need not be lifted. */
	assert_int_equal(lift(&bans, "192.0.2.0/25", NULL, 5 * SECOND), 0);
	assert_false(bans_any(&bans));
	bans_done(&bans);
}

/* Told one by one, each once, although others come and go between two of them. */
static void test_next(void **ctx)
{
	struct bans bans = {0};
	struct ban last;

	(void)ctx;
	assert_int_equal(put(&bans, "10.0.0.1", "", EVER, 0), 0);
	assert_int_equal(put(&bans, "10.0.0.2", "", EVER, 0), 0);
	assert_int_equal(put(&bans, "10.0.0.2", "a", EVER, 0), 0);
	assert_int_equal(put(&bans, "10.0.0.4", "", 5 * SECOND, 0), 0);
	assert_int_equal(put(&bans, "::/0", "", EVER, 0), 0);

	last = *bans_next(&bans, NULL, 0);
	assert_int_equal(last.who.source.bytes[3], 1);
	assert_int_equal(put(&bans, "10.0.0.0", "", EVER, 0), 0);
	assert_int_equal(lift(&bans, "10.0.0.1", NULL, 0), 1);
	last = *bans_next(&bans, &last, 0);
	assert_true(last.who.source.bytes[3] == 2 && last.service[0] == '\0');
	assert_int_equal(put(&bans, "10.0.0.3", "", EVER, 0), 0);
	last = *bans_next(&bans, &last, 0);
	assert_string_equal(last.service, "a");
	last = *bans_next(&bans, &last, 0);
	assert_int_equal(last.who.source.bytes[3], 3);
	last = *bans_next(&bans, &last, 5 * SECOND);
	assert_int_equal(last.who.bits, 0);
	assert_null(bans_next(&bans, &last, 5 * SECOND));
	assert_int_equal(lift(&bans, "::/0", NULL, 0), 1);
	assert_null(bans_next(&bans, &last, 5 * SECOND));
	bans_done(&bans);
}

static void test_full(void **ctx)
{
	struct bans bans = {0};
	struct ban ban = ban_of("10.0.0.0", "", EVER);

	(void)ctx;
	for (unsigned i = 0; i < BANS_MAX; i++) {
		memcpy(ban.who.source.bytes, &i, sizeof i);
		ban.until = i == 7 ? 5 * SECOND : EVER;
		assert_int_equal(bans_put(&bans, &ban, 0), 0);
	}
	assert_int_equal(put(&bans, "10.0.0.0/8", "", EVER, 0), -ENOSPC);
	assert_true(until(&bans, "10.1.2.3", NULL, 0) == 0);
	/* One that is there already has its place. */
	assert_int_equal(bans_put(&bans, &ban, 0), 0);
	assert_int_equal(put(&bans, "10.0.0.0/8", "", EVER, 5 * SECOND), 0);
	assert_true(until(&bans, "10.1.2.3", NULL, 5 * SECOND) == EVER);
	assert_int_equal(bans.n, BANS_MAX);
	bans_done(&bans);
}

/* All lengths that there are, in every family. */
static void test_all_lengths(void **ctx)
{
	struct ban ban = ban_of("::/0", "", EVER);
	struct bans bans = {0};

	(void)ctx;
	for (unsigned bits = 0; bits <= 128; bits++) {
		ban.who.bits = (uint8_t)bits;
		assert_int_equal(bans_put(&bans, &ban, 0), 0);
	}
	ban.who.source.family = ADDR_SOURCE_IPV4;
	for (unsigned bits = 0; bits <= 32; bits++) {
		ban.who.bits = (uint8_t)bits;
		assert_int_equal(bans_put(&bans, &ban, 0), 0);
	}
	assert_int_equal(put(&bans, "uid:0", "", EVER, 0), 0);
	assert_int_equal(put(&bans, "vsock:0", "", EVER, 0), 0);
	assert_int_equal(bans.n_lengths, BANS_LENGTHS_MAX);
	assert_true(until(&bans, "255.0.0.0", NULL, 0) == EVER);
	bans_done(&bans);
}

static void test_without_memory(void **ctx)
{
	struct bans bans = {0};

	(void)ctx;
	allocations_left = 0;
	assert_int_equal(put(&bans, "10.0.0.0/8", "", EVER, 0), -ENOMEM);
	allocations_left = -1;
	assert_false(bans_any(&bans));
	assert_int_equal(put(&bans, "10.0.0.0/8", "", EVER, 0), 0);
	bans_done(&bans);
}

/* ---------------------------------------------------------------- whatever happens */

static uint32_t random_state;

static uint32_t draw(uint32_t n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % n;
}

/* Few different ones, so that they meet. */
static struct ban draw_ban(uint64_t now)
{
	static const char *const nets[] = {"0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3",
		"10.1.2.4", "::/0", "2001:db8::/32", "2001:db8::1", "2001:db8::1/128",
		"fe80::1", "fe80::1%1", "fe80::%2/10", "uid:1", "uid:2", "vsock:1"};
	static const char *const services[] = {"", "a", "b"};

	return ban_of(nets[draw(ARRAY_SIZE(nets))], services[draw(ARRAY_SIZE(services))],
		draw(4) == 0 ? EVER : now + 1 + draw(30));
}

/* The same without any order. */
struct plain {
	struct ban bans[64];
	size_t n;
};

static bool is_same(const struct ban *a, const struct ban *b)
{
	return memcmp(&a->who, &b->who, sizeof a->who) == 0 &&
	       strcmp(a->service, b->service) == 0;
}

static size_t take_out(struct plain *plain, const struct ban *ban, bool any, uint64_t now)
{
	size_t kept = 0, taken = 0;

	for (size_t i = 0; i < plain->n; i++) {
		bool meant = any ? memcmp(&plain->bans[i].who, &ban->who, sizeof ban->who) == 0
		                 : is_same(&plain->bans[i], ban);

		taken += meant && plain->bans[i].until > now;
		if (!meant)
			plain->bans[kept++] = plain->bans[i];
	}
	plain->n = kept;
	return taken;
}

static uint64_t plain_until(const struct plain *plain, const struct addr_net *who,
	const char *service, uint64_t now)
{
	uint64_t last = 0;

	for (size_t i = 0; i < plain->n; i++) {
		const struct ban *ban = &plain->bans[i];

		if (ban->until > now && ban->until > last && addr_net_holds(&ban->who, who) &&
			(!ban->service[0] || (service && strcmp(ban->service, service) == 0)))
			last = ban->until;
	}
	return last;
}

static void check_who_is_banned(struct bans *bans, const struct plain *plain, uint64_t now)
{
	static const char *const askers[] = {"10.1.2.3", "10.1.2.4", "10.1.9.9", "10.9.9.9",
		"192.0.2.1", "2001:db8::1/128", "2001:db8::2/128", "2001:db9::1/128",
		"fe80::1%1", "fe80::1%2", "fe80::2%2", "uid:1", "uid:3", "vsock:1"};
	static const char *const services[] = {NULL, "a", "c"};

	for (size_t i = 0; i < ARRAY_SIZE(askers) * ARRAY_SIZE(services); i++) {
		struct addr_net who = net(askers[i / ARRAY_SIZE(services)]);
		const char *service = services[i % ARRAY_SIZE(services)];

		assert_true(bans_until(bans, &who.source, service, now) ==
			    plain_until(plain, &who, service, now));
	}
}

static void test_like_a_plain_array(void **ctx)
{
	struct plain plain = {.n = 0};
	struct bans bans = {0};

	(void)ctx;
	for (uint64_t now = 1; now < 3000; now++) {
		struct ban ban = draw_ban(now);
		bool any = draw(2) == 0;

		if (draw(3) > 0) {
			take_out(&plain, &ban, false, now);
			plain.bans[plain.n++] = ban;
			assert_int_equal(bans_put(&bans, &ban, now), 0);
		} else {
			assert_int_equal(
				bans_lift(&bans, &ban.who, any ? NULL : ban.service, now),
				take_out(&plain, &ban, any, now));
		}
		check_who_is_banned(&bans, &plain, now);
	}
	bans_done(&bans);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_who_is_banned),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_lift),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_all_lengths),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_like_a_plain_array),
	};

	return cmocka_run_group_tests_name("bans", tests, NULL, NULL);
}
