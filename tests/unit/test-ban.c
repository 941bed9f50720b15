/* What hatchctl ban looks at: whose a connection is, and whom a ban would hit. */
#include "hatchctl/steer/ban-caution.h"
#include "hatchctl/steer/ban-connections.h"

#include "base/own.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* This machine has 203.0.113.1, and on a link fe80::1; and an interface without an address. */
static struct sockaddr_in ipv4 = {.sin_family = AF_INET};
static struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_scope_id = 1};
static struct sockaddr foreign = {.sa_family = AF_PACKET};
static struct ifaddrs own[] = {
	{.ifa_next = &own[1]},
	{.ifa_next = &own[2], .ifa_addr = &foreign},
	{.ifa_next = &own[3], .ifa_addr = (struct sockaddr *)&ipv4},
	{.ifa_addr = (struct sockaddr *)&ipv6},
};
static bool knows_own;

int __wrap_getifaddrs(struct ifaddrs **ret);
void __wrap_freeifaddrs(struct ifaddrs *all);

int __wrap_getifaddrs(struct ifaddrs **ret)
{
	inet_pton(AF_INET, "203.0.113.1", &ipv4.sin_addr);
	inet_pton(AF_INET6, "fe80::1", &ipv6.sin6_addr);
	*ret = own;
	return knows_own ? 0 : -1;
}

void __wrap_freeifaddrs(struct ifaddrs *all)
{
	assert_ptr_equal(all, own);
}

static struct addr_net net(const char *text)
{
	struct addr_net net;

	assert_int_equal(addr_net_parse(text, &net), 0);
	return net;
}

static void test_peers(void **ctx)
{
	static const struct {
		const char *peer, *shown;
	} cases[] = {
		{"192.0.2.1:4711", "192.0.2.1"},
		{"[2001:db8::1]:4711", "2001:db8::1/128"},
		{"[fe80::1%lo]:4711", "fe80::1%lo"},
		{"[::ffff:192.0.2.1]:4711", "192.0.2.1"},
		{"uid 1000 pid 4711", "uid:1000"},
		{"vsock:3:80", "vsock:3"},
	};
	struct addr_net found;
	char text[ADDR_NET_TEXT_MAX];

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(ban_peer_parse(cases[i].peer, &found));
		assert_string_equal(addr_net_format(&found, text), cases[i].shown);
	}
}

/* More digits than any address has. */
#define TOO_LONG \
	"0000000000000000000000000000000000000000000000000000000000000000000000000000:1"

static void test_no_peers(void **ctx)
{
	static const char *const cases[] = {"", ":", ":80", "192.0.2.1", "[", "[:", "[]:80",
		"[2001:db8::1:80", "uid", "uid ", "uid x pid 1", "unix", "@name", "/run/x.sock",
		TOO_LONG};
	struct addr_net found;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_false(ban_peer_parse(cases[i], &found));
}

static void test_caution(void **ctx)
{
	static const char v4[] = "192.0.2.9 4711 192.0.2.1 22";
	static const char v6[] = "2001:db8::9 4711 2001:db8::1 22";
	static const struct {
		const char *who;
		bool of_all;
		const char *login, *why;
	} cases[] = {
		{"0.0.0.0/0", true, NULL, "0.0.0.0/0 is everybody, and from all services"},
		{"::/0", true, NULL, "::/0 is everybody, and from all services"},
		{"198.51.100.7", true, v4, NULL},
		{"192.0.2.9", true, v4,
			"192.0.2.9 holds 192.0.2.9, from where you are logged in"},
		{"192.0.2.0/24", false, v4,
			"192.0.2.0/24 holds 192.0.2.9, from where you are logged in"},
		{"192.0.2.9", true, v6, NULL},
		{"2001:db8::1", true, v6,
			"2001:db8::/64 holds 2001:db8::9/128, from where you are logged in"},
		{"2001:db8::1/128", true, v6, NULL},
		{"192.0.2.0/24", true, NULL, NULL},
		{"192.0.2.0/24", true, "", NULL},
		{"192.0.2.0/24", true, " ", NULL},
		{"192.0.2.0/24", true, "nonsense", NULL},
		{"203.0.113.1", true, v4, NULL},
		{"203.0.113.0/31", true, v4,
			"203.0.113.0/31 holds 203.0.113.1, which is this machine"},
		{"0.0.0.0/0", false, NULL,
			"0.0.0.0/0 holds 203.0.113.1, which is this machine"},
		{"fe80::1", true, v4, NULL},
		{"fe80::1%lo", true, v4, NULL},
		{"fe80::/10", true, v4, "fe80::/10 holds fe80::1%lo, which is this machine"},
		{"fe80::%2/10", true, v4, NULL},
		{"uid:0", true, v4, NULL},
		{"vsock:3", true, v4, NULL},
	};

	(void)ctx;
	knows_own = true;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct addr_net who = net(cases[i].who);
		char why[BAN_CAUTION_MAX] = "";

		assert_int_equal(ban_caution(&who, cases[i].of_all, cases[i].login, why),
			cases[i].why != NULL);
		assert_string_equal(why, cases[i].why ? cases[i].why : "");
	}
}

/* What cannot be found out is no reason. */
static void test_addresses_unknown(void **ctx)
{
	struct addr_net who = net("203.0.113.0/24");
	char why[BAN_CAUTION_MAX];

	(void)ctx;
	knows_own = false;
	assert_false(ban_caution(&who, true, NULL, why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_no_peers),
		cmocka_unit_test(test_caution),
		cmocka_unit_test(test_addresses_unknown),
	};

	return cmocka_run_group_tests_name("ban", tests, NULL, NULL);
}
