#include "master/steer.h"

#include "base/own.h"
#include "master/caller.h"
#include "master/master.h"
#include "master/service.h"

#include <stdlib.h>

bool steer_disable(struct service *service, uint64_t now)
{
	if (service->state == SERVICE_DISABLED)
		return true;
	if (service->state != SERVICE_ACTIVE || service->master->leaving)
		return false;
	service_forgive(service);
	service_end_wait_children(service);
	callers_drop_service(service, now);
	for (uint32_t i = 0; i < service->n_listeners && !service->for_several; i++)
		listener_close(service->listeners[i]);
	service->state = SERVICE_DISABLED;
	service_update(service);
	return true;
}

void steer_enable(struct service *service, uint64_t now)
{
	if (service->state != SERVICE_DISABLED)
		return;
	service->state = SERVICE_ACTIVE;
	service_open(service);
	service_update(service);
	waiting_resume(service->master, now);
}

/* ------------------------------------------------------------------------ limits */

static int have_steered(struct service *service)
{
	if (!service->steered)
		service->steered = calloc(1, sizeof *service->steered);
	return service->steered ? 0 : -ENOMEM;
}

int steer_set_instances(struct service *service, uint32_t instances)
{
	struct steered *steered;

	if (have_steered(service) < 0)
		return -ENOMEM;
	steered = service->steered;
	if (!steered->has_instances)
		steered->old_instances = service->instances;
	steered->has_instances = true;
	service->instances = instances;
	service_update(service);
	return 0;
}

int steer_set_per_source(struct service *service, uint32_t per_source)
{
	if (have_steered(service) < 0)
		return -ENOMEM;
	service->steered->has_per_source = true;
	service->steered->per_source = per_source;
	return 0;
}

int steer_set_per_source_rate(struct service *service, const struct limit *rate)
{
	if (have_steered(service) < 0)
		return -ENOMEM;
	service->steered->has_per_source_rate = true;
	service->steered->per_source_rate = *rate;
	return 0;
}

static void change_rate(struct service *service, const struct limit *rate, struct pace *spare)
{
	service_set_rate(service, rate, spare);
	service_update(service);
}

int steer_set_rate(struct service *service, const struct limit *rate)
{
	struct pace *spare = NULL;
	struct steered *steered;

	if (have_steered(service) < 0)
		return -ENOMEM;
	if (limit_is_set(rate) && !service->pace) {
		spare = pace_new(service->master);
		if (!spare)
			return -ENOMEM;
	}
	steered = service->steered;
	if (!steered->has_rate && service->pace)
		steered->old_rate = service->pace->limit;
	steered->has_rate = true;
	change_rate(service, rate, spare);
	return 0;
}

uint32_t steer_per_source(const struct service *service)
{
	const struct steered *steered = service->steered;

	return steered && steered->has_per_source ? steered->per_source
	                                          : service->setup->conf->per_source;
}

const struct limit *steer_per_source_rate(const struct service *service)
{
	const struct steered *steered = service->steered;

	return steered && steered->has_per_source_rate ? &steered->per_source_rate
	                                               : &service->setup->conf->per_source_rate;
}

/* ------------------------------------------------------------------- forgetting */

void steer_drop(struct service *service)
{
	free(service->steered);
	service->steered = NULL;
}

/* Without memory for a pace the rate stays as it was set, until the next reload. */
static bool restore_rate(struct service *service)
{
	const struct limit *rate = &service->steered->old_rate;
	struct pace *spare = NULL;

	if (limit_is_set(rate) && !service->pace) {
		spare = pace_new(service->master);
		if (!spare)
			return false;
	}
	change_rate(service, rate, spare);
	return true;
}

static void restore_limits(struct service *service)
{
	if (service->steered->has_rate && !restore_rate(service))
		return;
	if (service->steered->has_instances)
		service->instances = service->steered->old_instances;
	steer_drop(service);
	service_update(service);
}

void steer_forget_all(struct master *master, uint64_t now)
{
	for (size_t i = 0; i < master->n_services; i++) {
		struct service *service = master->services[i];

		if (service->steered)
			restore_limits(service);
		steer_enable(service, now);
	}
}
