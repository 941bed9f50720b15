#include "master/handed-over.h"

#include "base/own.h"
#include "os/reuse.h"

#include <string.h>
#include <sys/stat.h>

static struct handed_socket *handed_socket_free(struct handed_socket *socket)
{
	if (socket)
		free(socket->name);
	free(socket);
	return NULL;
}

static bool is_connection(int fd, const struct addr *addr)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;

	return !addr_is_datagram(addr) && getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

/* Two descriptors of one socket: what the one listener says of it, such as whether it blocks,
 * holds for the other. */
static bool is_there(const struct handed_over *handed_over, struct handed_socket *socket)
{
	struct stat st;

	if (fstat(socket->fd, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	socket->dev = st.st_dev;
	socket->ino = st.st_ino;
	for (size_t i = 0; i < handed_over->n; i++)
		if (handed_over->sockets[i]->ino == st.st_ino &&
			handed_over->sockets[i]->dev == st.st_dev)
			return true;
	return false;
}

static void find_out(const struct handed_over *handed_over, struct handed_socket *socket)
{
	if (is_there(handed_over, socket))
		socket->kind = HANDED_TWICE;
	else if (addr_of_socket(socket->fd, &socket->addr) < 0)
		socket->kind = HANDED_OTHER;
	else if (is_connection(socket->fd, &socket->addr))
		socket->kind = HANDED_CONNECTION;
}

static int make_room(struct handed_over *handed_over)
{
	struct handed_socket **sockets = reallocarray(
		handed_over->sockets, handed_over->n + 1, sizeof *handed_over->sockets);

	if (!sockets)
		return -ENOMEM;
	handed_over->sockets = sockets;
	return 0;
}

int handed_over_add(
	struct handed_over *handed_over, const char *name, int fd, const struct addr *addr)
{
	struct handed_socket *socket = calloc(1, sizeof *socket);

	if (socket)
		socket->name = strdup(name);
	if (!socket || !socket->name || make_room(handed_over) < 0) {
		handed_socket_free(socket);
		return -ENOMEM;
	}
	socket->fd = fd;
	if (addr && addr->len > 0)
		socket->addr = *addr;
	else
		find_out(handed_over, socket);
	handed_over->sockets[handed_over->n++] = socket;
	return 0;
}

struct handed_socket *handed_over_last(const struct handed_over *handed_over)
{
	return handed_over->n > 0 ? handed_over->sockets[handed_over->n - 1] : NULL;
}

bool handed_over_is_for(const struct handed_socket *socket, const struct addr *asked)
{
	if (asked->kind == ADDR_FD)
		return strcmp(socket->name, asked->name) == 0;
	return socket->kind == HANDED_SOCKET && reuse_is_place(asked, &socket->addr);
}

struct handed_socket *handed_over_find_again(
	const struct handed_over *handed_over, const struct addr *asked)
{
	for (size_t i = 0; i < handed_over->n; i++) {
		struct handed_socket *socket = handed_over->sockets[i];

		if (socket->fd >= 0 && addr_equal(asked, &socket->asked))
			return socket;
	}
	return NULL;
}

struct handed_socket *handed_over_find(
	const struct handed_over *handed_over, const struct addr *asked, size_t *at)
{
	while (*at < handed_over->n) {
		struct handed_socket *socket = handed_over->sockets[(*at)++];

		if (socket->fd >= 0 && handed_over_is_for(socket, asked))
			return socket;
	}
	return NULL;
}

bool handed_over_is_taken(const struct handed_over *handed_over, const struct addr *asked)
{
	for (size_t i = 0; i < handed_over->n; i++)
		if (handed_over->sockets[i]->fd < 0 &&
			handed_over_is_for(handed_over->sockets[i], asked))
			return true;
	return false;
}

void handed_over_forget_taken(struct handed_over *handed_over)
{
	size_t n = 0;

	for (size_t i = 0; i < handed_over->n; i++) {
		struct handed_socket *socket = handed_over->sockets[i];

		if (socket->fd < 0)
			handed_socket_free(socket);
		else
			handed_over->sockets[n++] = socket;
	}
	handed_over->n = n;
}

void handed_over_done(struct handed_over *handed_over)
{
	for (size_t i = 0; i < handed_over->n; i++)
		handed_socket_free(handed_over->sockets[i]);
	free(handed_over->sockets);
	*handed_over = (struct handed_over){0};
}
