#include "os/listen.h"

#include "base/fd.h"
#include "base/own.h"
#include "os/unix_path.h"

#include <net/if.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

/* One attempt: the address may still fall back to IPv4, hence a copy. */
struct attempt {
	const struct listen_request *request;
	struct addr addr;
	bool open; /* the socket is there: what is off has to be said as well */
	char step[LISTEN_STEP_MAX]; /* being taken, or what failed */
	dev_t dev;
	ino_t ino;
};

/* The next step begins: `verb` is what has failed if it fails. */
static void tell(struct attempt *a, const char *verb, const char *separator, const char *object)
{
	char line[ADDR_TEXT_MAX + 32];

	snprintf(a->step, sizeof a->step, "%s", verb);
	if (!a->request->told)
		return;
	snprintf(line, sizeof line, "%s%s%s", verb, separator, object);
	a->request->told(a->request->userdata, line);
}

static int set_option(
	struct attempt *a, int fd, int level, int option, const char *name, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof value) == 0)
		return 0;
	snprintf(a->step, sizeof a->step, "set %s on", name);
	return -errno;
}

#define SET(level, option, value)                                            \
	do {                                                                 \
		int set_ = set_option(a, fd, level, option, #option, value); \
		if (set_ < 0)                                                \
			return set_;                                         \
	} while (0)

static int set_buffers(struct attempt *a, int fd)
{
	const struct service_conf *service = a->request->service;

	if (service->send_buffer > 0)
		SET(SOL_SOCKET, SO_SNDBUF, (int)service->send_buffer);
	if (service->receive_buffer > 0)
		SET(SOL_SOCKET, SO_RCVBUF, (int)service->receive_buffer);
	return 0;
}

/* IPv4 as well, where the address was written without a family or v6only says so. */
static int set_v6only(struct attempt *a, int fd)
{
	int8_t asked = a->request->service->v6only;

	if (addr_family(&a->addr) != AF_INET6)
		return 0;
	SET(IPPROTO_IPV6, IPV6_V6ONLY, asked < 0 ? !a->addr.dual : asked);
	return 0;
}

static int set_device(struct attempt *a, int fd)
{
	const char *device = a->request->service->bind_to_device;

	if (!device)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device,
		    (socklen_t)strlen(device) + 1) == 0)
		return 0;
	snprintf(a->step, sizeof a->step, "bind to interface %.16s for", device);
	return -errno;
}

static int set_ip_options(struct attempt *a, int fd)
{
	const struct service_conf *service = a->request->service;
	int r;

	/* Old connections in TIME_WAIT must not keep a restarted server out.
	 * Not for datagrams: there it would let two servers share a port. */
	if (!addr_is_datagram(&a->addr))
		SET(SOL_SOCKET, SO_REUSEADDR, 1);
	if (service->reuse_port)
		SET(SOL_SOCKET, SO_REUSEPORT, 1);
	if (service->free_bind)
		SET(IPPROTO_IP, IP_FREEBIND, 1);
	r = set_v6only(a, fd);
	if (r < 0)
		return r;
	return set_device(a, fd);
}

/* Accepted connections inherit both from the listener. */
static int set_tcp_options(struct attempt *a, int fd)
{
	const struct service_conf *service = a->request->service;

	if (!addr_is_tcp(&a->addr))
		return 0;
	if (service->keepalive || a->open)
		SET(SOL_SOCKET, SO_KEEPALIVE, service->keepalive);
	if (service->nodelay || a->open)
		SET(IPPROTO_TCP, TCP_NODELAY, service->nodelay);
	return 0;
}

static int set_options(struct attempt *a, int fd)
{
	int r;

	r = set_buffers(a, fd);
	if (r < 0 || !addr_is_ip(&a->addr))
		return r;
	r = set_ip_options(a, fd);
	if (r < 0)
		return r;
	return set_tcp_options(a, fd);
}

/* A link-local address needs the number of its interface, as it is now. */
static int resolve_scope(struct addr *addr)
{
	if (addr_family(addr) != AF_INET6 || !addr->interface[0])
		return 0;
	addr->in6.sin6_scope_id = if_nametoindex(addr->interface);
	return addr->in6.sin6_scope_id ? 0 : -ENODEV;
}

static int bind_unix(struct attempt *a, int fd)
{
	const struct service_conf *service = a->request->service;
	int r;

	r = unix_path_clear(&a->addr);
	if (r < 0)
		return r;
	return unix_path_bind(fd, &a->addr, service->socket_uid, service->socket_gid,
		service->socket_mode, &a->dev, &a->ino);
}

static int bind_address(struct attempt *a, int fd)
{
	char text[ADDR_TEXT_MAX];
	int r;

	tell(a, "bind", " ", addr_format_endpoint(&a->addr, text));
	if (addr_family(&a->addr) == AF_UNIX && !addr_is_abstract(&a->addr))
		return bind_unix(a, fd);

	r = resolve_scope(&a->addr);
	if (r < 0)
		return r;
	return bind(fd, &a->addr.sa, a->addr.len) < 0 ? -errno : 0;
}

static int start_listening(struct attempt *a, int fd)
{
	uint32_t backlog = a->request->service->backlog;
	char text[32];

	if (addr_is_datagram(&a->addr))
		return 0;
	snprintf(text, sizeof text, "queue %u", backlog);
	tell(a, "listen", ", ", text);
	return listen(fd, backlog > INT32_MAX ? INT32_MAX : (int)backlog) < 0 ? -errno : 0;
}

/* A blocking listener would block the master in accept; a wait service's
 * program, which gets the socket itself, expects a blocking one. */
static int open_once(struct attempt *a, int *ret_fd)
{
	int nonblock = a->request->service->wait ? 0 : SOCK_NONBLOCK;
	_cleanup_close_ int fd = -EBADF;
	int r;

	tell(a, "socket", " ", addr_protocol_name(&a->addr));
	fd = addr_socket(&a->addr, SOCK_CLOEXEC | nonblock);
	if (fd < 0)
		return fd;

	r = set_options(a, fd);
	if (r < 0)
		return r;
	r = bind_address(a, fd);
	if (r < 0)
		return r;
	r = start_listening(a, fd);
	if (r < 0) {
		listen_unlink(&a->addr, a->dev, a->ino);
		return r;
	}

	*ret_fd = take_fd(&fd);
	return 0;
}

/* No IPv6 at all, or switched off on this machine. */
static bool lacks_ipv6(const struct addr *addr, int r)
{
	return addr->dual && (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL);
}

int listen_open(const struct listen_request *request, struct listen_result *ret,
	char reterr_step[LISTEN_STEP_MAX])
{
	struct attempt a = {.request = request, .addr = *request->addr};
	struct addr bound;
	int fd = -EBADF;
	int r;

	r = open_once(&a, &fd);
	if (r < 0 && lacks_ipv6(&a.addr, r)) {
		addr_fall_back_to_ipv4(&a.addr);
		r = open_once(&a, &fd);
	}
	if (r < 0) {
		memcpy(reterr_step, a.step, sizeof a.step);
		return r;
	}

	/* A port of 0 has become a real one. */
	if (addr_port_space(&a.addr) && addr_of_socket(fd, &bound) == 0)
		addr_set_port(&a.addr, addr_port(&bound));

	*ret = (struct listen_result){.fd = fd, .addr = a.addr, .dev = a.dev, .ino = a.ino};
	return 0;
}

static int adjust(struct attempt *a, const struct listen_result *socket)
{
	const struct service_conf *service = a->request->service;
	int r;

	r = set_buffers(a, socket->fd);
	if (r == 0)
		r = set_tcp_options(a, socket->fd);
	if (r == 0)
		r = start_listening(a, socket->fd);
	if (r < 0)
		return r;
	if (socket->ino != 0) {
		tell(a, "set owner and mode of", " ", socket->addr.un.sun_path);
		r = unix_path_adjust(&socket->addr, service->socket_uid, service->socket_gid,
			service->socket_mode, socket->dev, socket->ino);
		if (r < 0)
			return r;
	}
	return fd_set_nonblock(socket->fd, !service->wait);
}

int listen_adjust(const struct listen_request *request, const struct listen_result *socket,
	char reterr_step[LISTEN_STEP_MAX])
{
	struct attempt a = {.request = request, .addr = socket->addr, .open = true};
	int r = adjust(&a, socket);

	if (r < 0)
		memcpy(reterr_step, a.step, sizeof a.step);
	return r;
}

int listen_adopt(int fd, const struct service_conf *service, struct addr *ret_addr)
{
	int listening = 0;
	socklen_t len = sizeof listening;
	struct addr addr;
	int r;

	r = addr_of_socket(fd, &addr);
	if (r < 0)
		return r == -EPROTONOSUPPORT ? -EINVAL : r;
	if (!addr_is_datagram(&addr)) {
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0)
			return -errno;
		if (!listening)
			return -EINVAL;
	} else if (!service->wait) {
		return -EINVAL;
	}

	r = fd_set_nonblock(fd, !service->wait);
	if (r < 0)
		return r;
	*ret_addr = addr;
	return 0;
}

void listen_unlink(const struct addr *addr, dev_t dev, ino_t ino)
{
	if (addr_family(addr) == AF_UNIX && !addr_is_abstract(addr) && ino != 0)
		unix_path_remove(addr, dev, ino);
}
