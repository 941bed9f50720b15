#include "master/service.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "master/caller.h"
#include "master/conn.h"
#include "master/findings.h"
#include "master/master.h"
#include "master/pause.h"
#include "master/readiness.h"
#include "master/steer.h"
#include "os/journal_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Standard error of its children goes there without passing through us. */
void service_open_log(struct service *service)
{
	const struct setup *setup;
	char identifier[96];
	int fd;

	if (service->log_stream >= 0 || log_target() != LOG_TARGET_JOURNAL)
		return;
	setup = service_setup(service);
	if (!setup || setup->conf->stderr_kind != STDERR_LOG)
		return;
	snprintf(identifier, sizeof identifier, "hatchd/%s", setup->conf->name);
	fd = journal_stream_open(
		JOURNAL_STREAM_PATH, identifier, service->master->inherited.unit, LOG_INFO);
	if (fd >= 0)
		service->log_stream = master_move_up(service->master, fd);
}

struct service *service_new(struct master *master, const char *name)
{
	bool labelled = !master->cmdline->adhoc;
	size_t room = labelled ? strlen(name) + sizeof ": " : 1;
	struct service *service = calloc(1, sizeof *service + room);

	if (!service)
		return NULL;
	service->master = master;
	service->log_stream = -EBADF;
	service->number = ++master->last_service;
	if (labelled)
		snprintf(service->label, room, "%s: ", name);
	return service;
}

bool service_is_called(const struct service *service, const char *name)
{
	size_t len = strlen(name);

	return !service->label[0] || (strncmp(service->label, name, len) == 0 &&
					     strcmp(service->label + len, ": ") == 0);
}

const char *service_name(struct service *service)
{
	const struct setup *setup = service_setup(service);

	return setup ? setup->conf->name : "";
}

static void close_later(struct service *service, struct closer_job job, uint64_t now)
{
	job.pending = &service->n_closing;
	master_have_closed(service->master, job, now);
}

void service_close_later(struct service *service, int fd, uint64_t connection, uint64_t now)
{
	const struct closer_job job = {
		.fd = master_move_up(service->master, fd),
		.owner = connection,
	};

	close_later(service, job, now);
}

void service_close_copy_later(
	struct service *service, int fd, uint64_t connection, uint64_t now)
{
	/* It stays where it is: that is not for long, and there are few of them. */
	const struct closer_job job = {.fd = fd, .owner = connection, .patient = true};

	close_later(service, job, now);
}

void service_close_listener_later(struct service *service, int fd, uint64_t now)
{
	const struct closer_job job = {.fd = fd, .tell = true};

	close_later(service, job, now);
}

uint32_t service_closing(const struct service *service)
{
	return __atomic_load_n(&service->n_closing, __ATOMIC_ACQUIRE);
}

void service_close_listeners(struct service *service)
{
	for (uint32_t i = 0; i < service->n_listeners; i++)
		listener_free(service->listeners[i]);
	if (service->listeners != &service->single)
		free(service->listeners);
	service->listeners = NULL;
	service->n_listeners = 0;
}

/* Most have one, and an array for it would be a quarter of what it holds. */
void service_take_listeners(struct service *service, struct listener **listeners, uint32_t n)
{
	service->listeners = listeners;
	service->n_listeners = n;
	if (n != 1)
		return;
	service->single = listeners[0];
	service->listeners = &service->single;
	free(listeners);
}

void service_close(struct service *service)
{
	callers_drop_service(service, clock_monotonic());
	service_close_listeners(service);
	service->state = SERVICE_STOPPED;
}

void service_take_back_sockets(struct service *service)
{
	for (struct child *child = service->first; child; child = child->next)
		if (child->posted)
			child_end_early(child);
}

void service_end_wait_children(struct service *service)
{
	service_take_back_sockets(service);
	for (struct child *child = service->first; child; child = child->next)
		if (child->setup->conf->wait)
			child_end_early(child);
}

static void leave_paths(struct service *service)
{
	for (uint32_t i = 0; i < service->n_listeners; i++)
		if (service->listeners[i]->bound)
			service->listeners[i]->bound->stays = true;
}

void services_leave_paths(struct master *master)
{
	for (size_t i = 0; i < master->n_services; i++)
		leave_paths(master->services[i]);
}

void service_retire(struct service *service)
{
	struct master *master = service->master;

	service_forgive(service);
	service_end_wait_children(service);
	service_close(service);
	service_drop_setup(service);
	service->retired = true;
	service->next_retired = master->retired;
	master->retired = service;
	master->retired_changed = true;
	backend_retire(service, clock_monotonic());
}

static void unlink_retired(struct service *service)
{
	struct service **link = &service->master->retired;

	while (*link != service)
		link = &(*link)->next_retired;
	*link = service->next_retired;
	service->next_retired = NULL;
	service->retired = false;
}

void service_unretire(struct service *service)
{
	if (service->retired)
		unlink_retired(service);
}

void services_forget_retired(struct master *master)
{
	while (master->retired) {
		struct service *service = master->retired;

		unlink_retired(service);
		service_free(service);
	}
}

/* What it has started may still be in the way of the next one, or not be recorded yet. */
static bool has_anything(const struct service *service)
{
	return service->first || service->n_tallied > 0 ||
	       (service->backend && service->backend->process);
}

/* A closer that is at work still counts on the service. */
void services_bury(struct master *master)
{
	struct service *service = master->retired;

	master->retired_changed = false;
	while (service) {
		struct service *next = service->next_retired;

		if (!has_anything(service) && service_closing(service) > 0)
			master->retired_changed = true;
		if (!has_anything(service) && service_closing(service) == 0) {
			unlink_retired(service);
			service_free(service);
		}
		service = next;
	}
}

struct service *service_free(struct service *service)
{
	if (!service)
		return NULL;
	service_close(service);
	callers_forget(service, clock_monotonic());
	service_leave_lists(service);
	backend_part(service, clock_monotonic());
	for (struct child *child = service->first; child; child = child->next) {
		readiness_abandon(child);
		child->setup = setup_release(child->setup);
		child->findings = findings_release(child->findings);
		free(child->ends);
		child->ends = NULL;
	}
	fd_close(service->log_stream);
	service_drop_setup(service);
	steer_drop(service);
	pace_free(service->master, service->pace);
	if (service->told)
		free(service->told->last_failure);
	free(service->told);
	free(service->stats);
	free(service);
	return NULL;
}

static int make_listeners(struct service *service, uint32_t n)
{
	struct listener **listeners;

	if (service->listeners || n == 0)
		return 0;
	listeners = calloc(n, sizeof(struct listener *));
	if (!listeners)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		listeners[i] = listener_new(service, i);
		if (!listeners[i]) {
			service_take_listeners(service, listeners, i);
			return -ENOMEM;
		}
	}
	service_take_listeners(service, listeners, n);
	return 0;
}

int service_open(struct service *service)
{
	const struct setup *setup;
	int first_error;

	if (service->state != SERVICE_ACTIVE || service->master->leaving)
		return 0;
	setup = service_setup(service);
	if (!setup)
		return -ENOMEM;
	first_error = make_listeners(service, (uint32_t)setup->conf->n_listen);
	if (first_error < 0)
		return first_error;
	for (uint32_t i = 0; i < service->n_listeners; i++) {
		int r = listener_open(service->listeners[i], setup->conf);

		if (r < 0 && first_error == 0)
			first_error = r;
		if (r < 0 && service->master->cmdline->adhoc)
			return r;
	}
	service_update(service);
	return first_error;
}

bool service_lacks_address(const struct service *service)
{
	for (uint32_t i = 0; i < service->n_listeners; i++)
		if (service->listeners[i]->fd < 0)
			return true;
	return false;
}

/* Through the socket of a tcpmux. */
static bool is_had_by_name(const struct service *service)
{
	return image_entry(service->master->image, service->index).mux != 0;
}

bool service_is_served(const struct service *service)
{
	if (service->state != SERVICE_ACTIVE)
		return false;
	for (uint32_t i = 0; i < service->n_listeners; i++)
		if (service->listeners[i]->fd >= 0)
			return true;
	return service->n_listeners == 0 && is_had_by_name(service);
}

bool service_takes_in(const struct service *service)
{
	return service->state == SERVICE_ACTIVE ||
	       (service->state == SERVICE_DISABLED && service->for_several);
}

bool service_is_full(const struct service *service)
{
	return service->instances != COUNT_UNLIMITED &&
	       service->n_children >= service->instances;
}

/* One child gets all its sockets: it is not started with some of them. */
static bool is_complete(const struct service *service)
{
	return !service->takes_all || !service_lacks_address(service);
}

/* Then those that come meanwhile are not kept: see refuses() of master/serve. */
static bool is_full_and_waits(const struct service *service)
{
	return service_is_full(service) && !(service->refuses && !service->wait) &&
	       !service->sensor;
}

/* What is nothing to those who choose another service at its sockets. */
static bool is_willing_itself(const struct service *service)
{
	return !backend_is_stopping(service) && !service_is_paced(service) &&
	       !is_full_and_waits(service);
}

/* May more children be hatched now, or clients be refused?  State only. */
static bool willing(const struct service *service)
{
	return service_takes_in(service) && !service->master->leaving &&
	       service->paused_until == 0 && !service->starved && !service->wait_child &&
	       (service->for_several || is_willing_itself(service)) && is_complete(service);
}

/* A client that was accepted and could not be served yet: he comes before the others. */
static bool holds_client(const struct service *service)
{
	for (uint32_t i = 0; i < service->n_listeners; i++)
		if (conn_count_held(service->listeners[i]) > 0)
			return true;
	return false;
}

void service_update(struct service *service)
{
	bool wanted;

	if (holds_client(service) && service->paused_until == 0)
		service_look_away(service, clock_monotonic());
	wanted = willing(service);
	for (uint32_t i = 0; i < service->n_listeners; i++) {
		struct listener *listener = service->listeners[i];

		/* No memory for it now. */
		if (!listener_poll(listener, wanted && !listener->child))
			service_look_away(service, clock_monotonic());
	}
}

struct told *service_told(struct service *service)
{
	if (!service->told)
		service->told = calloc(1, sizeof *service->told);
	return service->told ? service->told : &service->master->told;
}

struct child *service_youngest(const struct service *service)
{
	return service->first ? service->first->prev : NULL;
}

static void link_child(struct service *service, struct child *child)
{
	struct child *last = service_youngest(service);

	child->next = NULL;
	child->prev = last ? last : child;
	if (last)
		last->next = child;
	else
		service->first = child;
	service->first->prev = child;
}

static void unlink_child(struct service *service, struct child *child)
{
	if (service->first == child)
		service->first = child->next;
	else
		child->prev->next = child->next;
	if (child->next)
		child->next->prev = child->prev;
	else if (service->first)
		service->first->prev = child->prev;
}

void service_add_child(struct service *service, struct child *child)
{
	link_child(service, child);
	service->n_started++;
	if (!child->posted)
		service->n_children++;
	if (child->slot)
		service->n_in_flight++;
}

void service_remove_child(struct service *service, struct child *child)
{
	unlink_child(service, child);
	if (!child->posted)
		service->n_children--;

	if (service->wait_child == child)
		service->wait_child = NULL;
	if (child->listener && child->listener->child == child)
		child->listener->child = NULL;
}

/* There is room: the one before has just gone. */
static void recount_source(
	struct sources *sources, struct child *child, const struct addr_source *source)
{
	uint32_t service = child->service->number;

	sources_remove(sources, service, &child->source, clock_monotonic());
	child->source = *source;
	if (sources_add(sources, service, source) < 0)
		child->source.family = ADDR_SOURCE_NONE;
}

void service_recount_sources(struct service *service, unsigned prefix4, unsigned prefix6)
{
	for (struct child *child = service->first; child; child = child->next) {
		struct addr_source source;

		if (!addr_source_is_ip(&child->source))
			continue;
		addr_source(&child->peer, prefix4, prefix6, &source);
		if (memcmp(&source, &child->source, sizeof source) != 0)
			recount_source(service->master->sources, child, &source);
	}
}
