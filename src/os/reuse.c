#include "os/reuse.h"

#include "base/fd.h"
#include "base/own.h"
#include "os/unix_path.h"

#include <errno.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static int check_listens(int fd, const struct addr *addr)
{
	int listening = 0;
	socklen_t len = sizeof listening;

	if (addr_is_datagram(addr))
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0)
		return -errno;
	return listening ? 0 : -ENOTCONN;
}

/* With its options: those of the text alone are in `dual`. */
static struct addr expected(const struct service_conf *service, const struct addr *asked)
{
	struct addr addr = *asked;

	if (addr_family(&addr) == AF_INET6 && addr_is_wildcard(&addr))
		addr.dual = addr_takes_ipv4(&addr, service->v6only);
	return addr;
}

/* A number that stood for the interface when it was bound; its name is what counts. */
static bool is_same(const struct addr *own, const struct addr *wanted)
{
	struct addr addr = *wanted;

	if (addr_port_space(&addr) && addr_port(&addr) == 0)
		addr_set_port(&addr, addr_port(own));
	return addr_equal(own, &addr);
}

static int check_address(
	const struct service_conf *service, const struct addr *asked, const struct addr *own)
{
	struct addr wanted = expected(service, asked);

	/* This kernel may have had no MPTCP. */
	if (wanted.kind == ADDR_MPTCP && own->kind == ADDR_TCP)
		wanted.kind = ADDR_TCP;
	if (wanted.kind != own->kind)
		return -EINVAL;
	if (is_same(own, &wanted))
		return 0;
	/* The machine may have had no IPv6. */
	if (!asked->dual)
		return -EADDRNOTAVAIL;
	addr_fall_back_to_ipv4(&wanted);
	return is_same(own, &wanted) ? 0 : -EADDRNOTAVAIL;
}

/* Without what tells one kind of socket from another there. */
/* Of an address that is dual; thousands are compared, and few are. */
static bool is_ipv4_of(const struct addr *own, const struct addr *asked)
{
	struct addr ipv4;

	if (!asked->dual)
		return false;
	ipv4 = *asked;
	addr_fall_back_to_ipv4(&ipv4);
	return addr_same_place(&ipv4, own);
}

bool reuse_is_place(const struct addr *asked, const struct addr *own)
{
	const char *ports = addr_port_space(asked), *own_ports = addr_port_space(own);

	if (!ports || !own_ports)
		return !ports && !own_ports && addr_same_place(asked, own);
	if (strcmp(ports, own_ports) != 0 || addr_port(asked) == 0)
		return false;
	return addr_same_place(asked, own) || is_ipv4_of(own, asked);
}

/* ------------------------------------------------------------------------ networks */

/* What tells network name spaces apart: the kernel's number, or the file behind one. */
struct network {
	uint64_t cookie; /* 0: the kernel says none */
	dev_t dev;
	ino_t ino;
};

static int network_of(int fd, struct network *ret)
{
	_cleanup_close_ int file = -EBADF;
	socklen_t len = sizeof ret->cookie;
	struct stat st;

	*ret = (struct network){0};
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &ret->cookie, &len) == 0)
		return 0;
	file = ioctl(fd, SIOCGSKNS);
	if (file < 0 || fstat(file, &st) < 0)
		return -errno;
	ret->dev = st.st_dev;
	ret->ino = st.st_ino;
	return 0;
}

/* A new socket is of the network that we are in. */
static int check_network(int fd, const struct addr *own)
{
	_cleanup_close_ int fresh = -EBADF;
	struct network theirs, ours;

	/* A path leads there from every network, and a CID does. */
	if (!addr_is_ip(own) && !addr_is_abstract(own))
		return 0;
	fresh = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fresh < 0)
		return -errno;
	if (network_of(fd, &theirs) < 0 || network_of(fresh, &ours) < 0)
		return 0;
	return theirs.cookie == ours.cookie && theirs.dev == ours.dev && theirs.ino == ours.ino
	               ? 0
	               : -EXDEV;
}

/* A socket is bound to the number of an interface, which is another one when an interface of
 * that name is made anew.  Linux before 5.0 does not tell. */
static int check_interface(int fd, const struct service_conf *service, const struct addr *own)
{
	unsigned wanted = addr_family(own) == AF_INET6 ? own->in6.sin6_scope_id : 0;
	int number = 0;
	socklen_t len = sizeof number;

	if (!addr_is_ip(own) || getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &number, &len) < 0)
		return 0;
	if (service->bind_to_device) {
		wanted = if_nametoindex(service->bind_to_device);
		if (wanted == 0)
			return -ENODEV;
	}
	return (unsigned)number == wanted ? 0 : -ENODEV;
}

/* ------------------------------------------------------------------------- to use it */

/* As listen_open() has it: what was asked for, but for the port and what it fell back to. */
static struct addr resulting(const struct addr *asked, const struct addr *own)
{
	struct addr addr = *asked;

	addr.kind = own->kind;
	if (addr_is_ip(own) && addr_family(own) != addr_family(&addr))
		addr_fall_back_to_ipv4(&addr);
	if (addr_is_ip(own) && addr_family(own) == AF_INET6)
		addr.in6.sin6_scope_id = own->in6.sin6_scope_id;
	if (addr_port_space(&addr))
		addr_set_port(&addr, addr_port(own));
	return addr;
}

int reuse_known_socket(int fd, const struct service_conf *service, const struct addr *asked,
	const struct addr *own, struct listen_result *ret)
{
	struct listen_result result = {.fd = fd};
	int r;

	r = check_address(service, asked, own);
	if (r == 0)
		r = check_network(fd, own);
	if (r == 0)
		r = check_interface(fd, service, own);
	if (r == 0)
		r = check_listens(fd, own);
	if (r == 0 && addr_is_path(own))
		r = unix_path_find(fd, own, &result.dev, &result.ino);
	if (r < 0)
		return r;
	result.addr = resulting(asked, own);
	*ret = result;
	return 0;
}

int reuse_socket(int fd, const struct service_conf *service, const struct addr *asked,
	struct listen_result *ret)
{
	struct addr own;
	int r = addr_of_socket(fd, &own);

	if (r < 0)
		return r == -EPROTONOSUPPORT ? -EINVAL : r;
	return reuse_known_socket(fd, service, asked, &own, ret);
}

int reuse_handed_over(int fd, const struct service_conf *service, const struct addr *asked,
	const struct addr *own)
{
	int r = check_address(service, asked, own);

	/* That a machine without IPv6 would do with it is not known here. */
	if (r == 0 && service->v6only > 0 && addr_family(own) != addr_family(asked))
		r = -EADDRNOTAVAIL;
	if (r < 0)
		return r == -EINVAL ? -EPROTOTYPE : r;
	return check_interface(fd, service, own);
}

int reuse_check_peer(int fd, const struct addr *addr)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;

	if (!addr_is_datagram(addr) || getpeername(fd, (struct sockaddr *)&peer, &len) < 0)
		return 0;
	return -EISCONN;
}

const char *reuse_explain(int error)
{
	switch (-error) {
	case EINVAL:
		return "it is a socket of another kind";
	case EADDRNOTAVAIL:
		return "it is bound to another address";
	case ENODEV:
		return "it is bound to another interface, or to one that is gone";
	case EXDEV:
		return "it is of another network name space";
	case EISCONN:
		return "a program has connected it, so it hears nobody else";
	case ENOTCONN:
		return "it does not listen";
	case ENOTSOCK:
		return "it is no socket";
	case ESTALE:
		return "its path leads to it no longer";
	default:
		return strerror(-error);
	}
}
