/* behind: who is held leaves in the order in which he came, whatever there is of them. */
#include "master/behind.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void add(struct behind **behind, int from, int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(behind_add(behind, from + i, (uint64_t)(from + i) * 10), 0);
}

static void take(struct behind **behind, int from, int n)
{
	for (int i = 0; i < n; i++) {
		int fd = -1;
		uint64_t since = 0;

		assert_true(behind_take(behind, &fd, &since));
		assert_int_equal(fd, from + i);
		assert_int_equal(since, (from + i) * 10);
	}
}

static void test_nobody(void **state)
{
	struct behind *behind = NULL;
	uint64_t since;
	int fd;

	(void)state;
	assert_int_equal(behind_count(behind), 0);
	assert_false(behind_take(&behind, &fd, &since));
}

static void test_many(void **state)
{
	struct behind *behind = NULL;

	(void)state;
	add(&behind, 0, 1000);
	assert_int_equal(behind_count(behind), 1000);
	take(&behind, 0, 1000);
	/* Nothing is left to be freed. */
	assert_null(behind);
}

static void test_some_leave_and_others_come(void **state)
{
	struct behind *behind = NULL;

	(void)state;
	add(&behind, 0, 16);
	take(&behind, 0, 15);
	add(&behind, 16, 40);
	assert_int_equal(behind_count(behind), 41);
	take(&behind, 15, 41);
	assert_null(behind);
	add(&behind, 7, 1);
	take(&behind, 7, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_some_leave_and_others_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
