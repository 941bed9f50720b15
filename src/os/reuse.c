#include "os/reuse.h"

#include "os/unix_path.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

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

int reuse_socket(int fd, const struct service_conf *service, const struct addr *asked,
	struct listen_result *ret)
{
	struct listen_result result = {.fd = fd};
	struct addr own;
	int r;

	r = addr_of_socket(fd, &own);
	if (r < 0)
		return r == -EPROTONOSUPPORT ? -EINVAL : r;
	r = check_address(service, asked, &own);
	if (r == 0)
		r = check_listens(fd, &own);
	if (r == 0 && addr_is_path(&own))
		r = unix_path_find(fd, &own, service->socket_uid, &result.dev, &result.ino);
	if (r < 0)
		return r;
	result.addr = resulting(asked, &own);
	*ret = result;
	return 0;
}

const char *reuse_explain(int error)
{
	switch (-error) {
	case EINVAL:
		return "it is a socket of another kind";
	case EADDRNOTAVAIL:
		return "it is bound to another address";
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
