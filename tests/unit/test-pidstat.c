/* pidstat: what the kernel says is understood, whatever a process calls itself. */
#include "base/own.h"
#include "base/pidstat.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* From the fourth on; each number is that of its place in proc(5). */
#define REST " 42 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26\n"

static void test_names(void **ctx)
{
	static const struct {
		const char *text, *name;
	} cases[] = {
		{"4711 (cat) S" REST, "cat"},
		{"4711 () S" REST, ""},
		{"4711 (a) R 1 (b)) S" REST, "a) R 1 (b)"},
		{"4711 ((sd-pam)) S" REST, "(sd-pam)"},
		{"4711 (a) S 1 2 3) S" REST, "a) S 1 2 3"},
		{"4711 (\n (\x1b[2J) S" REST, "\n (\x1b[2J"},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pidstat stat;

		assert_int_equal(pidstat_parse(cases[i].text, &stat), 0);
		assert_int_equal(stat.name_len, strlen(cases[i].name));
		assert_memory_equal(stat.name, cases[i].name, stat.name_len);
		assert_int_equal(stat.state, 'S');
		assert_int_equal(stat.parent, 42);
		assert_int_equal(stat.session, 6);
		assert_int_equal(stat.user, 14);
		assert_int_equal(stat.system, 15);
		assert_int_equal(stat.start, 22);
		assert_int_equal(stat.pages, 24);
	}
}

static void test_nonsense(void **ctx)
{
	static const char *const texts[] = {
		"",
		"4711",
		"4711 (cat",
		"4711 cat) S" REST,
		"4711 )cat( S" REST,
		"4711 (cat)",
		"4711 (cat) S",
		"4711 (cat) S 42 1 2 3",
		"4711 (cat) S -1 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24",
		"4711 (cat) S 42 5 -1 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24",
		"4711 (cat) S x 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24",
		"4711 (cat) S 42 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23",
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct pidstat stat = {.parent = 17};

		assert_int_equal(pidstat_parse(texts[i], &stat), -EBADMSG);
		assert_int_equal(stat.parent, 17);
	}
}

/* More of them than microseconds fit into 64 bits before they are divided. */
static void test_usec(void **ctx)
{
	const uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);

	(void)ctx;
	assert_int_equal(pidstat_usec(0), 0);
	assert_int_equal(pidstat_usec(1), 1000000 / per_second);
	assert_int_equal(pidstat_usec(per_second * 7 + 3), 7000000 + 3000000 / per_second);
	assert_int_equal(pidstat_usec(per_second << 43), UINT64_C(1000000) << 43);
	assert_int_equal(pidstat_usec(UINT64_MAX), UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_usec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
