/* addr: written addresses, their canonical form and their identity. */
#include "base/addr.h"
#include "base/own.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEED UINT64_C(0xd1b54a32d192ed03)

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x >> 12;
	*x ^= *x << 25;
	*x ^= *x >> 27;
	return *x * UINT64_C(0x2545f4914f6cdd1d);
}

static struct addr_spec parse(const char *text)
{
	struct addr_spec spec = {0};
	const char *why = NULL;

	if (addr_parse(text, &spec, &why) < 0)
		fail_msg("'%s' is refused: %s", text, why);
	assert_null(why);
	return spec;
}

static struct addr addr_of(const char *text)
{
	return parse(text).addr;
}

static void test_canonical_text(void **ctx)
{
	static const struct {
		const char *text, *canonical, *endpoint, *host, *protocol;
	} cases[] = {
		{"7777", "tcp:7777", "[::]:7777", "::", "tcp6"},
		{"tcp:7777", "tcp:7777", "[::]:7777", "::", "tcp6"},
		{"tcp:0", "tcp:0", "[::]:0", "::", "tcp6"},
		{"tcp:65535", "tcp:65535", "[::]:65535", "::", "tcp6"},
		{"udp:0080", "udp:80", "[::]:80", "::", "udp6"},
		{"tcp4:80", "tcp4:80", "0.0.0.0:80", "0.0.0.0", "tcp4"},
		{"tcp:0.0.0.0:80", "tcp4:80", "0.0.0.0:80", "0.0.0.0", "tcp4"},
		{"tcp4:0.0.0.0:80", "tcp4:80", "0.0.0.0:80", "0.0.0.0", "tcp4"},
		{"tcp:[::ffff:0.0.0.0]:80", "tcp4:80", "0.0.0.0:80", "0.0.0.0", "tcp4"},
		{"tcp6:80", "tcp6:80", "[::]:80", "::", "tcp6"},
		{"tcp:[::]:80", "tcp6:80", "[::]:80", "::", "tcp6"},
		{"tcp6:[0:0::0]:80", "tcp6:80", "[::]:80", "::", "tcp6"},
		{"udp4:53", "udp4:53", "0.0.0.0:53", "0.0.0.0", "udp4"},
		{"udp6:53", "udp6:53", "[::]:53", "::", "udp6"},
		{"tcp:127.0.0.1:80", "tcp:127.0.0.1:80", "127.0.0.1:80", "127.0.0.1", "tcp4"},
		{"tcp4:127.0.0.1:80", "tcp:127.0.0.1:80", "127.0.0.1:80", "127.0.0.1", "tcp4"},
		{"tcp:[::ffff:127.0.0.1]:80", "tcp:127.0.0.1:80", "127.0.0.1:80", "127.0.0.1",
			"tcp4"},
		{"tcp:[::1]:80", "tcp:[::1]:80", "[::1]:80", "::1", "tcp6"},
		{"tcp6:[0::0001]:80", "tcp:[::1]:80", "[::1]:80", "::1", "tcp6"},
		{"udp:[2001:DB8::A]:80", "udp:[2001:db8::a]:80", "[2001:db8::a]:80",
			"2001:db8::a", "udp6"},
		{"tcp:[fe80::1%eth0]:80", "tcp:[fe80::1%eth0]:80", "[fe80::1%eth0]:80",
			"fe80::1%eth0", "tcp6"},
		{"udp:[ff02::1%br-0.1]:1", "udp:[ff02::1%br-0.1]:1", "[ff02::1%br-0.1]:1",
			"ff02::1%br-0.1", "udp6"},
		{"tcp:[fe80::1]:80", "tcp:[fe80::1]:80", "[fe80::1]:80", "fe80::1", "tcp6"},
		{"mptcp:80", "mptcp:80", "[::]:80", "::", "mptcp6"},
		{"mptcp4:80", "mptcp4:80", "0.0.0.0:80", "0.0.0.0", "mptcp4"},
		{"mptcp6:80", "mptcp6:80", "[::]:80", "::", "mptcp6"},
		{"mptcp:127.0.0.1:80", "mptcp:127.0.0.1:80", "127.0.0.1:80", "127.0.0.1",
			"mptcp4"},
		{"mptcp:[::1]:80", "mptcp:[::1]:80", "[::1]:80", "::1", "mptcp6"},
		{"udplite:80", "udplite:80", "[::]:80", "::", "udplite6"},
		{"udplite4:80", "udplite4:80", "0.0.0.0:80", "0.0.0.0", "udplite4"},
		{"udplite6:[::1]:80", "udplite:[::1]:80", "[::1]:80", "::1", "udplite6"},
		{"vsock:any:80", "vsock:any:80", "vsock:any:80", "vsock:any", "vsock"},
		{"vsock:80", "vsock:any:80", "vsock:any:80", "vsock:any", "vsock"},
		{"vsock:4294967295:80", "vsock:any:80", "vsock:any:80", "vsock:any", "vsock"},
		{"vsock:any:0", "vsock:any:0", "vsock:any:0", "vsock:any", "vsock"},
		{"vsock:local:80", "vsock:1:80", "vsock:1:80", "vsock:1", "vsock"},
		{"vsock:host:80", "vsock:2:80", "vsock:2:80", "vsock:2", "vsock"},
		{"vsock:0:80", "vsock:0:80", "vsock:0:80", "vsock:0", "vsock"},
		{"vsock:4294967294:4294967294", "vsock:4294967294:4294967294",
			"vsock:4294967294:4294967294", "vsock:4294967294", "vsock"},
		{"unix:/run/x.sock", "unix:/run/x.sock", "/run/x.sock", "/run/x.sock", "unix"},
		{"unix:/a b:c", "unix:/a b:c", "/a b:c", "/a b:c", "unix"},
		{"unix:@name", "unix:@name", "@name", "@name", "unix"},
		{"unix:/@x", "unix:/@x", "/@x", "/@x", "unix"},
		{"unix:@/x", "unix:@/x", "@/x", "@/x", "unix"},
		{"unix:@\\x00\\x1b\\\\", "unix:@\\x00\\x1b\\\\", "@\\x00\\x1b\\\\",
			"@\\x00\\x1b\\\\", "unix"},
		{"unix:/\033\\x41",
			"unix:/\\x1b"
			"A",
			"/\\x1b"
			"A",
			"/\\x1b"
			"A",
			"unix"},
		{"unix:/\xc3\xa9\\xC3\\xa9\\xff", "unix:/\xc3\xa9\xc3\xa9\\xff",
			"/\xc3\xa9\xc3\xa9\\xff", "/\xc3\xa9\xc3\xa9\\xff", "unix"},
		{"unix-dgram:/run/log", "unix-dgram:/run/log", "/run/log", "/run/log",
			"unix-dgram"},
		{"unix-seqpacket:@s", "unix-seqpacket:@s", "@s", "@s", "unix-seqpacket"},
		{"fd:web", "fd:web", "fd:web", "fd:web", "fd"},
		{"fd:a b\\x", "fd:a b\\x", "fd:a b\\x", "fd:a b\\x", "fd"},
	};
	char buf[ADDR_TEXT_MAX];

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct addr addr = addr_of(cases[i].text), back;

		assert_string_equal(addr_format(&addr, buf), cases[i].canonical);
		back = addr_of(buf);
		assert_true(addr_equal(&addr, &back));
		assert_memory_equal(&addr, &back, sizeof addr);
		assert_string_equal(addr_format_endpoint(&addr, buf), cases[i].endpoint);
		assert_string_equal(addr_format_host(&addr, buf), cases[i].host);
		assert_string_equal(addr_protocol_name(&addr), cases[i].protocol);
	}
}

static void test_ports(void **ctx)
{
	struct addr_spec spec = parse("tcp:8000-8010");

	(void)ctx;
	assert_int_equal(spec.port_first, 8000);
	assert_int_equal(spec.port_last, 8010);
	assert_int_equal(addr_port(&spec.addr), 0);
	assert_true(spec.addr.dual);

	spec = parse("8000-8000");
	assert_int_equal(spec.port_first, 8000);
	assert_int_equal(spec.port_last, 8000);
	assert_int_equal(addr_port(&spec.addr), 8000);

	spec = parse("udp:127.0.0.1:1-65535");
	assert_int_equal(spec.port_first, 1);
	assert_int_equal(spec.port_last, 65535);

	spec = parse("tcp:80");
	assert_int_equal(spec.port_first, 80);
	assert_int_equal(spec.port_last, 80);
	assert_int_equal(addr_port(&spec.addr), 80);
	assert_int_equal(spec.addr.in6.sin6_port, htons(80));
	addr_set_port(&spec.addr, 81);
	assert_int_equal(addr_port(&spec.addr), 81);

	spec = parse("vsock:any:1-4294967294");
	assert_int_equal(spec.port_first, 1);
	assert_int_equal(spec.port_last, 4294967294);
	assert_int_equal(addr_port(&spec.addr), 0);
	spec = parse("vsock:3:0");
	assert_int_equal(addr_port(&spec.addr), 0);
	assert_int_equal(spec.addr.vm.svm_port, VMADDR_PORT_ANY);
	addr_set_port(&spec.addr, 4294967294);
	assert_int_equal(addr_port(&spec.addr), 4294967294);
}

static void test_services(void **ctx)
{
	static const char *const names[] = {"echo", "whois++", "z39.50", "914c-g", "9pfs",
		"afs3-fileserver", "acmaint_dbd", "0x50"};
	char text[64];

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct addr_spec spec = parse(names[i]);

		assert_int_equal(spec.addr.kind, ADDR_TCP);
		assert_string_equal(spec.service, names[i]);
		assert_int_equal(spec.port_first, 0);
		assert_int_equal(spec.port_last, 0);
		snprintf(text, sizeof text, "udp4:127.0.0.1:%s", names[i]);
		spec = parse(text);
		assert_int_equal(spec.addr.kind, ADDR_UDP);
		assert_string_equal(spec.service, names[i]);
		assert_int_equal(addr_family(&spec.addr), AF_INET);
		addr_set_port(&spec.addr, 7);
		assert_int_equal(addr_port(&spec.addr), 7);
	}
}

static void test_host_names(void **ctx)
{
	struct addr_spec spec = parse("tcp:www.example.org:80");

	(void)ctx;
	assert_string_equal(spec.host, "www.example.org");
	assert_int_equal(spec.port_first, 80);
	assert_int_equal(spec.addr.len, 0);
	assert_int_equal(addr_family(&spec.addr), AF_UNSPEC);
	spec = parse("tcp6:a-b_c.:http");
	assert_string_equal(spec.host, "a-b_c.");
	assert_string_equal(spec.service, "http");
	assert_int_equal(addr_family(&spec.addr), AF_INET6);
	spec = parse("udp4:1.2.3.4x:53");
	assert_string_equal(spec.host, "1.2.3.4x");
	assert_int_equal(addr_family(&spec.addr), AF_INET);
}

#define PORT_PHRASE "the port must be a number from 0 to 65535"

static void test_refused(void **ctx)
{
	static const struct {
		const char *text, *phrase;
	} cases[] = {
		{"", "the address is empty"},
		{"tcp:", "the port is missing"},
		{"tcp:127.0.0.1:", "the port is missing"},
		{"tcp:[::1]:", "the port is missing"},
		{"tcp:70000", PORT_PHRASE},
		{"65536", PORT_PHRASE},
		{"tcp:99999999999999999999", PORT_PHRASE},
		{"tcp:-1", PORT_PHRASE},
		{"tcp:+1", PORT_PHRASE},
		{"tcp: 80", PORT_PHRASE},
		{"tcp:80 ", PORT_PHRASE},
		{"tcp:80-", PORT_PHRASE},
		{"tcp:80-70000", PORT_PHRASE},
		{"tcp:1-2-3", PORT_PHRASE},
		{"tcp:1234567890-1", PORT_PHRASE},
		{"tcp:a$", PORT_PHRASE},
		{"tcp:80-70", "the first port of a range must not be above the last"},
		{"tcp:0-10", "a range of ports cannot begin with 0"},
		{"tcp:0-0", "a range of ports cannot begin with 0"},
		{"tcp:[127.0.0.1]:80", "brackets are for IPv6"},
		{"tcp:[127.0.0.1%lo]:80", "brackets are for IPv6"},
		{"tcp:::1:80", "must stand in brackets"},
		{"tcp:::80", "must stand in brackets"},
		{"tcp:fe80::1%eth0:80", "must stand in brackets"},
		{"tcp:[::1", "closing bracket"},
		{"tcp:[::1]", "after the bracket"},
		{"tcp:[::1]80", "after the bracket"},
		{"tcp:[]:80", "no IPv6 address"},
		{"tcp:[localhost]:80", "no IPv6 address"},
		{"tcp:[::g]:80", "no IPv6 address"},
		{"tcp:[1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1]:80",
			"no IPv6 address"},
		{"tcp:[::1%lo]:80", "only a link-local address"},
		{"tcp:[::%lo]:80", "only a link-local address"},
		{"tcp:[::ffff:1.2.3.4%lo]:80", "only a link-local address"},
		{"tcp:[fe80::1%]:80", "interface after the %"},
		{"tcp:[fe80::1%abcdefghijklmnop]:80", "interface after the %"},
		{"tcp:[fe80::1%a/b]:80", "interface after the %"},
		{"tcp:[fe80::1%a b]:80", "interface after the %"},
		{"tcp:[fe80::1%..]:80", "interface after the %"},
		{"tcp4:[::1]:1", "this is an IPv6 address"},
		{"udp4:[::]:1", "this is an IPv6 address"},
		{"tcp6:127.0.0.1:1", "this is an IPv4 address"},
		{"tcp6:[::ffff:127.0.0.1]:1", "this is an IPv4 address"},
		{"tcp:127.0.0.1", "after the address a colon and the port are missing"},
		{"127.0.0.1", "after the address a colon and the port are missing"},
		{"tcp:127.0.0.256:80", "four numbers"},
		{"tcp:127.1:80", "four numbers"},
		{"tcp:80:90", "four numbers"},
		{"tcp::80", "the address before the port is missing"},
		{"tcp:*:80", "leave out the address"},
		{"tcp:a b:80", "neither an IP address nor a host name"},
		{"tcp:-a:80", "neither an IP address nor a host name"},
		{"tcp:a..b:80", "neither an IP address nor a host name"},
		{"127.0.0.1:80", "an address begins with its kind"},
		{"TCP:80", "an address begins with"},
		{":80", "an address begins with"},
		{"http://x", "an address begins with"},
		{"[::1]:80", "tcp:[ADDRESS]:PORT"},
		{"/run/x", "unix:/path"},
		{"@x", "unix:/path"},
		{"sctp:80", "sctp is not supported"},
		{"mptcp4:[::1]:80", "this is an IPv6 address"},
		{"udplite6:127.0.0.1:80", "this is an IPv4 address"},
		{"mptcp:70000", PORT_PHRASE},
		{"vsock:", "the port is missing"},
		{"vsock:3:", "the port is missing"},
		{"vsock::80", "the CID of a vsock address"},
		{"vsock:hosts:80", "the CID of a vsock address"},
		{"vsock:4294967296:80", "the CID of a vsock address"},
		{"vsock:99999999999:80", "the CID of a vsock address"},
		{"vsock:-1:80", "the CID of a vsock address"},
		{"vsock:3:4294967295", "from 0 to 4294967294"},
		{"vsock:3:http", "from 0 to 4294967294"},
		{"vsock:3:80:90", "from 0 to 4294967294"},
		{"vsock:3:9-8", "the first port of a range"},
		{"vsock:3:0-8", "a range of ports cannot begin with 0"},
		{"unix:", "the path is missing"},
		{"unix:@", "the name after the @ is missing"},
		{"unix:run/x", "must begin with /"},
		{"unix:/a\\b", "write a backslash as two"},
		{"unix:/a\\", "write a backslash as two"},
		{"unix:/a\\x4", "write a backslash as two"},
		{"unix:/a\\x4g", "write a backslash as two"},
		{"unix:/a\\x00b", "NUL"},
		{"fd:", "the name after fd: is missing"},
		{"fd:a:b", "cannot contain a colon"},
		{"fd:a\tb", "printable"},
		{"fd:\xc3\xa9", "printable"},
		{"fd:0123456789012345678901234567890123456789012345678901234567890123", "63"},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct addr_spec spec, before;
		const char *why = NULL;

		memset(&spec, 0x5a, sizeof spec);
		before = spec;
		if (addr_parse(cases[i].text, &spec, &why) != -EINVAL)
			fail_msg("'%s' is accepted", cases[i].text);
		assert_memory_equal(&spec, &before, sizeof spec);
		if (!strstr(why, cases[i].phrase))
			fail_msg("'%s': %s; wanted: %s", cases[i].text, why, cases[i].phrase);
	}
}

static void test_lengths(void **ctx)
{
	char text[2048], buf[ADDR_TEXT_MAX];
	struct addr_spec spec;
	const char *why;
	struct addr addr;

	(void)ctx;
	memset(text, 'a', sizeof text);
	memcpy(text, "unix:/", 6);
	text[5 + 107] = '\0';
	addr = addr_of(text);
	assert_int_equal(addr.len, sizeof addr.un);
	assert_string_equal(addr_format(&addr, buf), text);
	text[5 + 107] = 'a';
	text[5 + 108] = '\0';
	assert_int_equal(addr_parse(text, &spec, &why), -EINVAL);
	assert_non_null(strstr(why, "107"));

	memcpy(text, "unix:@", 6);
	text[6 + 107] = '\0';
	addr = addr_of(text);
	assert_int_equal(addr.len, sizeof addr.un);
	assert_string_equal(addr_format(&addr, buf), text);
	text[6 + 107] = 'a';
	text[6 + 108] = '\0';
	assert_int_equal(addr_parse(text, &spec, &why), -EINVAL);

	/* Nothing is copied into a place too small for it. */
	memset(text, 'a', sizeof text);
	text[sizeof text - 1] = '\0';
	assert_int_equal(addr_parse(text, &spec, &why), -EINVAL);
	text[63] = '\0';
	assert_string_equal(parse(text).service, text);
	text[63] = 'a';
	text[64] = '\0';
	assert_int_equal(addr_parse(text, &spec, &why), -EINVAL);
	memset(text, 'a', sizeof text);
	memcpy(text, "tcp:", 4);
	memcpy(text + 4 + 255, ":80", 4);
	assert_int_equal(strlen(parse(text).host), 255);
	memset(text, 'a', sizeof text);
	memcpy(text, "tcp:", 4);
	memcpy(text + 4 + 256, ":80", 4);
	assert_int_equal(addr_parse(text, &spec, &why), -EINVAL);
}

static void test_equal(void **ctx)
{
	static const char *const different[] = {"tcp:80", "tcp4:80", "tcp6:80", "udp:80",
		"tcp:81", "tcp:127.0.0.1:80", "tcp:127.0.0.2:80", "tcp:[::1]:80",
		"udp:127.0.0.1:80", "tcp:[fe80::1]:80", "tcp:[fe80::1%a]:80",
		"tcp:[fe80::1%b]:80", "unix:/a", "unix:@/a", "unix:@a", "unix:@a\\x00",
		"unix:@\\x00", "unix:@\\\\x00", "unix:@\\x5cx01", "unix-dgram:/a",
		"unix-seqpacket:/a", "unix:/aa", "fd:a", "fd:b", "mptcp:80", "mptcp4:80",
		"mptcp:127.0.0.1:80", "udplite:80", "udplite:127.0.0.1:80", "vsock:any:80",
		"vsock:any:81", "vsock:any:0", "vsock:1:80", "vsock:2:80"};
	char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(different); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(different); j++) {
			struct addr x = addr_of(different[i]), y = addr_of(different[j]);

			assert_int_equal(addr_equal(&x, &y), i == j);
			assert_int_equal(
				strcmp(addr_format(&x, a), addr_format(&y, b)) == 0, i == j);
		}
	}
}

static void random_ip(uint64_t *seed, struct addr *addr)
{
	static const char *const prefixes[] = {"::", "::1", "fe80::1", "ff02::1",
		"::ffff:1.2.3.4", "::1.2.3.4", "2001:db8::", "::ffff:0:0"};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct sockaddr_in in = {.sin_family = AF_INET};
	static const enum addr_kind kinds[] = {ADDR_TCP, ADDR_UDP, ADDR_MPTCP, ADDR_UDPLITE};
	enum addr_kind kind = kinds[next_random(seed) % ARRAY_SIZE(kinds)];

	if (next_random(seed) % 3 == 0) {
		in.sin_addr.s_addr = next_random(seed) % 4 ? (uint32_t)next_random(seed) : 0;
		in.sin_port = (uint16_t)next_random(seed);
		addr_from_sockaddr(kind, (struct sockaddr *)&in, sizeof in, addr);
		return;
	}
	inet_pton(AF_INET6, prefixes[next_random(seed) % ARRAY_SIZE(prefixes)], &in6.sin6_addr);
	for (uint64_t n = next_random(seed) % 4; n > 0; n--)
		in6.sin6_addr.s6_addr[next_random(seed) % 16] = (uint8_t)next_random(seed);
	in6.sin6_port = (uint16_t)next_random(seed);
	in6.sin6_scope_id = next_random(seed) % 2 ? (uint32_t)(next_random(seed) >> 33) : 0;
	in6.sin6_flowinfo = (uint32_t)next_random(seed);
	addr_from_sockaddr(kind, (struct sockaddr *)&in6, sizeof in6, addr);
	if (addr_is_wildcard(addr) && addr_family(addr) == AF_INET6)
		addr->dual = next_random(seed) % 2;
}

static void random_unix(uint64_t *seed, struct addr *addr)
{
	static const enum addr_kind kinds[] = {ADDR_UNIX, ADDR_UNIX_DGRAM, ADDR_UNIX_SEQPACKET};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	bool abstract = next_random(seed) % 2;
	size_t len = 1 + next_random(seed) % 107;

	un.sun_path[0] = abstract ? '\0' : '/';
	for (size_t i = 1; i < len + abstract; i++) {
		un.sun_path[i] = (char)next_random(seed);
		if (un.sun_path[i] == '\0' && !abstract)
			un.sun_path[i] = '\\';
	}
	/* A path is reported with or without its NUL. */
	addr_from_sockaddr(kinds[next_random(seed) % 3], (struct sockaddr *)&un,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len +
			    (abstract || next_random(seed) % 2)),
		addr);
}

static void random_vsock(uint64_t *seed, struct addr *addr)
{
	struct sockaddr_vm vm = {.svm_family = AF_VSOCK};

	vm.svm_cid = next_random(seed) % 4 ? (uint32_t)next_random(seed) : VMADDR_CID_ANY;
	vm.svm_port = next_random(seed) % 4 ? (uint32_t)next_random(seed) : VMADDR_PORT_ANY;
	addr_from_sockaddr(ADDR_VSOCK, (struct sockaddr *)&vm, sizeof vm, addr);
}

static void random_addr(uint64_t *seed, struct addr *addr)
{
	if (next_random(seed) % 4 == 0)
		random_vsock(seed, addr);
	else if (next_random(seed) % 2)
		random_ip(seed, addr);
	else
		random_unix(seed, addr);
}

static void test_round_trip(void **ctx)
{
	char text[ADDR_TEXT_MAX], again[ADDR_TEXT_MAX];
	uint64_t seed = SEED;

	(void)ctx;
	print_message("seed %" PRIx64 "\n", seed);
	for (int i = 0; i < 20000; i++) {
		struct addr a, b, other;

		random_addr(&seed, &a);
		b = addr_of(addr_format(&a, text));
		if (!addr_equal(&a, &b) || strcmp(text, addr_format(&b, again)) != 0)
			fail_msg("'%s' comes back as '%s'", text, addr_format(&b, again));
		for (const char *p = text; *p; p++)
			assert_true((unsigned char)*p >= ' ' && *p != 0x7f);

		/* Equal texts if and only if equal, also of near neighbours. */
		other = a;
		((uint8_t *)&other.un)[2 + next_random(&seed) % 40] ^=
			(uint8_t)next_random(&seed);
		other.dual = other.dual && addr_is_wildcard(&other);
		addr_format(&other, again);
		if (addr_equal(&a, &other) != (strcmp(text, again) == 0))
			fail_msg(
				"'%s' and '%s': equal %d", text, again, addr_equal(&a, &other));
	}
}

/* Broken texts are refused or read, but never more than that. */
static void test_mutated_texts(void **ctx)
{
	static const char alphabet[] = "0129:[]%@/\\x-.afgtcpudnixmles ";
	char text[ADDR_TEXT_MAX], back[ADDR_TEXT_MAX];
	uint64_t seed = SEED + 1;
	size_t accepted = 0;

	(void)ctx;
	print_message("seed %" PRIx64 "\n", seed);
	for (int i = 0; i < 20000; i++) {
		struct addr_spec spec;
		const char *why = NULL;
		struct addr addr;

		random_ip(&seed, &addr);
		addr_format(&addr, text);
		for (uint64_t n = 1 + next_random(&seed) % 3; n > 0; n--)
			text[next_random(&seed) % strlen(text)] =
				alphabet[next_random(&seed) % (sizeof alphabet - 1)];
		if (addr_parse(text, &spec, &why) < 0) {
			assert_non_null(why);
			continue;
		}
		accepted++;
		if (spec.service[0] || spec.host[0] || spec.port_first != spec.port_last)
			continue;
		addr = addr_of(addr_format(&spec.addr, back));
		assert_true(addr_equal(&spec.addr, &addr));
	}
	assert_in_range(accepted, 100, 19900);
}

static void test_properties(void **ctx)
{
	struct addr addr;

	(void)ctx;
	addr = addr_of("tcp:80");
	assert_true(addr.dual && addr_is_wildcard(&addr) && addr_is_ip(&addr));
	assert_false(
		addr_is_loopback(&addr) || addr_is_datagram(&addr) || addr_is_abstract(&addr));
	assert_int_equal(addr_family(&addr), AF_INET6);
	assert_int_equal(addr_socktype(&addr), SOCK_STREAM);
	assert_int_equal(addr.len, sizeof addr.in6);

	addr = addr_of("udp4:80");
	assert_true(!addr.dual && addr_is_wildcard(&addr) && addr_is_datagram(&addr));
	assert_int_equal(addr_family(&addr), AF_INET);
	assert_int_equal(addr_socktype(&addr), SOCK_DGRAM);
	assert_int_equal(addr.len, sizeof addr.in);

	addr = addr_of("tcp:127.255.0.1:80");
	assert_true(addr_is_loopback(&addr) && !addr_is_wildcard(&addr));
	addr = addr_of("tcp:128.0.0.1:80");
	assert_false(addr_is_loopback(&addr));
	addr = addr_of("tcp:[::1]:80");
	assert_true(addr_is_loopback(&addr));
	addr = addr_of("tcp:[::2]:80");
	assert_false(addr_is_loopback(&addr));

	addr = addr_of("unix-seqpacket:@x");
	assert_true(addr_is_abstract(&addr) && addr_is_loopback(&addr) && !addr_is_ip(&addr));
	assert_int_equal(addr_socktype(&addr), SOCK_SEQPACKET);
	assert_int_equal(addr_port(&addr), 0);
	addr_set_port(&addr, 99);
	assert_int_equal(addr.un.sun_path[1], 'x');
	assert_false(addr_is_path(&addr));
	addr = addr_of("unix-dgram:/x");
	assert_true(addr_is_datagram(&addr) && !addr_is_abstract(&addr));
	assert_true(addr_is_path(&addr));
	assert_int_equal(addr_family(&addr), AF_UNIX);

	addr = addr_of("mptcp:80");
	assert_true(addr_is_ip(&addr) && addr_is_tcp(&addr) && addr.dual);
	assert_false(addr_is_datagram(&addr));
	assert_int_equal(addr_family(&addr), AF_INET6);
	assert_int_equal(addr_socktype(&addr), SOCK_STREAM);
	assert_int_equal(addr_protocol(&addr), 262);
	assert_string_equal(addr_port_space(&addr), "tcp");
	addr = addr_of("udplite4:80");
	assert_true(addr_is_ip(&addr) && addr_is_datagram(&addr) && !addr_is_tcp(&addr));
	assert_int_equal(addr_protocol(&addr), IPPROTO_UDPLITE);
	assert_string_equal(addr_port_space(&addr), "udplite");
	addr = addr_of("tcp:80");
	assert_true(addr_is_tcp(&addr));
	assert_string_equal(addr_port_space(&addr), "tcp");
	addr = addr_of("udp:80");
	assert_string_equal(addr_port_space(&addr), "udp");

	addr = addr_of("vsock:any:80");
	assert_true(addr_is_wildcard(&addr));
	assert_false(addr_is_ip(&addr) || addr_is_loopback(&addr) || addr_is_datagram(&addr));
	assert_int_equal(addr_family(&addr), AF_VSOCK);
	assert_int_equal(addr_socktype(&addr), SOCK_STREAM);
	assert_int_equal(addr_protocol(&addr), 0);
	assert_int_equal(addr.len, sizeof(struct sockaddr_vm));
	assert_string_equal(addr_port_space(&addr), "vsock");
	addr = addr_of("vsock:local:80");
	assert_true(addr_is_loopback(&addr) && !addr_is_wildcard(&addr));
	addr = addr_of("vsock:host:80");
	assert_false(addr_is_loopback(&addr) || addr_is_wildcard(&addr));

	addr = addr_of("unix:/x");
	assert_null(addr_port_space(&addr));
	addr = addr_of("fd:x");
	assert_null(addr_port_space(&addr));
	assert_int_equal(addr_family(&addr), AF_UNSPEC);
	assert_int_equal(addr.len, 0);
	assert_false(addr_is_ip(&addr) || addr_is_loopback(&addr) || addr_is_wildcard(&addr));
	assert_false(addr_is_path(&addr));
}

static void test_fall_back_to_ipv4(void **ctx)
{
	struct addr addr = addr_of("tcp:80"), wanted = addr_of("tcp4:80"), before;

	(void)ctx;
	addr_fall_back_to_ipv4(&addr);
	assert_memory_equal(&addr, &wanted, sizeof addr);
	before = addr = addr_of("tcp6:80");
	addr_fall_back_to_ipv4(&addr);
	assert_memory_equal(&addr, &before, sizeof addr);
}

/* Into an address and back; a mapped one comes back as the IPv4 that it stands for. */
static void test_ip(void **ctx)
{
	static const struct {
		uint8_t ip[16];
		size_t len, len_back;
		const char *text;
	} cases[] = {
		{{192, 0, 2, 1}, 4, 4, "tcp:192.0.2.1:65535"},
		{{0x20, 0x01, 0x0d, 0xb8, [15] = 1}, 16, 16, "tcp:[2001:db8::1]:65535"},
		{{[10] = 0xff, 0xff, 192, 0, 2, 1}, 16, 4, "tcp:192.0.2.1:65535"},
		{{0xfe, 0x80, [15] = 1}, 16, 16, "tcp:[fe80::1]:65535"},
	};
	char text[ADDR_TEXT_MAX];
	struct addr addr;
	uint8_t ip[16];

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(&addr, 0xee, sizeof addr);
		addr_from_ip(ADDR_TCP, cases[i].ip, cases[i].len, 65535, &addr);
		assert_string_equal(addr_format(&addr, text), cases[i].text);
		assert_int_equal(addr_ip(&addr, ip), cases[i].len_back);
		assert_memory_equal(
			ip, cases[i].ip + cases[i].len - cases[i].len_back, cases[i].len_back);
	}
	addr_from_ip(ADDR_UDP, cases[0].ip, 4, 53, &addr);
	assert_string_equal(addr_format(&addr, text), "udp:192.0.2.1:53");
}

/* Of what is no IP address there are no bytes. */
static void test_ip_of_others(void **ctx)
{
	static const char *const others[] = {"unix:/run/x", "vsock:2:80", "fd:web"};
	struct addr_spec spec;
	const char *why;
	uint8_t ip[16];

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_int_equal(addr_parse(others[i], &spec, &why), 0);
		assert_int_equal(addr_ip(&spec.addr, ip), 0);
	}
}

static void test_from_sockaddr(void **ctx)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(51234)};
	struct {
		struct sockaddr_un un;
		char beyond;
	} full;
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char buf[ADDR_TEXT_MAX], wanted[ADDR_TEXT_MAX], name[IF_NAMESIZE];
	struct addr addr;

	(void)ctx;
	inet_pton(AF_INET6, "::ffff:192.0.2.1", &in6.sin6_addr);
	addr_from_sockaddr(ADDR_TCP, (struct sockaddr *)&in6, sizeof in6, &addr);
	assert_int_equal(addr.len, sizeof addr.in);
	assert_string_equal(addr_format_endpoint(&addr, buf), "192.0.2.1:51234");
	assert_string_equal(addr_protocol_name(&addr), "tcp4");

	/* An interface is named; one that is gone is numbered. */
	inet_pton(AF_INET6, "fe80::1", &in6.sin6_addr);
	in6.sin6_scope_id = 1;
	addr_from_sockaddr(ADDR_UDP, (struct sockaddr *)&in6, sizeof in6, &addr);
	snprintf(wanted, sizeof wanted, "fe80::1%%%s", if_indextoname(1, name) ? name : "1");
	assert_string_equal(addr_format_host(&addr, buf), wanted);
	assert_int_equal(addr.in6.sin6_scope_id, 1);
	in6.sin6_scope_id = 2000000000;
	addr_from_sockaddr(ADDR_UDP, (struct sockaddr *)&in6, sizeof in6, &addr);
	assert_string_equal(addr_format_host(&addr, buf), "fe80::1%2000000000");

	/* Unnamed, and a path that fills everything and has no NUL. */
	addr_from_sockaddr(ADDR_UNIX, (struct sockaddr *)&un, sizeof(sa_family_t), &addr);
	assert_int_equal(addr.len, 0);
	assert_int_equal(addr.kind, ADDR_UNIX);
	assert_false(addr_is_abstract(&addr) || addr_is_path(&addr));
	assert_string_equal(addr_format_endpoint(&addr, buf), "unix");
	assert_string_equal(addr_format_host(&addr, buf), "unix");
	memset(&full, 'x', sizeof full);
	full.un.sun_family = AF_UNIX;
	full.un.sun_path[0] = '/';
	addr_from_sockaddr(ADDR_UNIX, (struct sockaddr *)&full.un, sizeof full.un + 1, &addr);
	assert_int_equal(strlen(addr_format_endpoint(&addr, buf)), 108);

	/* A relative path that looks like an abstract name, and that name. */
	strcpy(un.sun_path, "@x");
	addr_from_sockaddr(ADDR_UNIX, (struct sockaddr *)&un, sizeof un, &addr);
	assert_string_equal(addr_format(&addr, buf), "unix:\\x40x");
	un.sun_path[0] = '\0';
	addr_from_sockaddr(ADDR_UNIX, (struct sockaddr *)&un, sizeof(sa_family_t) + 2, &addr);
	assert_string_equal(addr_format(&addr, buf), "unix:@x");

	/* A machine of vsock, and one whose structure is cut. */
	addr_from_sockaddr(ADDR_VSOCK,
		(struct sockaddr *)&(struct sockaddr_vm){
			.svm_family = AF_VSOCK, .svm_cid = 3, .svm_port = 4000000000},
		sizeof(struct sockaddr_vm), &addr);
	assert_string_equal(addr_format(&addr, buf), "vsock:3:4000000000");
	addr_from_sockaddr(ADDR_VSOCK, (struct sockaddr *)&un, 8, &addr);
	assert_int_equal(addr.len, 0);

	/* Too short to be what it says. */
	addr_from_sockaddr(ADDR_TCP, (struct sockaddr *)&in6, 8, &addr);
	assert_int_equal(addr.len, 0);
	assert_string_equal(addr_format_endpoint(&addr, buf), "unknown:0");
}

/* A bound socket tells the canonical text it was bound with. */
static void check_socket(const char *text, int family, int type, int ipv6_only)
{
	struct addr addr = addr_of(text), own;
	_cleanup_close_ int fd = socket(family, type | SOCK_CLOEXEC, addr_protocol(&addr));
	char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];

	if (fd < 0 &&
		(errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT || errno == ENOPROTOOPT)) {
		print_message("%s: no such family here\n", text);
		return;
	}
	assert_true(fd >= 0);
	if (family == AF_INET6)
		assert_int_equal(
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &ipv6_only, sizeof ipv6_only),
			0);
	if (bind(fd, &addr.sa, addr.len) < 0) {
		assert_int_equal(errno, EADDRNOTAVAIL);
		print_message("%s: no such address here\n", text);
		return;
	}
	assert_int_equal(addr_of_socket(fd, &own), 0);
	if (addr_port_space(&addr)) {
		assert_int_not_equal(addr_port(&own), 0);
		addr_set_port(&own, 0);
	}
	assert_string_equal(addr_format(&own, a), addr_format(&addr, b));
	assert_true(addr_equal(&own, &addr));
}

static void test_of_socket(void **ctx)
{
	char name[64];

	(void)ctx;
	check_socket("tcp:0", AF_INET6, SOCK_STREAM, 0);
	check_socket("tcp6:0", AF_INET6, SOCK_STREAM, 1);
	check_socket("udp:0", AF_INET6, SOCK_DGRAM, 0);
	check_socket("udp:[::1]:0", AF_INET6, SOCK_DGRAM, 0);
	check_socket("tcp4:0", AF_INET, SOCK_STREAM, 0);
	check_socket("tcp:127.0.0.1:0", AF_INET, SOCK_STREAM, 0);
	check_socket("mptcp:0", AF_INET6, SOCK_STREAM, 0);
	check_socket("mptcp:127.0.0.1:0", AF_INET, SOCK_STREAM, 0);
	check_socket("udplite:0", AF_INET6, SOCK_DGRAM, 0);
	check_socket("udplite:127.0.0.1:0", AF_INET, SOCK_DGRAM, 0);
	check_socket("vsock:any:0", AF_VSOCK, SOCK_STREAM, 0);
	snprintf(name, sizeof name, "unix:@hatchd-test-%d\\x00\\xff", (int)getpid());
	check_socket(name, AF_UNIX, SOCK_STREAM, 0);
	snprintf(name, sizeof name, "unix-dgram:@hatchd-test-%d", (int)getpid());
	check_socket(name, AF_UNIX, SOCK_DGRAM, 0);
	snprintf(name, sizeof name, "unix-seqpacket:@hatchd-test-%d-s", (int)getpid());
	check_socket(name, AF_UNIX, SOCK_SEQPACKET, 0);
}

static void test_of_what_is_no_socket_of_ours(void **ctx)
{
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
	_cleanup_close_ int ping = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
	struct addr addr;

	(void)ctx;
	assert_int_equal(addr_of_socket(null, &addr), -ENOTSOCK);
	assert_int_equal(addr_of_socket(-1, &addr), -EBADF);
	if (netlink >= 0)
		assert_int_equal(addr_of_socket(netlink, &addr), -EPROTONOSUPPORT);
	if (ping >= 0)
		assert_int_equal(addr_of_socket(ping, &addr), -EPROTONOSUPPORT);
}

static void check_source(
	const char *text, unsigned prefix4, unsigned prefix6, const char *same, bool wanted)
{
	struct addr a = addr_of(text), b = addr_of(same);
	struct addr_source x, y;

	memset(&x, 0xaa, sizeof x);
	memset(&y, 0x55, sizeof y);
	addr_source(&a, prefix4, prefix6, &x);
	addr_source(&b, prefix4, prefix6, &y);
	assert_int_equal(memcmp(&x, &y, sizeof x) == 0, wanted);

	addr_source(&a, 32, 128, &y);
	addr_source_cut(&y, prefix4, prefix6);
	assert_memory_equal(&x, &y, sizeof x);
}

static void check_source_text(
	const char *peer, unsigned prefix4, unsigned prefix6, const char *expected)
{
	char buf[ADDR_SOURCE_TEXT_MAX];
	struct addr_source source;
	struct addr a = addr_of(peer);

	addr_source(&a, prefix4, prefix6, &source);
	assert_string_equal(addr_source_format(&source, prefix4, prefix6, buf), expected);
}

static void test_source_text(void **ctx)
{
	char buf[ADDR_SOURCE_TEXT_MAX];
	struct addr_source source;

	(void)ctx;
	check_source_text("tcp:10.1.2.3:1", 32, 64, "10.1.2.3");
	check_source_text("tcp:10.1.2.3:1", 24, 64, "10.1.2.0/24");
	check_source_text("tcp:[::ffff:10.1.2.3]:1", 32, 64, "10.1.2.3");
	check_source_text("tcp:[2001:db8::1]:1", 32, 64, "2001:db8::/64");
	check_source_text("tcp:[2001:db8::1]:1", 32, 128, "2001:db8::1");
	check_source_text("vsock:3:1", 32, 64, "vsock:3");
	addr_source_uid(1000, &source);
	assert_string_equal(addr_source_format(&source, 32, 64, buf), "uid 1000");
}

/* A client of a link, as accept(2) tells him. */
static struct addr_source link_local_source(
	const char *ip, uint32_t interface, unsigned prefix6)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_scope_id = interface};
	struct addr_source source;
	struct addr addr;

	assert_int_equal(inet_pton(AF_INET6, ip, &in6.sin6_addr), 1);
	addr_from_sockaddr(ADDR_TCP, (struct sockaddr *)&in6, sizeof in6, &addr);
	memset(&source, 0xaa, sizeof source);
	addr_source(&addr, 32, prefix6, &source);
	return source;
}

static void check_link_local(
	const char *a, uint32_t interface_a, const char *b, uint32_t interface_b, bool wanted)
{
	for (unsigned prefix6 = 1; prefix6 <= 128; prefix6++) {
		struct addr_source x = link_local_source(a, interface_a, prefix6);
		struct addr_source y = link_local_source(b, interface_b, prefix6);

		assert_true(addr_source_is_link_local(&x));
		assert_int_equal(memcmp(&x, &y, sizeof x) == 0, wanted);
		y = x;
		addr_source_cut(&y, 0, 0);
		assert_memory_equal(&x, &y, sizeof x);
	}
}

/* Each is somebody else, and on each link, however many bits make a client. */
static void test_source_of_link(void **ctx)
{
	char buf[ADDR_SOURCE_TEXT_MAX];
	struct addr_source source;

	(void)ctx;
	check_link_local("fe80::1", 1, "fe80::1", 1, true);
	check_link_local("fe80::1", 1, "fe80::1", 2, false);
	check_link_local("fe80::1", 1, "fe80::2", 1, false);
	check_link_local("febf:ffff::1", 1, "fe80::1", 1, false);
	check_link_local("fe80::1", UINT32_MAX, "fe80::1", UINT32_MAX - 1, false);
	/* There is no such number for others, which are cut. */
	source = link_local_source("2001:db8::1", 7, 64);
	assert_false(addr_source_is_link_local(&source));
	assert_string_equal(addr_source_format(&source, 32, 64, buf), "2001:db8::/64");
	assert_memory_equal(source.scope, "\0\0\0\0", 4);
	source = link_local_source("fec0::1", 7, 64);
	assert_false(addr_source_is_link_local(&source));
	addr_source_uid(0x80fe, &source);
	assert_false(addr_source_is_link_local(&source));

	source = link_local_source("fe80::1", 0, 64);
	assert_string_equal(addr_source_format(&source, 32, 64, buf), "fe80::1");
	source = link_local_source("fe80::1", 1, 64);
	assert_string_equal(addr_source_format(&source, 32, 64, buf), "fe80::1%lo");
	source = link_local_source("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", INT32_MAX, 64);
	assert_string_equal(addr_source_format(&source, 32, 64, buf),
		"febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff%2147483647");
}

static void test_source(void **ctx)
{
	struct addr_source a, b;

	(void)ctx;
	check_source("tcp:10.1.2.3:1", 32, 64, "udp:10.1.2.3:2", true);
	check_source("tcp:10.1.2.3:1", 32, 64, "tcp:10.1.2.2:1", false);
	check_source("tcp:10.1.2.3:1", 31, 64, "tcp:10.1.2.2:1", true);
	check_source("tcp:10.1.2.3:1", 24, 64, "tcp:10.1.2.255:1", true);
	check_source("tcp:10.1.2.3:1", 23, 64, "tcp:10.1.3.3:1", true);
	check_source("tcp:10.1.2.3:1", 24, 64, "tcp:10.1.3.3:1", false);
	check_source("tcp:10.1.2.3:1", 0, 64, "tcp:200.1.3.3:1", true);
	check_source("tcp:10.1.2.3:1", 99, 64, "tcp:10.1.2.3:9", true);
	check_source("tcp:[2001:db8::1]:1", 32, 64, "tcp:[2001:db8::ffff:1]:1", true);
	check_source("tcp:[2001:db8::1]:1", 32, 64, "tcp:[2001:db8:0:1::1]:1", false);
	check_source("tcp:[2001:db8::1]:1", 32, 63, "tcp:[2001:db8:0:1::1]:1", true);
	check_source("tcp:[2001:db8::1]:1", 32, 128, "tcp:[2001:db8::2]:1", false);
	check_source("tcp:[2001:db8::1]:1", 32, 127, "tcp:[2001:db8::]:1", true);
	check_source("tcp:[::]:1", 0, 0, "tcp:0.0.0.0:1", false);
	check_source("tcp:[::ffff:10.1.2.3]:1", 32, 64, "tcp:10.1.2.3:9", true);

	check_source("vsock:3:1", 32, 64, "vsock:3:2", true);
	check_source("vsock:3:1", 32, 64, "vsock:4:1", false);
	check_source("vsock:0:1", 0, 0, "tcp:0.0.0.0:1", false);

	addr_source_uid(1000, &a);
	addr_source_uid(1001, &b);
	assert_memory_not_equal(&a, &b, sizeof a);
	addr_source_uid(1000, &b);
	assert_memory_equal(&a, &b, sizeof a);
}

static void test_prefixes(void **ctx)
{
	static const struct {
		const char *text;
		const char *back; /* NULL: refused */
		int error;
		bool cut;
	} cases[] = {
		{"192.0.2.1", "192.0.2.1/32", 0, false},
		{"10.0.0.0/8", "10.0.0.0/8", 0, false},
		{"0.0.0.0/0", "0.0.0.0/0", 0, false},
		{"10.1.2.3/8", "10.0.0.0/8", 0, true},
		{"10.255.255.255/9", "10.128.0.0/9", 0, true},
		{"2001:db8::/32", "2001:db8::/32", 0, false},
		{"2001:DB8::1", "2001:db8::1/128", 0, false},
		{"2001:db8::1/64", "2001:db8::/64", 0, true},
		{"::/0", "::/0", 0, false},
		{"::1/0", "::/0", 0, true},
		{"::ffff:192.0.2.1", "192.0.2.1/32", 0, false},
		{"::ffff:10.0.0.0/104", "10.0.0.0/8", 0, false},
		{"::ffff:0:0/96", "0.0.0.0/0", 0, false},
		{"::ffff:0:0/95", "::fffe:0:0/95", 0, true},
		{"10.0.0.0/33", NULL, -EINVAL, false},
		{"2001:db8::/129", NULL, -EINVAL, false},
		{"10.0.0.0/", NULL, -EINVAL, false},
		{"10.0.0.0/-1", NULL, -EINVAL, false},
		{"10.0.0.0/08", NULL, -EINVAL, false},
		{"10.0.0.0/8/8", NULL, -EINVAL, false},
		{"10.0.0.0/255.0.0.0", NULL, -EINVAL, false},
		{"10.0.0.0/99999999999999999999", NULL, -EINVAL, false},
		{"10.0.0", NULL, -ENOENT, false},
		{"10/8", NULL, -ENOENT, false},
		{"010.0.0.1", NULL, -ENOENT, false},
		{"1.2.3.4 ", NULL, -ENOENT, false},
		{"[::1]", NULL, -ENOENT, false},
		{"fe80::1%eth0", NULL, -ENOENT, false},
		{"", NULL, -ENOENT, false},
		{"/8", NULL, -ENOENT, false},
		{"localhost", NULL, -ENOENT, false},
		{"1111111111111111111111111111111111111111111111111111/8", NULL, -ENOENT,
			false},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[ADDR_PREFIX_MAX];
		struct addr_prefix prefix;

		assert_int_equal(addr_parse_prefix(cases[i].text, &prefix), cases[i].error);
		if (cases[i].error)
			continue;
		assert_int_equal(addr_prefix_cut(&prefix), cases[i].cut);
		assert_string_equal(addr_format_prefix(&prefix, buf), cases[i].back);
	}
}

static void test_localhost(void **ctx)
{
	static const struct {
		const char *text;
		bool is;
	} cases[] = {
		{"tcp:127.0.0.1:1", true},
		{"tcp:[::1]:1", true},
		{"tcp:[::ffff:127.0.0.1]:1", true},
		{"tcp:127.0.0.2:1", false},
		{"tcp:[::2]:1", false},
		{"tcp:[::]:1", false},
	};
	struct addr_source source;

	(void)ctx;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct addr addr = addr_of(cases[i].text);

		addr_source(&addr, 32, 128, &source);
		assert_int_equal(addr_source_is_localhost(&source), cases[i].is);
	}
	addr_source_uid(1, &source);
	assert_false(addr_source_is_localhost(&source));
}

static void test_takes_ipv4(void **ctx)
{
	static const struct {
		const char *text;
		int v6only;
		bool takes;
	} cases[] = {
		{"tcp4:80", 1, true},
		{"tcp:127.0.0.1:80", -1, true},
		{"tcp:80", -1, true},
		{"tcp:80", 0, true},
		{"tcp:80", 1, false},
		{"tcp6:80", -1, false},
		{"tcp6:80", 0, true},
		{"tcp:[::1]:80", 0, false},
		{"unix:/run/x", 0, false},
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct addr addr = addr_of(cases[i].text);

		assert_int_equal(addr_takes_ipv4(&addr, cases[i].v6only), cases[i].takes);
	}
}

/* What is seen of clients before a program takes them. */
static void test_shows(void **ctx)
{
	static const struct {
		const char *text;
		bool udp, sender, silence;
	} cases[] = {
		{"tcp:80", false, false, true},
		{"tcp6:80", false, false, true},
		{"mptcp4:80", false, false, true},
		{"udp:80", true, true, false},
		{"udplite6:80", true, true, false},
		{"unix:/run/x", false, false, false},
		{"unix-dgram:@x", false, false, false},
		{"unix-seqpacket:/run/x", false, false, false},
		{"vsock:80", false, false, false},
		{"fd:web", false, true, true},
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct addr addr = addr_of(cases[i].text);

		assert_int_equal(addr_is_udp(&addr), cases[i].udp);
		assert_int_equal(addr_shows_sender(&addr), cases[i].sender);
		assert_int_equal(addr_shows_silence(&addr), cases[i].silence);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canonical_text),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_host_names),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_mutated_texts),
		cmocka_unit_test(test_properties),
		cmocka_unit_test(test_fall_back_to_ipv4),
		cmocka_unit_test(test_ip),
		cmocka_unit_test(test_ip_of_others),
		cmocka_unit_test(test_from_sockaddr),
		cmocka_unit_test(test_of_socket),
		cmocka_unit_test(test_of_what_is_no_socket_of_ours),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_takes_ipv4),
		cmocka_unit_test(test_shows),
		cmocka_unit_test(test_localhost),
		cmocka_unit_test(test_source_of_link),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_source_text),
	};

	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
