/* control-request: the lines that operators send, and those that they should not. */
#include "master/control-request.h"

#include "base/own.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

#define NAME_64 "a123456789012345678901234567890123456789012345678901234567890123"

#define NO_ADDRESS  "not an address: 192.0.2.1, 192.0.2.0/24, 2001:db8::1, uid:1000, vsock:3"
#define NO_DRAIN    "not a duration such as 30s or 5min, or unlimited"
#define NO_DURATION "not a duration from 1s to 366d, or unlimited"

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
		{"help", CONTROL_HELP, ""},
		{"connections\n", CONTROL_CONNECTIONS, ""},
		{"connections upper\n", CONTROL_CONNECTIONS, "upper"},
		{"bans\n", CONTROL_BANS, ""},
		{"bans upper\n", CONTROL_BANS, "upper"},
		{"ban 192.0.2.1", CONTROL_BAN, ""},
		{"ban 192.0.2.0/24 1h upper\n", CONTROL_BAN, "upper"},
		{"unban 192.0.2.1", CONTROL_UNBAN, ""},
		{"unban 192.0.2.0/24 upper\r\n", CONTROL_UNBAN, "upper"},
		{"events upper\n", CONTROL_EVENTS, "upper"},
		{"metrics\n", CONTROL_METRICS, ""},
		{"orphans\n", CONTROL_ORPHANS, ""},
		{"orphans upper\n", CONTROL_ORPHANS, "upper"},
		{"end-orphans\n", CONTROL_END_ORPHANS, ""},
		{"end-orphans upper\n", CONTROL_END_ORPHANS, "upper"},
		{"kill-orphans upper\n", CONTROL_KILL_ORPHANS, "upper"},
		{"reload\n", CONTROL_RELOAD, ""},
		{"take-over 1\n", CONTROL_TAKE_OVER, ""},
		{"disable upper\n", CONTROL_DISABLE, "upper"},
		{"enable upper\n", CONTROL_ENABLE, "upper"},
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
		{"connections a b", 15, "too many words"},
		{"metrics upper", 13, "too many words"},
		{"reload now", 10, "too many words"},
		{"disable", 7, "words are missing"},
		{"enable \n", 8, "words are missing"},
		{"enable -", 8, "not the name of a service"},
		{"set a rate", 10, "words are missing"},
		{"set a rate 1 2 3 4", 18, "too many words"},
		{"set - rate 1/s", 14, "not the name of a service"},
		{"set a size 1", 12,
			"not a limit that can be set: instances, per_source, rate, "
			"per_source_rate"},
		{"set a instances 0", 17, "not a value of that limit"},
		{"set a instances -1", 18, "not a value of that limit"},
		{"set a instances 4294967295", 26, "not a value of that limit"},
		{"set a instances 1 2", 19, "not a value of that limit"},
		{"set a rate twenty", 17, "not a value of that limit"},
		{"set a rate 20/s burst\0 1", 25, "not a value of that limit"},
		{"kill", 4, "words are missing"},
		{"kill 0", 6, "not the number of a connection"},
		{"kill x", 6, "not the number of a connection"},
		{"kill 18446744073709551616", 25, "not the number of a connection"},
		{"kill 1 2", 8, "too many words"},
		{"bans a b", 8, "too many words"},
		{"bans -", 6, "not the name of a service"},
		{"ban", 3, "words are missing"},
		{"ban upper", 9, NO_ADDRESS},
		{"ban 192.0.2.1\0", 14, NO_ADDRESS},
		{"ban 192.0.2.1:80", 16, NO_ADDRESS},
		{"ban uid:root", 12, NO_ADDRESS},
		{"ban 192.0.2.1/33", 16, "not as many bits as such an address can have"},
		{"ban fe80::1%nosuchlink", 22,
			"no such interface, or an address that has none"},
		{"ban 192.0.2.1%lo", 16, "no such interface, or an address that has none"},
		{"ban 192.0.2.1 upper", 19, NO_DURATION},
		{"ban 192.0.2.1 0", 15, NO_DURATION},
		{"ban 192.0.2.1 999ms", 19, NO_DURATION},
		{"ban 192.0.2.1 367d", 18, NO_DURATION},
		{"ban 192.0.2.1 18446744073709551615", 34, NO_DURATION},
		{"ban 192.0.2.1 1h -", 18, "not the name of a service"},
		{"ban 192.0.2.1 1h a b", 20, "too many words"},
		{"unban", 5, "words are missing"},
		{"unban upper", 11, NO_ADDRESS},
		{"unban 192.0.2.1 -", 17, "not the name of a service"},
		{"unban 192.0.2.1 a b", 19, "too many words"},
		{"drain upper", 11, NO_DRAIN},
		{"drain -1", 8, NO_DRAIN},
		{"drain 1s\0", 9, NO_DRAIN},
		{"drain 18446744073709551616", 26, NO_DRAIN},
		{"drain 1s now", 12, "not the word kill"},
		{"drain 1s kill all", 17, "too many words"},
		{"take-over", 9, "words are missing"},
		{"take-over 2", 11, "not a version that is spoken here: 1"},
		{"take-over 1 1", 13, "too many words"},
		{"log-level", 9, "words are missing"},
		{"log-level loud", 14, "not a level: error, warning, notice, info, debug"},
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

static struct control_request parse(const char *line)
{
	struct control_request request;
	const char *why;

	assert_int_equal(control_request_parse(line, strlen(line), &request, &why), 0);
	return request;
}

static void test_limits(void **ctx)
{
	struct control_request request = parse("set upper instances 20");

	(void)ctx;
	assert_int_equal(request.question, CONTROL_SET);
	assert_string_equal(request.service, "upper");
	assert_int_equal(request.limit, CONTROL_INSTANCES);
	assert_int_equal(request.count, 20);

	request = parse("set upper per_source unlimited");
	assert_int_equal(request.limit, CONTROL_PER_SOURCE);
	assert_int_equal(request.count, COUNT_UNLIMITED);

	request = parse("set upper rate 100/1min  burst 30\r\n");
	assert_int_equal(request.limit, CONTROL_RATE);
	assert_int_equal(request.rate.burst, 30);
	assert_string_equal(control_limit_name(request.limit), "rate");

	request = parse("set upper per_source_rate unlimited");
	assert_int_equal(request.limit, CONTROL_PER_SOURCE_RATE);
	assert_false(limit_is_set(&request.rate));
}

static void test_others(void **ctx)
{
	(void)ctx;
	assert_int_equal(parse("kill 18446744073709551615").connection, UINT64_MAX);
	assert_int_equal(parse("log-level warning").priority, LOG_WARNING);
	assert_int_equal(parse("log-level debug").priority, LOG_DEBUG);
}

static void test_drain(void **ctx)
{
	struct control_request request = parse("drain");

	(void)ctx;
	assert_int_equal(request.question, CONTROL_DRAIN);
	assert_true(request.duration == DURATION_UNLIMITED);
	assert_false(request.kills);
	assert_true(parse("drain unlimited").duration == DURATION_UNLIMITED);
	assert_true(parse("drain 0").duration == 0);
	request = parse("drain 1500ms kill\n");
	assert_true(request.duration == 1500000);
	assert_true(request.kills);
}

static void test_bans(void **ctx)
{
	struct control_request request = parse("ban 192.0.2.7/24");
	char text[ADDR_NET_TEXT_MAX];

	(void)ctx;
	assert_string_equal(addr_net_format(&request.who, text), "192.0.2.0/24");
	assert_true(request.duration == 0);
	assert_true(parse("ban ::1 unlimited").duration == 0);
	assert_true(parse("ban ::1 1").duration == CONTROL_BAN_MIN);
	assert_true(parse("ban ::1 366d upper").duration == CONTROL_BAN_MAX);
	request = parse("unban 2001:db8::1 upper");
	assert_string_equal(addr_net_format(&request.who, text), "2001:db8::/64");
}

static void test_help(void **ctx)
{
	(void)ctx;
	for (int i = 0; i < _CONTROL_QUESTION_MAX; i++) {
		const struct control_help *help =
			control_request_help((enum control_question)i);

		assert_non_null(help->usage);
		assert_non_null(help->does);
		assert_int_equal(help->changes, i >= CONTROL_RELOAD);
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
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_bans),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
