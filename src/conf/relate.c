#include "conf/relate.h"

#include "conf/diff.h"

#include <assert.h>

/* Services to be compared, and where they stand in the whole. */
struct set {
	struct service_conf **services;
	uint32_t *places;
	size_t n;
};

static void set_done(struct set *set)
{
	free(set->services);
	free(set->places);
}

static int set_init(struct set *set, size_t size)
{
	*set = (struct set){
		.services = calloc(size + 1, sizeof(struct service_conf *)),
		.places = calloc(size + 1, sizeof *set->places),
	};
	return set->services && set->places ? 0 : -ENOMEM;
}

static void set_add(struct set *set, struct service_conf *service, size_t place)
{
	set->services[set->n] = service;
	set->places[set->n++] = (uint32_t)place;
}

static uint32_t place_in(const struct set *set, size_t i)
{
	return i == DIFF_NONE ? CONF_NONE : set->places[i];
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

static uint32_t listen_of(size_t i)
{
	return i == DIFF_NONE ? CONF_NONE : (uint32_t)i;
}

static void relate_addresses(struct service_conf *service, const struct set *old,
	const struct diff_address *addresses, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct listen_conf *listen = &service->listen[addresses[i].listen];

		listen->fate = fate_of(addresses[i].fate);
		listen->old_service = place_in(old, addresses[i].old_service);
		listen->old_listen = listen_of(addresses[i].old_listen);
	}
}

static int relate_sets(const struct set *new, const struct set *old)
{
	struct diff diff;
	int r;

	r = diff_make(old->services, old->n, new->services, new->n, &diff);
	if (r < 0)
		return r;
	for (size_t i = 0; i < new->n; i++) {
		const struct diff_service *found = &diff.services[i];
		struct service_conf *service = new->services[i];

		service->old = place_in(old, found->old);
		service->news = found->old == DIFF_NONE ? 0 : news_of(found);
		relate_addresses(
			service, old, &diff.addresses[found->first], found->n_addresses);
	}
	diff_done(&diff);
	return 0;
}

/* What says the same as service `old` has the same sockets, and nobody else can
 * have been given one of them: no two services have the same address. */
static void relate_twin(struct service_conf *service, uint32_t old)
{
	service->old = old;
	service->news = 0;
	for (size_t i = 0; i < service->n_listen && !service->condition; i++) {
		service->listen[i].fate = LISTEN_KEPT;
		service->listen[i].old_service = old;
		service->listen[i].old_listen = (uint32_t)i;
	}
}

/* `twins` as of image_read_changed(). */
static int relate_all(struct conf *conf, const struct conf *in_force, const uint32_t *twins)
{
	_cleanup_(set_done) struct set new = {0}, old = {0};
	int r;

	r = set_init(&new, conf->n_services);
	if (r == 0)
		r = set_init(&old, in_force->n_services);
	if (r < 0)
		return r;
	for (size_t i = 0; i < conf->n_services; i++) {
		if (twins[i] == CONF_NONE)
			set_add(&new, conf->services[i], i);
		else
			relate_twin(conf->services[i], twins[i]);
	}
	for (size_t i = 0; i < in_force->n_services; i++) {
		if (in_force->services[i])
			set_add(&old, in_force->services[i], i);
	}
	return relate_sets(&new, &old);
}

int relate(struct conf *conf, const struct conf *in_force)
{
	_cleanup_free_ uint32_t *twins = calloc(conf->n_services + 1, sizeof *twins);

	if (!twins)
		return -ENOMEM;
	for (size_t i = 0; i < conf->n_services; i++)
		twins[i] = CONF_NONE;
	return relate_all(conf, in_force, twins);
}

int relate_to_image(struct conf *conf, const struct image_draft *draft, int memfd)
{
	_cleanup_free_ uint32_t *twins = calloc(conf->n_services + 1, sizeof *twins);
	struct conf in_force;
	int r;

	if (!twins)
		return -ENOMEM;
	r = image_read_changed(memfd, draft, &in_force, twins);
	if (r < 0)
		return r;
	r = relate_all(conf, &in_force, twins);
	conf_done(&in_force);
	return r;
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
