/* mark: what is written is read back, and nothing else is taken for one. */
#include "os/mark.h"

#include "base/own.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_round_trip(void **ctx)
{
	static const struct mark marks[] = {
		{.family = 0, .pid = 1, .start = 0, .session = 1},
		{.family = 0x123456789abcdef0,
			.pid = 4711,
			.start = 987654321,
			.session = 4712},
		{.family = UINT64_MAX, .pid = INT_MAX, .start = UINT64_MAX, .session = INT_MAX},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		char entry[MARK_ENTRY_MAX];
		struct mark mark;

		assert_ptr_equal(mark_format(&marks[i], entry), entry);
		assert_memory_equal(entry, MARK_NAME "=", strlen(MARK_NAME) + 1);
		assert_true(mark_parse(entry + strlen(MARK_NAME) + 1, &mark));
		assert_int_equal(mark.family, marks[i].family);
		assert_int_equal(mark.pid, marks[i].pid);
		assert_int_equal(mark.start, marks[i].start);
		assert_int_equal(mark.session, marks[i].session);
	}
}

static void test_what_is_none(void **ctx)
{
	static const char *const values[] = {
		"",
		"-",
		"0123456789abcdef",
		"0123456789abcdef-",
		"0123456789abcdef-1",
		"0123456789abcdef-1-",
		"0123456789abcdef-1-2",
		"0123456789abcdef-1-2-",
		"0123456789abcdef--2-3",
		"0123456789abcdef-1--3",
		"0123456789abcde-1-2-3",
		"0123456789abcdef0-1-2-3",
		"0123456789ABCDEF-1-2-3",
		" 123456789abcdef-1-2-3",
		"0123456789abcdef-0-2-3",
		"0123456789abcdef--1-2-3",
		"0123456789abcdef-2147483648-2-3",
		"0123456789abcdef-1-2-0",
		"0123456789abcdef-1-2--3",
		"0123456789abcdef-1-2-2147483648",
		"0123456789abcdef-1-2-3 ",
		"0123456789abcdef-1-2-3-4",
		"0123456789abcdef-1-18446744073709551616-3",
		"0123456789abcdef-1-00000000000000000000000000000000000000000001-3",
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct mark mark = {.pid = 17};

		assert_false(mark_parse(values[i], &mark));
		assert_int_equal(mark.pid, 17);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
