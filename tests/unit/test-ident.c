/* ident: questions and answers of RFC 1413. */
#include "workers/lookup/ident.h"

#include "base/own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define THEIRS 6193
#define OURS   23

#define BYTES(text) text, sizeof(text) - 1

static struct ident_parser whole(const char *text, size_t len)
{
	struct ident_parser p;

	ident_init(&p, THEIRS, OURS);
	ident_feed(&p, text, len);
	return p;
}

/* In one piece, byte by byte, and cut at every place: the same. */
static struct ident_parser read_any_way(const char *text, size_t len)
{
	struct ident_parser first = whole(text, len), p;

	for (size_t cut = 0; cut <= len; cut++) {
		ident_init(&p, THEIRS, OURS);
		ident_feed(&p, text, cut);
		ident_feed(&p, text + cut, len - cut);
		assert_int_equal(p.state, first.state);
		assert_int_equal(p.fault, first.fault);
		assert_string_equal(p.user, first.user);
	}
	ident_init(&p, THEIRS, OURS);
	for (size_t i = 0; i < len; i++)
		ident_feed(&p, text + i, 1);
	assert_int_equal(p.state, first.state);
	assert_string_equal(p.user, first.user);
	return first;
}

static void is_user(const char *text, const char *user)
{
	struct ident_parser p = read_any_way(text, strlen(text));

	assert_int_equal(p.state, IDENT_NAMED);
	assert_int_equal(p.fault, IDENT_FAULTLESS);
	assert_string_equal(p.user, user);
	assert_int_equal(p.user_len, strlen(user));
}

static void is_refused(const char *text, size_t len, enum ident_fault fault)
{
	struct ident_parser p = read_any_way(text, len);

	assert_int_equal(p.state, IDENT_REFUSED);
	assert_int_equal(p.fault, fault);
	assert_string_equal(p.user, "");
}

static void test_question(void **state)
{
	char buf[IDENT_QUESTION_MAX];

	(void)state;
	assert_int_equal(ident_write(6193, 23, buf), 11);
	assert_memory_equal(buf, "6193 , 23\r\n", 11);
	assert_int_equal(ident_write(65535, 65535, buf), strlen("65535 , 65535\r\n"));
}

static void test_users(void **state)
{
	(void)state;
	is_user("6193, 23 : USERID : UNIX : stjohns\r\n", "stjohns");
	is_user("6193,23:USERID:UNIX:stjohns\r\n", "stjohns");
	is_user(" \t6193 \t,\t 23\t:\tUSERID\t:\tUNIX , US-ASCII\t:\t st johns \r\n",
		"st johns");
	is_user("6193 , 23 : USERID : OTHER : a:b:c\r\n", "a:b:c");
	is_user("6193 , 23 : USERID : UNIX : %n%n%s\r\n", "%n%n%s");
	is_user("6193 , 23 : USERID : UNIX : \033[2J\x7f\x01\r\n", "?[2J??");
	is_user("6193 , 23 : USERID : UNIX : \303\244\377\r\n", "\303\244\377");
	/* What is behind the line is nobody's. */
	is_user("6193 , 23 : USERID : UNIX : a\r\n6193 , 23 : USERID : UNIX : b\r\n", "a");
}

static void test_unknown(void **state)
{
	static const char *const texts[] = {
		"6193, 23 : ERROR : NO-USER\r\n",
		"6193,23:ERROR:HIDDEN-USER\r\n",
		"6193 , 23 : ERROR : X anything\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct ident_parser p = read_any_way(texts[i], strlen(texts[i]));

		assert_int_equal(p.state, IDENT_UNKNOWN);
		assert_string_equal(p.user, "");
	}
}

static void test_other_ports(void **state)
{
	(void)state;
	is_refused(BYTES("6194 , 23 : USERID : UNIX : a\r\n"), IDENT_OTHER_PORTS);
	is_refused(BYTES("6193 , 24 : USERID : UNIX : a\r\n"), IDENT_OTHER_PORTS);
	is_refused(BYTES("23 , 6193 : USERID : UNIX : a\r\n"), IDENT_OTHER_PORTS);
	is_refused(BYTES("6193 , 24 : ERROR : NO-USER\r\n"), IDENT_OTHER_PORTS);
	is_refused(BYTES("71729 , 23 : USERID : UNIX : a\r\n"), IDENT_OTHER_PORTS);
	is_refused(BYTES("4294973489 , 23 : USERID : UNIX : a\r\n"), IDENT_OTHER_PORTS);
	is_refused(BYTES("-1 , 23 : USERID : UNIX : a\r\n"), IDENT_OTHER_PORTS);
	is_refused(BYTES(" , 23 : USERID : UNIX : a\r\n"), IDENT_OTHER_PORTS);
	is_refused(BYTES("61 93 , 23 : USERID : UNIX : a\r\n"), IDENT_OTHER_PORTS);
}

static void test_bad_lines(void **state)
{
	(void)state;
	is_refused(BYTES("\r\n"), IDENT_BAD_LINE);
	is_refused(BYTES("6193 , 23 : USERID : UNIX : a\n"), IDENT_BAD_LINE);
	is_refused(BYTES("6193 , 23 : USERID : UNIX : a\rb\r\n"), IDENT_BAD_LINE);
	is_refused(BYTES("6193 , 23 : USERID : UNIX : a\r\r\n"), IDENT_BAD_LINE);
	is_refused(BYTES("6193 , 23 : USERID : UNIX : a\0b\r\n"), IDENT_BAD_LINE);
	is_refused(BYTES("\0"), IDENT_BAD_LINE);
	is_refused(BYTES("6193 , 23\r\n"), IDENT_BAD_LINE);
	is_refused(BYTES("6193 23 : USERID : UNIX : a\r\n"), IDENT_BAD_LINE);
	is_refused(BYTES("6193 , 23 : USERID\r\n"), IDENT_BAD_LINE);
	is_refused(BYTES("6193 , 23 : USERID : UNIX\r\n"), IDENT_BAD_LINE);
	is_refused(BYTES("6193 , 23 : USERID :  : a\r\n"), IDENT_BAD_LINE);
	is_refused(BYTES("6193 , 23 : userid : UNIX : a\r\n"), IDENT_BAD_LINE);
	is_refused(BYTES("6193 , 23 : USERIDS : UNIX : a\r\n"), IDENT_BAD_LINE);
	is_refused(BYTES("6193 , 23 : ERROR : \r\n"), IDENT_BAD_LINE);
	is_refused(BYTES("HTTP/1.0 400 Bad Request\r\n"), IDENT_BAD_LINE);
}

/* What is said before the end of a line that is never complete is nobody's name. */
static void test_ends(void **state)
{
	static const char text[] = "6193 , 23 : USERID : UNIX : a\r";
	struct ident_parser p;

	(void)state;
	for (size_t len = 0; len < sizeof text; len++) {
		p = whole(text, len);
		assert_int_equal(p.state, IDENT_MORE);
		assert_int_equal(ident_end(&p), IDENT_REFUSED);
		assert_int_equal(p.fault, IDENT_CUT_SHORT);
	}
	p = whole(BYTES("6193 , 23 : USERID : UNIX : a\r\n"));
	assert_int_equal(ident_end(&p), IDENT_NAMED);
}

static void user_of(size_t len, char buf[2 * IDENT_LINE_MAX])
{
	snprintf(buf, 2 * IDENT_LINE_MAX, "6193 , 23 : USERID : UNIX : %0*d\r\n", (int)len, 0);
}

static void test_longest_user(void **state)
{
	char text[2 * IDENT_LINE_MAX];
	struct ident_parser p;

	(void)state;
	user_of(IDENT_USER_MAX, text);
	p = whole(text, strlen(text));
	assert_int_equal(p.state, IDENT_NAMED);
	assert_int_equal(p.user_len, IDENT_USER_MAX);
	user_of(IDENT_USER_MAX + 1, text);
	p = whole(text, strlen(text));
	assert_int_equal(p.state, IDENT_REFUSED);
	assert_int_equal(p.fault, IDENT_BAD_USER);
	is_refused(BYTES("6193 , 23 : USERID : UNIX : \r\n"), IDENT_BAD_USER);
}

/* A line of so many characters with a system of what length that takes. */
static size_t line_of(size_t len, char buf[2 * IDENT_LINE_MAX])
{
	static const char head[] = "6193 , 23 : USERID : ", tail[] = " : bob\r\n";
	size_t system = len - strlen(head) - strlen(tail) + strlen("\r\n");

	return (size_t)snprintf(
		buf, 2 * IDENT_LINE_MAX, "%s%0*d%s", head, (int)system, 0, tail);
}

static void test_longest_line(void **state)
{
	char text[2 * IDENT_LINE_MAX];

	(void)state;
	assert_int_equal(line_of(IDENT_LINE_MAX, text), IDENT_LINE_MAX + 2);
	is_user(text, "bob");
	is_refused(text, line_of(IDENT_LINE_MAX + 1, text), IDENT_TOO_LONG);
}

/* Of 64 kB no more is kept than of a line. */
static void test_flood(void **state)
{
	static char text[65536];
	struct ident_parser p;

	(void)state;
	memset(text, 'x', sizeof text);
	p = whole(text, sizeof text);
	assert_int_equal(p.state, IDENT_REFUSED);
	assert_int_equal(p.fault, IDENT_TOO_LONG);
	assert_int_equal(p.len, IDENT_LINE_MAX);
}

static void test_texts(void **state)
{
	(void)state;
	for (int fault = 0; fault < _IDENT_FAULT_MAX; fault++)
		assert_true(strlen(ident_fault_text((enum ident_fault)fault)) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_question),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_other_ports),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_longest_user),
		cmocka_unit_test(test_longest_line),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
