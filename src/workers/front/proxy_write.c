#include "workers/front/proxy_write.h"

#include "workers/front/proxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* The 14th byte of version 2: address family and transport. */
#define FAMILY_INET  0x10
#define FAMILY_INET6 0x20
#define FAMILY_UNIX  0x30
#define STREAM       0x01
#define DGRAM        0x02

#define VERSION_2_LOCAL 0x20
#define VERSION_2_PROXY 0x21

/* Both ends, in a form that the header has words for. */
struct ends {
	uint8_t family; /* as in the 14th byte, transport included; 0 if there is no word */
	const struct addr *source, *destination;
};

static uint8_t transport_of(const struct addr *addr)
{
	switch (addr_socktype(addr)) {
	case SOCK_STREAM:
		return STREAM;
	case SOCK_DGRAM:
		return DGRAM;
	default:
		return 0;
	}
}

/* TCP and what looks like it, or UDP: the protocol has no others. */
static bool is_sayable_ip(const struct addr *addr)
{
	uint8_t ip[16];

	return (addr_is_tcp(addr) || addr->kind == ADDR_UDP) && addr_ip(addr, ip) > 0;
}

static bool is_ipv4(const struct addr *addr)
{
	uint8_t ip[16];

	return addr_ip(addr, ip) == 4;
}

static uint8_t family_of(const struct addr *a, const struct addr *b)
{
	uint8_t transport = transport_of(a);

	if (transport == 0 || transport != transport_of(b))
		return 0;
	if (is_sayable_ip(a) && is_sayable_ip(b))
		return transport | (is_ipv4(a) && is_ipv4(b) ? FAMILY_INET : FAMILY_INET6);
	if (addr_family(a) == AF_UNIX && addr_family(b) == AF_UNIX)
		return transport | FAMILY_UNIX;
	return 0;
}

/* An IPv4 address as the IPv6 one that stands for it. */
static void ipv6_of(const struct addr *addr, uint8_t ret[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	uint8_t ip[16];

	if (addr_ip(addr, ip) == sizeof ip) {
		memcpy(ret, ip, sizeof ip);
		return;
	}
	memcpy(ret, mapped, sizeof mapped);
	memcpy(ret + sizeof mapped, ip, 4);
}

/*
 * Version 1.
 */

static const char *ipv4_text(const struct addr *addr, char buf[INET6_ADDRSTRLEN])
{
	uint8_t ip[16];

	addr_ip(addr, ip);
	return inet_ntop(AF_INET, ip, buf, INET6_ADDRSTRLEN);
}

/* In groups of hexadecimal digits only, as section 2.1 wants it; inet_ntop(3) ends a
 * mapped address in dots. */
static const char *ipv6_text(const struct addr *addr, char buf[INET6_ADDRSTRLEN])
{
	uint8_t ip[16];

	ipv6_of(addr, ip);
	if (!is_ipv4(addr))
		return inet_ntop(AF_INET6, ip, buf, INET6_ADDRSTRLEN);
	snprintf(buf, INET6_ADDRSTRLEN, "::ffff:%x:%x", ip[12] << 8 | ip[13],
		ip[14] << 8 | ip[15]);
	return buf;
}

static size_t write_line(const struct ends *ends, char buf[PROXY_WRITE_MAX])
{
	__typeof__(ipv4_text) *text = ipv6_text;
	char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
	const char *protocol = "TCP6";

	if (ends->family == (FAMILY_INET | STREAM)) {
		protocol = "TCP4";
		text = ipv4_text;
	} else if (ends->family != (FAMILY_INET6 | STREAM)) {
		return (size_t)(stpcpy(buf, "PROXY UNKNOWN\r\n") - buf);
	}
	return (size_t)snprintf(buf, PROXY_WRITE_MAX, "PROXY %s %s %s %u %u\r\n", protocol,
		text(ends->source, source), text(ends->destination, destination),
		addr_port(ends->source), addr_port(ends->destination));
}

/*
 * Version 2.
 */

static uint8_t *put(uint8_t *to, const void *data, size_t len)
{
	return (uint8_t *)memcpy(to, data, len) + len;
}

static uint8_t *put_ip(uint8_t *to, const struct addr *addr, bool ipv4)
{
	if (ipv4)
		return to + addr_ip(addr, to);
	ipv6_of(addr, to);
	return to + 16;
}

static uint8_t *put_port(uint8_t *to, const struct addr *addr)
{
	in_port_t port = htons((uint16_t)addr_port(addr));

	return put(to, &port, sizeof port);
}

/* Filled with zeroes; a socket without a name is nothing else. */
static uint8_t *put_path(uint8_t *to, const struct addr *addr)
{
	const size_t start = offsetof(struct sockaddr_un, sun_path);
	char path[sizeof addr->un.sun_path] = {0};
	size_t len = addr->len > start ? addr->len - start : 0;

	memcpy(path, addr->un.sun_path, len < sizeof path ? len : sizeof path);
	return put(to, path, sizeof path);
}

static uint8_t *put_addresses(uint8_t *to, const struct ends *ends)
{
	bool ipv4 = (ends->family & 0xf0) == FAMILY_INET;

	if (ends->family == 0)
		return to;
	if ((ends->family & 0xf0) == FAMILY_UNIX) {
		to = put_path(to, ends->source);
		return put_path(to, ends->destination);
	}
	to = put_ip(to, ends->source, ipv4);
	to = put_ip(to, ends->destination, ipv4);
	to = put_port(to, ends->source);
	return put_port(to, ends->destination);
}

static size_t write_binary(const struct ends *ends, uint8_t buf[PROXY_WRITE_MAX])
{
	uint8_t *head = put(buf, "\r\n\r\n\0\r\nQUIT\n", 12), *end;
	uint16_t len;

	head[0] = ends->source ? VERSION_2_PROXY : VERSION_2_LOCAL;
	head[1] = ends->family;
	end = put_addresses(head + 4, ends);
	len = htons((uint16_t)(end - head - 4));
	memcpy(head + 2, &len, sizeof len);
	return (size_t)(end - buf);
}

size_t proxy_write(unsigned version, const struct addr *source, const struct addr *destination,
	uint8_t buf[PROXY_WRITE_MAX])
{
	struct ends ends = {.source = source, .destination = destination};

	if (source)
		ends.family = family_of(source, destination);
	if (version == PROXY_V1)
		return write_line(&ends, (char *)buf);
	return write_binary(&ends, buf);
}
