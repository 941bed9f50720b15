/* notice: what programs say of themselves is understood, or means nothing, and does no harm. */
#include "policy/notice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* In memory of its own, so that a sanitizer sees what is read behind its end. */
static bool parse_bytes(const void *text, size_t len, struct notice *ret)
{
	char *copy = malloc(len ? len : 1);
	bool taken;

	assert_non_null(copy);
	memcpy(copy, text, len);
	taken = notice_parse(copy, len, ret);
	free(copy);
	return taken;
}

static struct notice parse(const char *text)
{
	struct notice notice;

	assert_true(parse_bytes(text, strlen(text), &notice));
	return notice;
}

static void test_states(void **ctx)
{
	static const struct {
		const char *text;
		bool ready;
		enum notice_state state;
	} cases[] = {
		{"READY=1", true, NOTICE_READY},
		{"READY=1\n", true, NOTICE_READY},
		{"\n\nREADY=1\n\n", true, NOTICE_READY},
		{"MAINPID=4711\nREADY=1\nSTATUS=on", true, NOTICE_READY},
		{"RELOADING=1\nMONOTONIC_USEC=1", false, NOTICE_RELOADING},
		{"STOPPING=1", false, NOTICE_STOPPING},
		{"READY=1\nSTOPPING=1", true, NOTICE_STOPPING},
		{"READY=0", false, NOTICE_NOTHING},
		{"READY=11", false, NOTICE_NOTHING},
		{"READY=1 ", false, NOTICE_NOTHING},
		{"READY=1\r", false, NOTICE_NOTHING},
		{"READY=", false, NOTICE_NOTHING},
		{"READY", false, NOTICE_NOTHING},
		{"ready=1", false, NOTICE_NOTHING},
		{" READY=1", false, NOTICE_NOTHING},
		{"XREADY=1", false, NOTICE_NOTHING},
		{"STATUS=READY=1", false, NOTICE_NOTHING},
		{"BARRIER=1", false, NOTICE_NOTHING},
		{"WATCHDOG=1\nERRNO=2\nMAINPID=1\nFDSTORE=1", false, NOTICE_NOTHING},
		{"=", false, NOTICE_NOTHING},
		{"\n", false, NOTICE_NOTHING},
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct notice notice = parse(cases[i].text);

		assert_int_equal(notice.ready, cases[i].ready);
		assert_int_equal(notice.state, cases[i].state);
	}
}

static void assert_status(const char *text, const char *status)
{
	struct notice notice = parse(text);

	assert_true(notice.has_status);
	assert_string_equal(notice.status, status);
}

static void test_status(void **ctx)
{
	(void)ctx;
	assert_status("STATUS=Serving 3 clients", "Serving 3 clients");
	assert_status("STATUS=one\nSTATUS=two", "two");
	assert_status("STATUS=", "");
	assert_status("STATUS=a=b", "a=b");
	assert_status(
		"STATUS=\xc3\xa9t\xc3\xa9 \xe2\x82\xac", "\xc3\xa9t\xc3\xa9 \xe2\x82\xac");
	assert_false(parse("READY=1").has_status);
	assert_false(parse("STATUS").has_status);
}

/* A terminal and a log are safe from it. */
static void test_status_is_harmless(void **ctx)
{
	(void)ctx;
	assert_status("STATUS=\x1b[31mred\x07\r\t\x7f", "?[31mred????");
	assert_status("STATUS=\xc2\x9b"
		      "31m",
		"?31m"); /* U+009B begins a sequence, too */
	assert_status("STATUS=\xff\xfe"
		      "a\xc3",
		"??a?");
	assert_status("STATUS=\xed\xa0\x80", "???");
	assert_status("STATUS=\xc0\x80", "??");
}

static void test_status_is_cut(void **ctx)
{
	char text[NOTICE_MAX], expected[NOTICE_STATUS_MAX];
	struct notice notice;

	(void)ctx;
	memset(text, 'x', sizeof text);
	memcpy(text, "STATUS=", 7);
	memset(expected, 'x', sizeof expected);
	expected[sizeof expected - 1] = '\0';
	assert_true(parse_bytes(text, sizeof text, &notice));
	assert_string_equal(notice.status, expected);

	/* Not within a character. */
	for (size_t i = 7; i + 1 < sizeof text; i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	assert_true(parse_bytes(text, sizeof text - 1, &notice));
	assert_int_equal(strlen(notice.status), NOTICE_STATUS_MAX - 2);
}

static void test_extend(void **ctx)
{
	static const struct {
		const char *value;
		uint64_t extend;
	} cases[] = {
		{"5000000", 5000000},
		{"0", 0},
		{"", 0},
		{"-1", 0},
		{"5s", 0},
		{"18446744073709551615", NOTICE_EXTEND_MAX},
		{"18446744073709551616", 0},
		{"99999999999999999999999999999999999999999999999", 0},
	};
	char text[128];

	(void)ctx;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%s\nX=1", cases[i].value);
		assert_true(parse(text).extend == cases[i].extend);
	}
}

static void test_refused(void **ctx)
{
	char text[NOTICE_MAX + 1];
	struct notice notice;

	(void)ctx;
	memset(text, '\n', sizeof text);
	assert_false(parse_bytes("", 0, &notice));
	assert_true(parse_bytes(text, NOTICE_MAX, &notice));
	assert_false(parse_bytes(text, NOTICE_MAX + 1, &notice));
	assert_false(parse_bytes("READY=1\0", 8, &notice));
	assert_false(parse_bytes("\0READY=1", 8, &notice));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_status_is_harmless),
		cmocka_unit_test(test_status_is_cut),
		cmocka_unit_test(test_extend),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
