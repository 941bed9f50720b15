#include "master/unwanted.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/own.h"
#include "master/master.h"
#include "master/service.h"

#include <string.h>

static bool is_called(const struct addr *addr, const char *name)
{
	return addr && addr->kind == ADDR_FD && strcmp(addr->name, name) == 0;
}

/* It waits, and may want it later. */
static bool may_want(struct service *service, const char *name)
{
	const struct setup *setup =
		service->state == SERVICE_WAITING ? service_setup(service) : NULL;
	const struct service_conf *conf = setup ? setup->conf : NULL;

	for (size_t i = 0; conf && i < conf->n_listen; i++)
		if (is_called(&conf->listen[i].addr, name))
			return true;
	return false;
}

/* It has asked for it, and could not serve it: another configuration of it may. */
static bool has_refused(const struct service *service, const char *name)
{
	for (size_t i = 0; i < service->n_listeners; i++) {
		const struct listener *listener = service->listeners[i];

		if (listener->fd < 0 && is_called(listener_asked(listener), name))
			return true;
	}
	return false;
}

/* Until then it is not closed (I3). */
static bool is_wanted(struct master *master, const char *name)
{
	for (size_t i = 0; i < master->n_services; i++)
		if (may_want(master->services[i], name) ||
			has_refused(master->services[i], name))
			return true;
	return false;
}

void close_unwanted(struct master *master)
{
	const struct inherited *inherited = &master->inherited;

	for (int i = 0; i < inherited->n_sockets; i++) {
		const char *name = inherited->socket_names[i];

		if (inherited->sockets[i] < 0 || is_wanted(master, name))
			continue;
		log_warning("no service wants the handed-over socket fd:%s, closing it", name);
		closer_close(master->closer,
			&(struct closer_job){
				.fd = take_fd(&inherited->sockets[i]),
				.ticket = spawner_started(master->spawner),
				.pending = &master->n_closing,
			},
			clock_monotonic());
	}
}
