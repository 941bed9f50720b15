/* proxy_write: the headers that we send say what was meant, to ourselves and to others. */
#include "workers/front/proxy_write.h"

#include "base/own.h"
#include "workers/front/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static struct addr address(const char *text)
{
	struct addr_spec spec;
	const char *why;

	assert_int_equal(addr_parse(text, &spec, &why), 0);
	return spec.addr;
}

/* Written into memory of just the size that is asked for. */
static size_t write_header(unsigned version, const struct addr *source,
	const struct addr *destination, uint8_t buf[PROXY_WRITE_MAX])
{
	uint8_t *exact = malloc(PROXY_WRITE_MAX);
	size_t len;

	assert_non_null(exact);
	len = proxy_write(version, source, destination, exact);
	assert_in_range(len, 1, PROXY_WRITE_MAX);
	memcpy(buf, exact, len);
	free(exact);
	return len;
}

/* Read back: complete, with nothing left over. */
static void read_back(
	unsigned version, const uint8_t *data, size_t len, struct proxy_header *ret)
{
	struct proxy_parser p;
	size_t used;

	proxy_init(&p, version);
	assert_int_equal(proxy_feed(&p, data, len, &used), PROXY_DONE);
	assert_int_equal(used, len);
	assert_int_equal(p.header.version, version);
	*ret = p.header;
}

static void assert_back(unsigned version, const char *source, const char *destination,
	const char *source_back, const char *destination_back)
{
	struct addr from = address(source), to = address(destination);
	uint8_t buf[PROXY_WRITE_MAX];
	struct proxy_header header;
	char text[ADDR_TEXT_MAX];

	read_back(version, buf, write_header(version, &from, &to, buf), &header);
	assert_int_equal(header.command, PROXY_PROXY);
	if (!source_back) {
		assert_false(header.has_addresses);
		return;
	}
	assert_true(header.has_addresses);
	assert_string_equal(addr_format(&header.source, text), source_back);
	assert_string_equal(addr_format(&header.destination, text), destination_back);
}

/* What both can say comes back as it was. */
static void test_round_trip(void **ctx)
{
	static const struct {
		unsigned versions;
		const char *source, *destination;
	} cases[] = {
		{PROXY_V1 | PROXY_V2, "tcp:192.0.2.1:56324", "tcp:198.51.100.2:443"},
		{PROXY_V1 | PROXY_V2, "tcp:255.255.255.255:65535", "tcp:255.255.255.255:65535"},
		{PROXY_V1 | PROXY_V2, "tcp:127.0.0.1:0", "tcp:127.0.0.1:1"},
		{PROXY_V1 | PROXY_V2, "tcp:[2001:db8::1]:1", "tcp:[::1]:2"},
		{PROXY_V1 | PROXY_V2, "tcp:[2001:db81:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
			"tcp:[2001:db81:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
		{PROXY_V2, "udp:192.0.2.1:53", "udp:198.51.100.2:53"},
		{PROXY_V2, "udp:[2001:db8::1]:53", "udp:[::1]:53"},
		{PROXY_V2, "unix:/run/client", "unix:/run/server"},
		{PROXY_V2, "unix:@client", "unix:/run/server"},
		{PROXY_V2, "unix-dgram:/run/client", "unix-dgram:@server"},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned version = PROXY_V1; version <= PROXY_V2; version++)
			if (cases[i].versions & version)
				assert_back(version, cases[i].source, cases[i].destination,
					cases[i].source, cases[i].destination);
	}
}

/* The client's address is not lost because the listener has another family. */
static void test_mixed(void **ctx)
{
	static const char line[] = "PROXY TCP6 2001:db8::1 ::ffff:c000:201 1 2\r\n";
	struct addr from = address("tcp:[2001:db8::1]:1"), to = address("tcp:192.0.2.1:2");
	uint8_t buf[PROXY_WRITE_MAX];

	(void)ctx;
	for (unsigned version = PROXY_V1; version <= PROXY_V2; version++) {
		assert_back(version, "tcp:[2001:db8::1]:1", "tcp:192.0.2.1:2",
			"tcp:[2001:db8::1]:1", "tcp:192.0.2.1:2");
		assert_back(version, "tcp:192.0.2.1:2", "tcp:[2001:db8::1]:1",
			"tcp:192.0.2.1:2", "tcp:[2001:db8::1]:1");
	}
	/* "Sets of 4 hexadecimal digits": without dots, which not all can read. */
	assert_int_equal(write_header(PROXY_V1, &from, &to, buf), sizeof line - 1);
	assert_memory_equal(buf, line, sizeof line - 1);
}

/* MPTCP is TCP to whoever is behind; it has no name of its own. */
static void test_mptcp(void **ctx)
{
	(void)ctx;
	for (unsigned version = PROXY_V1; version <= PROXY_V2; version++)
		assert_back(version, "mptcp:192.0.2.1:1", "mptcp:192.0.2.2:2",
			"tcp:192.0.2.1:1", "tcp:192.0.2.2:2");
}

/* To the byte: nothing is said besides. */
static void assert_unknown(unsigned version, const char *source, const char *destination)
{
	struct addr from = address(source), to = address(destination);
	const void *want = version == PROXY_V1 ? "PROXY UNKNOWN\r\n" : SIGNATURE "\x21\0\0\0";
	size_t len = version == PROXY_V1 ? 15 : 16;
	uint8_t buf[PROXY_WRITE_MAX];

	assert_int_equal(write_header(version, &from, &to, buf), len);
	assert_memory_equal(buf, want, len);
	assert_back(version, source, destination, NULL, NULL);
}

/* Where there is no word for it, there is one that says so. */
static void test_unknown(void **ctx)
{
	static const struct {
		unsigned versions;
		const char *source, *destination;
	} cases[] = {
		{PROXY_V1, "unix:/run/client", "unix:/run/server"},
		{PROXY_V1, "udp:192.0.2.1:53", "udp:198.51.100.2:53"},
		{PROXY_V1, "udp:[2001:db8::1]:53", "udp:[::1]:53"},
		{PROXY_V1 | PROXY_V2, "unix-seqpacket:/run/a", "unix-seqpacket:/run/b"},
		{PROXY_V1 | PROXY_V2, "vsock:3:1024", "vsock:2:80"},
		{PROXY_V1 | PROXY_V2, "udplite:192.0.2.1:1", "udplite:192.0.2.2:2"},
		{PROXY_V1 | PROXY_V2, "fd:a", "fd:b"},
		{PROXY_V1 | PROXY_V2, "unix:/run/client", "tcp:192.0.2.1:80"},
		{PROXY_V1 | PROXY_V2, "tcp:192.0.2.1:80", "unix:/run/server"},
		{PROXY_V1 | PROXY_V2, "tcp:192.0.2.1:80", "udp:192.0.2.1:80"},
		{PROXY_V1 | PROXY_V2, "vsock:3:1024", "tcp:192.0.2.1:80"},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned version = PROXY_V1; version <= PROXY_V2; version++)
			if (cases[i].versions & version)
				assert_unknown(version, cases[i].source, cases[i].destination);
	}
}

/* Clients on UNIX sockets have no name, as a rule. */
static void test_unnamed(void **ctx)
{
	const struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct addr from, to = address("unix:/run/server");
	uint8_t buf[PROXY_WRITE_MAX];
	struct proxy_header header;

	(void)ctx;
	addr_from_sockaddr(
		ADDR_UNIX, (const struct sockaddr *)&un, sizeof un.sun_family, &from);
	read_back(PROXY_V2, buf, write_header(PROXY_V2, &from, &to, buf), &header);
	assert_true(header.has_addresses);
	assert_true(addr_equal(&header.source, &from));
	assert_true(addr_equal(&header.destination, &to));
}

/* A path may fill its room to the last byte, and has no NUL then. */
static void test_long_path(void **ctx)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct addr from, to = address("unix:/run/server");
	uint8_t buf[PROXY_WRITE_MAX];
	struct proxy_header header;

	(void)ctx;
	memset(un.sun_path, 'x', sizeof un.sun_path);
	addr_from_sockaddr(ADDR_UNIX, (const struct sockaddr *)&un, sizeof un, &from);
	read_back(PROXY_V2, buf, write_header(PROXY_V2, &from, &to, buf), &header);
	assert_true(addr_equal(&header.source, &from));
	assert_true(addr_equal(&header.destination, &to));
}

/* An address that could not be had is not made up. */
static void test_no_address(void **ctx)
{
	struct addr from = {.kind = ADDR_TCP}, to = address("tcp:192.0.2.1:80");
	uint8_t buf[PROXY_WRITE_MAX];
	struct proxy_header header;

	(void)ctx;
	for (unsigned version = PROXY_V1; version <= PROXY_V2; version++) {
		read_back(version, buf, write_header(version, &from, &to, buf), &header);
		assert_false(header.has_addresses);
	}
}

/* A connection of our own. */
static void test_local(void **ctx)
{
	uint8_t buf[PROXY_WRITE_MAX];
	struct proxy_header header;
	size_t len;

	(void)ctx;
	len = write_header(PROXY_V2, NULL, NULL, buf);
	assert_int_equal(len, 16);
	assert_memory_equal(buf, SIGNATURE "\x20\0\0\0", 16);
	read_back(PROXY_V2, buf, len, &header);
	assert_int_equal(header.command, PROXY_LOCAL);

	len = write_header(PROXY_V1, NULL, NULL, buf);
	assert_int_equal(len, 15);
	assert_memory_equal(buf, "PROXY UNKNOWN\r\n", 15);
}

/* To the byte, so that reader and writer cannot be wrong in the same way: this is what
 * haproxy 2.6.12 sends for these addresses. */
static void test_bytes(void **ctx)
{
	static const char line[] = "PROXY TCP4 127.0.0.1 127.0.0.1 57562 18102\r\n";
	static const char line6[] = "PROXY TCP6 ::1 ::1 57454 18101\r\n";
	static const char binary[] =
		SIGNATURE "\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\xe0\xda\x46\xb6";
	static const char binary6[] =
		SIGNATURE "\x21\x21\0\x24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"
			  "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\xe0\x6e\x46\xb5";
	struct addr from = address("tcp:127.0.0.1:57562"), to = address("tcp:127.0.0.1:18102");
	struct addr from6 = address("tcp:[::1]:57454"), to6 = address("tcp:[::1]:18101");
	uint8_t buf[PROXY_WRITE_MAX];

	(void)ctx;
	assert_int_equal(write_header(PROXY_V1, &from, &to, buf), sizeof line - 1);
	assert_memory_equal(buf, line, sizeof line - 1);
	assert_int_equal(write_header(PROXY_V1, &from6, &to6, buf), sizeof line6 - 1);
	assert_memory_equal(buf, line6, sizeof line6 - 1);
	assert_int_equal(write_header(PROXY_V2, &from, &to, buf), sizeof binary - 1);
	assert_memory_equal(buf, binary, sizeof binary - 1);
	assert_int_equal(write_header(PROXY_V2, &from6, &to6, buf), sizeof binary6 - 1);
	assert_memory_equal(buf, binary6, sizeof binary6 - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_mptcp),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_unnamed),
		cmocka_unit_test(test_long_path),
		cmocka_unit_test(test_no_address),
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
