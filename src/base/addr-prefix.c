/*
 * addr-prefix: IP addresses that begin with the same bits.
 */
#include "base/addr-internal.h"
#include "base/own.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static unsigned width_of(const struct addr_prefix *prefix)
{
	return prefix->family == ADDR_SOURCE_IPV4 ? 32 : 128;
}

/* The address alone, as long as its family. */
static int parse_host(const char *text, struct addr_prefix *ret)
{
	memset(ret, 0, sizeof *ret);
	if (inet_pton(AF_INET, text, ret->bytes) == 1)
		ret->family = ADDR_SOURCE_IPV4;
	else if (inet_pton(AF_INET6, text, ret->bytes) == 1)
		ret->family = ADDR_SOURCE_IPV6;
	else
		return -ENOENT;
	ret->bits = (uint8_t)width_of(ret);
	return 0;
}

static bool is_mapped(const struct addr_prefix *prefix)
{
	struct in6_addr ip;

	memcpy(&ip, prefix->bytes, sizeof ip);
	return prefix->family == ADDR_SOURCE_IPV6 && prefix->bits >= 96 &&
	       IN6_IS_ADDR_V4MAPPED(&ip);
}

static void unmap(struct addr_prefix *prefix)
{
	memmove(prefix->bytes, prefix->bytes + 12, 4);
	memset(prefix->bytes + 4, 0, 12);
	prefix->family = ADDR_SOURCE_IPV4;
	prefix->bits = (uint8_t)(prefix->bits - 96);
}

int addr_parse_prefix(const char *text, struct addr_prefix *ret)
{
	size_t len = strcspn(text, "/");
	struct addr_prefix prefix;
	char host[INET6_ADDRSTRLEN];
	uint32_t bits;

	if (len >= sizeof host)
		return -ENOENT;
	memcpy(host, text, len);
	host[len] = '\0';
	if (parse_host(host, &prefix) < 0)
		return -ENOENT;
	if (text[len] == '/') {
		/* 010 is 8 to some, and 10 to others. */
		if (text[len + 1] == '0' && text[len + 2])
			return -EINVAL;
		if (text_parse_u32(text + len + 1, &bits) < 0 || bits > width_of(&prefix))
			return -EINVAL;
		prefix.bits = (uint8_t)bits;
	}
	if (is_mapped(&prefix))
		unmap(&prefix);
	*ret = prefix;
	return 0;
}

void addr_clear_behind(uint8_t bytes[16], unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (whole >= 16)
		return;
	if (rest > 0)
		bytes[whole++] &= (uint8_t)(0xff << (8 - rest));
	memset(bytes + whole, 0, 16 - whole);
}

bool addr_prefix_cut(struct addr_prefix *prefix)
{
	struct addr_prefix was = *prefix;

	addr_clear_behind(prefix->bytes, prefix->bits);
	return memcmp(was.bytes, prefix->bytes, sizeof was.bytes) != 0;
}

const char *addr_format_prefix(const struct addr_prefix *prefix, char buf[ADDR_PREFIX_MAX])
{
	char host[INET6_ADDRSTRLEN];

	inet_ntop(prefix->family == ADDR_SOURCE_IPV4 ? AF_INET : AF_INET6, prefix->bytes, host,
		sizeof host);
	snprintf(buf, ADDR_PREFIX_MAX, "%s/%u", host, prefix->bits);
	return buf;
}
