#include "master/unwanted.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "master/handed-over.h"
#include "master/master.h"
#include "master/service.h"

#include <stdio.h>
#include <string.h>

/* It waits, and may want it later. */
static bool may_want(struct service *service, const struct handed_socket *socket)
{
	const struct setup *setup =
		service->state == SERVICE_WAITING ? service_setup(service) : NULL;
	const struct service_conf *conf = setup ? setup->conf : NULL;

	for (size_t i = 0; conf && i < conf->n_listen; i++)
		if (handed_over_is_for(socket, &conf->listen[i].addr))
			return true;
	return false;
}

/* It has asked for it, and could not serve it: another configuration of it may. */
static bool has_refused(const struct service *service, const struct handed_socket *socket)
{
	for (size_t i = 0; i < service->n_listeners; i++) {
		const struct listener *listener = service->listeners[i];
		const struct addr *asked = listener->fd < 0 ? listener_asked(listener) : NULL;

		if (asked && handed_over_is_for(socket, asked))
			return true;
	}
	return false;
}

static bool is_wanted(const struct master *master, const struct handed_socket *socket)
{
	for (size_t i = 0; i < master->n_services; i++)
		if (may_want(master->services[i], socket) ||
			has_refused(master->services[i], socket))
			return true;
	return false;
}

static const char *show_name(const struct handed_socket *socket, char buf[4 * KEPT_NAME_MAX])
{
	return text_escape(socket->name, strlen(socket->name), buf, 4 * KEPT_NAME_MAX);
}

/* The name goes to one address, so that of a socket that another one shares it with is of no
 * use; and a configuration may be unable to write it. */
static bool can_be_named(const struct master *master, const struct handed_socket *socket)
{
	const struct handed_over *all = &master->inherited.handed_over;
	char text[sizeof "fd:" + ADDR_NAME_MAX];
	struct addr_spec spec;
	const char *why;

	for (size_t i = 0; i < all->n; i++)
		if (all->sockets[i] != socket &&
			strcmp(all->sockets[i]->name, socket->name) == 0)
			return false;
	if (strlen(socket->name) >= ADDR_NAME_MAX)
		return false;
	snprintf(text, sizeof text, "fd:%s", socket->name);
	return addr_parse(text, &spec, &why) == 0;
}

static void tell(const struct master *master, const struct handed_socket *socket)
{
	bool named = can_be_named(master, socket);
	char name[4 * KEPT_NAME_MAX], text[ADDR_TEXT_MAX];

	addr_format(&socket->addr, text);
	show_name(socket, name);
	log_warning("a socket handed over as '%s', %s, is for no service; add listen = %s%s",
		name, text, named ? "fd:" : "", named ? name : text);
}

/* Who is at the other end of a connection would wait for nothing. */
static void close_other(struct master *master, struct handed_socket *socket)
{
	char name[4 * KEPT_NAME_MAX];

	show_name(socket, name);
	if (socket->kind == HANDED_CONNECTION)
		log_warning("a connection was handed over as '%s', but hatchd takes in its "
			    "clients itself (Accept=no in the socket unit): closing it",
			name);
	else if (socket->kind == HANDED_TWICE)
		log_warning("the socket handed over as '%s' is the same as one that was handed "
			    "over before it: closing this descriptor of it",
			name);
	else
		log_warning("what was handed over as '%s' is nothing that clients come to: "
			    "closing it",
			name);
	master_close_later(master, take_fd(&socket->fd), clock_monotonic());
}

static void look_at(struct master *master, struct handed_socket *socket, size_t *n)
{
	/* Children copy what is below. */
	if (socket->fd < master->budget.low_limit)
		socket->fd = master_move_up(master, socket->fd);
	if (socket->kind == HANDED_CONNECTION || socket->kind == HANDED_TWICE) {
		close_other(master, socket);
	} else if (is_wanted(master, socket)) {
		socket->told = false;
	} else if (socket->kind == HANDED_OTHER) {
		close_other(master, socket);
	} else if (!socket->told) {
		socket->told = true;
		if ((*n)++ < UNWANTED_TOLD_MAX)
			tell(master, socket);
	}
}

void report_unwanted(struct master *master)
{
	const struct handed_over *all = &master->inherited.handed_over;
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++)
		if (all->sockets[i]->fd >= 0)
			look_at(master, all->sockets[i], &n);
	if (n > UNWANTED_TOLD_MAX)
		log_warning("%zu more sockets that were handed over are for no service",
			n - UNWANTED_TOLD_MAX);
}
