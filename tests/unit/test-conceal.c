/* conceal: what is left of an address. */
#include "master/conceal.h"

#include "base/own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t key[CONCEAL_KEY_LEN] = {1, 2, 3};
static const uint8_t other_key[CONCEAL_KEY_LEN] = {3, 2, 1};
static const struct ucred unknown = {.uid = (uid_t)-1};
static const struct ucred joe = {.uid = 1000, .pid = 4711};

static struct service_conf conf = {.source_prefix4 = 32, .source_prefix6 = 64};

static struct addr parse(const char *text)
{
	struct addr_spec spec;
	const char *why;

	assert_int_equal(addr_parse(text, &spec, &why), 0);
	addr_set_port(&spec.addr, spec.port_first);
	return spec.addr;
}

static const char *shown(const char *text, int how, char buf[ADDR_TEXT_MAX])
{
	const struct addr peer = parse(text);

	conf.log_address = how;
	return conceal_peer(&conf, key, &peer, &unknown, buf);
}

static void check(const char *text, int how, const char *expected)
{
	char buf[ADDR_TEXT_MAX];

	assert_string_equal(shown(text, how, buf), expected);
}

static void test_full(void **state)
{
	(void)state;
	check("tcp:192.0.2.7:4711", LOG_ADDRESS_FULL, "192.0.2.7:4711");
	check("tcp:[2001:db8::7]:4711", LOG_ADDRESS_FULL, "[2001:db8::7]:4711");
	check("vsock:3:9", LOG_ADDRESS_FULL, "vsock:3:9");
}

static void test_prefix(void **state)
{
	(void)state;
	check("tcp:192.0.2.7:4711", LOG_ADDRESS_PREFIX, "192.0.2.0/24");
	check("tcp:[2001:db8:1:2:3::7]:4711", LOG_ADDRESS_PREFIX, "2001:db8:1::/48");
	check("tcp:[fe80::abcd%lo]:4711", LOG_ADDRESS_PREFIX, "fe80::/48");
	check("vsock:3:9", LOG_ADDRESS_PREFIX, "vsock");
	check("unix:/run/client", LOG_ADDRESS_PREFIX, "unix");
}

/* No more bits than the service tells clients apart by. */
static void test_wide_sources(void **state)
{
	(void)state;
	conf.source_prefix4 = 16;
	conf.source_prefix6 = 32;
	check("tcp:192.0.2.7:4711", LOG_ADDRESS_PREFIX, "192.0.0.0/16");
	check("tcp:[2001:db8:1::7]:4711", LOG_ADDRESS_PREFIX, "2001:db8::/32");
	conf.source_prefix4 = 32;
	conf.source_prefix6 = 64;
}

static void test_none(void **state)
{
	(void)state;
	check("tcp:192.0.2.7:4711", LOG_ADDRESS_NONE, "-");
	check("unix:/run/client", LOG_ADDRESS_NONE, "-");
}

/* The port is not in it, and what IPv6 hides behind is: another address of the same host. */
static void test_hash(void **state)
{
	char one[ADDR_TEXT_MAX], two[ADDR_TEXT_MAX];

	(void)state;
	shown("tcp:192.0.2.7:4711", LOG_ADDRESS_HASH, one);
	assert_int_equal(strlen(one), strlen("hash:0123456789abcdef"));
	assert_memory_equal(one, "hash:", 5);
	assert_string_equal(shown("tcp:192.0.2.7:4712", LOG_ADDRESS_HASH, two), one);
	assert_string_not_equal(shown("tcp:192.0.2.8:4711", LOG_ADDRESS_HASH, two), one);
	shown("tcp:[2001:db8::7]:1", LOG_ADDRESS_HASH, one);
	assert_string_equal(shown("tcp:[2001:db8::8]:2", LOG_ADDRESS_HASH, two), one);
	assert_string_not_equal(shown("tcp:[2001:db8:0:1::8]:2", LOG_ADDRESS_HASH, two), one);
}

static void test_key(void **state)
{
	const struct addr peer = parse("tcp:192.0.2.7:4711");
	char one[ADDR_TEXT_MAX], two[ADDR_TEXT_MAX];

	(void)state;
	conf.log_address = LOG_ADDRESS_HASH;
	conceal_peer(&conf, key, &peer, &unknown, one);
	assert_string_not_equal(conceal_peer(&conf, other_key, &peer, &unknown, two), one);
}

/* A user of this machine, and nobody. */
static void test_local(void **state)
{
	const struct addr nobody = {.kind = ADDR_UNIX};
	char one[ADDR_TEXT_MAX], two[ADDR_TEXT_MAX];
	struct ucred again = joe;

	(void)state;
	conf.log_address = LOG_ADDRESS_FULL;
	assert_string_equal(conceal_peer(&conf, key, &nobody, &joe, one), "uid 1000 pid 4711");
	assert_string_equal(conceal_peer(&conf, key, &nobody, &unknown, one), "");
	conf.log_address = LOG_ADDRESS_PREFIX;
	assert_string_equal(conceal_peer(&conf, key, &nobody, &joe, one), "unix");
	assert_string_equal(conceal_peer(&conf, key, &nobody, &unknown, one), "");
	conf.log_address = LOG_ADDRESS_HASH;
	conceal_peer(&conf, key, &nobody, &joe, one);
	again.pid++;
	assert_string_equal(conceal_peer(&conf, key, &nobody, &again, two), one);
	again.uid++;
	assert_string_not_equal(conceal_peer(&conf, key, &nobody, &again, two), one);
}

static void test_source(void **state)
{
	const struct addr peer = parse("tcp:192.0.2.7:4711");
	struct addr_source source, none = {0};
	char buf[ADDR_SOURCE_TEXT_MAX], peers[ADDR_TEXT_MAX];

	(void)state;
	addr_source(&peer, 32, 64, &source);
	conf.log_address = LOG_ADDRESS_FULL;
	assert_string_equal(conceal_source(&conf, key, &source, buf), "192.0.2.7");
	assert_string_equal(conceal_source(&conf, key, &none, buf), "-");
	conf.log_address = LOG_ADDRESS_PREFIX;
	assert_string_equal(conceal_source(&conf, key, &source, buf), "192.0.2.0/24");
	conf.log_address = LOG_ADDRESS_HASH;
	conceal_source(&conf, key, &source, buf);
	assert_string_equal(conceal_peer(&conf, key, &peer, &unknown, peers), buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_wide_sources),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
