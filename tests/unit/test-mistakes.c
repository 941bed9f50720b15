/* mistakes: what is new in what a check says. */
#include "base/own.h"
#include "hatchctl/steer/mistakes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A            "a.conf:1:2: error: unknown option 'x'\n"
#define A_SHOWN      "    1 | x = 1\n      | ^\n"
#define B            "b.conf:3:4: error: service 'a' already exists\n"
#define B_SHOWN      "    3 | service a {\n      |         ^\n"
#define B_NOTE       "a.conf:1:9: note: 'a' is defined here\n"
#define B_NOTE_SHOWN "    1 | service a {\n      |         ^\n"
#define WAITS        "c.conf:5:1: waiting: no program /c\n"
#define WARNING      "d.conf:1:1: warning: nothing to serve\n"
#define SUM          "2 mistakes in 2 files\n"

static void expect(
	const char *before, const char *after, const char *text, size_t errors, size_t lacks)
{
	struct mistakes found;

	assert_int_equal(mistakes_compare(before, after, &found), 0);
	assert_string_equal(found.text, text);
	assert_int_equal(found.errors, errors);
	assert_int_equal(found.lacks, lacks);
	free(found.text);
}

static void test_nothing(void **ctx)
{
	(void)ctx;
	expect("", "", "", 0, 0);
	expect("", "hatchd.conf: 2 services, no mistakes\n", "", 0, 0);
	expect("", WARNING, "", 0, 0);
	expect(A A_SHOWN, "", "", 0, 0);
	expect(A A_SHOWN SUM, A A_SHOWN SUM, "", 0, 0);
}

static void test_new_ones(void **ctx)
{
	(void)ctx;
	expect("", A A_SHOWN SUM, A A_SHOWN, 1, 0);
	expect("", A A_SHOWN B B_SHOWN B_NOTE B_NOTE_SHOWN SUM,
		A A_SHOWN B B_SHOWN B_NOTE B_NOTE_SHOWN, 2, 0);
	expect(A A_SHOWN, A A_SHOWN B B_SHOWN B_NOTE B_NOTE_SHOWN SUM,
		B B_SHOWN B_NOTE B_NOTE_SHOWN, 1, 0);
	expect(A A_SHOWN SUM, B B_SHOWN A A_SHOWN WAITS SUM, B B_SHOWN WAITS, 1, 1);
	expect("", WARNING WAITS, WAITS, 0, 1);
}

/* Only a whole line is the same one, and the last may have no newline. */
static void test_parts_of_lines(void **ctx)
{
	(void)ctx;
	expect("a.conf:1:2: error: unknown option 'x' or so\n", A, A, 1, 0);
	expect("see " A, A, A, 1, 0);
	expect("a.conf:1:2: error: unknown option 'x'", A, "", 0, 0);
	expect(A, "a.conf:1:2: error: unknown option 'x'", "", 0, 0);
	expect("", "x: error: y", "x: error: y", 1, 0);
	/* What is shown of a file is no mistake. */
	expect("", WARNING "    1 | a = ': error: '\n", "", 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_new_ones),
		cmocka_unit_test(test_parts_of_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
