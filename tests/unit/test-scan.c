/*
 * scan: which items are found where, what is left out after which mistake,
 * and that the work grows with the text and not faster.  What is said about
 * each mistake, word for word, is in tests/golden.
 */
#include "conf/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct diag_list diags;

static int setup(void **state)
{
	(void)state;
	diag_list_init(&diags);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	diag_list_done(&diags);
	return 0;
}

/* The items of a text as libconfuse would be given them, blanks made one. */
static char *items_of(const char *text, bool *ret_broken)
{
	struct source source = {
		.path = (char *)"f", .text = (char *)text, .len = strlen(text), .main = true};
	struct scan_names names;
	struct scan scan;
	char *written, *to;
	size_t len;

	scan_names_init(&names);
	assert_int_equal(scan_source(&source, &names, &diags, &scan), 0);
	assert_int_equal(scan_write(&source, &scan, &written, &len), 0);
	*ret_broken = scan.broken;
	scan_done(&scan);
	scan_names_done(&names);

	to = written;
	for (const char *from = written; *from; from++) {
		bool blank = *from == ' ' || *from == '\n';

		if (blank && (to == written || to[-1] == ' '))
			continue;
		*to++ = blank ? ' ' : *from;
	}
	*to = '\0';
	if (to > written && to[-1] == ' ')
		to[-1] = '\0';
	return written;
}

static void check_errors(const char *text, size_t n, const char *first)
{
	if (diags.n_by_severity[DIAG_ERROR] != n) {
		diag_print(&diags, NULL, false, stderr);
		fail_msg("%zu errors, wanted %zu, in: %s", diags.n_by_severity[DIAG_ERROR], n,
			text);
	}
	if (first && (n == 0 || !strstr(diags.items[0].text, first)))
		fail_msg("'%s' not said of: %s", first, text);
}

/* So many mistakes, none of which makes the structure unsure, and these items. */
static void check_items(const char *text, size_t n_errors, const char *wanted)
{
	_cleanup_free_ char *items = NULL;
	bool broken;

	items = items_of(text, &broken);
	check_errors(text, n_errors, NULL);
	assert_false(broken);
	assert_string_equal(items, wanted);
	diag_list_done(&diags);
}

/* One mistake after which nobody goes on. */
static void check_broken(const char *text, const char *said)
{
	_cleanup_free_ char *items = NULL;
	bool broken;

	items = items_of(text, &broken);
	check_errors(text, 1, said);
	assert_true(broken);
	diag_list_done(&diags);
}

static void test_valid(void **state)
{
	(void)state;
	check_items("", 0, "");
	check_items("# a\n// b\n/* c */", 0, "");
	check_items("service a{listen=7}", 0, "service a { listen ={ 7 ,} }");
	check_items("service a { listen = { } exec = { \"x\", 'y', } }", 0,
		"service a { listen ={} exec ={ \"x\" , 'y' ,} }");
	check_items("defaults { env += A # x\n rlimit{nofile=/* 1 */2} }", 0,
		"defaults { env +={ A ,} rlimit { nofile = 2 } }");
	check_items("include(a) include_dir(\"b\") total_instances = 3", 0,
		"include( a ) include_dir( \"b\" ) total_instances = 3");
	check_items("service a { user = a//b group = c//d\n}", 0,
		"service a { user = a//b group = c//d }");
	check_items("defaults { user = .:/-_@%[]~^! }", 0, "defaults { user = .:/-_@%[]~^! }");
	check_items(
		"defaults { user = '\\'${x}\\\\' }", 0, "defaults { user = '\\'${x}\\\\' }");
}

static void test_mistakes_are_left_out(void **state)
{
	(void)state;
	check_items("defaults { usr = a group = b }", 1, "defaults { group = b }");
	check_items("defaults { user = a user = b group = c }", 1,
		"defaults { user = a group = c }");
	check_items("defaults { user = a*b group = c }", 1, "defaults { group = c }");
	check_items("defaults { env = { a*b, d } group = c }", 1, "defaults { group = c }");
	check_items("defaults { user = { a } group = c }", 1, "defaults { group = c }");
	check_items("defaults { user += a group = c }", 1, "defaults { group = c }");
	check_items("defaults { nofile = 1 rlimit { user = a core = 0 } }", 2,
		"defaults { rlimit { core = 0 } }");
	check_items("service a { } service A { user = x } service b { }", 1,
		"service a { } service b { }");
	check_items("servce a { user = x y { z = { a } } } service b { }", 1, "service b { }");
	check_items("defaults { } defaults { usr = x }", 2, "defaults { }");
	check_items("defaults { rlimit { core = 0 } rlimit { core = 1 cor = 2 } }", 2,
		"defaults { rlimit { core = 0 } }");
	check_items("inclode(a) include(b)", 1, "include( b )");
	check_items("user = a; total_instances = 3;", 3, "total_instances = 3");
	check_items("defaults { user = a'b'\"c\"d group = x }", 1, "defaults { group = x }");
	check_items("defaults { user = \"${A}\\q\" group = ${B} nice = 1 }", 2,
		"defaults { nice = 1 }");
	check_items("defaults {\r\n user = a\r\n}\r\n", 1, "defaults { user = a }");
	check_items("\xef\xbb\xbf"
		    "defaults { user = a }",
		1, "defaults { user = a }");
	check_items("service .a { user = x }", 1, "service .a { user = x }");
}

static void test_names_are_per_section(void **state)
{
	(void)state;
	check_items("service a { user = x rlimit { core = 0 } } service b { user = x rlimit { "
		    "core = 0 } }",
		0,
		"service a { user = x rlimit { core = 0 } } service b { user = x rlimit { core "
		"= 0 } }");
	check_items("total_instances = 1 service a { } total_instances = 2", 1,
		"total_instances = 1 service a { }");
	/* `rlimit.nice` and `nice` are two options. */
	check_items("service a { nice = 1 rlimit { nice = 2 } }", 0,
		"service a { nice = 1 rlimit { nice = 2 } }");
}

static void test_broken(void **state)
{
	(void)state;
	check_broken("service a {", "never closed");
	check_broken("service a { } }", "closes nothing");
	check_broken("service a { service b { } }", "missing before it");
	check_broken("service a { user = \"x\n }", "never closed");
	check_broken("service a { user = 'x }", "never closed");
	check_broken("/* x", "never closed");
	check_broken("service a { env = { a", "never closed");
	check_broken("service a { env = { a b } }", "missing before this");
	check_broken("service a { env = { , } }", "missing before ','");
	check_broken("service a { user = a, b }", "one value only");
	check_broken("service a { env = a, b }", "several values");
	check_broken("service a { user =\ngroup = b }", "value is missing");
	check_broken("service a { user = //b\n}", "'//' begins a comment");
	check_broken("service a { user b }", "'=' is missing");
	check_broken("service a { exec { b } }", "'=' is missing");
	check_broken("\"a\" = b", "names have no quotes");
	check_broken("= b", "unexpected '='");
	check_broken("\xff\xfe"
		     "d",
		"UTF-16");
}

static void test_nul(void **state)
{
	struct source source = {.path = (char *)"f", .text = (char *)"a\nb\0c", .len = 5};
	struct scan_names names;
	struct scan scan;

	(void)state;
	scan_names_init(&names);
	assert_int_equal(scan_source(&source, &names, &diags, &scan), 0);
	assert_true(scan.broken);
	assert_int_equal(diags.items[0].origin.line, 2);
	assert_int_equal(diags.items[0].origin.column, 2);
	scan_done(&scan);
	scan_names_done(&names);
}

static void test_places(void **state)
{
	static const char text[] =
		"\n\tservice \"a\" { # x\n  user = '\xc3\xbc\n x' group\t= b }";
	struct source source = {
		.path = (char *)"f", .text = (char *)text, .len = sizeof text - 1};
	static const struct {
		enum scan_kind kind;
		uint32_t line, column, width;
	} wanted[] = {
		{SCAN_SERVICE, 2, 10, 3},
		{SCAN_ASSIGN, 3, 3, 4},
		{SCAN_VALUE, 3, 10, 2},
		{SCAN_ASSIGN, 4, 5, 5},
		{SCAN_VALUE, 4, 13, 1},
		{SCAN_CLOSE, 4, 15, 1},
	};
	struct scan_names names;
	struct scan scan;

	(void)state;
	scan_names_init(&names);
	assert_int_equal(scan_source(&source, &names, &diags, &scan), 0);
	assert_int_equal(scan.n_items, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		assert_int_equal(scan.items[i].kind, wanted[i].kind);
		assert_int_equal(scan.items[i].line, wanted[i].line);
		assert_int_equal(scan.items[i].column, wanted[i].column);
		assert_int_equal(scan.items[i].width, wanted[i].width);
	}
	scan_done(&scan);
	scan_names_done(&names);
}

/* `pattern` repeated to that many bytes. */
static char *repeat(const char *pattern, size_t len)
{
	size_t n = strlen(pattern);
	char *text = malloc(len + 1);

	assert_non_null(text);
	for (size_t i = 0; i < len; i++)
		text[i] = pattern[i % n];
	text[len] = '\0';
	return text;
}

/*
 * A lot of each pattern: what is quadratic would not come to an end here.
 */
static void test_mass(void **state)
{
	static const char *const patterns[] = {
		" ",
		"\n",
		"a",
		"{",
		"}",
		"a{",
		"a=",
		"a=b ",
		"a=b\n",
		"#",
		"#\n",
		"//",
		"/*",
		"'",
		"\"",
		"\\",
		"${",
		"a#b\n",
		";",
		"include(a)",
		"x(a)",
		"\xc3\xbc",
		"\xff",
		"\r\n",
		",",
		"service a{}",
		"a{b=c}",
		"'a'",
		"a\"b\"",
		"+",
		"+=",
		"total_instances=1\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		_cleanup_free_ char *text = repeat(patterns[i], 1 << 18), *items = NULL;
		bool broken;

		items = items_of(text, &broken);
		diag_list_done(&diags);
	}
}

static void test_bounds(void **state)
{
	_cleanup_free_ char *word = repeat("a", CONF_WORD_MAX), *text = NULL, *values = NULL,
			    *all = NULL;

	(void)state;
	assert_true(asprintf(&text, "defaults { user = %s group = '%s' }", word, word) > 0);
	free(items_of(text, &(bool){false}));
	check_errors("words as long as may be", 0, NULL);
	diag_list_done(&diags);
	free(text);
	assert_true(asprintf(&text, "defaults { user = %sa group = '%sa' }", word, word) > 0);
	check_items(text, 2, "defaults { }");

	values = repeat("a,", 2 * (CONF_VALUES_MAX + 1));
	assert_true(asprintf(&all, "defaults { env = { %s } }", values) > 0);
	check_broken(all, "more than 1000000 values");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_valid, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mistakes_are_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names_are_per_section, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nul, setup, teardown),
		cmocka_unit_test_setup_teardown(test_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mass, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
	};

	return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
