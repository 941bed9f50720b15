#include "workers/front/proxy_internal.h"

#include <string.h>

/* 5,000 of them wait at a time, and each has one. */
_Static_assert(sizeof(struct proxy_parser) <= 2048, "a parser has grown");

/* The signatures (sections 2.1 and 2.2).  Version 1 includes the space. */
static const char signature_v1[] = "PROXY ";
static const char signature_v2[] = "\r\n\r\n\0\r\nQUIT\n";

static const char *const fault_texts[_PROXY_FAULT_MAX] = {
	[PROXY_FAULTLESS] = "nothing is wrong",
	[PROXY_NO_HEADER] = "there is no header",
	[PROXY_NOT_ALLOWED] = "this version of the header is not allowed",
	[PROXY_CUT_SHORT] = "the header is cut short",
	[PROXY_BAD_LINE_END] = "the line does not end in CR and LF",
	[PROXY_LONG_LINE] = "the line is longer than 107 bytes",
	[PROXY_BAD_PROTOCOL] = "the protocol is none of TCP4, TCP6 and UNKNOWN",
	[PROXY_BAD_FIELDS] = "the line is not made of two addresses and two ports",
	[PROXY_BAD_ADDRESS] = "an address is not one of its protocol",
	[PROXY_BAD_PORT] = "a port is not a number from 0 to 65535",
	[PROXY_BAD_VERSION] = "the version is not 2",
	[PROXY_BAD_COMMAND] = "the command is neither LOCAL nor PROXY",
	[PROXY_BAD_FAMILY] = "the address family is unknown",
	[PROXY_BAD_TRANSPORT] = "the transport protocol is unknown",
	[PROXY_SHORT] = "the header is too short for its addresses",
	[PROXY_TLV_OVERRUN] = "a TLV runs past its end",
	[PROXY_TLV_REST] = "the header does not end where its last TLV does",
	[PROXY_TLV_SIZE] = "a TLV has a length that its type cannot have",
	[PROXY_TLV_TWICE] = "a TLV is there twice",
	[PROXY_BAD_CHECKSUM] = "the checksum is wrong",
};

const char *proxy_fault_text(enum proxy_fault fault)
{
	return fault_texts[fault];
}

void proxy_init(struct proxy_parser *parser, unsigned versions)
{
	memset(parser, 0, sizeof *parser);
	parser->versions = versions;
}

/* What was understood before the mistake was found must not be read by mistake. */
void proxy_refuse(struct proxy_parser *parser, enum proxy_fault fault)
{
	memset(&parser->header, 0, sizeof parser->header);
	parser->fault = fault;
	parser->state = PROXY_REFUSED;
}

void proxy_finish(struct proxy_parser *parser)
{
	parser->state = PROXY_DONE;
}

/* How `data` compares with one signature, as far as both go. */
static enum proxy_presence compare(
	const void *data, size_t len, const char *signature, size_t signature_len)
{
	size_t common = len < signature_len ? len : signature_len;

	if (common > 0 && memcmp(data, signature, common) != 0)
		return PROXY_ABSENT;
	return common < signature_len ? PROXY_UNDECIDED : PROXY_PRESENT;
}

enum proxy_presence proxy_detect(const void *data, size_t len, unsigned versions)
{
	enum proxy_presence presence = PROXY_ABSENT;

	if (versions & PROXY_V1)
		presence = compare(data, len, signature_v1, sizeof signature_v1 - 1);
	if (presence == PROXY_ABSENT && versions & PROXY_V2)
		presence = compare(data, len, signature_v2, sizeof signature_v2 - 1);
	return presence;
}

/* The signature is complete. */
static void begin(struct proxy_parser *parser)
{
	unsigned version = parser->part[0] == signature_v1[0] ? PROXY_V1 : PROXY_V2;

	if (!(parser->versions & version)) {
		proxy_refuse(parser, PROXY_NOT_ALLOWED);
		return;
	}
	parser->header.version = version;
	if (version == PROXY_V1)
		parser->stage = PROXY_AT_LINE;
	else
		proxy_v2_begin(parser);
}

/* Both versions are looked for, so that the one that is not allowed gets its own word. */
static void take_start(struct proxy_parser *parser, uint8_t byte)
{
	parser->part[parser->n_part++] = byte;
	parser->taken++;
	switch (proxy_detect(parser->part, parser->n_part, PROXY_V1 | PROXY_V2)) {
	case PROXY_ABSENT:
		proxy_refuse(parser, PROXY_NO_HEADER);
		break;
	case PROXY_PRESENT:
		begin(parser);
		break;
	case PROXY_UNDECIDED:
		break;
	}
}

static size_t take(struct proxy_parser *parser, const uint8_t *data, size_t len)
{
	if (parser->stage == PROXY_AT_START)
		take_start(parser, *data);
	else if (parser->stage == PROXY_AT_LINE)
		proxy_v1_take(parser, *data);
	else
		return proxy_v2_take(parser, data, len);
	return 1;
}

enum proxy_state proxy_feed(
	struct proxy_parser *parser, const void *data, size_t len, size_t *ret_used)
{
	const uint8_t *bytes = data;
	size_t used = 0;

	while (parser->state == PROXY_MORE && used < len)
		used += take(parser, bytes + used, len - used);
	*ret_used = used;
	return parser->state;
}

enum proxy_state proxy_end(struct proxy_parser *parser)
{
	if (parser->state == PROXY_MORE)
		proxy_refuse(parser, parser->taken == 0 ? PROXY_NO_HEADER : PROXY_CUT_SHORT);
	return parser->state;
}

size_t proxy_wants(const struct proxy_parser *parser, bool *ret_peek)
{
	*ret_peek = false;
	if (parser->state != PROXY_MORE)
		return 0;
	if (parser->stage == PROXY_AT_LINE ||
		(parser->stage == PROXY_AT_START && parser->versions & PROXY_V1)) {
		*ret_peek = true;
		return PROXY_V1_MAX - parser->taken;
	}
	if (parser->stage == PROXY_AT_START || parser->stage == PROXY_AT_FIXED)
		return PROXY_V2_FIXED - parser->taken;
	return parser->total - parser->taken;
}
