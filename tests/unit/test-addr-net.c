/* addr-net: nets as operators write them, and who is in them. */
#include "base/addr-net.h"

#include "base/own.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct addr_net net(const char *text)
{
	struct addr_net net;

	assert_int_equal(addr_net_parse(text, &net), 0);
	return net;
}

/* What is written, how many bits that is, and how it is shown. */
static void test_texts(void **ctx)
{
	static const struct {
		const char *text;
		unsigned bits;
		const char *shown;
	} cases[] = {
		{"192.0.2.1", 32, "192.0.2.1"},
		{"192.0.2.1/32", 32, "192.0.2.1"},
		{"192.0.2.1/24", 24, "192.0.2.0/24"},
		{"192.0.2.255/31", 31, "192.0.2.254/31"},
		{"0.0.0.0/0", 0, "0.0.0.0/0"},
		{"2001:db8::1", 64, "2001:db8::/64"},
		{"2001:db8::1/128", 128, "2001:db8::1/128"},
		{"2001:DB8:ffff::/33", 33, "2001:db8:8000::/33"},
		{"::/0", 0, "::/0"},
		{"::1", 64, "::/64"},
		{"::ffff:192.0.2.1", 32, "192.0.2.1"},
		{"::ffff:192.0.2.1/120", 24, "192.0.2.0/24"},
		{"::ffff:192.0.2.1/95", 95, "::fffe:0:0/95"},
		{"fe80::1", 128, "fe80::1"},
		{"fe80::1/128", 128, "fe80::1"},
		{"fe80::1/64", 64, "fe80::/64"},
		{"fe80::1%lo", 128, "fe80::1%lo"},
		{"fe80::1%1", 128, "fe80::1%lo"},
		{"fe80::1%4294967295", 128, "fe80::1%4294967295"},
		{"fe80::1%lo/10", 10, "fe80::%lo/10"},
		{"uid:0", 32, "uid:0"},
		{"uid:4294967294", 32, "uid:4294967294"},
		{"vsock:3", 32, "vsock:3"},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct addr_net parsed = net(cases[i].text), again;
		char text[ADDR_NET_TEXT_MAX];

		assert_int_equal(parsed.bits, cases[i].bits);
		assert_string_equal(addr_net_format(&parsed, text), cases[i].shown);
		again = net(text);
		assert_memory_equal(&parsed, &again, sizeof parsed);
	}
}

static void test_no_texts(void **ctx)
{
	static const struct {
		const char *text;
		int error;
	} cases[] = {
		{"", -ENOENT},
		{"upper", -ENOENT},
		{"192.0.2", -ENOENT},
		{"192.0.2.1:80", -ENOENT},
		{"[2001:db8::1]", -ENOENT},
		{"uid:", -ENOENT},
		{"uid:root", -ENOENT},
		{"uid:4294967295", -ENOENT},
		{"uid:1/24", -ENOENT},
		{"vsock:4294967296", -ENOENT},
		{"%lo", -ENOENT},
		{"fe80::1%nameoftoomanybytes", -ENOENT},
		{"192.0.2.1/", -EINVAL},
		{"192.0.2.1/33", -EINVAL},
		{"192.0.2.1/024", -EINVAL},
		{"192.0.2.1/24/24", -EINVAL},
		{"2001:db8::1/129", -EINVAL},
		{"fe80::1%lo/129", -EINVAL},
		{"fe80::1%", -ENODEV},
		{"fe80::1%0", -ENODEV},
		{"fe80::1%nosuchlink", -ENODEV},
		{"fe80::1%lo/9", -ENODEV},
		{"2001:db8::1%lo", -ENODEV},
		{"192.0.2.1%lo", -ENODEV},
	};
	char text[2 * ADDR_NET_TEXT_MAX];
	struct addr_net untouched = {.bits = 77};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(addr_net_parse(cases[i].text, &untouched), cases[i].error);
		assert_int_equal(untouched.bits, 77);
	}
	memset(text, '0', sizeof text - 1);
	strcpy(text + sizeof text - 4, "%lo");
	assert_int_equal(addr_net_parse(text, &untouched), -ENOENT);
}

static void test_of_sources(void **ctx)
{
	struct addr_net cases[] = {net("192.0.2.1"), net("2001:db8::1/128"), net("fe80::1%lo"),
		net("uid:1000"), net("vsock:3")};
	static const uint8_t bits[] = {24, 56, 128, 32, 32};
	struct addr_net found;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		addr_net_of(&cases[i].source, 24, 56, &found);
		assert_int_equal(found.bits, bits[i]);
		assert_memory_equal(&found.source, &cases[i].source, sizeof found.source);
	}
}

/* Both ways: what the first holds of the second, and whether they have anybody in common. */
static void test_who_is_in_it(void **ctx)
{
	static const struct {
		const char *net, *other;
		bool holds, overlap;
	} cases[] = {
		{"192.0.2.1", "192.0.2.1", true, true},
		{"192.0.2.1", "192.0.2.2", false, false},
		{"192.0.2.0/24", "192.0.2.1", true, true},
		{"192.0.2.1", "192.0.2.0/24", false, true},
		{"192.0.2.0/24", "192.0.3.0/24", false, false},
		{"0.0.0.0/0", "192.0.2.1", true, true},
		{"0.0.0.0/0", "::/0", false, false},
		{"::/0", "2001:db8::1", true, true},
		{"2001:db8::1", "2001:db8::2/128", true, true},
		{"2001:db8::/65", "2001:db8::8000:0:0:0/65", false, false},
		{"uid:1", "uid:1", true, true},
		{"uid:1", "uid:257", false, false},
		{"uid:1", "vsock:1", false, false},
		{"fe80::1", "fe80::1%lo", true, true},
		{"fe80::1%lo", "fe80::1", false, true},
		{"fe80::1%lo", "fe80::1%lo", true, true},
		{"fe80::1%1", "fe80::1%2", false, false},
		{"fe80::%1/10", "fe80::1%1", true, true},
		{"fe80::%1/10", "fe80::1%2", false, false},
		{"::/0", "fe80::1%1", true, true},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct addr_net a = net(cases[i].net), b = net(cases[i].other);

		assert_int_equal(addr_net_holds(&a, &b), cases[i].holds);
		assert_int_equal(addr_net_overlap(&a, &b), cases[i].overlap);
		assert_int_equal(addr_net_overlap(&b, &a), cases[i].overlap);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_no_texts),
		cmocka_unit_test(test_of_sources),
		cmocka_unit_test(test_who_is_in_it),
	};

	return cmocka_run_group_tests_name("addr-net", tests, NULL, NULL);
}
