#include "master/unwanted.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/own.h"
#include "master/master.h"
#include "master/service.h"

#include <string.h>

/* A service that waits may want it later; until then it is not closed (I3). */
static bool is_wanted(struct master *master, const char *name)
{
	for (size_t i = 0; i < master->n_services; i++) {
		struct service *service = master->services[i];
		const struct setup *setup =
			service->state == SERVICE_WAITING ? service_setup(service) : NULL;
		const struct service_conf *conf = setup ? setup->conf : NULL;

		for (size_t j = 0; conf && j < conf->n_listen; j++)
			if (conf->listen[j].addr.kind == ADDR_FD &&
				strcmp(conf->listen[j].addr.name, name) == 0)
				return true;
	}
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
