/* control-request: the lines that operators send, and those that they should not. */
#include "master/control-request.h"

#include "base/own.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NAME_64 "a123456789012345678901234567890123456789012345678901234567890123"

static void test_requests(void **ctx)
{
	static const struct {
		const char *line;
		enum control_question question;
		const char *service;
	} cases[] = {
		{"status\n", CONTROL_STATUS, ""},
		{"status", CONTROL_STATUS, ""},
		{" \tstatus \r\n", CONTROL_STATUS, ""},
		{"list\n", CONTROL_LIST, ""},
		{"list upper\n", CONTROL_LIST, "upper"},
		{"list\tup.per-2_x\r\n", CONTROL_LIST, "up.per-2_x"},
		{"list list", CONTROL_LIST, "list"},
		{"list " NAME_64, CONTROL_LIST, NAME_64},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct control_request request;
		const char *why;

		assert_int_equal(control_request_parse(
					 cases[i].line, strlen(cases[i].line), &request, &why),
			0);
		assert_int_equal(request.question, cases[i].question);
		assert_string_equal(request.service, cases[i].service);
	}
}

static void test_no_requests(void **ctx)
{
	static const struct {
		const char *line;
		size_t len;
		const char *why;
	} cases[] = {
		{"", 0, "the request is empty"},
		{"\n", 1, "the request is empty"},
		{" \t \r\n", 5, "the request is empty"},
		{"Status\n", 7, "unknown request"},
		{"statu\n", 6, "unknown request"},
		{"status\0", 7, "unknown request"},
		{"{\"status\":1}", 12, "unknown request"},
		{"GET / HTTP/1.1\r\n", 16, "unknown request"},
		{"status now\n", 11, "too many words"},
		{"list a b\n", 9, "too many words"},
		{"list a b c d e f", 16, "too many words"},
		{"list a\0b", 8, "not the name of a service"},
		{"list -a", 7, "not the name of a service"},
		{"list \xff", 6, "not the name of a service"},
		{"list " NAME_64 "4", 70, "not the name of a service"},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct control_request request = {.service = "untouched"};
		const char *why = "";

		assert_int_equal(
			control_request_parse(cases[i].line, cases[i].len, &request, &why),
			-EINVAL);
		assert_string_equal(why, cases[i].why);
		assert_string_equal(request.service, "untouched");
	}
}

static void test_lines(void **ctx)
{
	char text[2 * CONTROL_LINE_MAX];

	(void)ctx;
	assert_int_equal(control_request_line("status\nlist\n", 12, false), 7);
	assert_int_equal(control_request_line("\n", 1, false), 1);
	assert_int_equal(control_request_line("stat", 4, false), 0);
	assert_int_equal(control_request_line("stat", 4, true), 4);
	assert_int_equal(control_request_line("", 0, true), 0);

	memset(text, 'x', sizeof text);
	assert_int_equal(control_request_line(text, CONTROL_LINE_MAX - 1, false), 0);
	assert_int_equal(
		control_request_line(text, CONTROL_LINE_MAX - 1, true), CONTROL_LINE_MAX - 1);
	assert_int_equal(control_request_line(text, CONTROL_LINE_MAX, false), -EMSGSIZE);
	assert_int_equal(control_request_line(text, sizeof text, true), -EMSGSIZE);
	text[CONTROL_LINE_MAX] = '\n';
	assert_int_equal(control_request_line(text, sizeof text, false), -EMSGSIZE);
	text[CONTROL_LINE_MAX - 1] = '\n';
	assert_int_equal(control_request_line(text, sizeof text, false), CONTROL_LINE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_no_requests),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
