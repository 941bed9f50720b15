#include "master/conn.h"

#include "base/fd.h"
#include "master/behind.h"
#include "master/master.h"
#include "master/service.h"
#include "os/sockopt.h"

#include <string.h>

/* Errors that concern this client alone, or the network (accept(2)): next, please. */
static bool transient(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case ENOPROTOOPT:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

static void conn_init(struct conn *conn, struct listener *listener, int fd)
{
	memset(conn, 0, sizeof *conn);
	conn->listener = listener;
	conn->service = listener->service;
	conn->fd = fd;
	conn->pair = -EBADF;
	conn->peer_cred.uid = (uid_t)-1;
}

int conn_program_fd(const struct conn *conn)
{
	return conn->pair >= 0 ? conn->pair : conn->fd;
}

void conn_learn_source(struct conn *conn)
{
	const struct service_conf *conf = conn->service->setup->conf;
	socklen_t len = sizeof conn->peer_cred;

	if (addr_family(&conn->local) != AF_UNIX) {
		addr_source(
			&conn->peer, conf->source_prefix4, conf->source_prefix6, &conn->source);
		return;
	}

	if (getsockopt(conn->fd, SOL_SOCKET, SO_PEERCRED, &conn->peer_cred, &len) < 0)
		conn->peer_cred.uid = (uid_t)-1;
	addr_source_uid(conn->peer_cred.uid, &conn->source);
}

/* A wildcard listener does not know which of our addresses was meant. */
static void learn_local(struct conn *conn)
{
	const struct listener *listener = conn->listener;
	struct sockaddr_storage storage;
	socklen_t len = sizeof storage;

	conn->local = *listener_addr(listener);
	if (!addr_is_wildcard(&conn->local))
		return;
	if (getsockname(conn->fd, (struct sockaddr *)&storage, &len) == 0)
		addr_from_sockaddr(
			conn->local.kind, (struct sockaddr *)&storage, len, &conn->local);
}

static void learn_peer(struct conn *conn, const struct sockaddr *sa, socklen_t len)
{
	addr_from_sockaddr(listener_addr(conn->listener)->kind, sa, len, &conn->peer);
	learn_local(conn);
	conn_learn_source(conn);
}

int conn_accept(struct listener *listener, struct conn *conn)
{
	struct sockaddr_storage storage;
	socklen_t len = sizeof storage;
	int fd = accept4(listener->fd, (struct sockaddr *)&storage, &len, SOCK_CLOEXEC);

	/* If another waits behind the one that went wrong, the next event says so. */
	if (fd < 0)
		return errno == EAGAIN || transient(errno) ? 0 : -errno;

	conn_init(conn, listener, fd);
	sockopt_finish(fd, listener->service->setup->conf, listener_addr(listener));
	learn_peer(conn, (struct sockaddr *)&storage, len);
	return 1;
}

void conn_of_socket(struct listener *listener, struct conn *conn)
{
	conn_init(conn, listener, listener->fd);
	conn->local = *listener_addr(listener);
	conn->peer.kind = conn->local.kind;
}

void conn_of_peer(struct listener *listener, struct conn *conn)
{
	conn_of_socket(listener, conn);
	conn->fd = -EBADF;
}

/* A UNIX client can have put something into it that takes its time to be let go, and what
 * a driver of vsock waits for is its own affair. */
static void drop(const struct listener *listener, int fd, bool is_ours, uint64_t now)
{
	if (fd < 0)
		return;
	if (listener->is_ip && is_ours)
		fd_close(fd);
	else
		service_close_later(listener->service, fd, 0, now);
}

void conn_drop(const struct conn *conn, uint64_t now)
{
	drop(conn->listener, conn->fd, !conn->is_caller, now);
	fd_close(conn->pair);
}

void conn_hold(struct conn *conn)
{
	conn->held = true;
	if (conn->is_caller)
		return;
	conn->listener->held = conn->fd;
	conn->listener->held_number = conn->number;
	conn->listener->held_since = conn->accepted;
}

/* They may be many, and low numbers are for those who are served. */
int conn_hold_behind(const struct conn *conn)
{
	int fd = master_move_up(conn->service->master, conn->fd);
	int r = behind_add(&conn->listener->behind, fd, conn->accepted);

	if (r < 0)
		drop(conn->listener, fd, true, conn->accepted);
	return r;
}

size_t conn_count_held(const struct listener *listener)
{
	return (listener->held >= 0) + behind_count(listener->behind);
}

bool conn_next_held(struct listener *listener)
{
	int fd;

	if (listener->held >= 0)
		return true;
	if (!behind_take(&listener->behind, &listener->held, &listener->held_since))
		return false;
	listener->held_number = 0;
	/* Where that cannot be done he is served from up there. */
	fd = fd_move_up(listener->held, 0);
	if (fd >= 0)
		listener->held = fd;
	return true;
}

bool conn_take_held(struct listener *listener, struct conn *conn)
{
	struct sockaddr_storage storage;
	socklen_t len = sizeof storage;

	conn_init(conn, listener, listener->held);
	conn->number = listener->held_number;
	conn->accepted = listener->held_since;
	listener->held = -EBADF;
	if (getpeername(conn->fd, (struct sockaddr *)&storage, &len) < 0)
		return false;
	learn_peer(conn, (struct sockaddr *)&storage, len);
	return true;
}

void conn_drop_held(struct listener *listener, uint64_t now)
{
	while (conn_next_held(listener)) {
		drop(listener, listener->held, true, now);
		listener->held = -EBADF;
	}
}
