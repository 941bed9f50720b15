#include "master/starve.h"

#include "master/master.h"
#include "master/service.h"

void service_starve(struct service *service)
{
	struct master *master = service->master;

	if (!service->starved) {
		service->starved = true;
		service->prev_starved = NULL;
		service->next_starved = master->starved;
		if (master->starved)
			master->starved->prev_starved = service;
		master->starved = service;
	}
	service_update(service);
}

void service_unstarve(struct service *service)
{
	if (!service->starved)
		return;
	if (service->prev_starved)
		service->prev_starved->next_starved = service->next_starved;
	else
		service->master->starved = service->next_starved;
	if (service->next_starved)
		service->next_starved->prev_starved = service->prev_starved;
	service->next_starved = service->prev_starved = NULL;
	service->starved = false;
}

void services_feed(struct master *master)
{
	master->slot_came_free = false;
	while (master->starved) {
		struct service *service = master->starved;

		service_unstarve(service);
		service_update(service);
	}
}
