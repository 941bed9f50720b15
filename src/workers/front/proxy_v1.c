/*
 * proxy_v1: the line of version 1 (section 2.1).
 *
 *	PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 CR LF
 *
 * It is collected first: "the receiver must wait for the CRLF sequence before starting to
 * decode the addresses".
 */
#include "base/own.h"
#include "base/text.h"
#include "workers/front/proxy_internal.h"

#include <arpa/inet.h>
#include <string.h>

/* Without a sign, and without the zeroes that some take for octal. */
static bool parse_port(const char *text, uint32_t *ret)
{
	if (text_parse_u32(text, ret) < 0 || *ret > UINT16_MAX)
		return false;
	return text[0] != '0' || text[1] == '\0';
}

/*
 * One end.  The last 32 bits of IPv6 may be written as in IPv4: haproxy itself sends
 * ::ffff:192.0.2.1.
 */
static enum proxy_fault parse_end(
	int family, const char *host, const char *port, struct addr *ret)
{
	uint8_t ip[sizeof(struct in6_addr)];
	uint32_t number;

	if (inet_pton(family, host, ip) != 1)
		return PROXY_BAD_ADDRESS;
	if (!parse_port(port, &number))
		return PROXY_BAD_PORT;
	addr_from_ip(ADDR_TCP, ip, family == AF_INET ? 4 : sizeof ip, (uint16_t)number, ret);
	return PROXY_FAULTLESS;
}

/* What follows "TCP4 " or "TCP6 ". */
static enum proxy_fault parse_fields(int family, char *text, struct proxy_header *header)
{
	char *fields[4];
	enum proxy_fault fault;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		fields[i] = strsep(&text, " ");
	if (!fields[3] || text)
		return PROXY_BAD_FIELDS;

	fault = parse_end(family, fields[0], fields[2], &header->source);
	if (fault == PROXY_FAULTLESS)
		fault = parse_end(family, fields[1], fields[3], &header->destination);
	header->has_addresses = true;
	return fault;
}

/* The `len` bytes between "PROXY " and CRLF, with a NUL behind them. */
static enum proxy_fault parse_line(char *line, size_t len, struct proxy_header *header)
{
	static const char unknown[] = "UNKNOWN";
	const size_t n = sizeof unknown - 1;

	header->command = PROXY_PROXY;
	/* "The receiver must ignore anything presented before the CRLF". */
	if (strncmp(line, unknown, n) == 0 && (line[n] == ' ' || len == n))
		return PROXY_FAULTLESS;
	if (strlen(line) != len)
		return PROXY_BAD_FIELDS;
	if (strncmp(line, "TCP4 ", 5) == 0)
		return parse_fields(AF_INET, line + 5, header);
	if (strncmp(line, "TCP6 ", 5) == 0)
		return parse_fields(AF_INET6, line + 5, header);
	return PROXY_BAD_PROTOCOL;
}

/* CR and LF are there. */
static void end_line(struct proxy_parser *parser)
{
	const size_t start = strlen("PROXY ");
	size_t len = parser->n_part - start - 2;
	char *line = (char *)parser->part + start;
	enum proxy_fault fault;

	line[len] = '\0';
	fault = parse_line(line, len, &parser->header);
	if (fault == PROXY_FAULTLESS)
		proxy_finish(parser);
	else
		proxy_refuse(parser, fault);
}

/*
 * "The receiver must not tolerate a single CR or LF": also not in what it ignores,
 * or two receivers would find two ends of one line.
 */
void proxy_v1_take(struct proxy_parser *parser, uint8_t byte)
{
	bool after_cr = parser->part[parser->n_part - 1] == '\r';

	parser->part[parser->n_part++] = byte;
	parser->taken++;
	if (after_cr != (byte == '\n'))
		proxy_refuse(parser, PROXY_BAD_LINE_END);
	else if (after_cr)
		end_line(parser);
	else if (parser->n_part == PROXY_V1_MAX)
		proxy_refuse(parser, PROXY_LONG_LINE);
}
