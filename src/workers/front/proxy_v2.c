/*
 * proxy_v2: the binary header of version 2 (section 2.2).
 *
 * Each stage knows how many bytes it wants, collects or skips them, and then says which
 * one is next.  Lengths are compared with what is left of the header, or of the SSL TLV
 * that they lie in, before a single byte that they announce is taken.
 */
#include "base/own.h"
#include "workers/front/crc32c.h"
#include "workers/front/proxy_internal.h"

#include <string.h>

/* Types of TLVs, the first of which are registered in section 2.2. */
#define TYPE_CRC32C 0x03
#define TYPE_SSL    0x20

#define TLV_HEAD 3 /* type and length */
#define SSL_HEAD 5 /* client and verify */

/* Section 2.2.5; the bound of others is ours. */
#define UNIQUE_ID_MAX 128

/* The address families of the 14th byte, and the sizes of one address. */
enum { FAMILY_UNSPEC, FAMILY_INET, FAMILY_INET6, FAMILY_UNIX, N_FAMILIES };
enum { TRANSPORT_UNSPEC, TRANSPORT_STREAM, TRANSPORT_DGRAM, N_TRANSPORTS };

#define PATH_SIZE 108

static const uint8_t block_sizes[N_FAMILIES] = {
	[FAMILY_INET] = 2 * 4 + 2 * 2,
	[FAMILY_INET6] = 2 * 16 + 2 * 2,
	[FAMILY_UNIX] = 2 * PATH_SIZE,
};

/* Facts, the TLVs that say them, and how much of each is kept at most. */
static const struct {
	uint8_t type;
	bool in_ssl;
	uint16_t max;
	uint16_t at; /* in proxy_header.values */
} facts[_PROXY_FACT_MAX] = {
	[PROXY_ALPN] = {0x01, false, 255, 0},
	[PROXY_AUTHORITY] = {0x02, false, 255, 256},
	[PROXY_UNIQUE_ID] = {0x05, false, UNIQUE_ID_MAX, 512},
	[PROXY_NETNS] = {0x30, false, 255, 640},
	[PROXY_SSL_VERSION] = {0x21, true, 32, 896},
	[PROXY_SSL_CN] = {0x22, true, 256, 928},
	[PROXY_SSL_CIPHER] = {0x23, true, 64, 1184},
	[PROXY_SSL_SIG_ALG] = {0x24, true, 64, 1248},
	[PROXY_SSL_KEY_ALG] = {0x25, true, 64, 1312},
};

const uint8_t *proxy_fact(
	const struct proxy_header *header, enum proxy_fact fact, size_t *ret_len)
{
	if (!header->facts[fact].kept)
		return NULL;
	*ret_len = header->facts[fact].len;
	return header->values + facts[fact].at;
}

static void expect(struct proxy_parser *parser, enum proxy_stage stage, size_t len)
{
	parser->stage = stage;
	parser->left = (uint32_t)len;
	parser->n_part = 0;
}

static size_t read16(const uint8_t *bytes)
{
	return (size_t)bytes[0] << 8 | bytes[1];
}

static uint32_t read32(const uint8_t *bytes)
{
	return (uint32_t)(read16(bytes) << 16 | read16(bytes + 2));
}

/* Where the next TLV begins there is another one, or the end. */
static void expect_tlv(struct proxy_parser *parser)
{
	uint32_t end;

	if (parser->taken == parser->ssl_end)
		parser->ssl_end = 0;
	end = parser->ssl_end ? parser->ssl_end : parser->total;

	if (end - parser->taken >= TLV_HEAD)
		expect(parser, PROXY_AT_TLV, TLV_HEAD);
	else if (end > parser->taken)
		proxy_refuse(parser, PROXY_TLV_REST);
	else if (parser->has_crc && parser->crc_said != parser->crc)
		proxy_refuse(parser, PROXY_BAD_CHECKSUM);
	else
		proxy_finish(parser);
}

/*
 * Addresses.
 */

/* Both addresses, of `len` bytes each, and then both ports. */
static void read_ip(struct proxy_parser *parser, size_t len, enum addr_kind kind)
{
	const uint8_t *block = parser->part, *ports = block + 2 * len;

	addr_from_ip(kind, block, len, (uint16_t)read16(ports), &parser->header.source);
	addr_from_ip(kind, block + len, len, (uint16_t)read16(ports + 2),
		&parser->header.destination);
}

/*
 * The length of a name is not said: it ends before the zeroes that fill the block.  Then
 * an abstract name that itself ends in zeroes loses them.
 */
static void read_unix(const uint8_t *path, enum addr_kind kind, struct addr *ret)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t len = PATH_SIZE;

	_Static_assert(sizeof un.sun_path == PATH_SIZE, "paths of another size");
	while (len > 0 && path[len - 1] == 0)
		len--;
	memcpy(un.sun_path, path, len);
	addr_from_sockaddr(kind, (struct sockaddr *)&un,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len), ret);
}

static void end_addresses(struct proxy_parser *parser)
{
	struct proxy_header *header = &parser->header;
	bool stream = (parser->family & 15) == TRANSPORT_STREAM;
	enum addr_kind ip_kind = stream ? ADDR_TCP : ADDR_UDP;
	enum addr_kind unix_kind = stream ? ADDR_UNIX : ADDR_UNIX_DGRAM;

	switch (parser->family >> 4) {
	case FAMILY_INET:
		read_ip(parser, 4, ip_kind);
		break;
	case FAMILY_INET6:
		read_ip(parser, 16, ip_kind);
		break;
	default:
		read_unix(parser->part, unix_kind, &header->source);
		read_unix(parser->part + PATH_SIZE, unix_kind, &header->destination);
		break;
	}
	header->has_addresses = true;
	expect_tlv(parser);
}

/*
 * The fixed part.
 */

/*
 * With an unspecified family or transport it is not said how long the addresses are, so
 * nothing behind them can be found either.
 */
static void end_proxy(struct proxy_parser *parser, size_t len)
{
	uint8_t byte = parser->part[1];
	unsigned family = byte >> 4, transport = byte & 15;

	if (family >= N_FAMILIES) {
		proxy_refuse(parser, PROXY_BAD_FAMILY);
	} else if (transport >= N_TRANSPORTS) {
		proxy_refuse(parser, PROXY_BAD_TRANSPORT);
	} else if (family == FAMILY_UNSPEC || transport == TRANSPORT_UNSPEC) {
		expect(parser, PROXY_AT_UNREAD, len);
	} else if (len < block_sizes[family]) {
		proxy_refuse(parser, PROXY_SHORT);
	} else {
		parser->family = byte;
		expect(parser, PROXY_AT_ADDRESSES, block_sizes[family]);
	}
}

/* LOCAL: "discard the protocol block including the family which is ignored". */
static void end_fixed(struct proxy_parser *parser)
{
	unsigned version = parser->part[0] >> 4, command = parser->part[0] & 15;
	size_t len = read16(parser->part + 2);

	parser->total = (uint32_t)(PROXY_V2_FIXED + len);
	if (version != 2) {
		proxy_refuse(parser, PROXY_BAD_VERSION);
	} else if (command == 0) {
		parser->header.command = PROXY_LOCAL;
		expect(parser, PROXY_AT_UNREAD, len);
	} else if (command == 1) {
		parser->header.command = PROXY_PROXY;
		end_proxy(parser, len);
	} else {
		proxy_refuse(parser, PROXY_BAD_COMMAND);
	}
}

/*
 * TLVs.
 */

/* The fact that a type says, or _PROXY_FACT_MAX. */
static enum proxy_fact find_fact(uint8_t type, bool in_ssl)
{
	enum proxy_fact fact = 0;

	while (fact < _PROXY_FACT_MAX &&
		(facts[fact].type != type || facts[fact].in_ssl != in_ssl))
		fact++;
	return fact;
}

static void begin_fact(struct proxy_parser *parser, enum proxy_fact fact, size_t len)
{
	if (parser->header.facts[fact].said) {
		proxy_refuse(parser, PROXY_TLV_TWICE);
		return;
	}
	if (fact == PROXY_UNIQUE_ID && len > UNIQUE_ID_MAX) {
		proxy_refuse(parser, PROXY_TLV_SIZE);
		return;
	}
	parser->header.facts[fact].said = true;
	parser->header.facts[fact].len = (uint16_t)len;
	parser->fact = (uint8_t)fact;
	expect(parser, len <= facts[fact].max ? PROXY_AT_VALUE : PROXY_AT_UNWANTED, len);
}

/* Section 2.2.3. */
static void begin_crc(struct proxy_parser *parser, size_t len)
{
	if (len != sizeof parser->crc_said)
		proxy_refuse(parser, PROXY_TLV_SIZE);
	else if (parser->has_crc)
		proxy_refuse(parser, PROXY_TLV_TWICE);
	else
		expect(parser, PROXY_AT_CRC, len);
}

/* Section 2.2.6. */
static void begin_ssl(struct proxy_parser *parser, size_t len)
{
	if (len < SSL_HEAD) {
		proxy_refuse(parser, PROXY_TLV_SIZE);
	} else if (parser->header.has_ssl) {
		proxy_refuse(parser, PROXY_TLV_TWICE);
	} else {
		parser->ssl_end = parser->taken + (uint32_t)len;
		expect(parser, PROXY_AT_SSL, SSL_HEAD);
	}
}

/* Checksum and SSL have their meaning on the first level only. */
static void end_tlv(struct proxy_parser *parser)
{
	bool in_ssl = parser->ssl_end != 0;
	uint32_t end = in_ssl ? parser->ssl_end : parser->total;
	uint8_t type = parser->part[0];
	size_t len = read16(parser->part + 1);
	enum proxy_fact fact = find_fact(type, in_ssl);

	if (len > end - parser->taken)
		proxy_refuse(parser, PROXY_TLV_OVERRUN);
	else if (fact < _PROXY_FACT_MAX)
		begin_fact(parser, fact, len);
	else if (type == TYPE_CRC32C && !in_ssl)
		begin_crc(parser, len);
	else if (type == TYPE_SSL && !in_ssl)
		begin_ssl(parser, len);
	else
		expect(parser, PROXY_AT_UNWANTED, len);
}

static void end_value(struct proxy_parser *parser)
{
	struct proxy_header *header = &parser->header;
	enum proxy_fact fact = parser->fact;

	memcpy(header->values + facts[fact].at, parser->part, header->facts[fact].len);
	header->facts[fact].kept = true;
	expect_tlv(parser);
}

static void end_crc(struct proxy_parser *parser)
{
	parser->crc_said = read32(parser->part);
	parser->has_crc = true;
	expect_tlv(parser);
}

static void end_ssl(struct proxy_parser *parser)
{
	parser->header.has_ssl = true;
	parser->header.ssl_client = parser->part[0];
	parser->header.ssl_verify = read32(parser->part + 1);
	expect_tlv(parser);
}

/*
 * The stages.
 */

/* What is collected is all that a stage wants, so it must fit. */
_Static_assert(2 * PATH_SIZE <= PROXY_PART_MAX, "two paths");

static void (*const ends[_PROXY_STAGE_MAX])(struct proxy_parser *parser) = {
	[PROXY_AT_FIXED] = end_fixed,
	[PROXY_AT_ADDRESSES] = end_addresses,
	[PROXY_AT_TLV] = end_tlv,
	[PROXY_AT_VALUE] = end_value,
	[PROXY_AT_CRC] = end_crc,
	[PROXY_AT_SSL] = end_ssl,
	[PROXY_AT_UNWANTED] = expect_tlv,
	[PROXY_AT_UNREAD] = proxy_finish,
};

static bool is_skipped(enum proxy_stage stage)
{
	return stage == PROXY_AT_UNWANTED || stage == PROXY_AT_UNREAD;
}

/* The checksum is that of a header whose checksum is zero. */
static void add_to_crc(struct proxy_parser *parser, const uint8_t *data, size_t len)
{
	static const uint8_t zeroes[sizeof parser->crc_said];

	if (parser->stage == PROXY_AT_CRC)
		data = zeroes;
	parser->crc = crc32c_add(parser->crc, data, len);
}

void proxy_v2_begin(struct proxy_parser *parser)
{
	add_to_crc(parser, parser->part, parser->n_part);
	expect(parser, PROXY_AT_FIXED, PROXY_V2_FIXED - parser->taken);
}

size_t proxy_v2_take(struct proxy_parser *parser, const uint8_t *data, size_t len)
{
	if (len > parser->left)
		len = parser->left;
	if (!is_skipped(parser->stage)) {
		memcpy(parser->part + parser->n_part, data, len);
		parser->n_part = (uint16_t)(parser->n_part + len);
	}
	add_to_crc(parser, data, len);
	parser->taken += (uint32_t)len;
	parser->left -= (uint32_t)len;

	/* A stage that wants nothing ends at once. */
	while (parser->left == 0 && parser->state == PROXY_MORE)
		ends[parser->stage](parser);
	return len;
}
