/* proxy: which version it is, the line of version 1, and no byte too many. */
#include "proxy-feed.h"

#include <sys/socket.h>

/*
 * Version 1.
 */

static void test_line(void **ctx)
{
	static const struct {
		const char *line, *source, *destination;
	} cases[] = {
		{"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", SOURCE, TARGET},
		{"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
			"tcp:255.255.255.255:65535", "tcp:255.255.255.255:65535"},
		{"PROXY TCP4 0.0.0.0 127.0.0.1 0 1\r\n", "tcp4:0", "tcp:127.0.0.1:1"},
		{"PROXY TCP6 2001:db8::1 2001:DB8:0:0::2 1 2\r\n", "tcp:[2001:db8::1]:1",
			"tcp:[2001:db8::2]:2"},
		{"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
			"tcp:[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
			"tcp:[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
		{"PROXY TCP6 :: ::1 0 0\r\n", "tcp6:0", "tcp:[::1]:0"},
		{"PROXY TCP6 fe80::1 ::1 5 6\r\n", "tcp:[fe80::1]:5", "tcp:[::1]:6"},
		/* What stands for IPv4 is IPv4, so that rules for it hold. */
		{"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6402 56324 443\r\n", SOURCE, TARGET},
	};
	const struct proxy_header *header;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		header = accept_header(cases[i].line, strlen(cases[i].line));
		assert_int_equal(header->version, PROXY_V1);
		assert_int_equal(header->source.kind, ADDR_TCP);
		assert_addresses(header, cases[i].source, cases[i].destination);
		assert_false(header->has_ssl);
		for (enum proxy_fact fact = 0; fact < _PROXY_FACT_MAX; fact++)
			assert_no_fact(header, fact);
	}
}

/* What follows the word is ignored, whatever it is. */
static void test_line_unknown(void **ctx)
{
	static const struct {
		const char *line;
		size_t len;
	} cases[] = {
		{BYTES("PROXY UNKNOWN\r\n")},
		{BYTES("PROXY UNKNOWN \r\n")},
		{BYTES("PROXY UNKNOWN 192.0.2.1 198.51.100.2 56324 443\r\n")},
		{BYTES("PROXY UNKNOWN TCP4 999 -1 \xff\x01\r\n")},
		{BYTES("PROXY UNKNOWN \0 behind a NUL\r\n")},
		{BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n")},
	};
	const struct proxy_header *header;

	(void)ctx;
	assert_int_equal(cases[ARRAY_SIZE(cases) - 1].len, PROXY_V1_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		header = accept_header(cases[i].line, cases[i].len);
		assert_int_equal(header->version, PROXY_V1);
		assert_int_equal(header->command, PROXY_PROXY);
		assert_false(header->has_addresses);
	}
}

static void test_line_malformed(void **ctx)
{
	static const struct {
		const char *line;
		size_t len;
		enum proxy_fault fault;
	} cases[] = {
		{BYTES("PROXY \r\n"), PROXY_BAD_PROTOCOL},
		{BYTES("PROXY TCP4\r\n"), PROXY_BAD_PROTOCOL},
		{BYTES("PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD_PROTOCOL},
		{BYTES("PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD_PROTOCOL},
		{BYTES("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD_PROTOCOL},
		{BYTES("PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD_PROTOCOL},
		{BYTES("PROXY UNKNOWNS\r\n"), PROXY_BAD_PROTOCOL},
		{BYTES("PROXY UNKNOWN\t\r\n"), PROXY_BAD_PROTOCOL},
		{BYTES("PROXY unknown\r\n"), PROXY_BAD_PROTOCOL},
		{BYTES("PROXY TCP4 \r\n"), PROXY_BAD_FIELDS},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"), PROXY_BAD_FIELDS},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"), PROXY_BAD_FIELDS},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n"), PROXY_BAD_FIELDS},
		{BYTES("PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n"), PROXY_BAD_FIELDS},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\0\r\n"), PROXY_BAD_FIELDS},
		{BYTES("PROXY TCP4\0 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD_FIELDS},
		{BYTES("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n"), PROXY_BAD_FIELDS},
		{BYTES("PROXY TCP4 here there 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP4 192.0.2.1  1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2. 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP4 0xc0.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP4 3221225985 192.0.2.2 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP4 ::1 ::1 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP4 192.0.2.1 ::1 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP6 ::1 192.0.2.2 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP6 [::1] [::1] 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP6 fe80::1%lo ::1 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP6 1::2::3 ::1 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP6 ::12345 ::1 1 2\r\n"), PROXY_BAD_ADDRESS},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n"), PROXY_BAD_PORT},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 99999999999999999999999\r\n"),
			PROXY_BAD_PORT},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n"), PROXY_BAD_PORT},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 00\r\n"), PROXY_BAD_PORT},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n"), PROXY_BAD_PORT},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n"), PROXY_BAD_PORT},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2x\r\n"), PROXY_BAD_PORT},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 0x2\r\n"), PROXY_BAD_PORT},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 http 2\r\n"), PROXY_BAD_PORT},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n"), PROXY_BAD_PORT},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n"), PROXY_BAD_PORT},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refuse(cases[i].line, cases[i].len, cases[i].fault);
}

/* "The receiver must not tolerate a single CR or LF". */
static void test_line_end(void **ctx)
{
	static const struct {
		const char *line;
		size_t len;
	} cases[] = {
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n")},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n")},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rGET")},
		{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r")},
		{BYTES("PROXY UNKNOWN\n")},
		{BYTES("PROXY UNKNOWN a\nb\r\n")},
		{BYTES("PROXY UNKNOWN a\rb\r\n")},
		{BYTES("PROXY \n")},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refuse(cases[i].line, cases[i].len, PROXY_BAD_LINE_END);
}

/* A line of 107 bytes is one, and it takes no 108th to refuse a longer one. */
static void test_line_length(void **ctx)
{
	char line[PROXY_V1_MAX + 2];
	struct proxy_parser p;

	(void)ctx;
	for (size_t len = 16; len < sizeof line; len++) {
		memset(line, 'x', sizeof line);
		memcpy(line, "PROXY UNKNOWN ", 14);
		memcpy(line + len - 2, "\r\n", 2);
		if (len <= PROXY_V1_MAX) {
			accept_header(line, len);
			continue;
		}
		refuse(line, len, PROXY_LONG_LINE);
		proxy_init(&p, BOTH);
		assert_int_equal(feed(&p, (uint8_t *)line, PROXY_V1_MAX - 1), PROXY_MORE);
		assert_int_equal(
			feed(&p, (uint8_t *)line + PROXY_V1_MAX - 1, 1), PROXY_REFUSED);
	}
	memset(line, ' ', sizeof line);
	memcpy(line, "PROXY TCP4", 10);
	refuse(line, sizeof line, PROXY_LONG_LINE);
}

/*
 * Which version, if any.
 */

/* At the first byte that differs, so that nothing of a request is taken for more. */
static void test_no_header(void **ctx)
{
	static const struct {
		const char *text;
		size_t len;
		uint32_t looked_at;
	} cases[] = {
		{BYTES("GET / HTTP/1.1\r\n"), 1},
		{BYTES("\0"), 1},
		{BYTES("\x16\x03\x01"), 1},
		{BYTES("POST / HTTP/1.1\r\n"), 2},
		{BYTES("PRI * HTTP/2.0\r\n"), 3},
		{BYTES("PROXY\r\n"), 6},
		{BYTES("PROXY\tTCP4"), 6},
		{BYTES("proxy TCP4"), 1},
		{BYTES("\nPROXY TCP4"), 1},
		{BYTES("\r\n\r\n\0\r\nQUIT\r"), 12},
		{BYTES("\r\n\r\nPROXY TCP4"), 5},
		{BYTES("\r\n\r\n\0\r\nquit\n"), 8},
	};
	struct proxy_parser p;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned versions = 1; versions <= BOTH; versions++)
			refuse_as(cases[i].text, cases[i].len, versions, PROXY_NO_HEADER);
		proxy_init(&p, BOTH);
		feed(&p, (const uint8_t *)cases[i].text, cases[i].len);
		assert_int_equal(p.taken, cases[i].looked_at);
	}
}

/* Section 2: "the receiver must not try to guess". */
static void test_versions(void **ctx)
{
	static const char line[] = "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";
	struct draft *d = start_ipv4();

	(void)ctx;
	finish(d);
	assert_addresses(accept_as(line, sizeof line - 1, PROXY_V1), SOURCE, TARGET);
	assert_addresses(accept_as(d->data, d->len, PROXY_V2), SOURCE, TARGET);
	refuse_as(line, sizeof line - 1, PROXY_V2, PROXY_NOT_ALLOWED);
	refuse_as(d->data, d->len, PROXY_V1, PROXY_NOT_ALLOWED);
}

static void test_detect(void **ctx)
{
	static const char line[] = "PROXY TCP4 ", head[] = SIGNATURE "\x21";

	(void)ctx;
	for (unsigned versions = 1; versions <= BOTH; versions++) {
		assert_int_equal(proxy_detect("", 0, versions), PROXY_UNDECIDED);
		assert_int_equal(proxy_detect("GET", 3, versions), PROXY_ABSENT);
		assert_int_equal(proxy_detect("PROXIES", 7, versions), PROXY_ABSENT);
		assert_int_equal(proxy_detect("\r\n\r\n\r", 5, versions), PROXY_ABSENT);
	}
	for (size_t len = 1; len < sizeof line; len++) {
		enum proxy_presence want = len < 6 ? PROXY_UNDECIDED : PROXY_PRESENT;

		assert_int_equal(proxy_detect(line, len, PROXY_V1), want);
		assert_int_equal(proxy_detect(line, len, BOTH), want);
		assert_int_equal(proxy_detect(line, len, PROXY_V2), PROXY_ABSENT);
	}
	for (size_t len = 1; len < sizeof head; len++) {
		enum proxy_presence want = len < 12 ? PROXY_UNDECIDED : PROXY_PRESENT;

		assert_int_equal(proxy_detect(head, len, PROXY_V2), want);
		assert_int_equal(proxy_detect(head, len, BOTH), want);
		assert_int_equal(proxy_detect(head, len, PROXY_V1), PROXY_ABSENT);
	}
}

/*
 * Reading from a socket as the header file says.
 */

/* Everything that the reader leaves must be `payload`. */
static void read_from_socket(
	const void *data, size_t len, size_t header_len, unsigned versions, size_t buf_size)
{
	uint8_t buf[512], rest[512];
	struct proxy_parser p;
	bool peek;
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(send(sv[0], data, len, 0), len);
	proxy_init(&p, versions);
	while (p.state == PROXY_MORE) {
		size_t n = proxy_wants(&p, &peek), used;
		ssize_t got;

		assert_true(n > 0);
		got = recv(sv[1], buf, n < buf_size ? n : buf_size, peek ? MSG_PEEK : 0);
		assert_true(got > 0);
		proxy_feed(&p, buf, (size_t)got, &used);
		if (peek)
			assert_int_equal(recv(sv[1], buf, used, 0), used);
		else
			assert_int_equal(used, got);
	}
	assert_int_equal(p.state, PROXY_DONE);
	assert_int_equal(proxy_wants(&p, &peek), 0);
	assert_int_equal(recv(sv[1], rest, sizeof rest, 0), len - header_len);
	assert_memory_equal(rest, (const uint8_t *)data + header_len, len - header_len);
	close(sv[0]);
	close(sv[1]);
}

/* What looks like another TLV, or another header, is payload. */
static void test_reader(void **ctx)
{
	static const char line[] = "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";
	static const char shortest[] = "PROXY UNKNOWN\r\n";
	static const size_t sizes[] = {1, 2, 7, 16, 512};
	uint8_t all[256];

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct draft *d = start_ipv4();

		add_tlv(d, 2, BYTES("shop.example"));
		finish(d);
		add(d, PAYLOAD, sizeof PAYLOAD);
		for (unsigned versions = PROXY_V2; versions <= BOTH; versions++)
			read_from_socket(
				d->data, d->len, d->len - sizeof PAYLOAD, versions, sizes[i]);

		memcpy(stpcpy((char *)all, line), line, sizeof line);
		for (unsigned versions = PROXY_V1; versions <= BOTH; versions += 2)
			read_from_socket(
				all, 2 * sizeof line - 1, sizeof line - 1, versions, sizes[i]);
		memcpy(stpcpy((char *)all, shortest), line, sizeof line);
		read_from_socket(all, sizeof shortest - 1 + sizeof line, sizeof shortest - 1,
			BOTH, sizes[i]);
	}
}

/* Without peeking never more than the header has; and always something. */
static void test_wants(void **ctx)
{
	struct draft *d = start_ipv4();
	struct proxy_parser p;
	bool peek;

	(void)ctx;
	add_long_tlv(d, 0xe0, 'x', 1000);
	finish(d);
	proxy_init(&p, PROXY_V2);
	for (size_t i = 0; i < d->len; i++) {
		size_t n = proxy_wants(&p, &peek);

		assert_false(peek);
		assert_int_equal(n, (i < 16 ? 16 : d->len) - i);
		feed(&p, d->data + i, 1);
	}
	assert_int_equal(p.state, PROXY_DONE);

	/* Before it is known which version it is, no line can be longer. */
	proxy_init(&p, BOTH);
	assert_int_equal(proxy_wants(&p, &peek), PROXY_V1_MAX);
	assert_true(peek);
	feed(&p, d->data, 12);
	assert_int_equal(proxy_wants(&p, &peek), 4);
	assert_false(peek);
}

/* Each reason has words of its own. */
static void test_fault_texts(void **ctx)
{
	(void)ctx;
	for (enum proxy_fault a = 0; a < _PROXY_FAULT_MAX; a++) {
		assert_non_null(proxy_fault_text(a));
		for (enum proxy_fault b = 0; b < a; b++)
			assert_string_not_equal(proxy_fault_text(a), proxy_fault_text(b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_line_unknown),
		cmocka_unit_test(test_line_malformed),
		cmocka_unit_test(test_line_end),
		cmocka_unit_test(test_line_length),
		cmocka_unit_test(test_no_header),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_detect),
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_wants),
		cmocka_unit_test(test_fault_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
