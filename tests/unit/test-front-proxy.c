/*
 * front: headers of the PROXY protocol, on a connection.
 *
 * PP-1 to PP-18 are cases that a receiver of the protocol has to get right; the parser's
 * own tests are test-proxy and test-proxy-v2.
 */
#include "front-try.h"

#include <malloc.h>

#define SERVICE_BYTES "GET / HTTP/1.0\r\n\r\n"

/* Whatever comes at once. */
static void comes(const void *bytes, size_t len)
{
	try_begin(FRONT_PROXY, NULL);
	try_say(bytes, len);
}

static void draft_comes(struct draft *d)
{
	finish(d);
	comes(d->data, d->len);
}

static void has_addresses(const char *source, const char *target, enum addr_kind kind)
{
	struct channel_facts got = facts();

	is_over(CHANNEL_PASSED);
	is_address(&got.peer, kind, source);
	is_address(&got.local, kind, target);
}

static void has_no_addresses(void)
{
	struct channel_facts got = facts();

	is_over(CHANNEL_PASSED);
	assert_int_equal(got.peer.family, 0);
	assert_int_equal(got.local.family, 0);
}

static void has_authority(const void *bytes, size_t len)
{
	struct channel_facts got = facts();

	assert_int_equal(got.authority_len, len);
	assert_memory_equal(got.authority, bytes, len);
}

static void is_bad(void)
{
	is_over(CHANNEL_BAD_HEADER);
	learned_nothing();
	hears_nothing();
	try_end();
}

static void is_bad_line(const char *line)
{
	comes(line, strlen(line));
	is_bad();
}

static void test_pp1_payload_in_the_same_segment(void **state)
{
	(void)state;
	comes(BYTES(V1_LINE SERVICE_BYTES));
	has_addresses(V1_SOURCE, V1_TARGET, ADDR_TCP);
	assert_int_equal(front_bytes_in(try.front), sizeof V1_LINE - 1);
	assert_int_equal(front_bytes_out(try.front), 0);
	is_left(BYTES(SERVICE_BYTES));
}

static void test_pp1_payload_behind_version_2(void **state)
{
	struct draft *d = start_ipv4();
	size_t len;

	(void)state;
	add_tlv(d, 2, BYTES("example.org"));
	finish(d);
	len = d->len;
	add(d, BYTES(SERVICE_BYTES));
	comes(d->data, d->len);
	has_addresses(SOURCE, TARGET, ADDR_TCP);
	assert_int_equal(front_bytes_in(try.front), len);
	is_left(BYTES(SERVICE_BYTES));
}

static void test_pp2_no_header(void **state)
{
	(void)state;
	is_bad_line(SERVICE_BYTES);
	is_bad_line("\r\n\r\n\n");
	is_bad_line("PROXX");
}

/* No byte is needed that decides nothing. */
static void test_pp2_the_first_byte_says_it(void **state)
{
	(void)state;
	comes("G", 1);
	is_bad();
}

static void test_pp3_malformed(void **state)
{
	(void)state;
	is_bad_line("PROXY TCP4 client.example.org server.example.org 1 2\r\n");
	is_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n");
	is_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2 56324 65536\r\n");
	is_bad_line("PROXY TCP6 192.0.2.1 198.51.100.2 56324 443\r\n");
	is_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n");
}

/* Those who are not asked for a header send payload, whatever it looks like. */
static void test_pp4_no_header_expected(void **state)
{
	(void)state;
	try_begin_on(try_pair(), FRONT_ASK, NULL, TRY_PATIENCE);
	assert_int_equal(send(try.client, BYTES(V1_LINE), 0), sizeof V1_LINE - 1);
	try_after(front_go(try.front, 0, try.now));
	is_offered();
	is_nothing(&try.facts);
	is_judged(CHANNEL_ADMITTED, false);
	is_passed();
	is_left(BYTES(V1_LINE));
}

static void test_pp5_authority(void **state)
{
	static const uint8_t longest[CHANNEL_AUTHORITY_MAX] = {[0] = 'x', [254] = 'y'};
	struct draft *d = start_ipv4();

	(void)state;
	add_tlv(d, 2, BYTES("example.org"));
	draft_comes(d);
	has_addresses(SOURCE, TARGET, ADDR_TCP);
	has_authority(BYTES("example.org"));
	try_end();
	d = start_ipv4();
	add_tlv(d, 2, longest, sizeof longest);
	draft_comes(d);
	has_authority(longest, sizeof longest);
	try_end();
	d = start_ipv4();
	add_long_tlv(d, 2, 'x', CHANNEL_AUTHORITY_MAX + 1);
	draft_comes(d);
	is_over(CHANNEL_PASSED);
	assert_int_equal(facts().authority_len, 0);
}

static void test_pp6_what_looks_like_a_tlv_behind_it(void **state)
{
	static const char tlv[] = "\x02\x00\x04"
				  "evil";
	struct draft *d = start_ipv4();

	(void)state;
	add_tlv(d, 2, BYTES("good"));
	finish(d);
	add(d, BYTES(tlv));
	comes(d->data, d->len);
	has_authority(BYTES("good"));
	is_left(BYTES(tlv));
}

static void test_pp7_a_tlv_that_runs_past_the_header(void **state)
{
	struct draft *d = start_ipv4();

	(void)state;
	add(d, BYTES("\x02\x00\x05"
		     "four"));
	draft_comes(d);
	is_bad();
}

static void test_pp8_a_rest_too_short_for_a_tlv(void **state)
{
	(void)state;
	for (size_t rest = 1; rest < 3; rest++) {
		struct draft *d = start_ipv4();

		add_tlv(d, 2, BYTES("good"));
		add(d, "\0\0", rest);
		draft_comes(d);
		is_bad();
	}
}

static void test_pp9_a_nul_in_a_value(void **state)
{
	struct draft *d = start_ipv4();

	(void)state;
	add_tlv(d, 2, BYTES("a\0b\0"));
	draft_comes(d);
	has_authority(BYTES("a\0b\0"));
}

static void test_pp10_the_longest_line(void **state)
{
	char line[109];

	(void)state;
	memset(line, 'x', sizeof line);
	memcpy(line, "PROXY UNKNOWN ", 14);
	memcpy(line + 105, "\r\n", 2);
	comes(line, 107);
	has_no_addresses();
	is_left("", 0);
	try_end();
	line[105] = 'x';
	memcpy(line + 106, "\r\n", 2);
	comes(line, 108);
	is_bad();
	is_bad_line("PROXY UNKNOWN\n");
}

static void test_pp10_unknown(void **state)
{
	(void)state;
	comes(BYTES("PROXY UNKNOWN ffff::1 ffff::2 what ever\r\n" SERVICE_BYTES));
	has_no_addresses();
	is_left(BYTES(SERVICE_BYTES));
}

static void test_pp11_commands_and_versions(void **state)
{
	static const char *const bad[] = {"\x22\x11", "\x2f\x11", "\x11\x11", "\x31\x11"};
	struct draft *d = start(BYTES("\x20\x11" ADDRESSES));

	(void)state;
	add(d, BYTES("no TLV"));
	finish(d);
	add(d, BYTES(SERVICE_BYTES));
	comes(d->data, d->len);
	has_no_addresses();
	learned_nothing();
	is_left(BYTES(SERVICE_BYTES));
	try_end();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		d = start(bad[i], 2);
		add(d, BYTES(ADDRESSES));
		draft_comes(d);
		is_bad();
	}
	comes(BYTES("\r\n\r\n\0\r\nQUIT\r"));
	is_bad();
}

static struct draft *start_family(uint8_t family, size_t block)
{
	static const uint8_t zeroes[2 * 108];
	struct draft *d = start((uint8_t[]){0x21, family}, 2);

	add(d, zeroes, block);
	return d;
}

/* Of which rules can be: IPv4 and IPv6.  The others are who they are on the socket. */
static void test_pp12_families(void **state)
{
	static const struct {
		uint8_t family;
		size_t block;
		int wanted;
	} cases[] = {
		{0x00, 0, 0},
		{0x01, 0, 0},
		{0x02, 0, 0},
		{0x10, 12, 0},
		{0x11, 12, AF_INET},
		{0x12, 12, AF_INET},
		{0x20, 36, 0},
		{0x21, 36, AF_INET6},
		{0x22, 36, AF_INET6},
		{0x31, 216, 0},
		{0x32, 216, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		draft_comes(start_family(cases[i].family, cases[i].block));
		is_over(CHANNEL_PASSED);
		assert_int_equal(facts().peer.family, cases[i].wanted);
		assert_int_equal(facts().local.family, cases[i].wanted);
		try_end();
	}
	draft_comes(start_family(0x41, 12));
	is_bad();
	draft_comes(start_family(0x13, 12));
	is_bad();
	draft_comes(start_family(0x11, 11));
	is_bad();
}

static void test_pp12_ipv6(void **state)
{
	(void)state;
	comes(BYTES("PROXY TCP6 2001:db8::1 2001:db8::2 65535 80\r\n"));
	has_addresses("tcp:[2001:db8::1]:65535", "tcp:[2001:db8::2]:80", ADDR_TCP);
	try_end();
	comes(BYTES("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 65535 80\r\n"));
	has_addresses("tcp:192.0.2.1:65535", "tcp:[2001:db8::2]:80", ADDR_TCP);
}

/* A name of a UNIX socket is none that is told, but the host asked for is. */
static void test_pp12_unix_with_authority(void **state)
{
	struct draft *d = start_family(0x31, 216);

	(void)state;
	add_tlv(d, 2, BYTES("example.org"));
	draft_comes(d);
	has_no_addresses();
	has_authority(BYTES("example.org"));
}

/* In two pieces, cut at every place, with a turn of the loop between. */
static void comes_in_pieces(const uint8_t *bytes, size_t len, size_t header)
{
	for (size_t cut = 0; cut <= len; cut++) {
		try_begin(FRONT_PROXY, NULL);
		if (cut > 0)
			try_say(bytes, cut);
		if (cut < header)
			is_open();
		if (cut < len)
			try_say(bytes + cut, len - cut);
		has_addresses(V1_SOURCE, V1_TARGET, ADDR_TCP);
		is_left(bytes + header, len - header);
		try_end();
	}
}

static void comes_byte_by_byte(const uint8_t *bytes, size_t len, size_t header)
{
	try_begin(FRONT_PROXY, NULL);
	try_say_slowly(bytes, header - 1);
	is_open();
	is_left("", 0);
	try_say_slowly(bytes + header - 1, len - header + 1);
	has_addresses(V1_SOURCE, V1_TARGET, ADDR_TCP);
	is_left(bytes + header, len - header);
	try_end();
}

static void test_pp13_version_1_in_pieces(void **state)
{
	static const uint8_t bytes[] = V1_LINE SERVICE_BYTES;

	(void)state;
	comes_in_pieces(bytes, sizeof bytes - 1, sizeof V1_LINE - 1);
	comes_byte_by_byte(bytes, sizeof bytes - 1, sizeof V1_LINE - 1);
}

static void test_pp13_version_2_in_pieces(void **state)
{
	struct draft *d = start_ipv4();
	size_t header;

	(void)state;
	add_tlv(d, 2, BYTES("example.org"));
	add_tlv(d, 0x20, BYTES("\x01\0\0\0\0\x21\x00\x07TLSv1.3"));
	add_crc(d);
	finish(d);
	header = d->len;
	add(d, BYTES(SERVICE_BYTES));
	comes_in_pieces(d->data, d->len, header);
	comes_byte_by_byte(d->data, d->len, header);
}

/* Under a sanitizer these are 0, and nothing is shown. */
static size_t in_use(void)
{
	return mallinfo2().uordblks;
}

static void test_pp14_a_long_header_costs_no_memory(void **state)
{
	static uint8_t bytes[16 + 65535];
	size_t before, n = 0;

	(void)state;
	memcpy(bytes, BYTES(SIGNATURE));
	memcpy(bytes + 12, BYTES(STREAM4 "\xff\xff" ADDRESSES "\xe0\xff\xf0"));
	before = in_use();
	try_begin(FRONT_PROXY, NULL);
	for (; n < sizeof bytes - 1; n += 50) {
		size_t rest = sizeof bytes - 1 - n;

		try_say(bytes + n, rest < 50 ? rest : 50);
	}
	is_open();
	assert_true(in_use() <= before + 3072);
	try_say(bytes, 1);
	has_addresses(V1_SOURCE, V1_TARGET, ADDR_TCP);
	assert_int_equal(front_bytes_in(try.front), sizeof bytes);
}

static void test_pp14_nothing_follows(void **state)
{
	(void)state;
	comes(BYTES(SIGNATURE STREAM4 "\xff\xff"));
	is_open();
	try_at(TRY_NOW + TRY_PATIENCE - 1);
	is_open();
	assert_true(front_due(try.front) == TRY_NOW + TRY_PATIENCE);
	try_at(TRY_NOW + TRY_PATIENCE);
	is_over(CHANNEL_SILENT);
	hears_nothing();
}

/* Whom to believe is the caller's to say: without being asked nobody is believed, and no
 * byte of what he says is even looked at. */
static void test_pp15_a_header_of_somebody_else(void **state)
{
	static const struct front_text text = {
		.banner = {.data = (const uint8_t *)"hello\n", .len = 6},
	};

	(void)state;
	try_begin_on(try_pair(), 0, &text, TRY_PATIENCE);
	assert_int_equal(send(try.client, BYTES(V1_LINE), 0), sizeof V1_LINE - 1);
	try_after(front_go(try.front, 0, try.now));
	is_over(CHANNEL_PASSED);
	learned_nothing();
	hears(BYTES("hello\n"));
	is_left(BYTES(V1_LINE));
}

/* A header that must come is not guessed at: what is none is no payload. */
static void test_pp16_no_guessing(void **state)
{
	(void)state;
	comes(BYTES("PROXZ TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"));
	is_over(CHANNEL_BAD_HEADER);
	assert_int_equal(front_bytes_in(try.front), 0);
}

static void optional(const void *bytes, size_t len)
{
	try_begin(FRONT_PROXY | FRONT_PROXY_OPTIONAL, NULL);
	try_say_slowly(bytes, len);
}

static void test_pp16_an_optional_header(void **state)
{
	(void)state;
	optional(BYTES(V1_LINE SERVICE_BYTES));
	has_addresses(V1_SOURCE, V1_TARGET, ADDR_TCP);
	is_left(BYTES(SERVICE_BYTES));
	try_end();
	optional(BYTES(SERVICE_BYTES));
	has_no_addresses();
	is_left(BYTES(SERVICE_BYTES));
	try_end();
	optional(BYTES("PROXIES"));
	has_no_addresses();
	is_left(BYTES("PROXIES"));
	try_end();
	optional(BYTES("PROXY what?\r\n"));
	is_bad();
	optional(BYTES("\r\n\r\n\0\r\nQUIT\r"));
	has_no_addresses();
	is_left(BYTES("\r\n\r\n\0\r\nQUIT\r"));
}

/* What is undecided lies there, and does not keep the loop awake. */
static void test_pp16_an_optional_header_that_does_not_come(void **state)
{
	(void)state;
	optional(BYTES("PROX"));
	is_open();
	assert_false(try_turn(0));
	try_stop_saying();
	has_no_addresses();
	is_left(BYTES("PROX"));
	try_end();
	optional(BYTES("PROX"));
	try_at(TRY_NOW + TRY_PATIENCE);
	is_over(CHANNEL_SILENT);
	is_left(BYTES("PROX"));
}

/* He had said so much, and ended, before the first look. */
static void test_pp16_an_optional_header_and_an_early_end(void **state)
{
	(void)state;
	try_begin_on(try_pair(), FRONT_PROXY | FRONT_PROXY_OPTIONAL, NULL, TRY_PATIENCE);
	assert_int_equal(send(try.client, "PRO", 3, 0), 3);
	assert_int_equal(shutdown(try.client, SHUT_WR), 0);
	try_after(front_go(try.front, 0, try.now));
	try_turns();
	has_no_addresses();
	is_left("PRO", 3);
}

static void test_pp17_checksums(void **state)
{
	struct draft *d = start_ipv4();

	(void)state;
	add_tlv(d, 2, BYTES("example.org"));
	add_crc(d);
	draft_comes(d);
	has_addresses(SOURCE, TARGET, ADDR_TCP);
	try_end();
	for (size_t i = 0; i < d->len; i++) {
		/* The type of the checksum, without which there is none. */
		if (i == d->crc - 3)
			continue;
		d->data[i] ^= 0x40;
		comes(d->data, d->len);
		/* Where the length has grown it waits for the rest. */
		if (try.goes_on)
			try_stop_saying();
		assert_int_not_equal(front_result(try.front), CHANNEL_PASSED);
		assert_false(try.goes_on);
		d->data[i] ^= 0x40;
		try_end();
	}
}

/* ------------------------------------------------------------------ those who fail */

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x >> 12;
	*x ^= *x << 25;
	*x ^= *x >> 27;
	return *x * UINT64_C(0x2545f4914f6cdd1d);
}

/* Damaged, cut, and then nothing, an end, or gone. */
static void fails_somehow(const struct draft *d, uint64_t *random)
{
	uint8_t bytes[256];
	size_t len = next_random(random) % (d->len + 1);

	memcpy(bytes, d->data, d->len);
	if (next_random(random) % 2)
		bytes[next_random(random) % d->len] ^= (uint8_t)next_random(random);
	try_begin(next_random(random) % 2 ? FRONT_PROXY : FRONT_PROXY | FRONT_PROXY_OPTIONAL,
		NULL);
	if (next_random(random) % 2)
		try_say_slowly(bytes, len);
	else if (len > 0)
		try_say(bytes, len);
	if (next_random(random) % 3 == 0)
		try_stop_saying();
	else if (next_random(random) % 2)
		try_leave();
}

static void test_pp18_peers_that_fail(void **state)
{
	uint64_t random = UINT64_C(0x6a09e667f3bcc908);
	struct draft *d = start_ipv4();

	(void)state;
	add_tlv(d, 2, BYTES("example.org"));
	add_crc(d);
	finish(d);
	for (int i = 0; i < 3000; i++) {
		fails_somehow(d, &random);
		try_at(TRY_NOW + TRY_PATIENCE);
		assert_false(try.goes_on);
		assert_false(try_turn(0));
		try_end();
	}
}

static void test_a_health_check(void **state)
{
	(void)state;
	for (unsigned what = FRONT_PROXY; what <= (FRONT_PROXY | FRONT_PROXY_OPTIONAL);
		what += FRONT_PROXY_OPTIONAL) {
		try_begin(what, NULL);
		try_leave();
		is_over(CHANNEL_FINISHED);
		assert_int_equal(front_bytes_in(try.front), 0);
		try_end();
	}
}

static void test_cut_short(void **state)
{
	static const char bytes[] = V1_LINE;

	(void)state;
	for (size_t len = 1; len < sizeof bytes - 1; len++) {
		comes(bytes, len);
		is_open();
		try_stop_saying();
		is_over(CHANNEL_BAD_HEADER);
		try_end();
	}
}

static void test_then_the_banner(void **state)
{
	static const struct front_text text = {
		.banner = {.data = (const uint8_t *)"hello\n", .len = 6},
	};

	(void)state;
	try_begin(FRONT_PROXY, &text);
	try_say_slowly(V1_LINE, sizeof V1_LINE - 2);
	hears_nothing();
	try_say("\n", 1);
	has_addresses(V1_SOURCE, V1_TARGET, ADDR_TCP);
	hears(BYTES("hello\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TRY_TEST(test_pp1_payload_in_the_same_segment),
		TRY_TEST(test_pp1_payload_behind_version_2),
		TRY_TEST(test_pp2_no_header),
		TRY_TEST(test_pp2_the_first_byte_says_it),
		TRY_TEST(test_pp3_malformed),
		TRY_TEST(test_pp4_no_header_expected),
		TRY_TEST(test_pp5_authority),
		TRY_TEST(test_pp6_what_looks_like_a_tlv_behind_it),
		TRY_TEST(test_pp7_a_tlv_that_runs_past_the_header),
		TRY_TEST(test_pp8_a_rest_too_short_for_a_tlv),
		TRY_TEST(test_pp9_a_nul_in_a_value),
		TRY_TEST(test_pp10_the_longest_line),
		TRY_TEST(test_pp10_unknown),
		TRY_TEST(test_pp11_commands_and_versions),
		TRY_TEST(test_pp12_families),
		TRY_TEST(test_pp12_ipv6),
		TRY_TEST(test_pp12_unix_with_authority),
		TRY_TEST(test_pp13_version_1_in_pieces),
		TRY_TEST(test_pp13_version_2_in_pieces),
		TRY_TEST(test_pp14_a_long_header_costs_no_memory),
		TRY_TEST(test_pp14_nothing_follows),
		TRY_TEST(test_pp15_a_header_of_somebody_else),
		TRY_TEST(test_pp16_no_guessing),
		TRY_TEST(test_pp16_an_optional_header),
		TRY_TEST(test_pp16_an_optional_header_that_does_not_come),
		TRY_TEST(test_pp16_an_optional_header_and_an_early_end),
		TRY_TEST(test_pp17_checksums),
		TRY_TEST(test_pp18_peers_that_fail),
		TRY_TEST(test_a_health_check),
		TRY_TEST(test_cut_short),
		TRY_TEST(test_then_the_banner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
