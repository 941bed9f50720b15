#include "master/apply.h"

#include "base/clock.h"
#include "base/own.h"
#include "base/strv.h"
#include "master/listener.h"
#include "master/master.h"
#include "master/pause.h"
#include "master/service.h"
#include "master/setup.h"
#include "master/steer.h"

#include <malloc.h>
#include <stdlib.h>

/* One service of the new configuration. */
struct change {
	struct service *service; /* its place: one in force, or `created` */
	bool same;               /* nothing to do: the rest says nothing */
	bool created;
	bool waits; /* for a condition */
	bool wait, takes_all;
	bool adjusts, opens;
	struct service_conf *conf; /* owned; NULL if it adjusts none of its sockets */
	bool sensor, refuses, tallies, for_several;
	unsigned source_prefix4, source_prefix6;
	uint32_t instances;
	enum backend_fate backend;
	uint64_t idle_stop; /* of it */
	struct limit rate;
	struct pace *pace;           /* made for it, owned */
	struct listener **listeners; /* those that come with the switch are NULL until then */
	uint32_t n_listeners;
};

/* A socket in force goes to a place in the new configuration. */
struct move {
	uint32_t change, listen;          /* where to */
	uint32_t old_service, old_listen; /* where from */
	bool adjust;
	char **links; /* to it, if it is adjusted; owned */
};

struct apply {
	struct master *master;
	struct image *image;
	struct change *changes; /* one for each service */
	size_t n_changes;       /* made so far */
	struct move *moves;
	size_t n_moves, room;
	struct service **services;
};

/* ------------------------------------------------------------ the first half */

/* What the loader says is checked by claiming: each service and each socket in
 * force goes to one place at most. */
static bool claim_service(const struct master *master, uint32_t old)
{
	if (old == CONF_NONE)
		return true;
	if (old >= master->n_services || master->services[old]->claimed)
		return false;
	return master->services[old]->claimed = true;
}

/*
 * A socket that stays must be what it is now said to be, not only for the text:
 * with a blocking one, or one that a program may make so, accepting would wait (I2).
 */
static int may_stay(const struct listener *listener, const struct service_conf *conf,
	const struct listen_conf *l)
{
	const struct addr *asked = listener_asked(listener);
	bool was = listener->service->wait, fits;

	if (!asked)
		return -ENOMEM;
	if (!addr_equal(asked, &l->addr))
		return -EBADMSG;
	fits = l->fate == LISTEN_KEPT ? was == conf->wait : !was || l->addr.kind == ADDR_FD;
	return fits ? 0 : -EBADMSG;
}

/* A service that waits has no sockets, so none of them can come from there. */
static int claim_listener(
	const struct apply *a, const struct listen_conf *l, const struct service_conf *conf)
{
	const struct master *master = a->master;
	struct listener *listener;
	struct service *service;
	int r = 0;

	if (l->old_service >= master->n_services)
		return -EBADMSG;
	service = master->services[l->old_service];
	if (l->old_listen >= service->n_listeners)
		return -EBADMSG;
	listener = service->listeners[l->old_listen];
	if (listener->claimed)
		return -EBADMSG;
	if (l->fate != LISTEN_REOPENED)
		r = may_stay(listener, conf, l);
	listener->claimed = r == 0;
	return r;
}

/* Of one whose claim was good. */
static const struct listener *claimed_listener(
	const struct apply *a, const struct listen_conf *l)
{
	return a->master->services[l->old_service]->listeners[l->old_listen];
}

/* A service that is the same keeps its sockets: none of them may go elsewhere. */
static bool claim_listeners(struct service *service)
{
	for (uint32_t i = 0; i < service->n_listeners; i++) {
		if (service->listeners[i]->claimed)
			return false;
		service->listeners[i]->claimed = true;
	}
	return true;
}

static void forget_claims(const struct master *master)
{
	for (size_t i = 0; i < master->n_services; i++) {
		struct service *service = master->services[i];

		service->claimed = false;
		for (uint32_t j = 0; j < service->n_listeners; j++)
			service->listeners[j]->claimed = false;
	}
	for (struct service *s = master->retired; s; s = s->next_retired)
		s->claimed = false;
}

/* A service that was removed while its children lived, and comes back. */
static struct service *find_retired(const struct master *master, const char *name)
{
	for (struct service *s = master->retired; s; s = s->next_retired)
		if (!s->claimed && service_is_called(s, name))
			return s;
	return NULL;
}

static int find_service(struct apply *a, struct change *change, const struct service_conf *conf)
{
	change->service = conf->old != CONF_NONE ? a->master->services[conf->old]
	                                         : find_retired(a->master, conf->name);
	if (change->service && !service_is_called(change->service, conf->name))
		return -EBADMSG;
	if (change->service) {
		change->service->claimed = true;
		return 0;
	}
	change->service = service_new(a->master, conf->name);
	change->created = change->service != NULL;
	return change->created ? 0 : -ENOMEM;
}

static int add_move(struct apply *a, const struct move *move)
{
	if (a->n_moves == a->room) {
		size_t room = a->room ? a->room * 2 : 64;
		struct move *moves = reallocarray(a->moves, room, sizeof *moves);

		if (!moves)
			return -ENOMEM;
		a->moves = moves;
		a->room = room;
	}
	a->moves[a->n_moves++] = *move;
	return 0;
}

/* 1: it takes over a socket; 0: it does not.  One that was handed over and is of no kind that
 * the service can serve now is given back, and refused when it is asked for again. */
static int find_move(
	struct apply *a, struct change *change, const struct service_conf *conf, uint32_t place)
{
	const struct listen_conf *l = &conf->listen[place];
	struct move move = {
		.change = (uint32_t)(change - a->changes),
		.listen = place,
		.old_service = l->old_service,
		.old_listen = l->old_listen,
		.adjust = l->fate == LISTEN_ADJUSTED,
	};
	int r;

	if (l->fate == LISTEN_OPENED)
		return 0;
	r = claim_listener(a, l, conf);
	if (r < 0 || l->fate == LISTEN_REOPENED ||
		!listener_suits(claimed_listener(a, l), conf))
		return r;
	change->adjusts |= move.adjust;
	if (move.adjust)
		r = strv_copy(conf->symlinks, &move.links);
	if (r == 0)
		r = add_move(a, &move);
	if (r < 0)
		strv_free(move.links);
	return r < 0 ? r : 1;
}

static int make_listener(
	struct apply *a, struct change *change, const struct service_conf *conf, uint32_t place)
{
	const struct listen_conf *l = &conf->listen[place];
	struct listener *listener;
	int r;

	r = find_move(a, change, conf, place);
	if (r != 0)
		return r < 0 ? r : 0;
	listener = listener_new(change->service, place);
	if (!listener)
		return -ENOMEM;
	change->listeners[place] = listener;
	change->opens |= l->fate == LISTEN_OPENED && !conf->condition;
	return 0;
}

static int make_listeners(
	struct apply *a, struct change *change, const struct service_conf *conf)
{
	change->listeners = calloc(conf->n_listen, sizeof *change->listeners);
	if (!change->listeners)
		return -ENOMEM;
	change->n_listeners = (uint32_t)conf->n_listen;
	for (uint32_t i = 0; i < change->n_listeners; i++) {
		int r = make_listener(a, change, conf, i);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Whatever it had stays its own, and counts on. */
static int make_pace(struct apply *a, struct change *change, const struct service_conf *conf)
{
	change->rate = conf->rate;
	if (!limit_is_set(&conf->rate) || change->service->pace)
		return 0;
	change->pace = pace_new(a->master);
	return change->pace ? 0 : -ENOMEM;
}

/* What it says is kept for sockets to be adjusted: in the second half there may be no
 * memory to read it again.  For all services it would be many megabytes. */
static int make_change(struct apply *a, struct change *change, size_t i)
{
	_cleanup_service_conf_ struct service_conf *conf = NULL;
	int r;

	r = image_get(a->image, i, &conf);
	if (r < 0)
		return r;
	r = find_service(a, change, conf);
	if (r < 0)
		return r;
	change->waits = conf->condition;
	change->wait = conf->wait;
	change->takes_all = conf->wait && conf->pass_as == PASS_LISTEN_FDS;
	change->instances = conf->instances;
	change->sensor = conf->sensor;
	change->refuses = conf->overflow == OVERFLOW_REFUSE;
	change->tallies = conf->account_bytes;
	change->for_several = conf->tls_has_guests;
	change->backend = backend_judge(change->service, conf);
	change->idle_stop = conf->backend_idle_stop;
	change->source_prefix4 = conf->source_prefix4;
	change->source_prefix6 = conf->source_prefix6;
	r = make_pace(a, change, conf);
	if (r == 0)
		r = make_listeners(a, change, conf);
	if (change->adjusts)
		change->conf = take_ptr(conf);
	return r;
}

/* Those that keep all they have, before anybody can claim a part of it. */
static int keep_same(struct apply *a, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct image_entry entry = image_entry(a->image, i);
		struct change *change = &a->changes[i];

		if (!claim_service(a->master, entry.old))
			return -EBADMSG;
		if (entry.old == CONF_NONE || entry.news != 0)
			continue;
		change->service = a->master->services[entry.old];
		change->same = true;
		if (!claim_listeners(change->service))
			return -EBADMSG;
	}
	return 0;
}

static int make_changes(struct apply *a)
{
	size_t n = image_n_services(a->image);
	int r;

	a->changes = calloc(n + 1, sizeof *a->changes);
	a->services = calloc(n + 1, sizeof(struct service *));
	if (!a->changes || !a->services)
		return -ENOMEM;
	a->n_changes = n;
	r = keep_same(a, n);
	for (size_t i = 0; i < n && r == 0; i++)
		if (!a->changes[i].same)
			r = make_change(a, &a->changes[i], i);
	return r;
}

static void unmake_changes(struct apply *a)
{
	for (size_t i = 0; i < a->n_changes; i++) {
		struct change *change = &a->changes[i];

		for (uint32_t j = 0; j < change->n_listeners; j++)
			listener_free(change->listeners[j]);
		free(change->listeners);
		service_conf_free(change->conf);
		pace_free(a->master, change->pace);
		if (change->created)
			service_free(change->service);
	}
	for (size_t i = 0; i < a->n_moves; i++)
		strv_free(a->moves[i].links);
	free(a->moves);
	free(a->services);
	free(a->changes);
	free(a);
}

/* ----------------------------------------------------------- the second half */

/* What it says is read again, since for all services it would be many megabytes; where there
 * is no memory for that, its addresses are tried when it is in force. */
static void open_new(const struct apply *a, const struct change *change, size_t i)
{
	_cleanup_service_conf_ struct service_conf *conf = NULL;

	if (image_get(a->image, i, &conf) < 0)
		return;
	for (uint32_t j = 0; j < change->n_listeners; j++)
		if (change->listeners[j] && conf->listen[j].fate == LISTEN_OPENED)
			listener_try(change->listeners[j], conf);
}

/* Where a socket in force is in the way, it is tried again when that is gone. */
static void open_all_new(const struct apply *a)
{
	for (size_t i = 0; i < a->n_changes; i++)
		if (a->changes[i].opens)
			open_new(a, &a->changes[i], i);
}

/* All before anything is closed: services may have exchanged their addresses. */
static void move_listeners(struct apply *a)
{
	for (size_t i = 0; i < a->n_moves; i++) {
		const struct move *m = &a->moves[i];
		struct listener **from =
			&a->master->services[m->old_service]->listeners[m->old_listen];

		a->changes[m->change].listeners[m->listen] = *from;
		*from = NULL;
	}
}

static void close_left_over(struct apply *a)
{
	struct master *master = a->master;

	for (size_t i = 0; i < a->n_changes; i++)
		a->changes[i].service->claimed = true;
	for (size_t i = 0; i < a->n_changes; i++)
		if (!a->changes[i].same)
			service_close_listeners(a->changes[i].service);
	for (size_t i = 0; i < master->n_services; i++)
		if (!master->services[i]->claimed)
			service_retire(master->services[i]);
	for (size_t i = 0; i < a->n_changes; i++)
		a->changes[i].service->claimed = false;
}

static void take_listeners(struct change *change)
{
	struct service *service = change->service;

	service_take_listeners(service, take_ptr(change->listeners), change->n_listeners);
	change->n_listeners = 0;
	for (uint32_t i = 0; i < service->n_listeners; i++) {
		service->listeners[i]->service = service;
		service->listeners[i]->index = i;
	}
}

static void switch_service(struct change *change)
{
	struct service *service = change->service;

	service_unretire(service);
	service_end_wait_children(service);
	service_drop_setup(service);
	service_forgive(service);
	steer_drop(service);
	service->state = change->waits ? SERVICE_WAITING : SERVICE_ACTIVE;
	service->wait = change->wait;
	service->takes_all = change->takes_all;
	service->instances = change->instances;
	service->sensor = change->sensor;
	service->refuses = change->refuses;
	service->tallies = change->tallies;
	service->for_several = change->for_several;
	service_set_rate(service, &change->rate, take_ptr(change->pace));
	service_recount_sources(service, change->source_prefix4, change->source_prefix6);
	take_listeners(change);
	change->created = false;
	backend_follow(service, change->backend, change->idle_stop, clock_monotonic());
}

/* What stands outside of services; at start there is nothing that it could differ from. */
static bool differs_as_a_whole(const struct apply *a)
{
	const struct conf *old = a->master->image ? image_conf(a->master->image) : NULL;
	const struct conf *new = image_conf(a->image);

	for (const struct conf_option *o = conf_options; old && o->name; o++)
		if (o->flags & OPTION_GLOBAL && !conf_option_equal(o, conf_option_field(o, old),
							conf_option_field(o, new)))
			return true;
	return false;
}

static void count(const struct apply *a, struct applied *ret)
{
	size_t kept = 0;

	*ret = (struct applied){.whole = differs_as_a_whole(a)};
	for (size_t i = 0; i < a->n_changes; i++) {
		bool is_new = image_entry(a->image, i).old == CONF_NONE;

		kept += !is_new;
		ret->added += is_new;
		ret->unchanged += a->changes[i].same;
		ret->changed += !is_new && !a->changes[i].same;
	}
	ret->removed = a->master->n_services - kept;
}

static void switch_services(struct apply *a)
{
	struct master *master = a->master;

	move_listeners(a);
	close_left_over(a);
	for (size_t i = 0; i < a->n_changes; i++) {
		struct change *change = &a->changes[i];

		if (!change->same)
			switch_service(change);
		change->service->index = (uint32_t)i;
		a->services[i] = change->service;
	}

	free(master->services);
	master->services = take_ptr(a->services);
	master->generation++;
	master->n_services = a->n_changes;
	image_free(master->image);
	master->image = a->image;
	accounting_configure(master, clock_monotonic());
}

/* Whom it is about, if there is anything to be told. */
static struct listener *to_adjust(const struct apply *a, const struct move *move)
{
	const struct service *service = a->changes[move->change].service;

	return move->adjust && service->listeners ? service->listeners[move->listen] : NULL;
}

static void adjust_listeners(struct apply *a)
{
	for (size_t i = 0; i < a->n_moves; i++) {
		struct listener *listener = to_adjust(a, &a->moves[i]);

		if (listener)
			listener_drop_links(listener, a->changes[a->moves[i].change].conf);
	}
	for (size_t i = 0; i < a->n_moves; i++) {
		struct move *m = &a->moves[i];
		struct listener *listener = to_adjust(a, m);

		if (listener)
			listener_adjust(
				listener, a->changes[m->change].conf, take_ptr(m->links));
	}
}

/* With the new configuration in force. */
static void finish_changes(struct apply *a)
{
	adjust_listeners(a);
	for (size_t i = 0; i < a->n_changes; i++) {
		struct service *service = a->changes[i].service;

		if (a->changes[i].same) {
			if (service_lacks_address(service))
				service_open(service);
			continue;
		}
		if (service->state == SERVICE_WAITING)
			service_close_listeners(service);
		service_open_log(service);
		if (service_lacks_address(service))
			service_open(service);
		service_update(service);
	}
}

int apply_prepare(struct master *master, struct image *image, struct apply **ret)
{
	struct apply *a = calloc(1, sizeof *a);
	int r;

	if (!a)
		return -ENOMEM;
	*a = (struct apply){.master = master, .image = image};
	r = make_changes(a);
	forget_claims(master);
	if (r == 0)
		*ret = a;
	else
		unmake_changes(a);
	return r;
}

void apply_finish(struct apply *a, struct applied *ret)
{
	count(a, ret);
	open_all_new(a);
	switch_services(a);
	finish_changes(a);
	unmake_changes(a);
	/* What was needed for this is not needed again soon. */
	malloc_trim(0);
}

int apply(struct master *master, struct image *image, struct applied *ret)
{
	struct apply *a;
	int r = apply_prepare(master, image, &a);

	if (r == 0)
		apply_finish(a, ret);
	return r;
}
