/* watchlist: what was put in is found once, whatever came before and after it. */
#include "os/watchlist.h"

#include "os/bytes_wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MANY 5000

static void test_once(void **ctx)
{
	struct watchlist list = {0};
	uint64_t ticket = 1;

	(void)ctx;
	assert_false(watchlist_take(&list, 4711, &ticket));
	assert_int_equal(watchlist_add(&list, 4711, 17), 0);
	assert_false(watchlist_take(&list, 4712, &ticket));
	assert_false(watchlist_take(&list, 0, &ticket));
	assert_int_equal(ticket, 1);
	assert_true(watchlist_take(&list, 4711, &ticket));
	assert_int_equal(ticket, 17);
	assert_false(watchlist_take(&list, 4711, &ticket));
	watchlist_done(&list);
}

static void test_new_ticket(void **ctx)
{
	struct watchlist list = {0};
	uint64_t ticket;

	(void)ctx;
	assert_int_equal(watchlist_add(&list, 4711, 17), 0);
	assert_int_equal(watchlist_add(&list, 4711, 18), 0);
	assert_true(watchlist_take(&list, 4711, &ticket));
	assert_int_equal(ticket, 18);
	assert_false(watchlist_take(&list, 4711, &ticket));
	watchlist_done(&list);
}

/* Numbers that follow each other, and some that lie far apart. */
static uint64_t cookie(size_t i, int spread)
{
	return (i + 1) * (spread ? UINT64_C(0x100000000) : 1);
}

/* Against a plain list: half of it goes and comes again, in an order that leaves gaps. */
static void check_many(int spread)
{
	struct watchlist list = {0};
	static uint64_t expected[MANY]; /* 0: is not there */
	uint64_t ticket, seed = 88172645463325252;

	for (size_t i = 0; i < MANY; i++) {
		expected[i] = i + 1;
		assert_int_equal(watchlist_add(&list, cookie(i, spread), i + 1), 0);
	}
	for (size_t n = 0; n < 20 * MANY; n++) {
		size_t i;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		i = seed % MANY;
		if (expected[i] == 0) {
			expected[i] = n + 1;
			assert_int_equal(watchlist_add(&list, cookie(i, spread), n + 1), 0);
			continue;
		}
		assert_true(watchlist_take(&list, cookie(i, spread), &ticket));
		assert_int_equal(ticket, expected[i]);
		expected[i] = 0;
	}
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(
			watchlist_take(&list, cookie(i, spread), &ticket), expected[i] != 0);
	assert_int_equal(list.used, 0);
	watchlist_done(&list);
}

static void test_many(void **ctx)
{
	(void)ctx;
	check_many(0);
	check_many(1);
}

/* Bounded: what is in it stays. */
static void test_full(void **ctx)
{
	struct watchlist list = {0};
	uint64_t ticket;
	size_t n = 0;

	(void)ctx;
	while (watchlist_add(&list, n + 1, n) == 0)
		n++;
	assert_int_equal(n, BYTES_WATCHED_MAX);
	assert_int_equal(watchlist_add(&list, n + 1, n), -ENOBUFS);
	assert_true(watchlist_take(&list, n, &ticket));
	assert_int_equal(ticket, n - 1);
	assert_int_equal(watchlist_add(&list, n + 1, n), 0);
	watchlist_done(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_new_ticket),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests_name("watchlist", tests, NULL, NULL);
}
