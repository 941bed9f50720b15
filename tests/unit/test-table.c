/* table: each form shows the same facts, and terminals come to no harm. */
#include "hatchctl/table/table.h"

#include "hatchctl/table/columns.h"
#include "hatchctl/table/figures.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { NAME, N, SIZE, AGE, ADDRESSES };

static const struct table_column columns[] = {
	[NAME] = {"NAME", "name", TABLE_TEXT, ""},
	[N] = {"N", "count", TABLE_COUNT, ""},
	[SIZE] = {"SIZE", "size", TABLE_BYTES, ""},
	[AGE] = {"AGE", "age_usec", TABLE_DURATION, ""},
	[ADDRESSES] = {"ADDRESSES", "addresses", TABLE_VALUE, ""},
};

static struct table_style style_of(enum table_form form, const char *chosen)
{
	struct table_style style = {.form = form};
	char word[COLUMNS_WORD_MAX];

	assert_int_equal(columns_add(&style, columns, ARRAY_SIZE(columns), chosen, word), 0);
	return style;
}

static struct json_value json(const char *text)
{
	struct json_value value;

	assert_true(json_parse(text, strlen(text), &value));
	return value;
}

/* What table_print() writes to standard output. */
static void expect(const struct table *table, const char *text)
{
	int fd = memfd_create("output", MFD_CLOEXEC), before = dup(STDOUT_FILENO);
	char got[4096] = "";

	fflush(stdout);
	assert_true(fd >= 0 && before >= 0);
	assert_true(dup2(fd, STDOUT_FILENO) >= 0);
	assert_int_equal(table_print(table, "rows"), 0);
	assert_true(dup2(before, STDOUT_FILENO) >= 0);
	assert_true(pread(fd, got, sizeof got - 1, 0) >= 0);
	assert_string_equal(got, text);
	close(fd);
	close(before);
}

static void fill(struct table *table)
{
	table_begin_row(table);
	table_put(table, NAME, json("\"upper\""));
	table_put(table, N, json("7"));
	table_put(table, SIZE, json("123456"));
	table_put(table, AGE, json("125000000"));
	table_put_value(table, ADDRESSES, json("[\"a\",{\"b\":1}]"), "a (b)");
	table_begin_row(table);
	table_put(table, NAME, json("\"x\""));
	table_put(table, N, json("10000"));
}

static void check_form(enum table_form form, const char *text)
{
	struct table_style style = style_of(form, "name,n,size,age,addresses");
	_cleanup_table_ struct table table;

	table_init(&table, columns, &style);
	fill(&table);
	expect(&table, text);
}

static void test_forms(void **ctx)
{
	(void)ctx;
	check_form(TABLE_FOR_PEOPLE, "NAME       N  SIZE        AGE  ADDRESSES\n"
				     "upper      7  120K  2 min 5 s  a (b)\n"
				     "x      10000     -          -  -\n");
	check_form(TABLE_RAW, "NAME N SIZE AGE ADDRESSES\n"
			      "upper 7 123456 125000000 a\\x20(b)\n"
			      "x 10000 - - -\n");
	check_form(TABLE_JSON,
		"{\"rows\":[\n"
		"{\"name\":\"upper\",\"count\":7,\"size\":123456,\"age_usec\":125000000,"
		"\"addresses\":[\"a\",{\"b\":1}]},\n"
		"{\"name\":\"x\",\"count\":10000,\"size\":null,\"age_usec\":null,"
		"\"addresses\":null}\n"
		"]}\n");
}

static void check_empty(enum table_form form, bool noheadings, const char *text)
{
	struct table_style style = style_of(form, "name,n");
	struct table table;

	style.noheadings = noheadings;
	table_init(&table, columns, &style);
	expect(&table, text);
}

static void test_empty(void **ctx)
{
	(void)ctx;
	check_empty(TABLE_FOR_PEOPLE, false, "NAME  N\n");
	check_empty(TABLE_FOR_PEOPLE, true, "");
	check_empty(TABLE_RAW, false, "NAME N\n");
	check_empty(TABLE_JSON, false, "{\"rows\":[]}\n");
}

/* U+009B begins a sequence as ESC [ does. */
static void check_escaping(enum table_form form, const char *locale, const char *text)
{
	struct table_style style = style_of(form, "name,addresses");
	_cleanup_table_ struct table table;

	if (!setlocale(LC_CTYPE, locale))
		skip();
	style.noheadings = true;
	table_init(&table, columns, &style);
	table_begin_row(&table);
	table_put(&table, NAME, json("\"\\u001b[31m\\n\\\\\xc3\xa4\""));
	table_put_value(&table, ADDRESSES, json("[\"\xc2\x9b\xc3\xa4\x7f\",\t1]"),
		"\xc2\x9b\xc3\xa4\xff");
	expect(&table, text);
	setlocale(LC_CTYPE, "C");
}

static void test_escaping(void **ctx)
{
	(void)ctx;
	check_escaping(TABLE_FOR_PEOPLE, "C.UTF-8",
		"\\x1b[31m\\x0a\\\\\xc3\xa4  \\xc2\\x9b\xc3\xa4\\xff\n");
	check_escaping(TABLE_FOR_PEOPLE, "C",
		"\\x1b[31m\\x0a\\\\\\xc3\\xa4  \\xc2\\x9b\\xc3\\xa4\\xff\n");
	check_escaping(TABLE_RAW, "C.UTF-8",
		"\\x1b[31m\\x0a\\x5c\\xc3\\xa4 \\xc2\\x9b\\xc3\\xa4\\xff\n");
	check_escaping(TABLE_JSON, "C.UTF-8",
		"{\"rows\":[\n{\"name\":\"\\u001b[31m\\u000a\\\\\xc3\xa4\","
		"\"addresses\":[\"\\u009b\xc3\xa4\\u007f\", 1]}\n]}\n");
}

/* Whoever answers may be anybody: what is not of the kind of its column is not known. */
static void test_other_kinds(void **ctx)
{
	static const char *const values[] = {"null", "true", "-1", "1.5", "\"7\"", "[7]", "{}"};
	struct table_style style = style_of(TABLE_JSON, "count");
	_cleanup_table_ struct table table;

	(void)ctx;
	table_init(&table, columns, &style);
	table_put(&table, N, json("1")); /* there is no row */
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		table_begin_row(&table);
		table_put(&table, N, json(values[i]));
		table_put(&table, N, (struct json_value){NULL, NULL});
		table_put(&table, NAME, json("\"nobody wants to see it\""));
		assert_null(table.cells[i].text);
	}
	assert_false(table_shows(&table, NAME));
	assert_true(table_shows(&table, N));
}

static void test_colors(void **ctx)
{
	struct table_style style = style_of(TABLE_FOR_PEOPLE, "name,n");
	_cleanup_table_ struct table table;

	(void)ctx;
	style.noheadings = true;
	table_init(&table, columns, &style);
	table_begin_row(&table);
	table_put_text(&table, NAME, "a");
	table_set_color(&table, NAME, "red");
	table_set_color(&table, SIZE, "red");
	expect(&table, "a     -\n");
	style.colored = true;
	expect(&table, "\x1b[31ma   \x1b[0m  -\n");
}

static void test_many_rows(void **ctx)
{
	struct table_style style = style_of(TABLE_RAW, "n,name");
	_cleanup_table_ struct table table;

	(void)ctx;
	table_init(&table, columns, &style);
	for (uint64_t i = 0; i < 5000; i++) {
		table_begin_row(&table);
		table_put_number(&table, N, i);
	}
	assert_int_equal(table.error, 0);
	assert_int_equal(table.n_rows, 5000);
	assert_string_equal(table.cells[2 * 4999].text, "4999");
}

static void check_chosen(const char *text, const char *expected)
{
	struct table_style style = style_of(TABLE_RAW, text);

	assert_int_equal(style.n_chosen, strlen(expected));
	for (size_t i = 0; i < style.n_chosen; i++)
		assert_int_equal(style.chosen[i], expected[i] - '0');
}

static void test_columns(void **ctx)
{
	static const char *const wrong[][2] = {{"", ""}, {"name,", ""}, {",name", ""},
		{"name,nam", "nam"}, {"name n", "name n"}, {"foo,bar", "foo"}};
	struct table_style style = {0};
	char word[COLUMNS_WORD_MAX];

	(void)ctx;
	check_chosen("name", "0");
	check_chosen("AGE,Name", "30");
	check_chosen("age_usec,count", "31");
	check_chosen("n,name,count,n", "10");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(
			columns_add(&style, columns, ARRAY_SIZE(columns), wrong[i][0], word),
			-EINVAL);
		assert_string_equal(word, wrong[i][1]);
	}
	assert_string_equal(columns_nearest(columns, ARRAY_SIZE(columns), "nam"), "NAME");
	assert_null(columns_nearest(columns, ARRAY_SIZE(columns), "zzz"));
}

static void test_figures(void **ctx)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {{0, "0"}, {1023, "1023"}, {1024, "1.0K"}, {10239, "9.9K"}, {10240, "10K"},
		{1048575, "1023K"}, {1048576, "1.0M"}, {UINT64_MAX, "15E"}};
	char buf[FIGURES_MAX];

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		assert_string_equal(figures_bytes(sizes[i].bytes, buf), sizes[i].text);
	setenv("TZ", "UTC0", 1);
	assert_string_equal(figures_time(1795335649, buf), "2026-11-22 08:20:49");
	assert_string_equal(figures_time(UINT64_MAX, buf), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_escaping),
		cmocka_unit_test(test_other_kinds),
		cmocka_unit_test(test_colors),
		cmocka_unit_test(test_many_rows),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_figures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
