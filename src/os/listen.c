#include "os/listen.h"

#include "base/fd.h"
#include "base/own.h"
#include "base/text.h"
#include "os/sockopt.h"
#include "os/unix_path.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>

_Static_assert(LISTEN_STEP_MAX >= SOCKOPT_STEP_MAX, "no room for its step");

/* One attempt: the address may still fall back to IPv4, hence a copy. */
struct attempt {
	const struct listen_request *request;
	struct addr addr;
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

static int set_options(struct attempt *a, int fd)
{
	static const int on = 1;

	/* Old connections in TIME_WAIT must not keep a restarted server out.
	 * Not for datagrams: there it would let two servers share a port. */
	if (addr_is_tcp(&a->addr) &&
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) {
		snprintf(a->step, sizeof a->step, "set SO_REUSEADDR on");
		return -errno;
	}
	return sockopt_apply(fd, a->request->service, &a->addr, a->step);
}

/* A link-local address needs the number of its interface, as it is now. */
static int resolve_scope(struct addr *addr)
{
	if (addr_family(addr) != AF_INET6 || !addr->interface[0])
		return 0;
	addr->in6.sin6_scope_id = if_nametoindex(addr->interface);
	return addr->in6.sin6_scope_id ? 0 : -ENODEV;
}

static int make_parents(struct attempt *a)
{
	mode_t mode = a->request->service->directory_mode;
	int r;

	if (mode == 0)
		return 0;
	r = unix_path_make_parents(&a->addr, mode);
	if (r < 0)
		snprintf(a->step, sizeof a->step, "make the directory of");
	return r;
}

static int bind_unix(struct attempt *a, int fd)
{
	const struct service_conf *service = a->request->service;
	int r;

	r = make_parents(a);
	if (r < 0)
		return r;
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
	if (addr_is_path(&a->addr))
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

typedef int (*link_step)(const struct addr *addr, const char *link, mode_t mode);

static int for_link(struct attempt *a, const char *link, link_step step)
{
	char shown[128];
	int r;

	r = step(&a->addr, link, a->request->service->directory_mode);
	if (r < 0)
		snprintf(a->step, sizeof a->step, "make the symbolic link %s to",
			text_escape(link, strlen(link), shown, sizeof shown));
	return r;
}

static int for_links(struct attempt *a, link_step step)
{
	char **links = a->request->service->symlinks;
	int r = 0;

	for (char **link = links; link && *link && r == 0 && addr_is_path(&a->addr); link++)
		r = for_link(a, *link, step);
	return r;
}

/* Links first: what can fail comes before the first client can be there. */
static int open_to_clients(struct attempt *a, int fd)
{
	int r;

	r = for_links(a, unix_path_link);
	if (r == 0)
		r = start_listening(a, fd);
	if (r < 0)
		listen_unlink(&a->addr, a->dev, a->ino, a->request->service->symlinks);
	return r;
}

/*
 * A blocking listener would block the master in accept; a wait service's
 * program, which gets the socket itself, expects a blocking one.
 *
 * Links that cannot be had are found before the socket shows: nobody gets in only
 * to be thrown out again.
 */
static int open_once(struct attempt *a, int *ret_fd)
{
	int nonblock = a->request->service->wait ? 0 : SOCK_NONBLOCK;
	_cleanup_close_ int fd = -EBADF;
	int r;

	r = for_links(a, unix_path_check_link);
	if (r < 0)
		return r;
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
	r = open_to_clients(a, fd);
	if (r < 0)
		return r;

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

	/* First of all: the service is what it is now, whatever else fails. */
	tell(a, "make blocking or not", " ", "the socket");
	r = fd_set_nonblock(socket->fd, !service->wait);
	if (r == 0)
		r = sockopt_adjust(socket->fd, service, &a->addr, a->step);
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
	return for_links(a, unix_path_link);
}

int listen_adjust(const struct listen_request *request, const struct listen_result *socket,
	char reterr_step[LISTEN_STEP_MAX])
{
	struct attempt a = {.request = request, .addr = socket->addr};
	int r = adjust(&a, socket);

	if (r < 0)
		memcpy(reterr_step, a.step, sizeof a.step);
	return r;
}

/* Nobody has said that what is built in may answer whoever sends datagrams there. */
static bool takes_datagrams(const struct service_conf *service)
{
	return service->wait || service_conf_has_program(service) ||
	       service_conf_is_redirect(service);
}

/* The loader has told of it where it sees one, and where the program takes them itself. */
static bool has_to_know_users(const struct service_conf *service)
{
	return service->ident == IDENT_USE_REQUIRED && !service->wait;
}

int listen_suits(const struct service_conf *service, const struct addr *addr)
{
	if (addr_is_datagram(addr) && !takes_datagrams(service))
		return -EINVAL;
	if (addr_is_datagram(addr) && has_to_know_users(service))
		return -EOPNOTSUPP;
	if (service_conf_is_redirect(service) && !service_conf_redirect_takes(service, addr))
		return -EINVAL;
	if (service_conf_is_builtin(service) && !service_conf_builtin_takes(service, addr))
		return -EINVAL;
	return 0;
}

static int check_listens(int fd)
{
	int listening = 0;
	socklen_t len = sizeof listening;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0)
		return -errno;
	return listening ? 0 : -EINVAL;
}

int listen_adopt(int fd, const struct service_conf *service, const struct addr *own)
{
	int r = addr_is_datagram(own) ? 0 : check_listens(fd);

	if (r == 0)
		r = listen_suits(service, own);
	return r < 0 ? r : fd_set_nonblock(fd, !service->wait);
}

static bool is_among(const char *link, char *const *links)
{
	for (; links && *links; links++) {
		if (strcmp(*links, link) == 0)
			return true;
	}
	return false;
}

void listen_drop_links(const struct addr *addr, char *const *had, char *const *has)
{
	for (; had && *had && addr_is_path(addr); had++) {
		if (!is_among(*had, has))
			unix_path_unlink(addr, *had);
	}
}

void listen_unlink(const struct addr *addr, dev_t dev, ino_t ino, char *const *links)
{
	if (!addr_is_path(addr) || ino == 0)
		return;
	listen_drop_links(addr, links, NULL);
	unix_path_remove(addr, dev, ino);
}

const char *listen_explain(int error)
{
	switch (-error) {
	case EADDRINUSE:
		return "somebody listens there already";
	case EEXIST:
		return "a file that is not a socket is in the way";
	case EBUSY:
		return "something else is in its place";
	case ELOOP:
		return "a symbolic link is in the way";
	case ENODEV:
		return "no such interface";
	case ENOPKG:
		return "this kernel has no congestion control of that name";
	case EACCES:
		return "not permitted (ports below 1024 and other users' directories need "
		       "root)";
	default:
		return strerror(-error);
	}
}
