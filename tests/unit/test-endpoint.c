/* endpoint: who is never answered, rule by rule. */
#include "workers/endpoint.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct endpoint make(const char *ip, uint16_t port)
{
	struct endpoint endpoint = {.port = port};
	struct in_addr ip4;

	if (inet_pton(AF_INET, ip, &ip4) == 1)
		endpoint.ip = endpoint_ipv4(ip4);
	else
		assert_int_equal(inet_pton(AF_INET6, ip, &endpoint.ip), 1);
	return endpoint;
}

/* Is 192.0.2.1 or 2001:db8::1, port 4007, to answer that one? */
static bool answers(const char *ip, uint16_t port)
{
	struct endpoint from = make(ip, port);
	struct endpoint to = make(strchr(ip, ':') ? "2001:db8::1" : "192.0.2.1", 4007);

	return endpoint_may_answer(&from, &to);
}

static void test_clients(void **ctx)
{
	(void)ctx;
	assert_true(answers("192.0.2.2", 40000));
	assert_true(answers("2001:db8::2", 40000));
	assert_true(answers("192.0.2.1", 40000)); /* on the same machine */
	assert_true(answers("127.0.0.1", 1));
	assert_true(answers("223.255.255.255", 65535));
	assert_true(answers("fe80::1", 123));
}

static void test_ports(void **ctx)
{
	static const uint16_t never[] = {0, 7, 9, 13, 17, 19, 37, 4007};
	size_t n = 0;

	(void)ctx;
	for (uint32_t port = 0; port <= UINT16_MAX; port++) {
		bool refused = n < sizeof never / sizeof never[0] && never[n] == port;

		assert_int_equal(answers("192.0.2.2", (uint16_t)port), !refused);
		assert_int_equal(answers("2001:db8::2", (uint16_t)port), !refused);
		n += refused;
	}
	assert_int_equal(n, sizeof never / sizeof never[0]);
}

static void test_senders_that_are_nobody(void **ctx)
{
	(void)ctx;
	assert_false(answers("0.0.0.0", 40000));
	assert_false(answers("0.1.2.3", 40000));
	assert_false(answers("::", 40000));
}

static void test_senders_that_are_many(void **ctx)
{
	(void)ctx;
	assert_false(answers("224.0.0.1", 40000));
	assert_false(answers("239.255.255.255", 40000));
	assert_false(answers("240.0.0.1", 40000));
	assert_false(answers("255.255.255.255", 40000));
	assert_false(answers("ff02::1", 40000));
	assert_false(answers("ff0e::1234", 40000));
}

static void test_sent_to_many(void **ctx)
{
	static const char *const many[] = {
		"224.0.0.1", "239.1.2.3", "255.255.255.255", "0.0.0.0", "ff02::1", "::"};

	(void)ctx;
	for (size_t i = 0; i < sizeof many / sizeof many[0]; i++) {
		struct endpoint to = make(many[i], 4007);
		struct endpoint from =
			make(strchr(many[i], ':') ? "2001:db8::2" : "192.0.2.2", 40000);

		assert_false(endpoint_may_answer(&from, &to));
	}
}

static void test_sockaddr_ipv4(void **ctx)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(4711)};
	struct endpoint endpoint, expected = make("192.0.2.9", 4711);
	struct sockaddr_in6 back;

	(void)ctx;
	inet_pton(AF_INET, "192.0.2.9", &in.sin_addr);
	assert_true(endpoint_from_sockaddr((struct sockaddr *)&in, sizeof in, &endpoint));
	assert_memory_equal(&endpoint.ip, &expected.ip, sizeof endpoint.ip);
	assert_int_equal(endpoint.port, 4711);
	assert_int_equal(endpoint_to_sockaddr(&endpoint, AF_INET, &back), sizeof in);
	assert_memory_equal(&back, &in, sizeof in);

	/* At a socket of IPv6 he looks like this. */
	assert_int_equal(endpoint_to_sockaddr(&endpoint, AF_INET6, &back), sizeof back);
	assert_int_equal(back.sin6_family, AF_INET6);
	assert_true(IN6_IS_ADDR_V4MAPPED(&back.sin6_addr));
}

static void test_sockaddr_ipv6(void **ctx)
{
	struct sockaddr_in6 back,
		in6 = {.sin6_family = AF_INET6, .sin6_port = htons(4711), .sin6_scope_id = 3};
	struct endpoint endpoint;

	(void)ctx;
	inet_pton(AF_INET6, "fe80::9", &in6.sin6_addr);
	assert_true(endpoint_from_sockaddr((struct sockaddr *)&in6, sizeof in6, &endpoint));
	assert_int_equal(endpoint.interface, 3);
	assert_int_equal(endpoint_to_sockaddr(&endpoint, AF_INET6, &back), sizeof back);
	assert_memory_equal(&back, &in6, sizeof in6);
}

static void test_sockaddr_of_others(void **ctx)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_UNIX};
	struct endpoint endpoint = {.port = 1};

	(void)ctx;
	assert_false(endpoint_from_sockaddr((struct sockaddr *)&in6, sizeof in6, &endpoint));
	in6.sin6_family = AF_INET6;
	assert_false(endpoint_from_sockaddr(
		(struct sockaddr *)&in6, sizeof(struct sockaddr_in), &endpoint));
	in6.sin6_family = AF_INET;
	assert_false(endpoint_from_sockaddr((struct sockaddr *)&in6, 8, &endpoint));
	assert_false(endpoint_from_sockaddr((struct sockaddr *)&in6, 0, &endpoint));
	assert_int_equal(endpoint.port, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_senders_that_are_nobody),
		cmocka_unit_test(test_senders_that_are_many),
		cmocka_unit_test(test_sent_to_many),
		cmocka_unit_test(test_sockaddr_ipv4),
		cmocka_unit_test(test_sockaddr_ipv6),
		cmocka_unit_test(test_sockaddr_of_others),
	};

	return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
