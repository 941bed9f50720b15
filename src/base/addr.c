#include "base/addr.h"

#include "base/addr-internal.h"
#include "base/own.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* Every listener and every child has some: what only one kind needs lies over
 * what only others need. */
_Static_assert(sizeof(struct addr) <= 128, "an address has grown");

/* "[", the longest IPv6 address, "%", the interface, "]" and NUL. */
#define HOST_TEXT_MAX (INET6_ADDRSTRLEN + IF_NAMESIZE + 3)

void addr_set_ipv4(struct addr *addr, const struct in_addr *ip)
{
	addr->in.sin_family = AF_INET;
	addr->in.sin_addr = *ip;
	addr->len = sizeof addr->in;
}

void addr_set_ipv6(struct addr *addr, const struct in6_addr *ip)
{
	struct in_addr mapped;

	if (IN6_IS_ADDR_V4MAPPED(ip)) {
		memcpy(&mapped, ip->s6_addr + 12, sizeof mapped);
		addr_set_ipv4(addr, &mapped);
		return;
	}
	addr->in6.sin6_family = AF_INET6;
	addr->in6.sin6_addr = *ip;
	addr->len = sizeof addr->in6;
}

bool addr_takes_scope(const struct in6_addr *ip)
{
	return IN6_IS_ADDR_LINKLOCAL(ip) || IN6_IS_ADDR_MC_LINKLOCAL(ip) ||
	       IN6_IS_ADDR_MC_NODELOCAL(ip);
}

bool addr_interface_valid(const char *name)
{
	if (*name == '\0' || strlen(name) >= IF_NAMESIZE)
		return false;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (; *name; name++) {
		if (*name <= ' ' || *name >= 0x7f || *name == '/' || *name == ':')
			return false;
	}
	return true;
}

/*
 * Properties.
 */

int addr_family(const struct addr *addr)
{
	switch (addr->kind) {
	case ADDR_TCP:
	case ADDR_UDP:
		return addr->sa.sa_family;
	case ADDR_UNIX:
	case ADDR_UNIX_DGRAM:
	case ADDR_UNIX_SEQPACKET:
		return AF_UNIX;
	case ADDR_FD:
	case _ADDR_KIND_MAX:
		break;
	}
	return AF_UNSPEC;
}

int addr_socktype(const struct addr *addr)
{
	if (addr->kind == ADDR_UNIX_SEQPACKET)
		return SOCK_SEQPACKET;
	return addr_is_datagram(addr) ? SOCK_DGRAM : SOCK_STREAM;
}

bool addr_is_ip(const struct addr *addr)
{
	return addr->kind == ADDR_TCP || addr->kind == ADDR_UDP;
}

bool addr_is_datagram(const struct addr *addr)
{
	return addr->kind == ADDR_UDP || addr->kind == ADDR_UNIX_DGRAM;
}

/* The bytes of a UNIX path or abstract name, without the NUL of either; NULL
 * for an unnamed socket. */
static const char *unix_name(const struct addr *addr, size_t *ret_len)
{
	size_t start = offsetof(struct sockaddr_un, sun_path);
	size_t room = addr->len > start ? addr->len - start : 0;

	if (room == 0)
		return NULL;
	if (addr->un.sun_path[0] == '\0') {
		*ret_len = room - 1;
		return addr->un.sun_path + 1;
	}
	*ret_len = strnlen(addr->un.sun_path, room);
	return addr->un.sun_path;
}

bool addr_is_abstract(const struct addr *addr)
{
	size_t len;

	return addr_family(addr) == AF_UNIX && unix_name(addr, &len) &&
	       addr->un.sun_path[0] == '\0';
}

bool addr_is_wildcard(const struct addr *addr)
{
	switch (addr_family(addr)) {
	case AF_INET:
		return addr->in.sin_addr.s_addr == htonl(INADDR_ANY);
	case AF_INET6:
		return IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr);
	default:
		return false;
	}
}

bool addr_is_loopback(const struct addr *addr)
{
	switch (addr_family(addr)) {
	case AF_INET:
		return ntohl(addr->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&addr->in6.sin6_addr);
	case AF_UNIX:
		return true;
	default:
		return false;
	}
}

uint16_t addr_port(const struct addr *addr)
{
	switch (addr_family(addr)) {
	case AF_INET:
		return ntohs(addr->in.sin_port);
	case AF_INET6:
		return ntohs(addr->in6.sin6_port);
	default:
		return 0;
	}
}

void addr_set_port(struct addr *addr, uint16_t port)
{
	switch (addr_family(addr)) {
	case AF_INET:
		addr->in.sin_port = htons(port);
		break;
	case AF_INET6:
		addr->in6.sin6_port = htons(port);
		break;
	default:
		break;
	}
}

void addr_fall_back_to_ipv4(struct addr *addr)
{
	static const struct in_addr any = {INADDR_ANY};
	uint16_t port = addr_port(addr);

	if (!addr->dual)
		return;
	addr->dual = false;
	memset(&addr->in6, 0, sizeof addr->in6);
	addr_set_ipv4(addr, &any);
	addr_set_port(addr, port);
}

/*
 * Texts.
 */

const char *addr_protocol_name(const struct addr *addr)
{
	bool ipv4 = addr_family(addr) == AF_INET;

	switch (addr->kind) {
	case ADDR_TCP:
		return ipv4 ? "tcp4" : "tcp6";
	case ADDR_UDP:
		return ipv4 ? "udp4" : "udp6";
	case ADDR_UNIX:
		return "unix";
	case ADDR_UNIX_DGRAM:
		return "unix-dgram";
	case ADDR_UNIX_SEQPACKET:
		return "unix-seqpacket";
	case ADDR_FD:
		return "fd";
	case _ADDR_KIND_MAX:
		break;
	}
	return "unknown";
}

/* "eth0", the number of an interface without a name, or "". */
static void scope_text(const struct addr *addr, char buf[IF_NAMESIZE])
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

/* "127.0.0.1", "fe80::1%eth0". */
static void ip_text(const struct addr *addr, char buf[HOST_TEXT_MAX])
{
	char scope[IF_NAMESIZE];
	size_t len;

	if (addr_family(addr) == AF_INET) {
		inet_ntop(AF_INET, &addr->in.sin_addr, buf, INET_ADDRSTRLEN);
		return;
	}
	if (addr_family(addr) != AF_INET6) {
		strcpy(buf, "unknown");
		return;
	}
	inet_ntop(AF_INET6, &addr->in6.sin6_addr, buf, INET6_ADDRSTRLEN);
	scope_text(addr, scope);
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

	name = unix_name(addr, &len);
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

static void endpoint_text(const struct addr *addr, char *buf, size_t size)
{
	char host[HOST_TEXT_MAX];

	ip_text(addr, host);
	snprintf(buf, size, addr_family(addr) == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
		addr_port(addr));
}

const char *addr_format(const struct addr *addr, char buf[ADDR_TEXT_MAX])
{
	const char *protocol = addr_protocol_name(addr);
	size_t len;

	if (addr->kind == ADDR_FD) {
		snprintf(buf, ADDR_TEXT_MAX, "fd:%s", addr->name);
		return buf;
	}
	if (addr_is_wildcard(addr) && !addr->dual) {
		snprintf(buf, ADDR_TEXT_MAX, "%s:%u", protocol, addr_port(addr));
		return buf;
	}

	/* The address tells its family, and the dual wildcard has none. */
	len = strlen(protocol) - addr_is_ip(addr);
	memcpy(buf, protocol, len);
	buf[len++] = ':';
	if (addr->dual)
		snprintf(buf + len, ADDR_TEXT_MAX - len, "%u", addr_port(addr));
	else if (addr_is_ip(addr))
		endpoint_text(addr, buf + len, ADDR_TEXT_MAX - len);
	else
		unix_text(addr, "", buf + len, ADDR_TEXT_MAX - len);
	return buf;
}

const char *addr_format_endpoint(const struct addr *addr, char buf[ADDR_TEXT_MAX])
{
	if (addr_is_ip(addr))
		endpoint_text(addr, buf, ADDR_TEXT_MAX);
	else if (addr->kind == ADDR_FD)
		snprintf(buf, ADDR_TEXT_MAX, "fd:%s", addr->name);
	else
		unix_text(addr, "unix", buf, ADDR_TEXT_MAX);
	return buf;
}

const char *addr_format_host(const struct addr *addr, char buf[ADDR_TEXT_MAX])
{
	if (addr_is_ip(addr))
		ip_text(addr, buf);
	else
		addr_format_endpoint(addr, buf);
	return buf;
}

/*
 * Identity.
 */

static bool ip_equal(const struct addr *a, const struct addr *b)
{
	char scope_a[IF_NAMESIZE], scope_b[IF_NAMESIZE];

	if (addr_family(a) != addr_family(b) || addr_port(a) != addr_port(b))
		return false;
	if (addr_family(a) == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	scope_text(a, scope_a);
	scope_text(b, scope_b);
	return IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr) &&
	       strcmp(scope_a, scope_b) == 0;
}

/* By bytes and not by length: the final NUL of a path may be counted or not. */
static bool unix_equal(const struct addr *a, const struct addr *b)
{
	size_t len_a = 0, len_b = 0;
	const char *name_a = unix_name(a, &len_a), *name_b = unix_name(b, &len_b);

	if (!name_a || !name_b)
		return name_a == name_b;
	return addr_is_abstract(a) == addr_is_abstract(b) && len_a == len_b &&
	       memcmp(name_a, name_b, len_a) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	if (a->kind != b->kind || a->dual != b->dual)
		return false;
	if (a->kind == ADDR_FD)
		return strcmp(a->name, b->name) == 0;
	return addr_is_ip(a) ? ip_equal(a, b) : unix_equal(a, b);
}

/*
 * What the kernel says.
 */

static void from_in6(const struct sockaddr_in6 *in6, struct addr *addr)
{
	uint32_t scope = in6->sin6_scope_id;

	addr_set_ipv6(addr, &in6->sin6_addr);
	addr_set_port(addr, ntohs(in6->sin6_port));
	if (addr->sa.sa_family != AF_INET6 || !addr_takes_scope(&in6->sin6_addr) || scope == 0)
		return;
	addr->in6.sin6_scope_id = scope;
	if (!if_indextoname(scope, addr->interface) || !addr_interface_valid(addr->interface))
		snprintf(addr->interface, IF_NAMESIZE, "%u", scope);
}

void addr_from_sockaddr(
	enum addr_kind kind, const struct sockaddr *sa, socklen_t len, struct addr *ret)
{
	union {
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} copy = {0};

	memset(ret, 0, sizeof *ret);
	ret->kind = kind;
	if (kind == ADDR_FD)
		return;

	/* A path without its NUL makes Linux report one byte more than the
	 * structure has. */
	if (len > sizeof copy)
		len = sizeof copy;
	if (len > 0)
		memcpy(&copy, sa, len);
	if (!addr_is_ip(ret)) {
		ret->un = copy.un;
		ret->un.sun_family = AF_UNIX;
		ret->len = len > offsetof(struct sockaddr_un, sun_path) ? len : 0;
	} else if (copy.in.sin_family == AF_INET && len >= sizeof copy.in) {
		addr_set_ipv4(ret, &copy.in.sin_addr);
		addr_set_port(ret, ntohs(copy.in.sin_port));
	} else if (copy.in.sin_family == AF_INET6 && len >= sizeof copy.in6) {
		from_in6(&copy.in6, ret);
	}
}

static int socket_option(int fd, int level, int name, int *ret)
{
	socklen_t len = sizeof *ret;
	int value;

	if (getsockopt(fd, level, name, &value, &len) < 0)
		return -errno;
	*ret = value;
	return 0;
}

static int kind_of(int domain, int type, int protocol, enum addr_kind *ret)
{
	static const struct {
		int type, protocol;
		enum addr_kind ip_kind, unix_kind;
	} kinds[] = {
		{SOCK_STREAM, IPPROTO_TCP, ADDR_TCP, ADDR_UNIX},
		{SOCK_DGRAM, IPPROTO_UDP, ADDR_UDP, ADDR_UNIX_DGRAM},
		{SOCK_SEQPACKET, -1, _ADDR_KIND_MAX, ADDR_UNIX_SEQPACKET},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].type != type)
			continue;
		if (domain == AF_UNIX)
			*ret = kinds[i].unix_kind;
		else if ((domain == AF_INET || domain == AF_INET6) &&
			 kinds[i].protocol == protocol)
			*ret = kinds[i].ip_kind;
		else
			break;
		return 0;
	}
	return -EPROTONOSUPPORT;
}

static int socket_kind(int fd, enum addr_kind *ret)
{
	int domain = -1, type = -1, protocol = -1, r;

	r = socket_option(fd, SOL_SOCKET, SO_DOMAIN, &domain);
	if (r < 0)
		return r;
	r = socket_option(fd, SOL_SOCKET, SO_TYPE, &type);
	if (r < 0)
		return r;
	r = socket_option(fd, SOL_SOCKET, SO_PROTOCOL, &protocol);
	if (r < 0)
		return r;
	return kind_of(domain, type, protocol, ret);
}

int addr_of_socket(int fd, struct addr *ret)
{
	struct sockaddr_storage storage;
	socklen_t len = sizeof storage;
	int r, only_ipv6 = 1;
	enum addr_kind kind;
	struct addr addr;

	r = socket_kind(fd, &kind);
	if (r < 0)
		return r;
	if (getsockname(fd, (struct sockaddr *)&storage, &len) < 0)
		return -errno;
	addr_from_sockaddr(kind, (struct sockaddr *)&storage, len, &addr);

	if (addr_family(&addr) == AF_INET6 && addr_is_wildcard(&addr)) {
		r = socket_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_ipv6);
		if (r < 0)
			return r;
		addr.dual = !only_ipv6;
	}
	*ret = addr;
	return 0;
}

/* The first `bits` bits of `from`; the rest of `to` stays zero. */
static void copy_prefix(uint8_t *to, const uint8_t *from, size_t len, unsigned bits)
{
	size_t whole = bits / 8;

	if (whole >= len) {
		memcpy(to, from, len);
		return;
	}
	memcpy(to, from, whole);
	to[whole] = from[whole] & (uint8_t)(0xff00 >> bits % 8);
}

void addr_source(
	const struct addr *peer, unsigned prefix4, unsigned prefix6, struct addr_source *ret)
{
	memset(ret, 0, sizeof *ret);
	switch (addr_family(peer)) {
	case AF_INET:
		ret->family = 4;
		copy_prefix(ret->bytes, (const uint8_t *)&peer->in.sin_addr, 4, prefix4);
		break;
	case AF_INET6:
		ret->family = 6;
		copy_prefix(ret->bytes, peer->in6.sin6_addr.s6_addr, 16, prefix6);
		break;
	default:
		ret->family = 1;
		break;
	}
}

void addr_source_uid(uid_t uid, struct addr_source *ret)
{
	memset(ret, 0, sizeof *ret);
	ret->family = 1;
	memcpy(ret->bytes, &uid, sizeof uid);
}
