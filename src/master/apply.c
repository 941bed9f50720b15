#include "master/apply.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "master/listener.h"
#include "master/master.h"
#include "master/pause.h"
#include "master/service.h"
#include "master/setup.h"

#include <string.h>

/* One service of the new configuration. */
struct change {
	struct setup *setup;     /* held */
	struct service *service; /* its place: one in force, or `created` */
	bool created;
	struct listener **listeners; /* those that it keeps come with the switch: NULL */
	size_t n_listeners;
};

struct apply {
	struct master *master;
	struct conf *conf;
	struct change *changes; /* one for each service */
	size_t n_changes;       /* made so far */
	struct service **services;
};

/* ------------------------------------------- is what the loader says possible */

static struct listener *old_listener(const struct master *master, const struct listen_conf *l)
{
	const struct service *service;

	if (l->old_service >= master->n_services)
		return NULL;
	service = master->services[l->old_service];
	return l->old_listen < service->n_listeners ? service->listeners[l->old_listen] : NULL;
}

static bool claim_service(const struct master *master, const struct service_conf *conf)
{
	struct service *old;

	if (conf->old == CONF_NONE)
		return true;
	if (conf->old >= master->n_services)
		return false;
	old = master->services[conf->old];
	if (old->claimed || strcmp(old->setup->conf->name, conf->name) != 0)
		return false;
	return old->claimed = true;
}

/*
 * A socket that stays must be what it is now said to be, not only for the text:
 * with a blocking one, or one that a program may make so, accepting would wait (I2).
 */
static bool may_stay(const struct listener *listener, const struct service_conf *conf,
	const struct listen_conf *l)
{
	bool was = listener->service->setup->conf->wait;

	if (!addr_equal(&listener->asked, &l->addr))
		return false;
	if (l->fate == LISTEN_KEPT)
		return was == conf->wait;
	return !was || l->addr.kind == ADDR_FD;
}

/* A service that waits has no sockets, so none of them can come from there. */
static bool claim_listener(const struct master *master, const struct service_conf *conf,
	const struct listen_conf *l)
{
	struct listener *listener;

	if (l->fate == LISTEN_OPENED)
		return true;
	listener = old_listener(master, l);
	if (!listener || listener->claimed)
		return false;
	if (l->fate != LISTEN_REOPENED && !may_stay(listener, conf, l))
		return false;
	return listener->claimed = true;
}

static bool claim_all(const struct apply *a)
{
	for (size_t i = 0; i < a->conf->n_services; i++) {
		const struct service_conf *conf = a->conf->services[i];

		if (!claim_service(a->master, conf))
			return false;
		for (size_t j = 0; j < conf->n_listen; j++)
			if (!claim_listener(a->master, conf, &conf->listen[j]))
				return false;
	}
	return true;
}

static void forget_claims(const struct master *master)
{
	for (size_t i = 0; i < master->n_services; i++) {
		struct service *service = master->services[i];

		service->claimed = false;
		for (size_t j = 0; j < service->n_listeners; j++)
			service->listeners[j]->claimed = false;
	}
}

/* Each service and each socket in force goes to one place at most. */
static bool is_possible(const struct apply *a)
{
	bool possible = claim_all(a);

	forget_claims(a->master);
	return possible;
}

/* ------------------------------------------------------------ the first half */

/* A service that was removed while its children lived, and comes back. */
static struct service *find_retired(const struct master *master, const char *name)
{
	for (struct service *s = master->retired; s; s = s->next_retired)
		if (strcmp(s->setup->conf->name, name) == 0)
			return s;
	return NULL;
}

static struct service *find_service(
	const struct master *master, const struct service_conf *conf)
{
	if (conf->old != CONF_NONE)
		return master->services[conf->old];
	return find_retired(master, conf->name);
}

static int make_listener(struct change *change, const struct listen_conf *l)
{
	const struct service_conf *conf = change->setup->conf;
	struct listener **place = &change->listeners[change->n_listeners++];
	bool kept = l->fate == LISTEN_KEPT || l->fate == LISTEN_ADJUSTED;

	if (kept)
		return 0;
	*place = listener_new(change->service, &l->addr);
	if (!*place)
		return -ENOMEM;
	/* Where one in force is in the way, it is tried again when that is gone. */
	if (l->fate == LISTEN_OPENED && !conf->condition)
		listener_try(*place, conf);
	return 0;
}

static int make_listeners(struct change *change)
{
	const struct service_conf *conf = change->setup->conf;

	change->listeners = calloc(conf->n_listen, sizeof *change->listeners);
	if (!change->listeners)
		return -ENOMEM;
	for (size_t i = 0; i < conf->n_listen; i++) {
		int r = make_listener(change, &conf->listen[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

static int make_change(struct apply *a, struct service_conf **conf)
{
	struct change *change = &a->changes[a->n_changes];

	change->setup = setup_new(*conf, &a->master->inherited);
	if (!change->setup)
		return -ENOMEM;
	*conf = NULL;
	a->n_changes++;

	change->service = find_service(a->master, change->setup->conf);
	if (!change->service) {
		change->created = true;
		change->service = service_new(a->master, change->setup);
		if (!change->service)
			return -ENOMEM;
	}
	return make_listeners(change);
}

static int make_changes(struct apply *a)
{
	size_t n = a->conf->n_services;

	a->changes = calloc(n + 1, sizeof *a->changes);
	a->services = calloc(n + 1, sizeof(struct service *));
	if (!a->changes || !a->services)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int r = make_change(a, &a->conf->services[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

static void unmake_changes(struct apply *a)
{
	for (size_t i = 0; i < a->n_changes; i++) {
		struct change *change = &a->changes[i];

		for (size_t j = 0; j < change->n_listeners; j++)
			listener_free(change->listeners[j]);
		free(change->listeners);
		if (change->created)
			service_free(change->service);
		setup_release(change->setup);
	}
	free(a->services);
	free(a->changes);
}

/* ----------------------------------------------------------- the second half */

static struct listener *take_listener(struct listener **place)
{
	struct listener *listener = *place;

	*place = NULL;
	return listener;
}

/* All before anything is replaced: services may have exchanged their addresses. */
static void move_listeners(struct apply *a, struct change *change)
{
	const struct service_conf *conf = change->setup->conf;

	for (size_t i = 0; i < change->n_listeners; i++) {
		const struct listen_conf *l = &conf->listen[i];
		struct service *old;

		if (change->listeners[i])
			continue;
		old = a->master->services[l->old_service];
		change->listeners[i] = take_listener(&old->listeners[l->old_listen]);
	}
}

static bool is_new(const struct change *change)
{
	return change->setup->conf->old == CONF_NONE;
}

static bool is_same(const struct change *change)
{
	return !is_new(change) && change->setup->conf->news == 0;
}

static void adopt_listeners(struct change *change)
{
	struct service *service = change->service;
	const struct service_conf *conf = change->setup->conf;

	free(service->listeners);
	service->listeners = take_ptr(change->listeners);
	service->n_listeners = change->n_listeners;
	change->n_listeners = 0;
	for (size_t i = 0; i < service->n_listeners; i++) {
		struct listener *listener = service->listeners[i];

		listener->service = service;
		if (conf->listen[i].fate == LISTEN_ADJUSTED)
			listener_adjust(listener, conf);
	}
}

static void switch_service(struct change *change)
{
	struct service *service = change->service;

	if (!is_same(change))
		service_end_wait_children(service);
	setup_release(service->setup);
	service->setup = setup_hold(change->setup);
	service->state = change->setup->conf->condition ? SERVICE_WAITING : SERVICE_ACTIVE;
	service_open_log(service);
	adopt_listeners(change);
	if (!is_same(change))
		service_forgive(service);
	if (service->state == SERVICE_WAITING)
		service_close_listeners(service);
}

static void retire_removed(struct apply *a)
{
	struct master *master = a->master;

	for (size_t i = 0; i < a->n_changes; i++)
		a->changes[i].service->claimed = true;
	for (size_t i = 0; i < master->n_services; i++)
		if (!master->services[i]->claimed)
			service_retire(master->services[i]);
	for (size_t i = 0; i < a->n_changes; i++)
		a->changes[i].service->claimed = false;
}

static void count(const struct apply *a, struct applied *ret)
{
	size_t kept = 0;

	*ret = (struct applied){0};
	for (size_t i = 0; i < a->n_changes; i++) {
		const struct change *change = &a->changes[i];

		kept += !is_new(change);
		ret->added += is_new(change);
		ret->changed += !is_new(change) && !is_same(change);
		ret->unchanged += is_same(change);
	}
	ret->removed = a->master->n_services - kept;
}

static void switch_services(struct apply *a)
{
	struct master *master = a->master;

	for (size_t i = 0; i < a->n_changes; i++)
		move_listeners(a, &a->changes[i]);
	for (size_t i = 0; i < master->n_services; i++)
		service_close_listeners(master->services[i]);
	retire_removed(a);
	for (size_t i = 0; i < a->n_changes; i++) {
		service_unretire(a->changes[i].service);
		switch_service(&a->changes[i]);
		a->services[i] = a->changes[i].service;
		a->changes[i].created = false;
	}

	free(master->services);
	master->services = take_ptr(a->services);
	master->n_services = a->n_changes;
}

static void switch_conf(struct master *master, struct conf *conf)
{
	free(conf->services);
	conf->services = NULL;
	conf->n_services = 0;
	conf_done(&master->conf);
	master->conf = *conf;
	conf_init(conf);
}

static void open_all(struct master *master)
{
	for (size_t i = 0; i < master->n_services; i++)
		service_open(master->services[i]);
}

int apply(struct master *master, struct conf *conf, struct applied *ret)
{
	struct apply a = {.master = master, .conf = conf};
	int r;

	r = is_possible(&a) ? make_changes(&a) : -EBADMSG;
	if (r == 0) {
		count(&a, ret);
		switch_services(&a);
		switch_conf(master, conf);
		open_all(master);
	}
	unmake_changes(&a);
	conf_done(conf);
	return r;
}
