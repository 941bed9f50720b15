#include "master/last-look.h"

#include "master/master.h"
#include "master/serve.h"
#include "master/service.h"
#include "master/store.h"

/* In one turn: clients, and sockets that are closed. */
#define CLIENTS_MAX 64
#define SOCKETS_MAX 256

static bool is_looked_at(const struct listener *listener)
{
	const struct service *service = listener->service;

	return listener->fd >= 0 && !listener->is_datagram && !service->wait &&
	       service_takes_in(service) && !service->master->cmdline->once;
}

/* Of those who may wait there, how many were not taken yet; 0: no more is to be taken. */
static uint32_t count_rest(const struct last_look *look, struct listener *listener)
{
	const struct setup *setup =
		is_looked_at(listener) ? service_setup(listener->service) : NULL;

	return setup && setup->conf->backlog > look->n ? setup->conf->backlog - look->n : 0;
}

/* True: its queue is empty, or that was enough. */
static bool look_at(struct last_look *look, struct listener *listener, int *room, uint64_t now)
{
	uint32_t rest = count_rest(look, listener);
	int most = rest < (uint32_t)*room ? (int)rest : *room;
	int n = serve_last(listener, most, !store_keeps(listener), now);

	look->n += (uint32_t)n;
	*room -= n;
	return n < most || (uint32_t)n == rest;
}

static void close_next(struct master *master, int *room, uint64_t now)
{
	struct last_look *look = &master->drain.last_look;
	struct service *service = master->services[look->service];

	if (look->listener < service->n_listeners) {
		struct listener *listener = service->listeners[look->listener];

		if (!look_at(look, listener, room, now))
			return;
		listener_let_nobody_in(listener);
		look->listener++;
		look->n = 0;
		return;
	}
	service_update(service);
	look->listener = 0;
	look->service++;
	look->goes_on = look->service < master->n_services;
}

void last_look_turn(struct master *master, uint64_t now)
{
	int room = CLIENTS_MAX;

	for (int i = 0; i < SOCKETS_MAX && room > 0 && master->drain.last_look.goes_on; i++)
		close_next(master, &room, now);
}

void last_look_begin(struct master *master, uint64_t now)
{
	master->drain.last_look = (struct last_look){.goes_on = master->n_services > 0};
	last_look_turn(master, now);
}
