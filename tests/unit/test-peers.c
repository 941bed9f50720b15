/* peers: who is found, who is asked about, and who goes when there are too many. */
#include "workers/udp/peers.h"

#include "base/clock.h"
#include "base/own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MOST_ASKED 4

static const uint8_t secret[16] = "0123456789abcde";
static struct peers peers;

static int begin(void **ctx)
{
	(void)ctx;
	return peers_init(&peers, secret, MOST_ASKED);
}

static int end(void **ctx)
{
	struct peer *peer;

	(void)ctx;
	while ((peer = peers_any(&peers))) {
		peers_remove(&peers, peer);
		free(peer);
	}
	assert_int_equal(peers.n, 0);
	peers_done(&peers);
	return 0;
}

static struct peer_key key_of(const char *name)
{
	struct peer_key key = {.len = (uint8_t)strlen(name)};

	memcpy(key.bytes, name, key.len);
	return key;
}

static struct peer *find(const char *name)
{
	struct peer_key key = key_of(name);

	return peers_find(&peers, &key);
}

/* In the network of that number. */
static struct peer *add_from(const char *name, bool alone, uint8_t network)
{
	struct addr_source source = {
		.family = ADDR_SOURCE_IPV4,
		.bytes = {192, 0, network},
	};
	struct peer *peer = calloc(1, sizeof *peer), *gone = NULL;
	struct peer_key key = key_of(name);

	assert_non_null(peer);
	assert_int_equal(peers_add(&peers, peer, &key, alone, &source, &gone), 0);
	free(gone);
	return peer;
}

static struct peer *add(const char *name)
{
	return add_from(name, false, 0);
}

static struct peer *ask(uint32_t wanted)
{
	uint32_t ticket = UINT32_MAX;
	struct peer *peer = peers_ask(&peers, &ticket);

	assert_non_null(peer);
	assert_int_equal(ticket, wanted);
	return peer;
}

static void forget(struct peer *peer)
{
	peers_remove(&peers, peer);
	free(peer);
}

static void test_found_by_name(void **ctx)
{
	struct peer *one = add("one"), *two = add("two"), *alone = add_from("x", true, 0);

	(void)ctx;
	assert_ptr_equal(find("one"), one);
	assert_ptr_equal(find("two"), two);
	assert_null(find("on"));
	assert_null(find("x"));
	forget(alone);
	forget(one);
	assert_null(find("one"));
	assert_ptr_equal(find("two"), two);
}

static void test_many(void **ctx)
{
	char name[16];

	(void)ctx;
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "peer %u", i);
		peers_open(&peers, add(name));
	}
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "peer %u", i);
		assert_non_null(find(name));
	}
	assert_true(peers.mask >= 4095);
}

static void test_asked_in_order(void **ctx)
{
	struct peer *all[6], *answered;
	uint32_t ticket;
	char name[8];

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		snprintf(name, sizeof name, "%zu", i);
		all[i] = add(name);
	}
	for (uint32_t i = 0; i < MOST_ASKED; i++)
		assert_ptr_equal(ask(i), all[i]);
	assert_null(peers_ask(&peers, &ticket));

	assert_false(peers_answer(&peers, 1, &answered));
	assert_false(peers_answer(&peers, MOST_ASKED, &answered));
	assert_true(peers_answer(&peers, 0, &answered));
	assert_ptr_equal(answered, all[0]);
	assert_false(peers_answer(&peers, 0, &answered));
	peers_open(&peers, answered);
	assert_ptr_equal(ask(MOST_ASKED), all[4]);
	assert_null(peers_ask(&peers, &ticket));
}

/* The answer about somebody who has gone is nobody's, also if his place is taken. */
static void test_gone_while_asked(void **ctx)
{
	struct peer *one = add("one"), *answered;

	(void)ctx;
	assert_ptr_equal(ask(0), one);
	forget(one);
	one = add("one");
	assert_true(peers_answer(&peers, 0, &answered));
	assert_null(answered);
	assert_ptr_equal(ask(1), one);
}

/* A crowd out of one network makes room for itself. */
static void test_crowd(void **ctx)
{
	char name[16];

	(void)ctx;
	add_from("old", false, 1);
	for (unsigned i = 0; i < PEERS_WAITING_MAX + 100; i++) {
		snprintf(name, sizeof name, "crowd %u", i);
		add_from(name, false, 2);
	}
	assert_non_null(find("old"));
	assert_null(find("crowd 0"));
	assert_null(find("crowd 100"));
	assert_non_null(find("crowd 101"));
	assert_int_equal(peers.waiting.n, PEERS_WAITING_MAX);
	assert_int_equal(peers.n, PEERS_WAITING_MAX);
}

static void test_evicted(void **ctx)
{
	const struct addr_source source = {.family = ADDR_SOURCE_IPV4, .bytes = {192, 0, 1}};
	struct peer *first = add_from("1", false, 2), *gone;

	(void)ctx;
	add_from("2", false, 2);
	add_from("3", false, 1);
	gone = peers_evict(&peers, &source);
	assert_ptr_equal(gone, first);
	free(gone);
	free(peers_evict(&peers, &source));
	free(peers_evict(&peers, &source));
	assert_null(peers_evict(&peers, &source));
}

static void test_refused(void **ctx)
{
	struct peer *one = add("one");

	(void)ctx;
	assert_null(peers_refuse(&peers, one, 1000));
	assert_ptr_equal(find("one"), one);
	assert_int_equal(one->state, PEER_REFUSED);
	assert_int_equal(peers_due(&peers), 1000);
	assert_null(peers_overdue(&peers, 999));
	assert_ptr_equal(peers_overdue(&peers, 1000), one);
	forget(one);
	assert_int_equal(peers_due(&peers), USEC_INFINITY);
}

static void test_refused_are_bounded(void **ctx)
{
	char name[16];

	(void)ctx;
	for (unsigned i = 0; i < PEERS_REFUSED_MAX + 10; i++) {
		snprintf(name, sizeof name, "%u", i);
		free(peers_refuse(&peers, add(name), 1000 + i));
	}
	assert_int_equal(peers.n, PEERS_REFUSED_MAX);
	assert_null(find("9"));
	assert_non_null(find("10"));
	assert_int_equal(peers_due(&peers), 1010);
}

/* Of those who cannot be found one is remembered. */
static void test_refused_alone(void **ctx)
{
	struct peer *first = add_from("x", true, 0), *second = add_from("x", true, 0);

	(void)ctx;
	assert_null(peers_refuse(&peers, first, 1000));
	assert_ptr_equal(find("x"), first);
	assert_ptr_equal(peers_refuse(&peers, second, 1000), second);
	free(second);
	assert_int_equal(peers.n, 1);
}

static void test_ending(void **ctx)
{
	struct peer *one = add("one"), *again;

	(void)ctx;
	peers_open(&peers, one);
	assert_ptr_equal(find("one"), one);
	peers_end(&peers, one);
	assert_null(find("one"));
	again = add("one");
	assert_ptr_equal(find("one"), again);
}

static void test_due(void **ctx)
{
	struct peer *one = add("one"), *two = add("two");

	(void)ctx;
	peers_set_due(&peers, one, 2000);
	peers_set_due(&peers, two, 1000);
	assert_int_equal(peers_due(&peers), 1000);
	peers_set_due(&peers, two, USEC_INFINITY);
	assert_int_equal(peers_due(&peers), 2000);
	forget(one);
	assert_int_equal(peers_due(&peers), USEC_INFINITY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_found_by_name),
		TEST(test_many),
		TEST(test_asked_in_order),
		TEST(test_gone_while_asked),
		TEST(test_crowd),
		TEST(test_evicted),
		TEST(test_refused),
		TEST(test_refused_are_bounded),
		TEST(test_refused_alone),
		TEST(test_ending),
		TEST(test_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
