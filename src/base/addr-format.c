/*
 * addr-format: addresses, and the sources made of them, as text.
 */
#include "base/addr-internal.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* "[", the longest IPv6 address, "%", the interface, "]" and NUL. */
#define HOST_TEXT_MAX (INET6_ADDRSTRLEN + IF_NAMESIZE + 3)

void addr_interface_name(uint32_t scope, char buf[IF_NAMESIZE])
{
	if (!if_indextoname(scope, buf) || !addr_interface_valid(buf))
		snprintf(buf, IF_NAMESIZE, "%u", scope);
}

void addr_scope_text(const struct addr *addr, char buf[IF_NAMESIZE])
{
	const struct in6_addr *ip = &addr->in6.sin6_addr;

	buf[0] = '\0';
	if (addr_family(addr) != AF_INET6 || !addr_takes_scope(ip))
		return;
	if (addr->interface[0] != '\0')
		memcpy(buf, addr->interface, IF_NAMESIZE);
	else if (addr->in6.sin6_scope_id != 0)
		snprintf(buf, IF_NAMESIZE, "%u", addr->in6.sin6_scope_id);
}

/* What inet_ntop(3) would write; it takes ten times as long. */
static void ipv4_text(const struct in_addr *ip, char buf[INET_ADDRSTRLEN])
{
	uint32_t number = ntohl(ip->s_addr);

	for (unsigned shift = 24; shift > 0; shift -= 8)
		buf = stpcpy(text_put_u32(buf, number >> shift & 0xff), ".");
	text_put_u32(buf, number & 0xff);
}

/* "127.0.0.1", "fe80::1%eth0". */
static void ip_text(const struct addr *addr, char buf[HOST_TEXT_MAX])
{
	char scope[IF_NAMESIZE];
	size_t len;

	if (addr_family(addr) == AF_INET) {
		ipv4_text(&addr->in.sin_addr, buf);
		return;
	}
	if (addr_family(addr) != AF_INET6) {
		strcpy(buf, "unknown");
		return;
	}
	inet_ntop(AF_INET6, &addr->in6.sin6_addr, buf, INET6_ADDRSTRLEN);
	addr_scope_text(addr, scope);
	if (scope[0] == '\0')
		return;
	len = strlen(buf);
	snprintf(buf + len, HOST_TEXT_MAX - len, "%%%s", scope);
}

/* "/run/x.sock", "@name", or `unnamed`. */
static void unix_text(const struct addr *addr, const char *unnamed, char *buf, size_t size)
{
	const char *name, *start = "";
	size_t len;

	name = addr_unix_name(addr, &len);
	if (!name) {
		snprintf(buf, size, "%s", unnamed);
		return;
	}
	if (addr_is_abstract(addr)) {
		start = "@";
	} else if (name[0] == '@') {
		/* A peer's relative path must not pass for an abstract name. */
		start = "\\x40";
		name++;
		len--;
	}
	snprintf(buf, size, "%s", start);
	text_escape(name, len, buf + strlen(start), size - strlen(start));
}

/* "any" or the number of a machine. */
static void cid_text(const struct addr *addr, char buf[HOST_TEXT_MAX])
{
	if (addr->vm.svm_cid == VMADDR_CID_ANY)
		strcpy(buf, "any");
	else
		snprintf(buf, HOST_TEXT_MAX, "%u", addr->vm.svm_cid);
}

static void vsock_text(const struct addr *addr, char *buf, size_t size)
{
	char cid[HOST_TEXT_MAX];

	cid_text(addr, cid);
	snprintf(buf, size, "vsock:%s:%u", cid, addr_port(addr));
}

/* Of an IP address, which takes but a small part of ADDR_TEXT_MAX. */
static void endpoint_text(const struct addr *addr, char *buf)
{
	bool brackets = addr_family(addr) == AF_INET6;

	if (brackets)
		*buf++ = '[';
	ip_text(addr, buf);
	buf = stpcpy(buf + strlen(buf), brackets ? "]:" : ":");
	text_put_u32(buf, addr_port(addr));
}

const char *addr_format(const struct addr *addr, char buf[ADDR_TEXT_MAX])
{
	const char *protocol = addr_protocol_name(addr);
	size_t len;

	if (addr->kind == ADDR_FD || addr->kind == ADDR_VSOCK)
		return addr_format_endpoint(addr, buf);
	if (addr_is_wildcard(addr) && !addr->dual) {
		text_put_u32(stpcpy(stpcpy(buf, protocol), ":"), addr_port(addr));
		return buf;
	}

	/* The address tells its family, and the dual wildcard has none. */
	len = strlen(protocol) - addr_is_ip(addr);
	memcpy(buf, protocol, len);
	buf[len++] = ':';
	if (addr->dual)
		text_put_u32(buf + len, addr_port(addr));
	else if (addr_is_ip(addr))
		endpoint_text(addr, buf + len);
	else
		unix_text(addr, "", buf + len, ADDR_TEXT_MAX - len);
	return buf;
}

const char *addr_format_endpoint(const struct addr *addr, char buf[ADDR_TEXT_MAX])
{
	if (addr_is_ip(addr))
		endpoint_text(addr, buf);
	else if (addr->kind == ADDR_FD)
		snprintf(buf, ADDR_TEXT_MAX, "fd:%s", addr->name);
	else if (addr->kind == ADDR_VSOCK)
		vsock_text(addr, buf, ADDR_TEXT_MAX);
	else
		unix_text(addr, "unix", buf, ADDR_TEXT_MAX);
	return buf;
}

const char *addr_format_host(const struct addr *addr, char buf[ADDR_TEXT_MAX])
{
	char cid[HOST_TEXT_MAX];

	if (addr_is_ip(addr)) {
		ip_text(addr, buf);
	} else if (addr->kind == ADDR_VSOCK) {
		cid_text(addr, cid);
		snprintf(buf, ADDR_TEXT_MAX, "vsock:%s", cid);
	} else {
		addr_format_endpoint(addr, buf);
	}
	return buf;
}

static void format_prefix(
	const struct addr_source *source, int family, unsigned bits, unsigned whole, char *buf)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(family, source->bytes, text, sizeof text);
	if (bits >= whole)
		snprintf(buf, ADDR_SOURCE_TEXT_MAX, "%s", text);
	else
		snprintf(buf, ADDR_SOURCE_TEXT_MAX, "%s/%u", text, bits);
}

/* With its interface, if that is known. */
static void format_link_local(const struct addr_source *source, char *buf)
{
	char name[IF_NAMESIZE];
	uint32_t scope;

	format_prefix(source, AF_INET6, 128, 128, buf);
	memcpy(&scope, source->scope, sizeof scope);
	if (scope == 0)
		return;
	addr_interface_name(scope, name);
	buf = stpcpy(buf + strlen(buf), "%");
	strcpy(buf, name);
}

const char *addr_source_format(const struct addr_source *source, unsigned prefix4,
	unsigned prefix6, char buf[ADDR_SOURCE_TEXT_MAX])
{
	uint32_t number;

	memcpy(&number, source->bytes, sizeof number);
	switch (source->family) {
	case ADDR_SOURCE_IPV4:
		format_prefix(source, AF_INET, prefix4, 32, buf);
		break;
	case ADDR_SOURCE_IPV6:
		if (addr_source_is_link_local(source))
			format_link_local(source, buf);
		else
			format_prefix(source, AF_INET6, prefix6, 128, buf);
		break;
	default:
		snprintf(buf, ADDR_SOURCE_TEXT_MAX,
			source->family == ADDR_SOURCE_VSOCK ? "vsock:%u" : "uid %u", number);
		break;
	}
	return buf;
}
