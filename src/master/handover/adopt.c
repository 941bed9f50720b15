#include "master/handover/adopt.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "conf/image.h"
#include "master/admitted.h"
#include "master/backend.h"
#include "master/caller.h"
#include "master/elder.h"
#include "master/findings.h"
#include "master/handover/master-state.h"
#include "master/handover/names.h"
#include "master/handover/service-state.h"
#include "master/master.h"
#include "master/overdue.h"
#include "master/pass.h"
#include "master/readiness.h"
#include "master/service.h"
#include "master/setup.h"
#include "master/tally.h"

#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------------- services */

/* What was handed over by its place there, and is here now. */
struct places {
	struct handover *handover;
	struct master *master;
	struct service **services;   /* owned */
	struct listener **listeners; /* owned; NULL: it is not there any more */
	struct setup **setups;       /* owned, each held; NULL: it cannot be read */
	struct worker **workers;     /* owned; NULL: it is left behind */
	size_t n_lost;               /* children that nobody remembers */
	size_t n_gone;               /* clients who were not served yet, and will not be */
};

/* It has children, and no configuration any more. */
static struct service *make_retired(struct master *master, const char *name)
{
	struct service *service = service_new(master, name);

	if (service)
		service_retire(service);
	return service;
}

static void find_services(struct places *places)
{
	const struct handover *handover = places->handover;

	struct names names = {.master = places->master};

	for (size_t i = 0; i < handover->n_services; i++)
		places->services[i] = names_find(&names, handover->services[i].name, i);
	names_done(&names);
}

/* They have their numbers from then on. */
static void give_memories(struct places *places, uint64_t now)
{
	const struct handover *handover = places->handover;

	for (size_t i = 0; i < handover->n_services; i++) {
		const struct handover_service *from = &handover->services[i];
		struct saved_service saved;
		int r = -ENOENT;

		if (!places->services[i])
			continue;
		r = service_state_read(from->state, from->state_len, &saved);
		if (r == 0)
			r = service_state_put(&saved, places->services[i], now);
		if (r < 0)
			log_error("%sunable to go on with what was counted: %s",
				places->services[i]->label, strerror(-r));
		service_state_done(&saved);
	}
}

static void give_sources(const struct places *places, uint64_t now)
{
	const struct handover *handover = places->handover;
	struct saved_master saved;
	int r = master_state_read(handover->state, handover->state_len, &saved);

	if (r == 0)
		r = master_state_put_sources(&saved, places->master, now);
	if (r < 0)
		log_error("unable to go on with rates and bans of clients: %s", strerror(-r));
	master_state_done(&saved);
}

static struct listener *find_listener(
	const struct service *service, const struct addr *asked, size_t hint)
{
	for (size_t i = 0; i < service->n_listeners; i++) {
		struct listener *listener =
			service->listeners[(i + hint) % service->n_listeners];
		const struct addr *addr = listener_asked(listener);

		if (addr && addr_equal(addr, asked))
			return listener;
	}
	return NULL;
}

static void find_listeners(struct places *places)
{
	const struct handover *handover = places->handover;
	uint32_t last = HANDOVER_NONE;
	size_t hint = 0;

	for (size_t i = 0; i < handover->n_listeners; i++) {
		const struct handover_listener *from = &handover->listeners[i];
		const struct service *service = places->services[from->service];

		hint = from->service == last ? hint + 1 : 0;
		last = from->service;
		if (service)
			places->listeners[i] = find_listener(service, &from->asked, hint);
	}
}

static void read_setups(struct places *places)
{
	const struct handover *handover = places->handover;

	for (size_t i = 0; i < handover->n_setups; i++) {
		const struct handover_setup *setup = &handover->setups[i];

		if (setup->image_version == IMAGE_VERSION && setup->len > 0)
			(void)setup_from_record(&places->master->inherited, setup->record,
				setup->len, &places->setups[i]);
	}
}

/* A client who was accepted, and is the first in line. */
static void give_held(struct places *places)
{
	struct handover *handover = places->handover;

	for (size_t i = 0; i < handover->n_listeners; i++) {
		struct handover_listener *from = &handover->listeners[i];
		struct listener *listener = places->listeners[i];

		if (from->held < 0 || !listener || listener->held >= 0)
			continue;
		listener->held = take_fd(&from->held);
		listener->held_number = from->held_number;
		listener->held_since = from->held_since;
	}
}

/* ----------------------------------------------------------------------- children */

static struct findings *read_findings(const struct handover_child *from, uint32_t generation)
{
	struct findings *findings = from->has_findings ? findings_new(generation) : NULL;

	if (!findings)
		return NULL;
	findings->name_state = from->findings.name_state;
	findings->user_state = from->findings.user_state;
	if (from->findings.name)
		(void)findings_set_name(findings, from->findings.name);
	if (from->findings.user)
		(void)findings_set_user(findings, from->findings.user);
	return findings;
}

/* What it was started with, or what is in force, or what a service has that says nothing. */
static struct setup *find_setup(
	const struct places *places, const struct handover_child *from, struct service *service)
{
	struct setup *setup = from->setup == HANDOVER_NONE ? NULL : places->setups[from->setup];

	if (!setup && !service->retired)
		setup = service_setup(service);
	return setup ? setup_hold(setup)
	             : setup_of_nothing(
			       service, places->handover->services[from->service].name);
}

static void fill_client(struct child *child, const struct handover_child *from)
{
	child->peer = from->peer;
	child->local = from->local;
	child->peer_cred = (struct ucred){
		.pid = (pid_t)from->peer_pid, .uid = from->peer_uid, .gid = from->peer_gid};
	child->source = from->source;
	child->tcp = from->tcp;
	child->taken = from->taken;
	if (!from->has_ends)
		return;
	child->ends = malloc(sizeof *child->ends);
	if (child->ends)
		*child->ends =
			(struct tcp_ends){.local = from->proxy_local, .peer = from->proxy_peer};
}

static void fill_life(struct child *child, const struct handover_child *from)
{
	child->life = (struct lifetime){
		.born = from->life_born,
		.ask_at = from->life_ask_at,
		.told = from->life_told,
		.reason = from->life_reason,
		.heard = from->life_heard,
		.killed = from->life_killed,
	};
}

static void fill(struct child *child, struct handover_child *from)
{
	child->connection = from->connection;
	child->pid = from->pid;
	child->pidfd = take_fd(&from->pidfd);
	child->report = (struct spawn_report){.step = SPAWN_EXEC};
	child->born = from->born;
	child->came_by_ip = from->came_by_ip;
	child->on_pair = from->on_pair;
	child->unwanted = from->unwanted;
	child->killed_late = from->killed_late;
	child->announced = from->announced;
	fill_client(child, from);
	fill_life(child, from);
}

/* It has the socket itself: nobody else looks at it. */
static void lend(struct child *child, struct listener *listener)
{
	struct service *service = child->service;

	if (!listener || !service->wait)
		return;
	child->listener = listener;
	listener->child = child;
	listener->lent = true;
	if (!service->takes_all)
		return;
	service->wait_child = child;
	for (uint32_t i = 0; i < service->n_listeners; i++)
		service->listeners[i]->lent = true;
}

static struct service *find_owner(struct places *places, const struct handover_child *from)
{
	struct service **service = &places->services[from->service];

	if (!*service)
		*service = make_retired(
			places->master, places->handover->services[from->service].name);
	return *service;
}

/* One that belongs to nobody yet. */
static struct child *make_child(struct places *places, struct handover_child *from)
{
	struct service *service = find_owner(places, from);
	struct setup *setup = service ? find_setup(places, from, service) : NULL;
	struct child *child = setup ? child_new(places->master->children) : NULL;

	if (!child) {
		setup_release(setup);
		return NULL;
	}
	child->service = service;
	child->setup = setup;
	fill(child, from);
	return child;
}

static void discard(struct places *places, struct child *child)
{
	setup_release(child->setup);
	child->setup = NULL;
	child_free(places->master->children, child);
}

/* ---------------------------------------------------------------------- who serves it */

static struct worker *worker_at(const struct places *places, uint32_t place)
{
	return place == HANDOVER_NONE ? NULL : places->workers[place];
}

static struct backend *find_backend(const struct places *places, uint64_t connection)
{
	struct backend *b;

	LIST_FOREACH (b, &places->master->backends.all, all)
		if (b->process->connection == connection)
			return b;
	return NULL;
}

/* False: nobody would tell us of its end. */
static bool give_server(
	const struct places *places, struct child *child, const struct handover_child *from)
{
	struct worker *worker = worker_at(places, from->worker);
	struct worker *carrier = worker_at(places, from->carrier);
	struct backend *b = from->backend ? find_backend(places, from->backend) : NULL;

	if (from->pid == 0 && !(worker && elder_add_session(worker, child, from->place)))
		return false;
	child->news = from->news;
	child->client_cut = from->client_cut;
	if (b && from->pid == 0)
		backend_resume_session(b, child, (enum backend_news)from->news);
	if (carrier)
		(void)caller_resume_child(carrier, from->carrier_place, child);
	return true;
}

static void end_again(struct child *child, const struct handover_child *from)
{
	if (from->pid == 0 && from->end_wanted && from->gives_up)
		pass_give_up(child);
	else if (from->pid == 0 && from->end_wanted)
		pass_end(child);
}

/* Of another version of hatchd it may be told in other words. */
static bool is_as_it_was(const struct child *child)
{
	const struct setup *setup = child->setup;
	const struct service *service = child->service;

	return !setup->record ||
	       image_says(service->master->image, service->index, setup->record,
		       setup->record_len, setup->conf->n_listen);
}

/* A program that has the socket itself would go on with it: it ends as at a reload. */
static void end_if_superseded(struct child *child)
{
	if (!child->setup->conf->wait || child->unwanted)
		return;
	if (child->service->retired || !child->listener || !is_as_it_was(child))
		child_end_early(child);
}

static bool adopt(struct places *places, struct handover_child *from, uint64_t now)
{
	struct master *master = places->master;
	struct child *child = make_child(places, from);
	bool served;

	if (!child)
		return false;
	child->findings = read_findings(from, master->generation);
	served = give_server(places, child, from);
	admitted_count(child);
	if (from->listener != HANDOVER_NONE)
		lend(child, places->listeners[from->listener]);
	if (child->pidfd >= 0)
		child_watch(master->children, child, now);
	if (!child->announced)
		child_begin(master->children, child);
	tally_resume(child, &from->counted);
	readiness_resume(child, &from->readiness, now);
	overdue_resume(child);
	end_if_superseded(child);
	if (served)
		end_again(child, from);
	else
		pass_left_behind(child, now);
	return true;
}

static bool adopt_backend(struct places *places, struct handover_child *from, uint64_t now)
{
	struct child *child = make_child(places, from);
	struct backend *b;

	if (!child)
		return false;
	b = backend_resume(child->service, (enum backend_state)from->backend_state,
		from->backend_parted, from->backend_idle_since);
	if (!b) {
		discard(places, child);
		return false;
	}
	child->service = b->service;
	child->peer_cred.uid = (uid_t)-1;
	backend_resume_process(b, child);
	service_add_child(child->service, child);
	child_watch(places->master->children, child, now);
	return true;
}

static int compare_born(const void *a, const void *b)
{
	const struct handover_child *x = a, *y = b;

	return (x->born > y->born) - (x->born < y->born);
}

/* Without memory it belongs to no service and is counted nowhere, but reaped. */
static void lose(struct places *places, const struct handover_child *from, uint64_t now)
{
	places->n_lost++;
	if (from->pid > 0)
		(void)strays_add(&places->master->strays, from->pid, now);
}

static void tell_lost(const struct places *places)
{
	if (places->n_lost > 0)
		log_error("unable to remember %zu children: %s", places->n_lost,
			strerror(ENOMEM));
}

static void lose_all(struct places *places, uint64_t now)
{
	for (size_t i = 0; i < places->handover->n_children; i++)
		lose(places, &places->handover->children[i], now);
	tell_lost(places);
}

static void adopt_all(struct places *places, uint64_t now)
{
	struct handover *handover = places->handover;

	if (handover->n_children == 0)
		return;
	qsort(handover->children, handover->n_children, sizeof *handover->children,
		compare_born);
	for (size_t i = 0; i < handover->n_children; i++)
		if (handover->children[i].is_backend &&
			!adopt_backend(places, &handover->children[i], now))
			lose(places, &handover->children[i], now);
	for (size_t i = 0; i < handover->n_children; i++)
		if (!handover->children[i].is_backend &&
			!adopt(places, &handover->children[i], now))
			lose(places, &handover->children[i], now);
	tell_lost(places);
}

/* ---------------------------------------------------------------------- workers */

static void add_worker(struct places *places, size_t i, uint64_t now)
{
	struct handover_worker *from = &places->handover->workers[i];
	struct elder elder = {
		.name = from->name,
		.pid = from->pid,
		.pidfd = take_fd(&from->pidfd),
		.born = from->born,
		.connection = from->connection,
		.channel = {.requests = take_fd(&from->requests),
			.answers = take_fd(&from->answers)},
		.unread = take_fd(&from->unread),
		.theirs = take_fd(&from->theirs),
		.places = from->places,
		.pinged = from->pinged,
	};

	/* It says what we do not understand. */
	if (from->protocol == CHANNEL_VERSION)
		places->workers[i] = elder_add(places->master, &elder, now);
	if (!places->workers[i]) {
		log_warning("%s %d has been left behind, and its connections with it",
			from->name, from->pid);
		(void)strays_add(&places->master->strays, from->pid, now);
	}
	from->pidfd = elder.pidfd;
	from->requests = elder.channel.requests;
	from->answers = elder.channel.answers;
	from->unread = elder.unread;
	from->theirs = elder.theirs;
}

static void add_carried(struct places *places, struct handover_carried *from)
{
	struct worker *worker = places->workers[from->worker];
	const struct service *service =
		from->service == HANDOVER_NONE ? NULL : places->services[from->service];
	struct carried carried = {
		.number = from->number,
		.place = from->place,
		.source = from->source,
		.near_end = from->near_end,
		.far_end = from->far_end,
		.gone = from->gone,
		.by_worker = from->by_worker,
		.cut = from->cut,
		.untold = from->untold,
	};

	if (service)
		carried.served = stats_place_of(service);
	if (!worker || !caller_resume(worker, &carried))
		return;
	from->near_end = carried.near_end;
	from->far_end = carried.far_end;
}

static void add_workers(struct places *places, uint64_t now)
{
	struct handover *handover = places->handover;

	for (size_t i = 0; i < handover->n_workers; i++)
		add_worker(places, i, now);
	for (size_t i = 0; i < handover->n_carried; i++)
		add_carried(places, &handover->carried[i]);
}

/* His descriptor, if he goes, may hold something whose close takes its time. */
static void add_caller(struct places *places, struct handover_caller *from, uint64_t now)
{
	const struct caller_company_here company = {
		.service = places->services[from->service],
		.listener = places->listeners[from->listener],
		.worker = worker_at(places, from->worker),
	};

	if (caller_restore(places->master, from, &company, now))
		return;
	places->n_gone++;
	if (from->fd >= 0)
		master_close_later(places->master, take_fd(&from->fd), now);
}

/* Those of a service that is gone, as at a reload; of the others it is told. */
static void add_callers(struct places *places, uint64_t now)
{
	struct handover *handover = places->handover;

	for (size_t i = 0; i < handover->n_callers; i++)
		add_caller(places, &handover->callers[i], now);
	if (places->n_gone > 0)
		log_info("%zu of %zu clients who had not been served yet have been let go",
			places->n_gone, handover->n_callers);
}

static bool make_places(struct places *places)
{
	const struct handover *handover = places->handover;

	places->services = calloc(handover->n_services + 1, sizeof(struct service *));
	places->listeners = calloc(handover->n_listeners + 1, sizeof(struct listener *));
	places->setups = calloc(handover->n_setups + 1, sizeof(struct setup *));
	places->workers = calloc(handover->n_workers + 1, sizeof(struct worker *));
	return places->services && places->listeners && places->setups && places->workers;
}

static void free_places(struct places *places)
{
	for (size_t i = 0; places->setups && i < places->handover->n_setups; i++)
		setup_release(places->setups[i]);
	free(places->services);
	free(places->listeners);
	free(places->setups);
	free(places->workers);
}

static void add_follower(struct master *master, struct handover_follower *from, uint64_t now)
{
	const struct following following = {
		.uid = from->uid,
		.pid = (pid_t)from->pid,
		.fd = take_fd(&from->fd),
		.service = from->service,
		.lost = from->lost,
		.out = (const char *)from->out,
		.len = from->len,
	};

	/* Whoever is not told any more sees that he is not. */
	(void)follower_resume(master, &following, now);
}

void handover_adopt(struct handover *handover, struct master *master, uint64_t now)
{
	struct places places = {.handover = handover, .master = master};

	/* What becomes of the others is told. */
	for (size_t i = 0; i < handover->n_followers; i++)
		add_follower(master, &handover->followers[i], now);
	if (make_places(&places)) {
		find_services(&places);
		give_memories(&places, now);
		find_listeners(&places);
		read_setups(&places);
		add_workers(&places, now);
		add_callers(&places, now);
		adopt_all(&places, now);
		backends_begin(master, now);
		elders_begin(master, now);
		callers_ask_again(master, now);
		give_sources(&places, now);
		give_held(&places);
	} else {
		lose_all(&places, now);
	}
	free_places(&places);
	for (size_t i = 0; i < handover->n_listeners; i++)
		if (handover->listeners[i].held >= 0)
			master_close_later(master, take_fd(&handover->listeners[i].held), now);
	for (size_t i = 0; i < handover->n_strays; i++)
		(void)strays_add(&master->strays, handover->strays[i].pid, now);
	for (size_t i = 0; i < master->n_services; i++)
		service_update(master->services[i]);
}
