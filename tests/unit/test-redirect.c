/* redirect: targets as bytes and back, also when these are nothing of ours. */
#include "base/redirect.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct addr address(const char *text)
{
	struct addr_spec spec;
	const char *why;

	assert_int_equal(addr_parse(text, &spec, &why), 0);
	return spec.addr;
}

static void test_there_and_back(void **state)
{
	static const char *const texts[] = {
		"tcp:127.0.0.1:8080",
		"tcp:[::1]:80",
		"tcp:[fe80::1%lo]:80",
		"unix:/run/app.sock",
		"unix:@app",
		"udp:[fe80::1%lo]:53",
	};
	struct addr targets[REDIRECT_TARGETS_MAX], back[REDIRECT_TARGETS_MAX];
	struct redirect redirect = {
		.service = 7,
		.order = REDIRECT_ROUND_ROBIN,
		.proxy = REDIRECT_PROXY_2,
		.connect_timeout = 123456789,
		.awaited = 4,
		.await_timeout = 987654321,
		.n_targets = 6,
		.targets = targets,
	};
	struct redirect got;
	struct wire_writer wire;

	(void)state;
	for (size_t i = 0; i < 6; i++)
		targets[i] = address(texts[i]);
	wire_writer_init(&wire);
	redirect_put(&wire, &redirect);
	assert_int_equal(wire.error, 0);
	assert_int_equal(redirect_get(wire.data, wire.len, back, &got), 0);
	assert_int_equal(got.service, 7);
	assert_int_equal(got.order, REDIRECT_ROUND_ROBIN);
	assert_int_equal(got.proxy, REDIRECT_PROXY_2);
	assert_int_equal(got.connect_timeout, 123456789);
	assert_int_equal(got.awaited, 4);
	assert_int_equal(got.await_timeout, 987654321);
	assert_int_equal(got.n_targets, 6);
	assert_ptr_equal(got.targets, back);
	for (size_t i = 0; i < 6; i++)
		assert_true(addr_equal(&targets[i], &back[i]));
	assert_int_equal(back[2].in6.sin6_scope_id, if_nametoindex("lo"));
	assert_int_equal(back[5].in6.sin6_scope_id, if_nametoindex("lo"));

	/* Cut anywhere, or with something behind it. */
	for (size_t len = 0; len < wire.len; len++)
		assert_int_equal(redirect_get(wire.data, len, back, &got), -EBADMSG);
	wire_put_u8(&wire, 0);
	assert_int_equal(redirect_get(wire.data, wire.len, back, &got), -EBADMSG);
	wire_writer_done(&wire);
}

/* The longest there can be. */
static void test_the_most(void **state)
{
	struct addr targets[REDIRECT_TARGETS_MAX], back[REDIRECT_TARGETS_MAX];
	struct redirect redirect = {.n_targets = REDIRECT_TARGETS_MAX, .targets = targets};
	struct redirect got;
	struct wire_writer wire;
	char text[sizeof "unix:@" + 4 * 107] = "unix:@";

	(void)state;
	for (size_t i = 0; i < 107; i++)
		strcat(text, "\\x01");
	for (size_t i = 0; i < REDIRECT_TARGETS_MAX; i++)
		targets[i] = address(text);
	wire_writer_init(&wire);
	redirect_put(&wire, &redirect);
	assert_true(wire.len <= REDIRECT_BYTES_MAX);
	assert_int_equal(redirect_get(wire.data, wire.len, back, &got), 0);
	assert_true(addr_equal(&targets[63], &back[63]));
	wire_writer_done(&wire);
}

static int get_awaited(
	uint32_t order, uint32_t proxy, uint32_t n, const char *target, uint32_t awaited)
{
	struct addr back[REDIRECT_TARGETS_MAX];
	struct redirect got;
	struct wire_writer wire;
	int r;

	wire_writer_init(&wire);
	wire_put_u32(&wire, 1);
	wire_put_u32(&wire, order);
	wire_put_u32(&wire, proxy);
	wire_put_u64(&wire, 1000);
	wire_put_u32(&wire, awaited);
	wire_put_u64(&wire, 1000);
	wire_put_u32(&wire, n);
	for (uint32_t i = 0; i < n; i++) {
		wire_put_string(&wire, target);
		wire_put_u32(&wire, 0);
	}
	r = redirect_get(wire.data, wire.len, back, &got);
	wire_writer_done(&wire);
	return r;
}

static int get(uint32_t order, uint32_t proxy, uint32_t n, const char *target)
{
	return get_awaited(order, proxy, n, target, 0);
}

static void test_foreign_ones(void **state)
{
	static const char *const wrong[] = {
		"",
		"nonsense",
		"udp:224.0.0.1:80",
		"udplite:127.0.0.1:80",
		"tcp:host:80",
		"tcp:127.0.0.1:http",
		"tcp:127.0.0.1:80-90",
		"tcp:127.0.0.1:0",
		"tcp:80",
		"vsock:2:80",
		"fd:x",
		"unix-dgram:/run/x",
		"mptcp:127.0.0.1:80",
		NULL,
	};

	(void)state;
	assert_int_equal(get_awaited(0, 0, 2, "tcp:127.0.0.1:80", 1), 0);
	assert_int_equal(get_awaited(0, 0, 2, "tcp:127.0.0.1:80", 2), -EBADMSG);
	assert_int_equal(get(0, 2, 1, "tcp:127.0.0.1:80"), 0);
	assert_int_equal(get(0, 0, 64, "tcp:127.0.0.1:80"), 0);
	assert_int_equal(get(0, 0, 65, "tcp:127.0.0.1:80"), -EBADMSG);
	assert_int_equal(get(0, 0, 0, NULL), -EBADMSG);
	assert_int_equal(get(2, 0, 1, "tcp:127.0.0.1:80"), -EBADMSG);
	assert_int_equal(get(0, 3, 1, "tcp:127.0.0.1:80"), -EBADMSG);
	assert_int_equal(get(0, 0, 1, NULL), -EBADMSG);
	for (const char *const *text = wrong; *text; text++)
		assert_int_equal(get(0, 0, 1, *text), -EBADMSG);
}

static void test_what_is_refused(void **state)
{
	struct addr addr;

	(void)state;
	addr = address("tcp:127.0.0.1:80");
	assert_null(redirect_refuses(&addr));
	addr = address("unix:@x");
	assert_null(redirect_refuses(&addr));
	addr = address("udp:127.0.0.1:80");
	assert_null(redirect_refuses(&addr));
	addr = address("udp:[fe80::1%lo]:80");
	assert_null(redirect_refuses(&addr));
	addr = address("udp:80");
	assert_non_null(redirect_refuses(&addr));
	addr = address("udp:127.0.0.1:0");
	assert_string_equal(redirect_refuses(&addr), "a target needs a port");
	addr = address("udp:239.1.2.3:80");
	assert_string_equal(redirect_refuses(&addr),
		"a target is one machine, and that is the address of many");
	addr = address("udp:255.255.255.255:80");
	assert_non_null(redirect_refuses(&addr));
	addr = address("udp:[ff05::1]:80");
	assert_non_null(redirect_refuses(&addr));
	addr = address("tcp4:80");
	assert_non_null(redirect_refuses(&addr));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_the_most),
		cmocka_unit_test(test_foreign_ones),
		cmocka_unit_test(test_what_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
