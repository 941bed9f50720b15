/* findings: who holds them, and what a name matches. */
#include "master/findings.h"

#include "base/own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char *const patterns[] = {"www.example.org", ".example.net", NULL};

static struct findings *with_name(const char *name)
{
	struct findings *findings = findings_new(1);

	assert_non_null(findings);
	assert_int_equal(findings_set_name(findings, name), 0);
	return findings;
}

static void test_hold(void **state)
{
	struct findings *findings = findings_new(7);

	(void)state;
	assert_int_equal(findings->generation, 7);
	assert_ptr_equal(findings_hold(findings), findings);
	assert_null(findings_release(findings));
	/* Still there. */
	assert_int_equal(findings_set_user(findings, "joe"), 0);
	assert_string_equal(findings->user, "joe");
	assert_null(findings_release(findings));
	assert_null(findings_hold(NULL));
	assert_null(findings_release(NULL));
}

static void test_user(void **state)
{
	struct findings *findings = findings_new(1);
	char longest[FINDINGS_USER_MAX + 2];

	(void)state;
	assert_int_equal(findings_set_user(findings, "x"), 0);
	findings_set_user(findings, "a b\x1b[m\xc3\xa4%n\"~");
	assert_string_equal(findings->user, "a?b?[m\?\?%n\"~");
	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	findings_set_user(findings, longest);
	assert_int_equal(strlen(findings->user), FINDINGS_USER_MAX);
	findings_release(findings);
}

static bool matches(const char *name)
{
	struct findings *findings = with_name(name);
	bool r = findings_match(findings, patterns);

	findings_release(findings);
	return r;
}

static void test_match(void **state)
{
	struct findings *findings = findings_new(1);

	(void)state;
	assert_true(matches("www.example.org"));
	assert_true(matches("a.b.example.net"));
	assert_false(matches("example.net"));
	assert_false(matches("badexample.net"));
	assert_false(matches("www.example.org.evil"));
	assert_false(matches("x.www.example.org"));
	/* Nobody is let in for what is not known. */
	assert_false(findings_match(NULL, patterns));
	assert_false(findings_match(findings, patterns));
	findings_release(findings);
	findings = with_name("www.example.org");
	assert_false(findings_match(findings, NULL));
	findings_release(findings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_match),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
