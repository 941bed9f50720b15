#include "conf/relate.h"

#include "conf/diff.h"

#include <assert.h>

static uint32_t index_of(size_t i)
{
	return i == DIFF_NONE ? CONF_NONE : (uint32_t)i;
}

static enum listen_fate fate_of(enum diff_fate fate)
{
	static const enum listen_fate fates[] = {
		[DIFF_KEPT] = LISTEN_KEPT,
		[DIFF_ADJUSTED] = LISTEN_ADJUSTED,
		[DIFF_REOPENED] = LISTEN_REOPENED,
		[DIFF_OPENED] = LISTEN_OPENED,
	};

	/* The new configuration has no address that is closed. */
	assert(fate < ARRAY_SIZE(fates));
	return fates[fate];
}

static uint32_t news_of(const struct diff_service *service)
{
	uint32_t news = 0;

	if (diff_options_any(&service->changed))
		news |= SERVICE_OPTIONS_CHANGED;
	if (service->resolved & DIFF_CONDITION)
		news |= SERVICE_CONDITION_CHANGED;
	if (service->resolved & ~(unsigned)DIFF_CONDITION)
		news |= SERVICE_REST_CHANGED;
	if (!service->same && news == 0)
		news = SERVICE_REST_CHANGED;
	return news;
}

static void relate_addresses(
	struct service_conf *service, const struct diff_address *addresses, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct listen_conf *listen = &service->listen[addresses[i].listen];

		listen->fate = fate_of(addresses[i].fate);
		listen->old_service = index_of(addresses[i].old_service);
		listen->old_listen = index_of(addresses[i].old_listen);
	}
}

static bool has_come(const struct service_conf *service, const struct conf *in_force)
{
	return service->old != CONF_NONE && in_force->services[service->old]->condition &&
	       service->news & SERVICE_CONDITION_CHANGED &&
	       !(service->news & SERVICE_OPTIONS_CHANGED);
}

int relate_conditions(struct conf *conf, struct conf *in_force)
{
	int n = 0, r = relate(conf, in_force);

	if (r < 0)
		return r;
	for (size_t i = 0; i < conf->n_services; i++) {
		struct service_conf *service = conf->services[i];

		if (!has_come(service, in_force))
			continue;
		conf->services[i] = in_force->services[service->old];
		in_force->services[service->old] = service;
		n++;
	}
	return n;
}

int relate(struct conf *conf, const struct conf *in_force)
{
	struct diff diff;
	int r;

	r = diff_make(in_force->services, in_force->n_services, conf->services,
		conf->n_services, &diff);
	if (r < 0)
		return r;
	for (size_t i = 0; i < conf->n_services; i++) {
		const struct diff_service *found = &diff.services[i];

		conf->services[i]->old = index_of(found->old);
		conf->services[i]->news = found->old == DIFF_NONE ? 0 : news_of(found);
		relate_addresses(
			conf->services[i], &diff.addresses[found->first], found->n_addresses);
	}
	diff_done(&diff);
	return 0;
}
