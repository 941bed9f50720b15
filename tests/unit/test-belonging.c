/* belonging: members of many crowds are found by what they belong to, and nothing is left. */
#include "master/belonging.h"

#include "base/own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define CROWDS 1000

static void test_nobody(void **state)
{
	struct belonging belonging = {NULL};
	struct belongs member = {0};

	(void)state;
	assert_null(belonging_first(&belonging, state));
	belonging_remove(&belonging, &member);
}

static void test_goes_and_comes(void **state)
{
	struct belonging belonging = {NULL};
	struct belongs a = {0}, b = {0};
	int one = 0, other = 0;

	(void)state;
	assert_int_equal(belonging_add(&belonging, &one, &a), 0);
	assert_int_equal(belonging_add(&belonging, &one, &b), 0);
	assert_null(belonging_first(&belonging, &other));
	belonging_remove(&belonging, belonging_first(&belonging, &one));
	assert_non_null(belonging_first(&belonging, &one));
	belonging_remove(&belonging, belonging_first(&belonging, &one));
	assert_null(belonging_first(&belonging, &one));
	assert_int_equal(belonging_add(&belonging, &other, &a), 0);
	assert_ptr_equal(belonging_first(&belonging, &other), &a);
	belonging_remove(&belonging, &a);
	assert_null(belonging.tree);
}

/* Where it goes it may be already, and alone. */
static void test_moves(void **state)
{
	struct belonging belonging = {NULL};
	struct belongs a = {0};
	int one = 0, other = 0;

	(void)state;
	assert_int_equal(belonging_move(&belonging, &one, &a), 0);
	assert_int_equal(belonging_move(&belonging, &one, &a), 0);
	assert_ptr_equal(belonging_first(&belonging, &one), &a);
	assert_int_equal(belonging_move(&belonging, &other, &a), 0);
	assert_null(belonging_first(&belonging, &one));
	assert_ptr_equal(belonging_first(&belonging, &other), &a);
	belonging_remove(&belonging, &a);
	assert_null(belonging.tree);
}

/* Each finds its own. */
static void test_many(void **state)
{
	static struct belongs members[3 * CROWDS];
	static char whats[CROWDS];
	struct belonging belonging = {NULL};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		assert_int_equal(
			belonging_add(&belonging, &whats[i * 7 % CROWDS], &members[i]), 0);
	for (size_t i = 0; i < CROWDS; i++) {
		struct belongs *member;
		size_t n = 0;

		while ((member = belonging_first(&belonging, &whats[i]))) {
			assert_int_equal((size_t)(member - members) * 7 % CROWDS, i);
			belonging_remove(&belonging, member);
			n++;
		}
		assert_int_equal(n, 3);
	}
	assert_null(belonging.tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_goes_and_comes),
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests_name("belonging", tests, NULL, NULL);
}
