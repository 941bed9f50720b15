#include "master/kept.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/own.h"
#include "master/master.h"
#include "master/store.h"
#include "os/listen.h"
#include "os/unix_path.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int make_room(struct kept *kept)
{
	size_t room = kept->room ? kept->room * 2 : 64;
	struct kept_socket **sockets;

	if (kept->n < kept->room)
		return 0;
	if (kept->n >= KEPT_MAX)
		return -ENOSPC;
	sockets = reallocarray(kept->sockets, room, sizeof *sockets);
	if (!sockets)
		return -ENOMEM;
	kept->sockets = sockets;
	kept->room = room;
	return 0;
}

/* The map has places, because sockets[] may move: counted from 1, as NULL is none. */
static int add(struct kept *kept, const struct kept_socket *socket)
{
	struct kept_socket *copy = malloc(sizeof *copy);
	int r;

	if (!copy)
		return -ENOMEM;
	r = textmap_add(&kept->by_key, socket->name.key, (void *)(uintptr_t)(kept->n + 1));
	if (r < 0) {
		free(copy);
		return r;
	}
	*copy = *socket;
	kept->sockets[kept->n++] = copy;
	return 0;
}

/* Its place, or NULL. */
static struct kept_socket **find(struct kept *kept, const char *key)
{
	uintptr_t place = (uintptr_t)textmap_get(&kept->by_key, key);

	return place > 0 && kept->sockets[place - 1] ? &kept->sockets[place - 1] : NULL;
}

/* Of two with one name the manager forgets both, and is to be given this one again. */
static void doubt(struct kept *kept, const char *key, const char *name)
{
	struct kept_socket **place = find(kept, key);

	if (place && (*place)->stored && strcmp((*place)->stored->name, name) == 0)
		(*place)->stored->sent = false;
}

int kept_add(struct kept *kept, const char *name, int fd, struct stored *stored)
{
	struct kept_socket socket = {.fd = fd, .stored = stored};
	int r;

	r = kept_name_parse(name, &socket.name);
	if (r == 0)
		r = make_room(kept);
	if (r == 0)
		r = add(kept, &socket);
	if (r == -EEXIST)
		doubt(kept, socket.name.key, name);
	return r;
}

const char *kept_strerror(int error)
{
	switch (error) {
	case -EEXIST:
		return "another one has the same name";
	case -EINVAL:
		return "its name says no address";
	case -ENOSPC:
		return "there are too many";
	default:
		return strerror(-error);
	}
}

int kept_know(struct kept *kept, const struct addr *addr)
{
	struct kept_socket *last = kept->sockets[kept->n - 1];

	if (!kept_name_is_lent(&last->name))
		return 0;
	last->known = malloc(sizeof *last->known);
	if (!last->known)
		return -ENOMEM;
	*last->known = *addr;
	return 0;
}

static int address_of(const struct kept_socket *socket, struct addr *ret)
{
	if (!socket->known)
		return addr_of_socket(socket->fd, ret);
	*ret = *socket->known;
	return 0;
}

/* It is the caller's now. */
static void take(struct kept_socket **place, struct kept_socket *ret)
{
	*ret = **place;
	free(*place);
	*place = NULL;
}

bool kept_take(struct kept *kept, const struct kept_wish *wish, struct kept_socket *ret)
{
	struct kept_socket **place = find(kept, wish->key);

	if (!place || !kept_name_fits(&(*place)->name, wish))
		return false;
	take(place, ret);
	return true;
}

/* Those who look for its path are to find none. */
static void remove_path(int fd, const struct addr *addr)
{
	dev_t dev;
	ino_t ino;

	if (addr_is_path(addr) && unix_path_find(fd, addr, &dev, &ino) == 0)
		listen_unlink(addr, dev, ino, NULL);
}

void kept_drop(struct master *master, struct kept_socket *socket)
{
	bool lent = kept_name_is_lent(&socket->name);
	struct addr addr;
	int fd;

	/* Of what is no socket of ours nothing is known. */
	if (address_of(socket, &addr) < 0)
		addr = (struct addr){.kind = ADDR_FD};
	fd = take_fd(&socket->fd);
	free(take_ptr(socket->known));
	if (!master->kept.shared)
		remove_path(fd, &addr);
	/* The service manager may have it for a moment still. */
	if (!lent && !master->kept.shared)
		shutdown(fd, SHUT_RDWR);
	if (!lent && addr_is_ip(&addr))
		fd_close(fd);
	else
		master_close_listener_later(master, fd, clock_monotonic());
	store_forget(master, take_ptr(socket->stored));
}

int kept_move_up(struct kept *kept, int floor)
{
	for (size_t i = 0; i < kept->n; i++) {
		int fd;

		if (!kept->sockets[i] || kept->sockets[i]->fd >= floor)
			continue;
		fd = fd_move_up(kept->sockets[i]->fd, floor);
		if (fd < 0)
			return fd;
		kept->sockets[i]->fd = fd;
	}
	return 0;
}

/* For the log: what it really is, as its name may be brief. */
static const char *describe(const struct kept_socket *socket, char buf[ADDR_TEXT_MAX])
{
	struct addr addr;

	return address_of(socket, &addr) < 0 ? "something that is no socket of ours"
	                                     : addr_format(&addr, buf);
}

/* Those whose place is not in `wanted`; NULL: all. */
static void drop_unwanted(struct master *master, const bool *wanted)
{
	struct kept *kept = &master->kept;
	char text[ADDR_TEXT_MAX];
	size_t n = 0;

	for (size_t i = 0; i < kept->n; i++) {
		struct kept_socket socket;

		if (!kept->sockets[i] || (wanted && wanted[i]))
			continue;
		take(&kept->sockets[i], &socket);
		log_debug("had been kept, and is not wanted: %s", describe(&socket, text));
		kept_drop(master, &socket);
		n++;
	}
	if (n > 0)
		log_notice("closed %zu socket%s that had been kept and no service asks for", n,
			n == 1 ? "" : "s");
}

/* To the places `wanted`, those that a service asks for. */
static int mark_wanted(const struct kept *kept, const struct service_conf *conf, bool *wanted)
{
	for (size_t i = 0; i < conf->n_listen && !conf->condition; i++) {
		struct kept_wish wish;
		struct kept_socket **place;
		int r;

		if (conf->listen[i].addr.kind == ADDR_FD)
			continue;
		r = kept_wish_make(conf, i, &wish);
		if (r < 0)
			return r;
		place = find((struct kept *)kept, wish.key);
		if (place && kept_name_fits(&(*place)->name, &wish))
			wanted[place - kept->sockets] = true;
	}
	return 0;
}

static int mark_all_wanted(const struct kept *kept, const struct image *image, bool *wanted)
{
	size_t n = image_n_services(image);

	for (size_t i = 0; i < n; i++) {
		_cleanup_service_conf_ struct service_conf *conf = NULL;
		int r = image_get(image, i, &conf);

		if (r == 0)
			r = mark_wanted(kept, conf, wanted);
		if (r < 0)
			return r;
	}
	return 0;
}

void kept_sweep(struct master *master, const struct image *image)
{
	struct kept *kept = &master->kept;
	_cleanup_free_ bool *wanted = NULL;

	if (kept->n == 0)
		return;
	/* Where that cannot be found out, nothing is known to be unwanted. */
	wanted = calloc(kept->n, sizeof *wanted);
	if (wanted && mark_all_wanted(kept, image, wanted) == 0)
		drop_unwanted(master, wanted);
}

void kept_close_rest(struct master *master)
{
	struct kept *kept = &master->kept;

	drop_unwanted(master, NULL);
	if (kept->n_used > 0 && !kept->own)
		log_notice("went on with %zu socket%s that had been kept", kept->n_used,
			kept->n_used == 1 ? "" : "s");
	kept_done(kept);
}

void kept_done(struct kept *kept)
{
	for (size_t i = 0; i < kept->n; i++) {
		if (!kept->sockets[i])
			continue;
		fd_close(kept->sockets[i]->fd);
		free(kept->sockets[i]->stored);
		free(kept->sockets[i]->known);
		free(kept->sockets[i]);
	}
	free(kept->sockets);
	textmap_done(&kept->by_key);
	*kept = (struct kept){0};
}
