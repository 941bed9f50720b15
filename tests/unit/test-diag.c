/* diag: bounded lists, order, excerpts of hostile text. */
#include "conf/diag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct source source_of(const char *path, const char *text)
{
	return (struct source){.path = (char *)path, .text = (char *)text, .len = strlen(text)};
}

static struct origin at(const char *file, uint32_t line, uint32_t column, uint32_t width)
{
	return (struct origin){file, line, column, width};
}

static char *printed(const struct diag_list *list, const struct source *sources, bool colour)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	diag_print(list, sources, colour, out);
	fclose(out);
	return text;
}

/* One error at that place of that text must print as `wanted`. */
static void check_one(
	const char *text, uint32_t line, uint32_t column, uint32_t width, const char *wanted)
{
	struct source source = source_of("f.conf", text);
	struct origin origin = at("f.conf", line, column, width);
	_cleanup_free_ char *said = NULL;
	static struct diag_list list;

	diag_list_init(&list);
	diag_error(&list, &origin, "wrong");
	said = printed(&list, &source, false);
	assert_string_equal(said, wanted);
	diag_list_done(&list);
}

static void test_shape(void **state)
{
	(void)state;
	check_one("service upper {\n\n\n        only_form = { \"10.0.0.0/8\" }\n}\n", 4, 9, 9,
		"f.conf:4:9: error: wrong\n"
		"    4 |         only_form = { \"10.0.0.0/8\" }\n"
		"      |         ^~~~~~~~~\n");
	check_one("\ta\tb = c\n", 1, 4, 1,
		"f.conf:1:4: error: wrong\n"
		"    1 | \ta\tb = c\n"
		"      | \t \t^\n");
	check_one("a = \"\xc3\xbc\xe2\x82\xac\" b\n", 1, 9, 1,
		"f.conf:1:9: error: wrong\n"
		"    1 | a = \"\xc3\xbc\xe2\x82\xac\" b\n"
		"      |         ^\n");
}

static void test_places_without_text(void **state)
{
	(void)state;
	check_one("a\n", 0, 0, 1, "f.conf: error: wrong\n");
	check_one("a\n", 1, 0, 1, "f.conf:1: error: wrong\n    1 | a\n");
	check_one("a\n", 7, 3, 1, "f.conf:7:3: error: wrong\n");
	check_one("", 1, 1, 1, "f.conf:1:1: error: wrong\n    1 | \n      | ^\n");
	/* Behind the end of the line, and underlined beyond it. */
	check_one("ab", 1, 9, 5, "f.conf:1:9: error: wrong\n    1 | ab\n      |   ^\n");
	check_one("ab\ncd", 1, 2, 5, "f.conf:1:2: error: wrong\n    1 | ab\n      |  ^\n");
}

static void test_hostile_text(void **state)
{
	(void)state;
	/* Escapes, C1 controls, bad UTF-8, reversed writing: one '?' for each column. */
	check_one("\033[1m\xc2\x9b\xff\xe2\x80\xae\xef\xbb\xbfx\n", 1, 9, 1,
		"f.conf:1:9: error: wrong\n"
		"    1 | ?[1m????x\n"
		"      |         ^\n");
	check_one("\x80\x80 a\n", 1, 3, 1,
		"f.conf:1:3: error: wrong\n"
		"    1 | ? a\n"
		"      |   ^\n");
}

static void test_hostile_message(void **state)
{
	struct origin origin = at("bad\033name", 1, 1, 1);
	_cleanup_free_ char *said = NULL;
	static struct diag_list list;

	(void)state;
	diag_list_init(&list);
	diag_error(&list, &origin, "unknown '%s'", "\033]0;x\a");
	said = printed(&list, NULL, false);
	assert_string_equal(said, "bad?name:1:1: error: unknown '?]0;x?'\n");
	diag_list_done(&list);
}

static void test_long_lines(void **state)
{
	static char text[100000];
	struct source source = source_of("f.conf", text);
	struct origin origin = at("f.conf", 1, 50000, 300);
	_cleanup_free_ char *said = NULL;
	static struct diag_list list;
	char *line, *rest;

	(void)state;
	memset(text, 'x', sizeof text - 1);
	memset(text + 1000, '\t', 1000);
	text[49999] = '!';
	source.len = sizeof text - 1;
	diag_list_init(&list);
	diag_error(&list, &origin, "wrong");
	origin.column = 1500;
	diag_error(&list, &origin, "among tabs");
	said = printed(&list, &source, false);
	assert_non_null(strstr(said, "    1 | ...xxxxx"));
	assert_non_null(strstr(said, "x!xx"));
	for (line = strtok_r(said, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		size_t columns = 0;

		for (const char *c = line; *c; c++)
			columns += *c == '\t' ? 8 : 1;
		assert_true(columns < 160);
	}
	diag_list_done(&list);
}

static void test_order(void **state)
{
	struct source b = source_of("b", "1\n2\n3\n"), a = source_of("a", "1\n2\n3\n");
	static struct diag_list list;
	_cleanup_free_ char *said = NULL;
	struct origin o;

	(void)state;
	a.next = &b; /* a is the file that was read first */
	diag_list_init(&list);
	o = at("elsewhere", 1, 1, 1), diag_error(&list, &o, "last");
	o = at("b", 1, 1, 1), diag_error(&list, &o, "fourth");
	o = at("a", 3, 0, 1), diag_warning(&list, &o, "third");
	o = at("a", 2, 0, 1), diag_error(&list, &o, "second");
	o = at("a", 1, 0, 1), diag_note(&list, &o, "of second");
	o = at("b", 3, 0, 1), diag_note(&list, &o, "of second, too");
	o = at("a", 2, 0, 1), diag_error(&list, &o, "second again");
	o = at(NULL, 0, 0, 1), diag_add(&list, DIAG_CONDITION, &o, "first");
	said = printed(&list, &a, false);
	assert_string_equal(said, "waiting: first\n"
				  "a:2: error: second\n    2 | 2\n"
				  "a:1: note: of second\n    1 | 1\n"
				  "b:3: note: of second, too\n    3 | 3\n"
				  "a:2: error: second again\n    2 | 2\n"
				  "a:3: warning: third\n    3 | 3\n"
				  "b:1:1: error: fourth\n    1 | 1\n      | ^\n"
				  "elsewhere:1:1: error: last\n");
	diag_list_done(&list);
}

static void test_bound(void **state)
{
	struct origin origin = at("f", 1, 1, 1);
	static struct diag_list list;
	_cleanup_free_ char *said = NULL;

	(void)state;
	diag_list_init(&list);
	for (int i = 0; i < DIAG_MAX + 50; i++) {
		assert_int_equal(diag_list_full(&list), i >= DIAG_MAX);
		diag_error(&list, &origin, "number %d", i);
	}
	diag_note(&list, &origin, "a note");
	assert_int_equal(list.n, DIAG_MAX);
	assert_int_equal(list.n_by_severity[DIAG_ERROR], DIAG_MAX + 50);
	said = printed(&list, NULL, false);
	assert_non_null(strstr(said, "number 199\n"));
	assert_null(strstr(said, "number 200\n"));
	assert_null(strstr(said, "a note"));
	assert_non_null(strstr(said, "... and 50 more that are not shown\n"));
	diag_list_done(&list);
}

static void test_colour(void **state)
{
	struct source source = source_of("f", "ab\n");
	struct origin origin = at("f", 1, 1, 2);
	static struct diag_list list;
	_cleanup_free_ char *said = NULL, *plain = NULL;

	(void)state;
	diag_list_init(&list);
	diag_error(&list, &origin, "wrong");
	said = printed(&list, &source, true);
	plain = printed(&list, &source, false);
	assert_non_null(strstr(said, "\033[1;31merror: \033[0m"));
	assert_null(strchr(plain, '\033'));
	diag_list_done(&list);
}

static void test_shown(void **state)
{
	char buf[DIAG_SHOWN_MAX], text[100];

	(void)state;
	memset(text, 'a', sizeof text);
	assert_string_equal(diag_shown("abc", 3, buf), "abc");
	assert_string_equal(diag_shown("a\nb", 3, buf), "a\\x0ab");
	assert_int_equal(strlen(diag_shown(text, 48, buf)), 48);
	assert_int_equal(strlen(diag_shown(text, 49, buf)), 51);
	memset(text, '\n', sizeof text);
	assert_true(strlen(diag_shown(text, 48, buf)) < DIAG_SHOWN_MAX);
	assert_non_null(strstr(buf, "..."));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_places_without_text),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_hostile_message),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_colour),
		cmocka_unit_test(test_shown),
	};

	return cmocka_run_group_tests_name("diag", tests, NULL, NULL);
}
