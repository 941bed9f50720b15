/* names: who asks for what gets which. */
#include "workers/tls/names.h"

#include "base/own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_fit(void **state)
{
	(void)state;
	assert_int_equal(names_fit("a.example.org", "a.example.org"), NAMES_FIT_EXACT);
	assert_int_equal(names_fit("*.example.org", "a.example.org"), NAMES_FIT_WILDCARD);
	assert_int_equal(names_fit("", "a.example.org"), NAMES_FIT_ANY);
	assert_int_equal(names_fit("", ""), NAMES_FIT_ANY);
	/* One label, and a whole one. */
	assert_int_equal(names_fit("*.example.org", "a.b.example.org"), NAMES_UNFIT);
	assert_int_equal(names_fit("*.example.org", "example.org"), NAMES_UNFIT);
	assert_int_equal(names_fit("*.example.org", ".example.org"), NAMES_UNFIT);
	assert_int_equal(names_fit("*.example.org", "a.badexample.org"), NAMES_UNFIT);
	assert_int_equal(names_fit("*.example.org", ""), NAMES_UNFIT);
	assert_int_equal(names_fit("a.example.org", "b.example.org"), NAMES_UNFIT);
	assert_int_equal(names_fit("a.example.org", ""), NAMES_UNFIT);
}

#define ENTRY(pattern, alpn, service)                       \
	{                                                   \
		(char[]){pattern}, (char[]){alpn}, (char[]) \
		{                                           \
			service                             \
		}                                           \
	}

static struct tls_name table[] = {
	ENTRY("", "", "any"),
	ENTRY("*.example.org", "", "wild"),
	ENTRY("*.example.org", "h2", "wild-h2"),
	ENTRY("git.example.org", "", "git"),
	ENTRY("git.example.org", "", "git-again"),
	ENTRY("", "h2", "h2"),
	ENTRY("only.example.net", "ftp", "ftp"),
};

static void leads_to(const char *name, const char *alpn, const char *service)
{
	const struct tls_name *found = names_find(table, ARRAY_SIZE(table), name, alpn);

	assert_non_null(found);
	assert_string_equal(found->service, service);
}

static void test_the_most_specific(void **state)
{
	(void)state;
	leads_to("git.example.org", "", "git");
	/* The name decides before the protocol. */
	leads_to("git.example.org", "h2", "git");
	leads_to("a.example.org", "", "wild");
	leads_to("a.example.org", "h2", "wild-h2");
	leads_to("a.example.org", "h3", "wild");
	leads_to("a.b.example.org", "", "any");
	leads_to("a.b.example.org", "h2", "h2");
	leads_to("", "", "any");
	leads_to("", "h2", "h2");
	leads_to("only.example.net", "ftp", "ftp");
	leads_to("only.example.net", "", "any");
}

static void test_none(void **state)
{
	(void)state;
	assert_null(names_find(table, 0, "git.example.org", ""));
	assert_null(names_find(&table[1], 1, "", ""));
	assert_null(names_find(&table[6], 1, "only.example.net", "h2"));
	assert_true(names_know(&table[6], 1, "only.example.net"));
	assert_false(names_know(&table[6], 1, "other.example.net"));
	assert_false(names_know(table, 0, ""));
	assert_true(names_know(table, 1, ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_the_most_specific),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
