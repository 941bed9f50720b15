/* proxy: the binary header of version 2, its TLVs and its checksum. */
#include "proxy-feed.h"

/*
 * Version 2: the fixed part and the addresses.
 */

static void test_addresses(void **ctx)
{
	static const char ipv6[] = "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
				   "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
				   "\xff\xff\0\x50";
	static const char mapped[] = "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01"
				     "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x02"
				     "\xdc\x04\x01\xbb";
	struct draft *d = start_ipv4();

	(void)ctx;
	assert_int_equal(accept_draft(d)->version, PROXY_V2);
	assert_addresses(accept_draft(d), SOURCE, TARGET);

	d = start(BYTES("\x21\x12" ADDRESSES));
	assert_addresses(accept_draft(d), "udp:192.0.2.1:56324", "udp:198.51.100.2:443");

	d = start("\x21\x21", 2);
	add(d, ipv6, 36);
	assert_addresses(accept_draft(d), "tcp:[2001:db8::1]:65535", "tcp:[2001:db8::2]:80");

	d = start("\x21\x22", 2);
	add(d, ipv6, 36);
	assert_addresses(accept_draft(d), "udp:[2001:db8::1]:65535", "udp:[2001:db8::2]:80");

	d = start("\x21\x21", 2);
	add(d, mapped, 36);
	assert_addresses(accept_draft(d), SOURCE, TARGET);
}

/* Paths of any length, abstract names, and no name at all. */
static void test_unix_addresses(void **ctx)
{
	char paths[2 * 108] = "/run/client", text[ADDR_TEXT_MAX];
	const struct proxy_header *header;
	struct draft *d;

	(void)ctx;
	strcpy(paths + 108, "/run/server");
	d = start("\x21\x31", 2);
	add(d, paths, sizeof paths);
	assert_addresses(accept_draft(d), "unix:/run/client", "unix:/run/server");

	memset(paths, 0, 108);
	memcpy(paths + 108, "\0name\0\0\0\0\0\0", 11);
	d = start("\x21\x32", 2);
	add(d, paths, sizeof paths);
	header = accept_draft(d);
	assert_addresses(header, "unix-dgram:", "unix-dgram:@name");
	assert_string_equal(addr_format_endpoint(&header->source, text), "unix");

	memset(paths, 'x', sizeof paths);
	paths[0] = '/';
	d = start("\x21\x31", 2);
	add(d, paths, sizeof paths);
	header = accept_draft(d);
	assert_int_equal(strlen(addr_format(&header->source, text)), strlen("unix:") + 108);
	assert_int_equal(header->source.un.sun_path[107], 'x');
}

/* What LOCAL says is skipped unread, and its family with it. */
static void test_local(void **ctx)
{
	static const char *const heads[] = {"\x20\x00", "\x20\x11", "\x20\x31", "\x20\xff"};
	static const size_t sizes[] = {0, 1, 2, 12, 300};
	const struct proxy_header *header;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(heads) * ARRAY_SIZE(sizes); i++) {
		struct draft *d = start(heads[i % ARRAY_SIZE(heads)], 2);

		memset(d->data + d->len, 0xff, 300);
		d->len += sizes[i / ARRAY_SIZE(heads)];
		header = accept_draft(d);
		assert_int_equal(header->version, PROXY_V2);
		assert_int_equal(header->command, PROXY_LOCAL);
		assert_false(header->has_addresses);
	}
}

/* Of what is not specified the length is not known, so nothing of it is read. */
static void test_unspecified(void **ctx)
{
	static const char *const heads[] = {
		"\x21\x01", "\x21\x02", "\x21\x10", "\x21\x20", "\x21\x30"};
	const struct proxy_header *header;
	struct draft *d = start(BYTES("\x21\0"));

	(void)ctx;
	assert_false(accept_draft(d)->has_addresses);
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		d = start(heads[i], 2);
		add(d, BYTES("\xff\xff\xff\xff"));
		header = accept_draft(d);
		assert_int_equal(header->command, PROXY_PROXY);
		assert_false(header->has_addresses);
	}
}

/* All values of the two bytes that say what it is. */
static void test_unassigned(void **ctx)
{
	(void)ctx;
	for (unsigned byte = 0; byte < 256; byte++) {
		const uint8_t head[] = {(uint8_t)byte, 0x11};
		struct draft *d = start(head, 2);

		add(d, BYTES(ADDRESSES));
		if (byte >> 4 != 2)
			refuse_draft(d, PROXY_BAD_VERSION);
		else if ((byte & 15) > 1)
			refuse_draft(d, PROXY_BAD_COMMAND);
		else
			accept_draft(d);
	}
	for (unsigned byte = 0; byte < 256; byte++) {
		const uint8_t head[] = {0x21, (uint8_t)byte};
		struct draft *d = start(head, 2);
		uint8_t block[216] = {0};

		add(d, block, sizeof block);
		/* Zeroes would be TLVs of an unknown type and no length. */
		if (byte >> 4 > 3)
			refuse_draft(d, PROXY_BAD_FAMILY);
		else if ((byte & 15) > 2)
			refuse_draft(d, PROXY_BAD_TRANSPORT);
		else
			accept_draft(d);
	}
}

/* CVE-2019-10097: the length is compared before the addresses are read. */
static void test_too_short(void **ctx)
{
	static const struct {
		const char *head;
		size_t size;
	} cases[] = {
		{"\x21\x11", 12},
		{"\x21\x12", 12},
		{"\x21\x21", 36},
		{"\x21\x22", 36},
		{"\x21\x31", 216},
		{"\x21\x32", 216},
	};
	uint8_t block[216] = {0};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t size = 0; size < cases[i].size; size++) {
			struct draft *d = start(cases[i].head, 2);

			add(d, block, size);
			refuse_draft(d, PROXY_SHORT);
		}
	}
}

/*
 * Version 2: TLVs.
 */

/* One that fills the header exactly, one with NULs, and an empty one. */
static void test_facts(void **ctx)
{
	static const struct {
		enum proxy_fact fact;
		uint8_t type;
	} cases[] = {
		{PROXY_ALPN, 0x01},
		{PROXY_AUTHORITY, 0x02},
		{PROXY_UNIQUE_ID, 0x05},
		{PROXY_NETNS, 0x30},
	};
	const struct proxy_header *header;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct draft *d = start_ipv4();

		add_tlv(d, cases[i].type, BYTES("shop.example"));
		header = accept_draft(d);
		assert_addresses(header, SOURCE, TARGET);
		assert_fact(header, cases[i].fact, BYTES("shop.example"));

		d = start_ipv4();
		add_tlv(d, cases[i].type, BYTES("a\0b\0"));
		header = accept_draft(d);
		assert_fact(header, cases[i].fact, BYTES("a\0b\0"));
		for (enum proxy_fact fact = 0; fact < _PROXY_FACT_MAX; fact++) {
			if (fact != cases[i].fact)
				assert_no_fact(header, fact);
		}

		/* Nothing is something else than no word of it. */
		d = start_ipv4();
		add_tlv(d, cases[i].type, BYTES(""));
		assert_fact(accept_draft(d), cases[i].fact, BYTES(""));
	}
}

static void test_unknown_tlvs(void **ctx)
{
	const struct proxy_header *header;
	struct draft *d = start_ipv4();

	(void)ctx;
	add_tlv(d, 0x04, BYTES(""));
	add_tlv(d, 0x04, BYTES("padding"));
	add_tlv(d, 0xea, BYTES("\x02\x00\x01x"));
	add_tlv(d, 0x02, BYTES("shop.example"));
	add_tlv(d, 0xff, BYTES(""));
	add_tlv(d, 0xea, BYTES("\x01\x02"));
	/* Of the second level, where they have no meaning. */
	add_tlv(d, 0x21, BYTES("TLSv1.3"));
	add_tlv(d, 0x22, BYTES("client"));
	header = accept_draft(d);
	assert_fact(header, PROXY_AUTHORITY, BYTES("shop.example"));
	assert_no_fact(header, PROXY_ALPN);
	assert_no_fact(header, PROXY_SSL_VERSION);
	assert_no_fact(header, PROXY_SSL_CN);
}

/* By one byte, and by as many as there can be. */
static void test_overrun(void **ctx)
{
	static const char *const heads[] = {"\x02\x00\x02x", "\x02\xff\xffx", "\x04\x00\x02x",
		"\x03\x00\x04x", "\x20\x00\x06x", "\xee\x80\x00x"};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct draft *d = start_ipv4();

		add(d, heads[i], 4);
		refuse_draft(d, PROXY_TLV_OVERRUN);

		d = start_ipv4();
		add_tlv(d, 0x02, BYTES("shop.example"));
		add(d, heads[i], 4);
		refuse_draft(d, PROXY_TLV_OVERRUN);
	}
}

/* Fewer bytes are left than the smallest TLV has. */
static void test_rest(void **ctx)
{
	(void)ctx;
	for (size_t rest = 1; rest <= 2; rest++) {
		struct draft *d = start_ipv4();

		add(d, "\x04\x00", rest);
		refuse_draft(d, PROXY_TLV_REST);

		d = start_ipv4();
		add_tlv(d, 0x02, BYTES("shop.example"));
		add(d, "\0\0", rest);
		refuse_draft(d, PROXY_TLV_REST);
	}
}

/* What is said twice is not known. */
static void test_twice(void **ctx)
{
	static const uint8_t types[] = {0x01, 0x02, 0x05, 0x30};
	struct draft *d;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		d = start_ipv4();
		add_tlv(d, types[i], BYTES(""));
		add_tlv(d, 0x04, BYTES("between"));
		add_tlv(d, types[i], BYTES("b"));
		refuse_draft(d, PROXY_TLV_TWICE);
	}
	d = start_ipv4();
	add_tlv(d, 0x20, BYTES("\x01\0\0\0\0"));
	add_tlv(d, 0x20, BYTES("\x01\0\0\0\0"));
	refuse_draft(d, PROXY_TLV_TWICE);

	d = start_ipv4();
	add_tlv(d, 0x03, BYTES("\0\0\0\0"));
	add_tlv(d, 0x03, BYTES("\0\0\0\0"));
	refuse_draft(d, PROXY_TLV_TWICE);
}

/* Each fact as long as is kept, and one byte longer: then it is as if it was not said,
 * and what follows is found all the same. */
static void test_long_facts(void **ctx)
{
	static const struct {
		enum proxy_fact fact;
		uint8_t type;
		size_t max;
	} cases[] = {
		{PROXY_ALPN, 0x01, 255},
		{PROXY_AUTHORITY, 0x02, 255},
		{PROXY_NETNS, 0x30, 255},
	};
	const struct proxy_header *header;
	char value[256];

	(void)ctx;
	memset(value, 'v', sizeof value);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct draft *d = start_ipv4();

		add_long_tlv(d, cases[i].type, 'v', cases[i].max);
		add_tlv(d, 0x05, BYTES("id"));
		header = accept_draft(d);
		assert_fact(header, cases[i].fact, value, cases[i].max);
		assert_fact(header, PROXY_UNIQUE_ID, BYTES("id"));

		d = start_ipv4();
		add_long_tlv(d, cases[i].type, 'v', cases[i].max + 1);
		add_tlv(d, 0x05, BYTES("id"));
		header = accept_draft(d);
		assert_no_fact(header, cases[i].fact);
		assert_true(header->facts[cases[i].fact].said);
		assert_int_equal(header->facts[cases[i].fact].len, cases[i].max + 1);
		assert_fact(header, PROXY_UNIQUE_ID, BYTES("id"));
	}
}

/* Section 2.2.5: "up to 128 bytes". */
static void test_unique_id(void **ctx)
{
	struct draft *d = start_ipv4();
	char value[128];

	(void)ctx;
	memset(value, 'i', sizeof value);
	add_long_tlv(d, 0x05, 'i', 128);
	assert_fact(accept_draft(d), PROXY_UNIQUE_ID, value, 128);
	d = start_ipv4();
	add_long_tlv(d, 0x05, 'i', 129);
	refuse_draft(d, PROXY_TLV_SIZE);
}

/* All that is kept, as long as it may be, at the same time. */
static void test_all_facts(void **ctx)
{
	static const struct {
		enum proxy_fact fact;
		uint8_t type;
		bool in_ssl;
		size_t max;
	} cases[] = {
		{PROXY_ALPN, 0x01, false, 255},
		{PROXY_AUTHORITY, 0x02, false, 255},
		{PROXY_UNIQUE_ID, 0x05, false, 128},
		{PROXY_NETNS, 0x30, false, 255},
		{PROXY_SSL_VERSION, 0x21, true, 32},
		{PROXY_SSL_CN, 0x22, true, 256},
		{PROXY_SSL_CIPHER, 0x23, true, 64},
		{PROXY_SSL_SIG_ALG, 0x24, true, 64},
		{PROXY_SSL_KEY_ALG, 0x25, true, 64},
	};
	const struct proxy_header *header;
	struct draft *d = start_ipv4();
	size_t ssl = 0;
	char value[256];

	(void)ctx;
	assert_int_equal(ARRAY_SIZE(cases), _PROXY_FACT_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (cases[i].in_ssl && ssl == 0) {
			add_tlv(d, 0x20, BYTES("\x07\0\0\0\0"));
			ssl = d->len - 5;
		}
		add_long_tlv(d, cases[i].type, (uint8_t)('a' + i), cases[i].max);
	}
	d->data[ssl - 2] = (uint8_t)((d->len - ssl) >> 8);
	d->data[ssl - 1] = (uint8_t)(d->len - ssl);
	header = accept_draft(d);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(value, (int)('a' + i), sizeof value);
		assert_fact(header, cases[i].fact, value, cases[i].max);
	}
}

/*
 * Version 2: the SSL TLV (section 2.2.6).
 */

/* One with these second-level TLVs, and an authority behind it. */
static struct draft *start_ssl(const void *subs, size_t len)
{
	struct draft *d = start_ipv4();
	char value[256] = "\x05\x01\x02\x03\x04";

	assert_in_range(len, 0, sizeof value - 5);
	memcpy(value + 5, subs, len);
	add_tlv(d, 0x20, value, 5 + len);
	add_tlv(d, 0x02, BYTES("shop.example"));
	return d;
}

static void test_ssl(void **ctx)
{
	const struct proxy_header *header;

	(void)ctx;
	header = accept_draft(start_ssl(
		BYTES("\x21\0\x07TLSv1.3\x22\0\x04\0cn\0\x23\0\0\x24\0\x03sha\x25\0\x03rsa")));
	assert_true(header->has_ssl);
	assert_int_equal(header->ssl_client, PROXY_SSL_TLS | PROXY_SSL_CERT_SESS);
	assert_int_equal(header->ssl_verify, 0x01020304);
	assert_fact(header, PROXY_SSL_VERSION, BYTES("TLSv1.3"));
	assert_fact(header, PROXY_SSL_CN, BYTES("\0cn\0"));
	assert_fact(header, PROXY_SSL_CIPHER, BYTES(""));
	assert_fact(header, PROXY_SSL_SIG_ALG, BYTES("sha"));
	assert_fact(header, PROXY_SSL_KEY_ALG, BYTES("rsa"));
	assert_fact(header, PROXY_AUTHORITY, BYTES("shop.example"));

	header = accept_draft(start_ssl(BYTES("")));
	assert_true(header->has_ssl);
	assert_no_fact(header, PROXY_SSL_VERSION);
	assert_fact(header, PROXY_AUTHORITY, BYTES("shop.example"));
}

/* What has its meaning on the first level is unknown on the second. */
static void test_ssl_unknown(void **ctx)
{
	const struct proxy_header *header;

	(void)ctx;
	header = accept_draft(start_ssl(BYTES("\x20\0\x02\x01\x02\x03\0\x01x\x01\0\x01x"
					      "\x02\0\x01x\x05\0\x01x\x30\0\x01x"
					      "\x26\0\x01x\x21\0\x07TLSv1.3")));
	assert_fact(header, PROXY_SSL_VERSION, BYTES("TLSv1.3"));
	assert_fact(header, PROXY_AUTHORITY, BYTES("shop.example"));
	assert_no_fact(header, PROXY_ALPN);
	assert_no_fact(header, PROXY_UNIQUE_ID);
	assert_no_fact(header, PROXY_NETNS);
}

/* There is more of the header, but not of the SSL TLV. */
static void test_ssl_malformed(void **ctx)
{
	(void)ctx;
	refuse_draft(start_ssl(BYTES("\x21\0\x08TLSv1.3")), PROXY_TLV_OVERRUN);
	refuse_draft(start_ssl(BYTES("\x26\0\x01")), PROXY_TLV_OVERRUN);
	refuse_draft(start_ssl(BYTES("\x21\xff\xff")), PROXY_TLV_OVERRUN);
	refuse_draft(start_ssl(BYTES("\x21")), PROXY_TLV_REST);
	refuse_draft(start_ssl(BYTES("\x21\0\x07TLSv1.3\x22\0")), PROXY_TLV_REST);
	refuse_draft(start_ssl(BYTES("\x21\0\x01x\x21\0\x01y")), PROXY_TLV_TWICE);
	for (size_t len = 0; len < 5; len++) {
		struct draft *d = start_ipv4();

		add_tlv(d, 0x20, "\x01\0\0\0\0", len);
		refuse_draft(d, PROXY_TLV_SIZE);
	}
}

/* A longer value is not kept, and the next TLVs are found all the same. */
static void test_ssl_long(void **ctx)
{
	static const struct {
		enum proxy_fact fact;
		uint8_t type;
		size_t max;
	} cases[] = {
		{PROXY_SSL_VERSION, 0x21, 32},
		{PROXY_SSL_CN, 0x22, 256},
		{PROXY_SSL_CIPHER, 0x23, 64},
		{PROXY_SSL_SIG_ALG, 0x24, 64},
		{PROXY_SSL_KEY_ALG, 0x25, 64},
	};
	const struct proxy_header *header;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct draft *d = start_ipv4();
		size_t ssl = d->len;

		add_tlv(d, 0x20, BYTES("\x01\0\0\0\0"));
		add_long_tlv(d, cases[i].type, 'v', cases[i].max + 1);
		d->data[ssl + 1] = (uint8_t)((d->len - ssl - 3) >> 8);
		d->data[ssl + 2] = (uint8_t)(d->len - ssl - 3);
		add_tlv(d, 0x02, BYTES("shop.example"));
		header = accept_draft(d);
		assert_no_fact(header, cases[i].fact);
		assert_int_equal(header->facts[cases[i].fact].len, cases[i].max + 1);
		assert_fact(header, PROXY_AUTHORITY, BYTES("shop.example"));
	}
}

/*
 * Version 2: the checksum (section 2.2.3).
 */

static struct draft *start_checked(bool crc_first)
{
	struct draft *d = start_ipv4();

	if (crc_first)
		add_crc(d);
	add_tlv(d, 0x02, BYTES("shop.example"));
	add_tlv(d, 0x20, BYTES("\x01\0\0\0\0\x21\0\x07TLSv1.3"));
	if (!crc_first)
		add_crc(d);
	finish(d);
	return d;
}

static void test_checksum(void **ctx)
{
	(void)ctx;
	for (int first = 0; first < 2; first++) {
		struct draft *d = start_checked(first);

		assert_addresses(accept_header(d->data, d->len), SOURCE, TARGET);
	}
}

/* Each bit of the checksum, and each of what it protects. */
static void test_wrong_checksum(void **ctx)
{
	struct draft *d = start_checked(true);

	(void)ctx;
	for (size_t bit = 0; bit < 32; bit++) {
		d->data[d->crc + bit / 8] ^= (uint8_t)(1 << bit % 8);
		refuse(d->data, d->len, PROXY_BAD_CHECKSUM);
		d->data[d->crc + bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = 16 * 8; bit < (d->crc - 3) * 8; bit++) {
		d->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		refuse(d->data, d->len, PROXY_BAD_CHECKSUM);
		d->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* Behind it are types and lengths as well, which can be wrong otherwise. */
	for (size_t bit = (d->crc + 4) * 8; bit < d->len * 8; bit++) {
		struct proxy_parser p;

		d->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		proxy_init(&p, BOTH);
		assert_int_equal(feed(&p, d->data, d->len), PROXY_REFUSED);
		d->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	accept_header(d->data, d->len);
}

static void test_checksum_size(void **ctx)
{
	static const size_t sizes[] = {0, 1, 3, 5, 8, 300};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct draft *d = start_ipv4();

		add_long_tlv(d, 0x03, 0, sizes[i]);
		refuse_draft(d, PROXY_TLV_SIZE);
	}
}

/*
 * Size.
 */

/* The greatest length there is costs no more than any other. */
static void test_greatest(void **ctx)
{
	struct proxy_parser p;
	struct draft *d = start_ipv4();
	bool peek;

	(void)ctx;
	assert_in_range(sizeof p, 1, 2048);
	proxy_init(&p, BOTH);
	assert_int_equal(
		feed(&p, (const uint8_t *)SIGNATURE STREAM4 "\xff\xff", 16), PROXY_MORE);
	assert_int_equal(proxy_wants(&p, &peek), 65535);
	assert_false(peek);
	assert_int_equal(proxy_end(&p), PROXY_REFUSED);

	/* The rest is an authority, which ends it exactly. */
	add_crc(d);
	add_long_tlv(d, 0x22, 'y', 1000);
	add_tlv(d, 0x01, BYTES("smtp"));
	add_long_tlv(d, 0xe0, 'x', 16 + 65535 - d->len - 3 - 3);
	add_tlv(d, 0x02, BYTES(""));
	finish(d);
	assert_int_equal(d->len, 16 + 65535);

	/* In pieces of 1,000 bytes; each cut would take minutes. */
	proxy_init(&p, BOTH);
	for (size_t at = 0; at < d->len; at += 1000)
		feed(&p, d->data + at, d->len - at < 1000 ? d->len - at : 1000);
	assert_int_equal(p.state, PROXY_DONE);
	assert_addresses(&p.header, SOURCE, TARGET);
	assert_fact(&p.header, PROXY_ALPN, BYTES("smtp"));
	assert_fact(&p.header, PROXY_AUTHORITY, BYTES(""));

	d->data[40000] ^= 1;
	proxy_init(&p, BOTH);
	assert_int_equal(feed(&p, d->data, d->len), PROXY_REFUSED);
	assert_int_equal(p.fault, PROXY_BAD_CHECKSUM);
}

/*
 * What real proxies send.
 */

/* haproxy 2.6.12, send-proxy-v2-ssl-cn with all of proxy-v2-options, to a client that
 * shows a certificate. */
static void test_haproxy(void **ctx)
{
	static const char sent[] =
		SIGNATURE "\x21\x11\0\x8a\x7f\0\0\x01\x7f\0\0\x01\xa6\x0a\x46\xb7"
			  "\x03\0\x04\xb0\x07\x26\x19\x02\0\x0cshop.example"
			  "\x05\0\x12"
			  "7F000001:A60A_0005"
			  "\x20\0\x50\x07\0\0\0\0\x21\0\x07TLSv1.3"
			  "\x22\0\x0e"
			  "client.example"
			  "\x25\0\x07RSA2048\x24\0\x0aRSA-SHA256"
			  "\x23\0\x16TLS_AES_256_GCM_SHA384";
	const struct proxy_header *header;

	(void)ctx;
	header = accept_header(BYTES(sent));
	assert_addresses(header, "tcp:127.0.0.1:42506", "tcp:127.0.0.1:18103");
	assert_fact(header, PROXY_AUTHORITY, BYTES("shop.example"));
	assert_fact(header, PROXY_UNIQUE_ID, BYTES("7F000001:A60A_0005"));
	assert_int_equal(header->ssl_client, 7);
	assert_int_equal(header->ssl_verify, 0);
	assert_fact(header, PROXY_SSL_VERSION, BYTES("TLSv1.3"));
	assert_fact(header, PROXY_SSL_CN, BYTES("client.example"));
	assert_fact(header, PROXY_SSL_KEY_ALG, BYTES("RSA2048"));
	assert_fact(header, PROXY_SSL_SIG_ALG, BYTES("RSA-SHA256"));
	assert_fact(header, PROXY_SSL_CIPHER, BYTES("TLS_AES_256_GCM_SHA384"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_unix_addresses),
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_unspecified),
		cmocka_unit_test(test_unassigned),
		cmocka_unit_test(test_too_short),
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_unknown_tlvs),
		cmocka_unit_test(test_overrun),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_long_facts),
		cmocka_unit_test(test_unique_id),
		cmocka_unit_test(test_all_facts),
		cmocka_unit_test(test_ssl),
		cmocka_unit_test(test_ssl_unknown),
		cmocka_unit_test(test_ssl_malformed),
		cmocka_unit_test(test_ssl_long),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_wrong_checksum),
		cmocka_unit_test(test_checksum_size),
		cmocka_unit_test(test_greatest),
		cmocka_unit_test(test_haproxy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
