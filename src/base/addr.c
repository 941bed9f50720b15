#include "base/addr.h"

#include "base/addr-internal.h"
#include "base/own.h"

#include <arpa/inet.h>
#include <string.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* Every listener and every child has some: what only one kind needs lies over
 * what only others need. */
_Static_assert(sizeof(struct addr) <= 128, "an address has grown");

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

/* What a kind says by itself.  AF_INET stands for both versions of IP. */
static const struct kind {
	int family, type, protocol;
	const char *name, *name_ipv4;
	const char *port_space;
} kinds[_ADDR_KIND_MAX] = {
	[ADDR_TCP] = {AF_INET, SOCK_STREAM, IPPROTO_TCP, "tcp6", "tcp4", "tcp"},
	[ADDR_MPTCP] = {AF_INET, SOCK_STREAM, IPPROTO_MPTCP, "mptcp6", "mptcp4", "tcp"},
	[ADDR_UDP] = {AF_INET, SOCK_DGRAM, IPPROTO_UDP, "udp6", "udp4", "udp"},
	[ADDR_UDPLITE] = {AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, "udplite6", "udplite4",
		"udplite"},
	[ADDR_UNIX] = {AF_UNIX, SOCK_STREAM, 0, "unix", NULL, NULL},
	[ADDR_UNIX_DGRAM] = {AF_UNIX, SOCK_DGRAM, 0, "unix-dgram", NULL, NULL},
	[ADDR_UNIX_SEQPACKET] = {AF_UNIX, SOCK_SEQPACKET, 0, "unix-seqpacket", NULL, NULL},
	[ADDR_VSOCK] = {AF_VSOCK, SOCK_STREAM, 0, "vsock", NULL, "vsock"},
	[ADDR_FD] = {AF_UNSPEC, SOCK_STREAM, 0, "fd", NULL, NULL},
};

int addr_family(const struct addr *addr)
{
	return addr_is_ip(addr) ? addr->sa.sa_family : kinds[addr->kind].family;
}

int addr_socktype(const struct addr *addr)
{
	return kinds[addr->kind].type;
}

int addr_protocol(const struct addr *addr)
{
	return kinds[addr->kind].protocol;
}

bool addr_is_ip(const struct addr *addr)
{
	return kinds[addr->kind].family == AF_INET;
}

bool addr_is_tcp(const struct addr *addr)
{
	return addr->kind == ADDR_TCP || addr->kind == ADDR_MPTCP;
}

bool addr_is_udp(const struct addr *addr)
{
	return addr_is_ip(addr) && addr_is_datagram(addr);
}

bool addr_is_datagram(const struct addr *addr)
{
	return addr_socktype(addr) == SOCK_DGRAM;
}

const char *addr_unix_name(const struct addr *addr, size_t *ret_len)
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

	return addr_family(addr) == AF_UNIX && addr_unix_name(addr, &len) &&
	       addr->un.sun_path[0] == '\0';
}

bool addr_is_path(const struct addr *addr)
{
	size_t len;

	return addr_family(addr) == AF_UNIX && addr_unix_name(addr, &len) &&
	       addr->un.sun_path[0] != '\0';
}

bool addr_is_wildcard(const struct addr *addr)
{
	switch (addr_family(addr)) {
	case AF_INET:
		return addr->in.sin_addr.s_addr == htonl(INADDR_ANY);
	case AF_INET6:
		return IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr);
	case AF_VSOCK:
		return addr->vm.svm_cid == VMADDR_CID_ANY;
	default:
		return false;
	}
}

bool addr_is_for_many(const struct addr *addr)
{
	if (addr_family(addr) == AF_INET)
		return IN_MULTICAST(ntohl(addr->in.sin_addr.s_addr)) ||
		       addr->in.sin_addr.s_addr == htonl(INADDR_BROADCAST);
	return addr_family(addr) == AF_INET6 && IN6_IS_ADDR_MULTICAST(&addr->in6.sin6_addr);
}

bool addr_takes_ipv4(const struct addr *addr, int v6only)
{
	if (addr_family(addr) == AF_INET)
		return true;
	if (addr_family(addr) != AF_INET6 || !addr_is_wildcard(addr))
		return false;
	return v6only < 0 ? addr->dual : !v6only;
}

bool addr_shows_sender(const struct addr *addr)
{
	return addr->kind == ADDR_FD || addr_is_udp(addr);
}

bool addr_shows_silence(const struct addr *addr)
{
	return addr->kind == ADDR_FD || addr_is_tcp(addr);
}

bool addr_is_loopback(const struct addr *addr)
{
	switch (addr_family(addr)) {
	case AF_INET:
		return ntohl(addr->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&addr->in6.sin6_addr);
	case AF_VSOCK:
		return addr->vm.svm_cid == VMADDR_CID_LOCAL;
	case AF_UNIX:
		return true;
	default:
		return false;
	}
}

uint32_t addr_port(const struct addr *addr)
{
	switch (addr_family(addr)) {
	case AF_INET:
		return ntohs(addr->in.sin_port);
	case AF_INET6:
		return ntohs(addr->in6.sin6_port);
	case AF_VSOCK:
		return addr->vm.svm_port == VMADDR_PORT_ANY ? 0 : addr->vm.svm_port;
	default:
		return 0;
	}
}

void addr_set_port(struct addr *addr, uint32_t port)
{
	switch (addr_family(addr)) {
	case AF_INET:
		addr->in.sin_port = htons((uint16_t)port);
		break;
	case AF_INET6:
		addr->in6.sin6_port = htons((uint16_t)port);
		break;
	case AF_VSOCK:
		addr->vm.svm_port = port == 0 ? VMADDR_PORT_ANY : port;
		break;
	default:
		break;
	}
}

void addr_fall_back_to_ipv4(struct addr *addr)
{
	static const struct in_addr any = {INADDR_ANY};
	uint32_t port = addr_port(addr);

	if (!addr->dual)
		return;
	addr->dual = false;
	memset(&addr->in6, 0, sizeof addr->in6);
	addr_set_ipv4(addr, &any);
	addr_set_port(addr, port);
}

const char *addr_port_space(const struct addr *addr)
{
	return kinds[addr->kind].port_space;
}

const char *addr_protocol_name(const struct addr *addr)
{
	const struct kind *kind = &kinds[addr->kind];

	return addr_family(addr) == AF_INET ? kind->name_ipv4 : kind->name;
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
	addr_scope_text(a, scope_a);
	addr_scope_text(b, scope_b);
	return IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr) &&
	       strcmp(scope_a, scope_b) == 0;
}

/* By bytes and not by length: the final NUL of a path may be counted or not. */
static bool unix_equal(const struct addr *a, const struct addr *b)
{
	size_t len_a = 0, len_b = 0;
	const char *name_a = addr_unix_name(a, &len_a), *name_b = addr_unix_name(b, &len_b);

	if (!name_a || !name_b)
		return name_a == name_b;
	return addr_is_abstract(a) == addr_is_abstract(b) && len_a == len_b &&
	       memcmp(name_a, name_b, len_a) == 0;
}

bool addr_same_place(const struct addr *a, const struct addr *b)
{
	if (addr_family(a) != addr_family(b) || (a->kind == ADDR_FD) != (b->kind == ADDR_FD))
		return false;
	if (a->kind == ADDR_FD)
		return strcmp(a->name, b->name) == 0;
	if (a->kind == ADDR_VSOCK)
		return a->vm.svm_cid == b->vm.svm_cid && addr_port(a) == addr_port(b);
	return addr_is_ip(a) ? ip_equal(a, b) : unix_equal(a, b);
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->kind == b->kind && a->dual == b->dual && addr_same_place(a, b);
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
	addr_interface_name(scope, addr->interface);
}

static void from_vm(const struct sockaddr_vm *vm, struct addr *addr)
{
	addr->vm.svm_family = AF_VSOCK;
	addr->vm.svm_cid = vm->svm_cid;
	addr->vm.svm_port = vm->svm_port;
	addr->len = sizeof addr->vm;
}

static void from_un(const struct sockaddr_un *un, socklen_t len, struct addr *addr)
{
	addr->un = *un;
	addr->un.sun_family = AF_UNIX;
	addr->len = len > offsetof(struct sockaddr_un, sun_path) ? len : 0;
}

void addr_from_sockaddr(
	enum addr_kind kind, const struct sockaddr *sa, socklen_t len, struct addr *ret)
{
	union {
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
		struct sockaddr_vm vm;
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
	if (kind == ADDR_VSOCK) {
		if (len >= sizeof copy.vm)
			from_vm(&copy.vm, ret);
	} else if (!addr_is_ip(ret)) {
		from_un(&copy.un, len, ret);
	} else if (copy.in.sin_family == AF_INET && len >= sizeof copy.in) {
		addr_set_ipv4(ret, &copy.in.sin_addr);
		addr_set_port(ret, ntohs(copy.in.sin_port));
	} else if (copy.in.sin_family == AF_INET6 && len >= sizeof copy.in6) {
		from_in6(&copy.in6, ret);
	}
}

void addr_from_ip(
	enum addr_kind kind, const void *ip, size_t len, uint16_t port, struct addr *ret)
{
	struct in_addr ip4;
	struct in6_addr ip6;

	memset(ret, 0, sizeof *ret);
	ret->kind = kind;
	if (len == sizeof ip4) {
		memcpy(&ip4, ip, sizeof ip4);
		addr_set_ipv4(ret, &ip4);
	} else {
		memcpy(&ip6, ip, sizeof ip6);
		addr_set_ipv6(ret, &ip6);
	}
	addr_set_port(ret, port);
}

size_t addr_ip(const struct addr *addr, uint8_t buf[16])
{
	switch (addr_family(addr)) {
	case AF_INET:
		memcpy(buf, &addr->in.sin_addr, sizeof addr->in.sin_addr);
		return sizeof addr->in.sin_addr;
	case AF_INET6:
		memcpy(buf, &addr->in6.sin6_addr, sizeof addr->in6.sin6_addr);
		return sizeof addr->in6.sin6_addr;
	default:
		return 0;
	}
}

/* Not there, switched off (net.mptcp.enabled), or older than Linux 5.6. */
static bool lacks_mptcp(const struct addr *addr, int error)
{
	return addr->kind == ADDR_MPTCP &&
	       (error == EPROTONOSUPPORT || error == ENOPROTOOPT || error == EINVAL);
}

int addr_socket(struct addr *addr, int flags)
{
	int fd = socket(addr_family(addr), addr_socktype(addr) | flags, addr_protocol(addr));

	if (fd < 0 && lacks_mptcp(addr, errno)) {
		addr->kind = ADDR_TCP;
		fd = socket(
			addr_family(addr), addr_socktype(addr) | flags, addr_protocol(addr));
	}
	return fd < 0 ? -errno : fd;
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
	int family = domain == AF_INET6 ? AF_INET : domain;

	for (int kind = 0; kind < ADDR_FD; kind++) {
		if (kinds[kind].family != family || kinds[kind].type != type ||
			kinds[kind].protocol != protocol)
			continue;
		*ret = (enum addr_kind)kind;
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

void addr_source_cut(struct addr_source *source, unsigned prefix4, unsigned prefix6)
{
	if (!addr_source_is_ip(source) || addr_source_is_link_local(source))
		return;
	addr_clear_behind(
		source->bytes, source->family == ADDR_SOURCE_IPV4 ? prefix4 : prefix6);
}

static void source_in6(const struct sockaddr_in6 *in6, struct addr_source *ret)
{
	ret->family = ADDR_SOURCE_IPV6;
	memcpy(ret->bytes, &in6->sin6_addr, sizeof ret->bytes);
	if (addr_source_is_link_local(ret))
		memcpy(ret->scope, &in6->sin6_scope_id, sizeof ret->scope);
}

void addr_source(
	const struct addr *peer, unsigned prefix4, unsigned prefix6, struct addr_source *ret)
{
	memset(ret, 0, sizeof *ret);
	switch (addr_family(peer)) {
	case AF_INET:
		ret->family = ADDR_SOURCE_IPV4;
		memcpy(ret->bytes, &peer->in.sin_addr, sizeof peer->in.sin_addr);
		break;
	case AF_INET6:
		source_in6(&peer->in6, ret);
		break;
	case AF_VSOCK:
		ret->family = ADDR_SOURCE_VSOCK;
		memcpy(ret->bytes, &peer->vm.svm_cid, sizeof peer->vm.svm_cid);
		break;
	default:
		ret->family = ADDR_SOURCE_UNIX;
		break;
	}
	addr_source_cut(ret, prefix4, prefix6);
}

void addr_source_uid(uid_t uid, struct addr_source *ret)
{
	memset(ret, 0, sizeof *ret);
	ret->family = ADDR_SOURCE_UNIX;
	memcpy(ret->bytes, &uid, sizeof uid);
}

bool addr_source_is_ip(const struct addr_source *source)
{
	return source->family == ADDR_SOURCE_IPV4 || source->family == ADDR_SOURCE_IPV6;
}

bool addr_source_is_localhost(const struct addr_source *source)
{
	static const uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};

	if (source->family == ADDR_SOURCE_IPV4)
		return memcmp(source->bytes, v4, sizeof v4) == 0;
	return source->family == ADDR_SOURCE_IPV6 && memcmp(source->bytes, v6, sizeof v6) == 0;
}

bool addr_source_is_link_local(const struct addr_source *source)
{
	return source->family == ADDR_SOURCE_IPV6 && source->bytes[0] == 0xfe &&
	       (source->bytes[1] & 0xc0) == 0x80;
}
