#include "master/handover/gather.h"

#include "base/clock.h"
#include "base/own.h"
#include "master/backend.h"
#include "master/caller.h"
#include "master/elder.h"
#include "master/findings.h"
#include "master/handover/gather-strays.h"
#include "master/handover/master-state.h"
#include "master/handover/service-state.h"
#include "master/kept-name.h"
#include "master/listener.h"
#include "master/master.h"
#include "master/readiness.h"
#include "master/service.h"
#include "master/setup.h"
#include "master/strays.h"

#include <stdlib.h>
#include <string.h>

struct gather {
	const struct master *master;
	bool rehearsed;            /* no configuration is read */
	struct handover *handover; /* with room for all there is */
	struct setup **seen;       /* those of its setups */
	uint32_t places_of_workers[WORKERS_MAX];
	uint32_t *first_listeners; /* of services, by their places; owned */
	int error;
};

static char *copy_text(struct gather *g, const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		g->error = -ENOMEM;
	return copy;
}

static uint8_t *copy_bytes(struct gather *g, const void *bytes, size_t len)
{
	uint8_t *copy = len > 0 ? malloc(len) : NULL;

	if (len > 0 && !copy)
		g->error = -ENOMEM;
	return copy ? memcpy(copy, bytes, len) : NULL;
}

/* ------------------------------------------------------------------- the process */

static void gather_process(struct gather *g)
{
	const struct master *master = g->master;
	const struct inherited *inherited = &master->inherited;
	struct handover_process *process = &g->handover->process;

	*process = (struct handover_process){
		.pid = (uint32_t)getpid(),
		.version = copy_text(g, PACKAGE_VERSION),
		.program = copy_text(g, master->program),
		.cwd = copy_text(g, master->cwd),
		.upgrades = master->upgrade.n_done,
		.failed = master->upgrade.n_failed,
		.nofile_soft = inherited->nofile.rlim_cur,
		.nofile_hard = inherited->nofile.rlim_max,
		.core_soft = inherited->core.rlim_cur,
		.core_hard = inherited->core.rlim_max,
		.image = image_fd(master->image),
		.secrets = image_secrets(master->image),
		.next_image = -EBADF,
		.next_secrets = -EBADF,
		.pid_file = master->detach.pid_file.fd,
		.control = master->control.socket.fd,
		.control_dev = master->control.socket.dev,
		.control_ino = master->control.socket.ino,
		.reload = master->reload.again,
	};
}

static void gather_records(struct gather *g)
{
	struct handover_process *process = &g->handover->process;
	const char *left = accounting_left(g->master, &process->records_len);

	process->records = copy_bytes(g, left, process->records_len);
}

static void gather_forgotten(struct gather *g)
{
	struct handover_process *process = &g->handover->process;

	int r = store_write_forgotten(
		&g->master->store, &process->forgotten, &process->forgotten_len);

	if (r < 0)
		g->error = r;
}

static void gather_spares(struct gather *g)
{
	const struct handed_over *handed_over = &g->master->inherited.handed_over;

	for (size_t i = 0; i < handed_over->n; i++) {
		const struct handed_socket *socket = handed_over->sockets[i];

		if (socket->fd >= 0)
			g->handover->spares[g->handover->n_spares++] = (struct handover_spare){
				.name = copy_text(g, socket->name),
				.fd = socket->fd,
				.bound = socket->addr,
				.told = socket->told,
				.asked = socket->asked,
				.lent = socket->lent,
			};
	}
}

static void gather_followers(struct gather *g)
{
	const struct control_seat *seat = NULL;
	struct following following;

	while ((seat = follower_next(g->master, seat, &following)))
		g->handover->followers[g->handover->n_followers++] = (struct handover_follower){
			.uid = following.uid,
			.pid = (uint32_t)following.pid,
			.fd = following.fd,
			.service = copy_text(g, following.service),
			.lost = following.lost,
			.out = copy_bytes(g, following.out, following.len),
			.len = following.len,
		};
}

/* -------------------------------------------------------------------- the workers */

static void gather_worker(struct gather *g, const struct worker *worker)
{
	struct handover_worker *to = &g->handover->workers[g->handover->n_workers++];

	*to = (struct handover_worker){
		.name = copy_text(g, worker_name(worker)),
		.protocol = CHANNEL_VERSION,
		.connection = worker->process->connection,
		.pid = worker->process->pid,
		.pidfd = worker->process->pidfd,
		.born = worker->process->born,
		.requests = worker->channel.requests,
		.answers = worker->channel.answers,
		.unread = worker->unread,
		.theirs = worker->theirs,
		.places = worker->places,
		.pinged = worker->due != USEC_INFINITY && !worker->to_ask,
	};
}

static void gather_workers(struct gather *g)
{
	for (size_t i = 0; i < workers_used(g->master); i++) {
		const struct worker *worker = &g->master->workers[i];

		g->places_of_workers[i] = HANDOVER_NONE;
		if (!elder_is_wanted(worker))
			continue;
		g->places_of_workers[i] = (uint32_t)g->handover->n_workers;
		gather_worker(g, worker);
	}
}

static uint32_t place_of_worker(const struct gather *g, const struct worker *worker)
{
	return worker ? g->places_of_workers[worker - g->master->workers] : HANDOVER_NONE;
}

/* The services have the places that they have in services[], if they are there. */
static uint32_t place_of_served(const struct gather *g, const struct stats_place *served)
{
	const struct master *master = g->master;

	return served->index < master->n_services &&
	                       master->services[served->index]->number == served->number
	               ? served->index
	               : HANDOVER_NONE;
}

static void gather_carried_of(struct gather *g, const struct worker *worker)
{
	struct handover *handover = g->handover;
	struct carried carried;

	for (uint32_t i = 0; i < worker->places; i++) {
		if (!caller_carried_at(worker, i, &carried))
			continue;
		handover->carried[handover->n_carried++] = (struct handover_carried){
			.worker = place_of_worker(g, worker),
			.place = carried.place,
			.number = carried.number,
			.service = place_of_served(g, &carried.served),
			.source = carried.source,
			.near_end = carried.near_end,
			.far_end = carried.far_end,
			.gone = carried.gone,
			.by_worker = carried.by_worker,
			.cut = carried.cut,
			.untold = carried.untold,
		};
	}
}

static void gather_carried(struct gather *g)
{
	for (size_t i = 0; i < workers_used(g->master); i++)
		if (g->places_of_workers[i] != HANDOVER_NONE && g->master->workers[i].callers)
			gather_carried_of(g, &g->master->workers[i]);
}

/* ------------------------------------------------------------------- the services */

static char *name_listener(
	struct gather *g, const struct listener *listener, const struct service_conf *conf)
{
	char name[KEPT_NAME_MAX];
	struct kept_wish wish;
	int r = kept_wish_make(conf, listener->index, &wish);

	if (r < 0)
		g->error = r;
	return r < 0 ? NULL : copy_text(g, kept_wish_name(&wish, false, name));
}

/* As the socket itself would say it: whether it takes clients of IPv4 is not as it is written.
 */
static struct addr bound_to(const struct listener *listener, const struct service_conf *conf)
{
	struct addr addr =
		listener->bound ? listener->bound->addr : conf->listen[listener->index].addr;

	if (addr_family(&addr) == AF_INET6 && addr_is_wildcard(&addr))
		addr.dual = addr_takes_ipv4(&addr, conf->v6only);
	return addr;
}

static void gather_handed_over(
	struct gather *g, const struct handed_socket *socket, struct handover_listener *to)
{
	to->handed_over = copy_text(g, socket->name);
	to->bound = socket->addr;
}

/* Without `conf`, where nobody will ask for it, as what it is kept is not said. */
static void gather_listener(struct gather *g, uint32_t place, const struct listener *listener,
	const struct service_conf *conf)
{
	struct handover_listener *to = &g->handover->listeners[g->handover->n_listeners];

	if (listener->fd < 0)
		return;
	g->handover->n_listeners++;
	*to = (struct handover_listener){
		.service = place,
		.fd = listener->fd,
		.held = listener->held,
		.held_number = listener->held_number,
		.held_since = listener->held_since,
		.lent = listener->lent,
	};
	if (conf) {
		to->asked = conf->listen[listener->index].addr;
		to->bound = bound_to(listener, conf);
	}
	to->stored = listener->stored && listener->stored->sent;
	if (listener_is_handed_over(listener))
		gather_handed_over(g, listener->bound->handed_over, to);
	else if (to->stored)
		to->name = copy_text(g, listener->stored->name);
	else if (conf)
		to->name = name_listener(g, listener, conf);
}

static uint32_t add_setup(struct gather *g, struct setup *setup)
{
	struct handover_setup *to = &g->handover->setups[g->handover->n_setups];

	to->image_version = IMAGE_VERSION;
	to->record = malloc(setup->record_len);
	if (!to->record) {
		g->error = -ENOMEM;
		return HANDOVER_NONE;
	}
	memcpy(to->record, setup->record, setup->record_len);
	to->len = setup->record_len;
	g->seen[g->handover->n_setups] = setup;
	return (uint32_t)g->handover->n_setups++;
}

/* The version that a child was started with.  Those of one service have few between them. */
static uint32_t place_of_setup(
	struct gather *g, const struct service *service, const struct child *child, size_t from)
{
	struct setup *setup = child->setup;

	if (setup == service->setup && !setup->record && !service->retired && !g->rehearsed)
		setup_keep_record(service);
	if (!setup->record)
		return HANDOVER_NONE;
	for (size_t i = from; i < g->handover->n_setups; i++)
		if (g->seen[i] == setup)
			return (uint32_t)i;
	return add_setup(g, setup);
}

static uint32_t place_of_listener(
	const struct gather *g, const struct child *child, size_t from)
{
	const struct handover *handover = g->handover;

	for (size_t i = from; child->listener && i < handover->n_listeners; i++)
		if (handover->listeners[i].fd == child->listener->fd)
			return (uint32_t)i;
	return HANDOVER_NONE;
}

static void gather_findings(
	struct gather *g, const struct child *child, struct handover_child *to)
{
	const struct findings *findings = child->findings;

	to->has_findings = findings != NULL;
	if (!findings)
		return;
	to->findings = (struct handover_findings){
		.name = copy_text(g, findings->name),
		.user = copy_text(g, findings->user),
		.name_state = (uint8_t)findings->name_state,
		.user_state = (uint8_t)findings->user_state,
	};
}

static void gather_life(const struct child *child, struct handover_child *to)
{
	to->life_reason = (uint8_t)child->life.reason;
	to->life_born = child->life.born;
	to->life_ask_at = child->life.ask_at;
	to->life_told = child->life.told;
	to->life_heard = child->life.heard;
	to->life_killed = child->life.killed;
}

static void gather_readiness(
	struct gather *g, const struct child *child, struct handover_child *to)
{
	readiness_save(child, &to->readiness);
	to->readiness.status = copy_text(g, to->readiness.status);
}

static void gather_client(
	struct gather *g, const struct child *child, struct handover_child *to)
{
	to->peer = child->peer;
	to->local = child->local;
	to->peer_pid = (uint32_t)child->peer_cred.pid;
	to->peer_uid = child->peer_cred.uid;
	to->peer_gid = child->peer_cred.gid;
	to->source = child->source;
	to->tcp = child->tcp;
	to->taken = child->taken;
	to->has_ends = child->ends != NULL;
	if (child->ends) {
		to->proxy_local = child->ends->local;
		to->proxy_peer = child->ends->peer;
	}
	to->counted = tally_handle(child);
	gather_findings(g, child, to);
}

/* Who serves it, or carries what it says. */
static void gather_serving(
	const struct gather *g, const struct child *child, struct handover_child *to)
{
	to->worker = place_of_worker(g, child->worker);
	to->place = child->place;
	to->end_wanted = child->end_wanted;
	to->gives_up = child->gives_up;
	to->client_cut = child->client_cut;
	to->carrier = place_of_worker(g, caller_carrier(child, &to->carrier_place));
	to->news = child->news;
	if (child->worker && child->backend && child->backend->process)
		to->backend = child->backend->process->connection;
}

/* Where what belongs to a service begins. */
struct of_service {
	const struct service *service;
	uint32_t place;
	size_t first_listener, first_setup;
};

/* NULL: sockets that a worker had are given to another one. */
static struct handover_child *gather_child(
	struct gather *g, const struct of_service *of, const struct child *child)
{
	struct handover_child *to = &g->handover->children[g->handover->n_children];

	if (child->posted)
		return NULL;
	g->handover->n_children++;
	*to = (struct handover_child){
		.service = of->place,
		.setup = place_of_setup(g, of->service, child, of->first_setup),
		.listener = place_of_listener(g, child, of->first_listener),
		.connection = child->connection,
		.pid = child->pid,
		.pidfd = child->pidfd,
		.born = child->born,
		.came_by_ip = child->came_by_ip,
		.on_pair = child->on_pair,
		.unwanted = child->unwanted,
		.killed_late = child->killed_late,
		.announced = child->announced,
	};
	gather_serving(g, child, to);
	gather_life(child, to);
	gather_client(g, child, to);
	gather_readiness(g, child, to);
	return to;
}

static void gather_backends(struct gather *g, const struct of_service *of)
{
	const struct backend *b;

	LIST_FOREACH (b, &g->master->backends.all, all) {
		struct handover_child *to;

		if (!b->process || !backend_has_owner(b) || b->owner != of->service)
			continue;
		to = gather_child(g, of, b->process);
		to->is_backend = true;
		to->backend_parted = b->parted;
		to->backend_state = (uint8_t)b->state;
		to->backend_idle_since = b->idle_since;
	}
}

/* What it is called is in its label, but for the one of a command line. */
static char *name_of(struct gather *g, const struct service *service)
{
	size_t len = strlen(service->label);
	char *name = strndup(service->label, len >= 2 ? len - 2 : 0);

	if (!name)
		g->error = -ENOMEM;
	return name;
}

/* Takes over what the writer has. */
static void take_state(
	struct gather *g, int r, struct wire_writer *out, uint8_t **ret, size_t *ret_len)
{
	if (r < 0) {
		g->error = r;
		wire_writer_done(out);
		return;
	}
	*ret = out->data;
	*ret_len = out->len;
}

static void gather_state(
	struct gather *g, const struct service *service, struct handover_service *to)
{
	struct wire_writer out;

	wire_writer_init(&out);
	take_state(g, service_state_save(service, &out), &out, &to->state, &to->state_len);
}

static void gather_master(struct gather *g)
{
	struct wire_writer out;

	wire_writer_init(&out);
	take_state(g, master_state_save(g->master, clock_monotonic(), &out), &out,
		&g->handover->state, &g->handover->state_len);
}

static void gather_service(struct gather *g, struct service *service)
{
	struct handover *handover = g->handover;
	uint32_t place = (uint32_t)handover->n_services;
	const struct of_service of = {
		.service = service,
		.place = place,
		.first_listener = handover->n_listeners,
		.first_setup = handover->n_setups,
	};
	bool reads = service->n_listeners > 0 && !g->rehearsed;
	const struct setup *setup = reads ? service_setup(service) : NULL;

	handover->services[place].name = name_of(g, service);
	g->first_listeners[place] = (uint32_t)handover->n_listeners;
	handover->n_services++;
	gather_state(g, service, &handover->services[place]);
	if (reads && !setup)
		g->error = -ENOMEM;
	for (uint32_t i = 0; i < service->n_listeners && (setup || !reads); i++)
		gather_listener(g, place, service->listeners[i], setup ? setup->conf : NULL);
	for (const struct child *child = service->first; child; child = child->next)
		(void)gather_child(g, &of, child);
	gather_backends(g, &of);
}

static void gather_services(struct gather *g)
{
	const struct master *master = g->master;

	for (size_t i = 0; i < master->n_services; i++)
		gather_service(g, master->services[i]);
	for (struct service *s = master->retired; s; s = s->next_retired)
		gather_service(g, s);
}

/* -------------------------------------------------------------------- the callers */

/* The services are where they are in services[]. */
static uint32_t place_among_listeners(const struct gather *g, const struct listener *listener)
{
	uint32_t first = g->first_listeners[listener->service->index];

	for (size_t i = first; i < g->handover->n_listeners; i++)
		if (g->handover->listeners[i].fd == listener->fd)
			return (uint32_t)i;
	return HANDOVER_NONE;
}

static void place_caller(
	void *userdata, const struct caller_company *company, struct handover_caller *to)
{
	const struct gather *g = userdata;

	to->service = company->service->index;
	to->listener = place_among_listeners(g, company->listener);
	to->worker = place_of_worker(g, company->worker);
}

static void gather_callers(struct gather *g)
{
	int n = callers_save(g->master, g->handover->callers, place_caller, g);

	if (n < 0)
		g->error = n;
	else
		g->handover->n_callers = (size_t)n;
}

/* ---------------------------------------------------------------------- all of it */

/* For as much as there can be. */
static int make_room(struct gather *g)
{
	const struct master *master = g->master;
	struct handover *to = g->handover;
	size_t children = child_table_used(master->children), services = master->n_services;
	size_t listeners = 0, callers = caller_count(master);

	for (size_t i = 0; i < master->n_services; i++)
		listeners += master->services[i]->n_listeners;
	for (const struct service *s = master->retired; s; s = s->next_retired)
		services++;
	to->spares = calloc(master->inherited.handed_over.n + 1, sizeof *to->spares);
	to->strays = calloc(STRAYS_MAX, sizeof *to->strays);
	to->followers = calloc(FOLLOWERS_MAX, sizeof *to->followers);
	to->services = calloc(services + 1, sizeof *to->services);
	to->listeners = calloc(listeners + 1, sizeof *to->listeners);
	to->setups = calloc(children + 1, sizeof *to->setups);
	to->workers = calloc(WORKERS_MAX, sizeof *to->workers);
	to->carried = calloc(callers + 1, sizeof *to->carried);
	to->callers = calloc(callers + 1, sizeof *to->callers);
	to->children = calloc(children + 1, sizeof *to->children);
	g->seen = calloc(children + 1, sizeof(struct setup *));
	g->first_listeners = calloc(services + 1, sizeof *g->first_listeners);
	return to->spares && to->strays && to->followers && to->services && to->listeners &&
	                       to->setups && to->workers && to->carried && to->callers &&
	                       to->children && g->seen && g->first_listeners
	               ? 0
	               : -ENOMEM;
}

static int gather(const struct master *master, bool rehearsed, struct handover *ret)
{
	struct gather g = {.master = master, .rehearsed = rehearsed, .handover = ret};

	memset(ret, 0, sizeof *ret);
	g.error = make_room(&g);
	if (g.error == 0) {
		g.error = gather_strays(master, ret);
		gather_process(&g);
		gather_records(&g);
		gather_forgotten(&g);
		gather_spares(&g);
		gather_followers(&g);
		gather_workers(&g);
		gather_carried(&g);
		gather_services(&g);
		gather_callers(&g);
		gather_master(&g);
	}
	free(g.seen);
	free(g.first_listeners);
	return g.error;
}

int handover_gather(struct master *master, struct handover *ret)
{
	return gather(master, false, ret);
}

int handover_rehearse(const struct master *master, struct handover *ret)
{
	return gather(master, true, ret);
}
