/* hosts: names and addresses of hosts(5), both ways. */
#include "workers/lookup/hosts.h"

#include "base/own.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char text[] = "# comment 192.0.2.9 nobody\n"
			   "127.0.0.1\tlocalhost\n"
			   "::1 localhost ip6-localhost\n"
			   "192.0.2.1 Web.Example.org. web # alias\n"
			   "192.0.2.1 second\n"
			   "2001:db8::7   web\r\n"
			   "::ffff:192.0.2.7 mapped\n"
			   "192.0.2.2 10.0.0.1 bad/name -dash good\n"
			   "192.0.2.300 out-of-range\n"
			   "192.0.2.0/24 prefix\n"
			   "fe80::1%lo linklocal\n"
			   "not-an-address name\n"
			   "192.0.2.4\n"
			   "   \n"
			   "  192.0.2.5 indented\n"
			   "192.0.2.6 last";

static int set_up(void **state)
{
	struct hosts *hosts;

	assert_int_equal(hosts_new(text, sizeof text - 1, &hosts), 0);
	*state = hosts;
	return 0;
}

static int tear_down(void **state)
{
	*state = hosts_free(*state);
	return 0;
}

static struct lookup_address ip(const char *written)
{
	struct lookup_address address = {.family = AF_INET};

	if (inet_pton(AF_INET, written, address.ip) == 1)
		return address;
	address.family = AF_INET6;
	assert_int_equal(inet_pton(AF_INET6, written, address.ip), 1);
	return address;
}

static void is_named(const struct hosts *hosts, const char *written, const char *name)
{
	struct lookup_address address = ip(written);
	const char *found = hosts_name_of(hosts, &address);

	if (name)
		assert_string_equal(found, name);
	else
		assert_null(found);
}

static void test_names(void **state)
{
	is_named(*state, "127.0.0.1", "localhost");
	is_named(*state, "::1", "localhost");
	is_named(*state, "192.0.2.1", "web.example.org");
	is_named(*state, "2001:db8::7", "web");
	is_named(*state, "192.0.2.7", "mapped");
	is_named(*state, "192.0.2.2", "good");
	is_named(*state, "192.0.2.5", "indented");
	is_named(*state, "192.0.2.6", "last");
	is_named(*state, "192.0.2.9", NULL);
	is_named(*state, "192.0.2.0", NULL);
	is_named(*state, "192.0.2.4", NULL);
	is_named(*state, "fe80::1", NULL);
	is_named(*state, "::", NULL);
	is_named(*state, "255.255.255.255", NULL);
}

static void test_the_port_is_not_looked_at(void **state)
{
	struct lookup_address address = ip("192.0.2.6");

	address.port = 7;
	assert_string_equal(hosts_name_of(*state, &address), "last");
}

/* The same address on a link is somebody else's. */
static void test_scope(void **state)
{
	struct lookup_address address = ip("::1");

	address.scope = 3;
	assert_null(hosts_name_of(*state, &address));
}

static void test_addresses(void **state)
{
	struct lookup_address got[LOOKUP_ADDRESSES_MAX], first = ip("192.0.2.1");
	struct lookup_address second = ip("2001:db8::7");

	assert_int_equal(hosts_addresses_of(*state, "web", got), 2);
	assert_memory_equal(&got[0], &first, sizeof first);
	assert_memory_equal(&got[1], &second, sizeof second);
	assert_int_equal(hosts_addresses_of(*state, "localhost", got), 2);
	assert_int_equal(hosts_addresses_of(*state, "second", got), 1);
	assert_int_equal(hosts_addresses_of(*state, "10.0.0.1", got), 0);
	assert_int_equal(hosts_addresses_of(*state, "zzz", got), 0);
	assert_int_equal(hosts_addresses_of(*state, "", got), 0);
}

static void test_nothing(void **state)
{
	struct lookup_address got[LOOKUP_ADDRESSES_MAX];
	struct hosts *hosts;

	(void)state;
	assert_int_equal(hosts_new("", 0, &hosts), 0);
	is_named(hosts, "127.0.0.1", NULL);
	assert_int_equal(hosts_addresses_of(hosts, "localhost", got), 0);
	assert_false(hosts_are_cut(hosts));
	hosts_free(hosts);
	hosts_free(NULL);
}

static void test_a_nul(void **state)
{
	static const char bytes[] = "192.0.2.1 a\0b\n192.0.2.2 c";
	struct lookup_address got[LOOKUP_ADDRESSES_MAX];
	struct hosts *hosts;

	(void)state;
	assert_int_equal(hosts_new(bytes, sizeof bytes - 1, &hosts), 0);
	is_named(hosts, "192.0.2.1", "a");
	is_named(hosts, "192.0.2.2", "c");
	assert_int_equal(hosts_addresses_of(hosts, "b", got), 0);
	hosts_free(hosts);
}

static size_t write_long(size_t n, char *to, size_t size)
{
	FILE *file = fmemopen(to, size, "w");
	size_t len;

	for (size_t i = 0; i < n; i++)
		fprintf(file, "10.0.0.1 h%zu.example\n", i);
	len = (size_t)ftell(file);
	fclose(file);
	return len;
}

/* As lists of those who are not to be reached are: the rest is left out, and it is said. */
static void test_bounded(void **state)
{
	static char bytes[HOSTS_MAX * 40];
	struct lookup_address got[LOOKUP_ADDRESSES_MAX];
	struct hosts *hosts;

	(void)state;
	assert_int_equal(
		hosts_new(bytes, write_long(HOSTS_MAX, bytes, sizeof bytes), &hosts), 0);
	assert_false(hosts_are_cut(hosts));
	assert_int_equal(hosts_addresses_of(hosts, "h65535.example", got), 1);
	is_named(hosts, "10.0.0.1", "h0.example");
	hosts_free(hosts);

	assert_int_equal(
		hosts_new(bytes, write_long(HOSTS_MAX + 1, bytes, sizeof bytes), &hosts), 0);
	assert_true(hosts_are_cut(hosts));
	assert_int_equal(hosts_addresses_of(hosts, "h65536.example", got), 0);
	hosts_free(hosts);
}

static void test_most_addresses(void **state)
{
	struct lookup_address got[LOOKUP_ADDRESSES_MAX], last = ip("192.0.2.8");
	char bytes[1024] = "";
	struct hosts *hosts;

	(void)state;
	for (int i = 1; i <= LOOKUP_ADDRESSES_MAX + 2; i++)
		snprintf(bytes + strlen(bytes), sizeof bytes - strlen(bytes), "192.0.2.%d a\n",
			i);
	assert_int_equal(hosts_new(bytes, strlen(bytes), &hosts), 0);
	assert_int_equal(hosts_addresses_of(hosts, "a", got), LOOKUP_ADDRESSES_MAX);
	assert_memory_equal(&got[LOOKUP_ADDRESSES_MAX - 1], &last, sizeof last);
	hosts_free(hosts);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_the_port_is_not_looked_at),
		TEST(test_scope),
		TEST(test_addresses),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_a_nul),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_most_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
