/* What is recorded of a client, in all ways in which it is said. */
#include "master/account.h"

#include "base/own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Of a program that was told to end. */
static const struct account whole = {
	.of = ACCOUNT_CHILD,
	.service = "upper",
	.connection = 17,
	.peer = "192.0.2.7:4711",
	.local = "192.0.2.1:7777",
	.peer_name = "www.example.org",
	.peer_user = "joe",
	.pid = 4712,
	.user = "nobody",
	.result = "signal",
	.status = 15,
	.started = UINT64_C(1795000000123456),
	.duration = 12000000,
	.cpu = 340,
	.bytes_in = 5,
	.bytes_out = 6,
	.reason = "idle_timeout",
	.how = "signal 15 (TERM)",
};

/* Nothing but what everybody has. */
static const struct account bare = {
	.of = ACCOUNT_CONNECTION,
	.service = "upper",
	.connection = 17,
	.pid = ACCOUNT_UNKNOWN,
	.status = ACCOUNT_UNKNOWN,
	.started = ACCOUNT_UNKNOWN,
	.duration = ACCOUNT_UNKNOWN,
	.cpu = ACCOUNT_UNKNOWN,
	.bytes_in = ACCOUNT_UNKNOWN,
	.bytes_out = ACCOUNT_UNKNOWN,
};

static void check_who(struct account account, enum account_of of, const char *expected)
{
	char who[ACCOUNT_WHO_MAX];

	account.of = of;
	assert_string_equal(account_who(&account, who), expected);
}

static void test_who(void **state)
{
	(void)state;
	check_who(whole, ACCOUNT_CHILD, "child 4712");
	check_who(whole, ACCOUNT_BACKEND, "backend 4712");
	check_who(bare, ACCOUNT_CONNECTION, "connection 17");
	check_who(bare, ACCOUNT_SOCKET, "socket 17");
}

static void check_whom(struct account account, const char *peer, const char *name,
	const char *user, const char *expected)
{
	char whom[ACCOUNT_WHOM_MAX];

	strcpy(account.peer, peer);
	account.peer_name = name;
	account.peer_user = user;
	assert_string_equal(account_format_whom(&account, whom), expected);
}

static void test_whom(void **state)
{
	(void)state;
	check_whom(bare, "", NULL, NULL, "");
	check_whom(bare, "192.0.2.7:1", NULL, NULL, "192.0.2.7:1");
	check_whom(bare, "192.0.2.7:1", "a.b", NULL, "192.0.2.7:1 (a.b)");
	check_whom(bare, "192.0.2.7:1", NULL, "joe", "192.0.2.7:1 (user joe)");
	check_whom(bare, "192.0.2.7:1", "a.b", "joe", "192.0.2.7:1 (a.b, user joe)");
	check_whom(bare, "", NULL, "joe", "user joe");
}

static void test_text(void **state)
{
	char text[ACCOUNT_TEXT_MAX];
	struct account account = bare;

	(void)state;
	assert_string_equal(account_format(&whole, text),
		"idle_timeout, signal 15 (TERM), 5 bytes in, 6 out, 12 s, "
		"from 192.0.2.7:4711 (www.example.org, user joe)");
	assert_string_equal(account_format(&bare, text), "");
	account.bytes_in = account.bytes_out = 0;
	assert_string_equal(account_format(&account, text), "0 bytes in, 0 out");
	strcpy(account.how, "finished");
	assert_string_equal(account_format(&account, text), "finished, 0 bytes in, 0 out");
	account.bytes_in = account.bytes_out = ACCOUNT_UNKNOWN;
	assert_string_equal(account_format(&account, text), "finished");
	account.bytes_missed = true;
	assert_string_equal(account_format(&account, text), "finished, bytes unknown");
}

/* The longest of everything: it is cut, and stays in its place. */
static void test_long(void **state)
{
	char name[2000], text[ACCOUNT_TEXT_MAX];
	struct account account = whole;

	(void)state;
	memset(name, 'n', sizeof name);
	name[sizeof name - 1] = '\0';
	account.peer_name = account.peer_user = name;
	account.reason = name;
	memset(account.peer, 'p', sizeof account.peer);
	account.peer[sizeof account.peer - 1] = '\0';
	assert_int_equal(strlen(account_format(&account, text)), ACCOUNT_TEXT_MAX - 1);
}

static const char *as_json(const struct account *account, char *buf, size_t size)
{
	struct json json;

	json_init(&json, buf, size - 1);
	json_open(&json, NULL, '{');
	account_put(&json, account);
	json_close(&json, '}');
	assert_false(json.full);
	buf[json.len] = '\0';
	return buf;
}

static void test_json(void **state)
{
	char buf[2000];

	(void)state;
	assert_string_equal(
		as_json(&bare, buf, sizeof buf), "{\"service\":\"upper\",\"connection\":17}");
	assert_string_equal(as_json(&whole, buf, sizeof buf),
		"{\"service\":\"upper\",\"connection\":17,\"peer\":\"192.0.2.7:4711\","
		"\"local\":\"192.0.2.1:7777\",\"peer_name\":\"www.example.org\","
		"\"peer_user\":\"joe\",\"pid\":4712,\"user\":\"nobody\","
		"\"result\":\"signal\",\"status\":15,\"started_usec\":1795000000123456,"
		"\"duration_usec\":12000000,\"cpu_usec\":340,\"bytes_in\":5,\"bytes_out\":6,"
		"\"reason\":\"idle_timeout\"}");
}

/* Where no journal keeps them there are none. */
static void test_no_fields(void **state)
{
	struct account_fields fields;

	(void)state;
	assert_null(account_fields(&whole, &fields)->name);
}

static void test_peer(void **state)
{
	const struct ucred nobody = {.uid = (uid_t)-1}, joe = {.uid = 1000, .pid = 4711};
	const struct addr unknown = {.kind = ADDR_TCP};
	const uint8_t ip[] = {192, 0, 2, 7};
	char text[ADDR_TEXT_MAX];
	struct addr peer;

	(void)state;
	addr_from_ip(ADDR_TCP, ip, sizeof ip, 4711, &peer);
	assert_string_equal(account_format_peer(&peer, &nobody, text), "192.0.2.7:4711");
	assert_string_equal(account_format_peer(&unknown, &nobody, text), "");
	assert_string_equal(account_format_peer(&unknown, &joe, text), "uid 1000 pid 4711");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_whom),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_no_fields),
		cmocka_unit_test(test_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
