/* table: columns are as wide as they must be, and terminals come to no harm. */
#include "hatchctl/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void expect(const struct table *table, const char *text)
{
	_cleanup_free_ char *got = NULL;
	size_t len;
	FILE *out = open_memstream(&got, &len);

	assert_non_null(out);
	table_print(table, out);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(got, text);
}

static void test_widths(void **ctx)
{
	static const char *const heads[] = {"NAME", "N", "WHY", NULL};
	_cleanup_table_ struct table table;

	(void)ctx;
	table_init(&table, heads);
	expect(&table, "NAME  N  WHY\n");
	table_add(&table, "upper-and-lower");
	table_add(&table, "%d", 7);
	table_add(&table, "%s", "no \xc3\xa4");
	table_add(&table, "\xc3\xa4\xc3\xb6\xc3\xbc");
	table_add(&table, "%d", 10000);
	table_add(&table, "%s", "");
	/* A row that is not whole. */
	table_add(&table, "x");
	assert_int_equal(table.error, 0);
	expect(&table, "NAME             N      WHY\n"
		       "upper-and-lower  7      no \xc3\xa4\n"
		       "\xc3\xa4\xc3\xb6\xc3\xbc              10000\n");
}

static void test_escaping(void **ctx)
{
	static const char *const heads[] = {"A", NULL};
	_cleanup_table_ struct table table;

	(void)ctx;
	table_init(&table, heads);
	table_add(&table, "%s", "\x1b[31m\n\xff");
	expect(&table, "A\n\\x1b[31m\\x0a\\xff\n");
}

static void test_many_rows(void **ctx)
{
	static const char *const heads[] = {"A", "B", NULL};
	_cleanup_table_ struct table table;

	(void)ctx;
	table_init(&table, heads);
	for (int i = 0; i < 5000; i++)
		table_add(&table, "%d", i);
	assert_int_equal(table.error, 0);
	assert_int_equal(table.n_cells, 5000);
	assert_string_equal(table.cells[4999], "4999");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_widths),
		cmocka_unit_test(test_escaping),
		cmocka_unit_test(test_many_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
