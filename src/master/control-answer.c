#include "master/control-answer.h"

#include "base/clock.h"
#include "base/json.h"
#include "master/caller.h"
#include "master/master.h"
#include "master/service.h"
#include "policy/admit.h"
#include "policy/validity.h"

#include <stdio.h>
#include <string.h>

/* Services, or parts of one, in one go: each may have to be read from the image. */
#define PIECES_MAX 16

/* ------------------------------------------------------------- what is told */

static void put_refused(struct json *json, const uint64_t *refused)
{
	json_open(json, "refused", '{');
	for (int i = 0; refused && i < _ADMIT_MAX; i++)
		if (refused[i] > 0)
			json_number(json, admit_reason((enum admit_verdict)i), refused[i]);
	json_close(json, '}');
}

static void put_reload(struct json *json, const struct reload *reload, uint64_t now)
{
	const char *last = reload->failed ? "failed" : "done";

	json_open(json, "reload", '{');
	json_bool(json, "running", reload->ended && reload->full);
	json_text(json, "last", reload->finished > 0 ? last : NULL);
	if (reload->finished > 0)
		json_number(json, "ago_usec", now - reload->finished);
	if (reload->failed)
		json_text(json, "reason", reload->reason);
	json_close(json, '}');
}

static const char *worker_state(const struct worker *worker)
{
	if (worker_is_paused(worker))
		return "paused";
	return worker->theirs >= 0 ? "starting" : "serving";
}

static void put_worker(struct json *json, const struct worker *worker)
{
	json_open(json, NULL, '{');
	json_text(json, "name", worker_name(worker));
	if (worker->process)
		json_number(json, "pid", (uint64_t)worker->process->pid);
	json_text(json, "state", worker_state(worker));
	json_number(json, "connections", worker_sessions(worker));
	json_close(json, '}');
}

/* Those that serve, or are kept from it; the others were not needed yet. */
static void put_workers(struct json *json, const struct master *master)
{
	json_open(json, "workers", '[');
	for (size_t i = 0; i < _WORKER_KIND_MAX; i++)
		if (master->workers[i].process || worker_is_paused(&master->workers[i]))
			put_worker(json, &master->workers[i]);
	json_close(json, ']');
}

/* A jump of the clock does not move when we were started by more than that. */
static void put_since(struct json *json, const struct master *master, uint64_t now)
{
	uint64_t up = now - master->started;

	json_number(json, "since", (uint64_t)clock_wall().tv_sec - up / USEC_PER_SEC);
	json_number(json, "up_usec", up);
}

static void put_counts(struct json *json, const struct master *master)
{
	size_t remembered = sources_remembered(master->sources);

	json_number(json, "services", master->n_services);
	json_number(json, "removed", state_count_retired(master));
	json_number(json, "children", master_clients(master));
	json_number(json, "total_instances", master->budget.total_instances);
	json_number(json, "connections", master->next_connection - 1);
	json_number(json, "clients", sources_used(master->sources) - remembered);
	json_number(json, "remembered", remembered);
	json_number(json, "bans", master->n_bans);
	put_refused(json, master->refused);
}

static void put_status(struct json *json, const struct master *master, uint64_t now)
{
	json_open(json, NULL, '{');
	json_text(json, "hatchd", PACKAGE_VERSION);
	json_number(json, "protocol", CONTROL_PROTOCOL);
	json_number(json, "pid", (uint64_t)getpid());
	json_text(json, "state", master->stopping ? "stopping" : "serving");
	put_since(json, master, now);
	json_text(json, "config", image_conf(master->image)->main_file);
	json_text(json, "spawn", spawner_describe(master->spawner));
	put_reload(json, &master->reload, now);
	put_counts(json, master);
	put_workers(json, master);
	json_close(json, '}');
	json_end_line(json);
}

/* ----------------------------------------------------------------- services */

/* What it says, without taking the place of a service that is called: *owned holds it if
 * it had to be read. */
static const struct service_conf *look_at_conf(
	const struct service *service, struct service_conf **owned)
{
	if (service->setup)
		return service->setup->conf;
	if (image_get(service->master->image, service->index, owned) < 0)
		return NULL;
	return *owned;
}

/* Its label is the name and ": ", but for the one of a command line. */
static void put_name(
	struct json *json, const struct service *service, const struct service_conf *conf)
{
	char name[SERVICE_NAME_MAX + 1];
	int len = (int)strcspn(service->label, ":");

	snprintf(name, sizeof name, "%.*s", len, service->label);
	json_text(json, "service", len == 0 && conf ? conf->name : name);
}

static void put_state(struct json *json, const struct service *service,
	const struct service_conf *conf, uint64_t now)
{
	const char *reason = service_pause_reason(service);

	if (service->state == SERVICE_WAITING && conf)
		reason = conf->condition;
	json_text(json, "state", state_describe(service));
	if (reason)
		json_text(json, "reason", reason);
	if (service->paused_until > now)
		json_number(json, "resumes_usec", service->paused_until - now);
}

/* Of a service that has one, whether it was needed yet or not. */
static void put_backend(struct json *json, const struct service *service)
{
	const struct backend *backend = service->backend;
	const char *reason = backend ? service_pause_reason(backend->service) : NULL;

	json_open(json, "backend", '{');
	json_text(json, "state", backend_describe(service));
	if (reason)
		json_text(json, "reason", reason);
	if (backend && backend->process)
		json_number(json, "pid", (uint64_t)backend->process->pid);
	json_number(json, "connections", backend ? backend->n_sessions : 0);
	json_close(json, '}');
}

/* The first of those that it has; a guest's are among those of its host. */
static void put_certificate(struct json *json, const struct service_conf *conf)
{
	int64_t ends = conf->tls_not_after;

	json_number(json, "certificate_ends", ends > 0 ? (uint64_t)ends : 0);
	json_text(
		json, "certificate", validity_word(validity_judge(ends, clock_wall().tv_sec)));
}

static void begin_service(struct json *json, const struct service *service,
	const struct service_conf *conf, uint64_t now)
{
	json_open(json, NULL, '{');
	put_name(json, service, conf);
	put_state(json, service, conf, now);
	json_number(json, "children", service->n_children);
	if (service->instances == COUNT_UNLIMITED)
		json_null(json, "instances");
	else
		json_number(json, "instances", service->instances);
	if (conf && service_conf_has_pending(conf))
		json_number(json, "pending", callers_pending(service));
	if (conf && service_conf_has_backend(conf))
		put_backend(json, service);
	if (conf && service_conf_has_tls(conf) && !conf->condition)
		put_certificate(json, conf);
	json_number(json, "started", service->n_started);
	put_refused(json, service->told ? service->told->refused : NULL);
	json_open(json, "addresses", '[');
}

static void end_service(struct json *json)
{
	json_close(json, ']');
	json_close(json, '}');
	json_end_line(json);
}

/* The one that it is bound to, or that it is to be bound to. */
static const struct addr *look_at_addr(
	const struct listener *listener, const struct service_conf *conf)
{
	if (listener->bound)
		return &listener->bound->addr;
	return conf && listener->index < conf->n_listen ? &conf->listen[listener->index].addr
	                                                : NULL;
}

/* "unable to bind: ...", as the log says it. */
static void put_failure(struct json *json, const struct listener *listener)
{
	const char *reason = listener_reason(listener);
	char text[JSON_TEXT_MAX];

	if (!reason)
		return;
	snprintf(text, sizeof text, "unable to %s: %s",
		listener->told_step ? listener->told_step : "open", reason);
	json_text(json, "reason", text);
}

static void put_address(
	struct json *json, const struct listener *listener, const struct service_conf *conf)
{
	const struct addr *addr = look_at_addr(listener, conf);
	char text[ADDR_TEXT_MAX];

	json_open(json, NULL, '{');
	json_text(json, "address", addr ? addr_format(addr, text) : NULL);
	json_text(json, "state", listener->fd >= 0 ? "open" : "waiting");
	if (listener->fd < 0)
		put_failure(json, listener);
	json_close(json, '}');
}

static bool has_room(const struct json *json)
{
	return json->size - json->len >= CONTROL_PIECE_MAX;
}

/* One that waits for a condition has none yet, though addresses are configured: they are
 * told all the same. */
static void put_configured(struct json *json, const struct listen_conf *listen)
{
	char text[ADDR_TEXT_MAX];

	json_open(json, NULL, '{');
	json_text(json, "address", addr_format(&listen->addr, text));
	json_text(json, "state", "waiting");
	json_close(json, '}');
}

static bool put_next_address(struct json *json, const struct service *service,
	const struct service_conf *conf, uint32_t i)
{
	if (i < service->n_listeners)
		put_address(json, service->listeners[i], conf);
	else if (service->n_listeners == 0 && conf && i < conf->n_listen)
		put_configured(json, &conf->listen[i]);
	else
		return false;
	return true;
}

/* --------------------------------------------------------- one after the other */

/* Where the service stands whose line has begun; `n_services`: nowhere. */
static size_t find_place(const struct control_answer *answer, const struct master *master)
{
	size_t i = 0;

	while (i < master->n_services && master->services[i]->number != answer->number)
		i++;
	return i;
}

static void finish_service(struct control_answer *answer, struct json *json)
{
	end_service(json);
	answer->phase = answer->request.service[0] ? CONTROL_END : CONTROL_SERVICES;
}

/* Those of its addresses that there is room for.  Every one of them, or the end. */
static void put_addresses(struct control_answer *answer, struct json *json,
	const struct service *service, const struct service_conf *conf)
{
	while (has_room(json)) {
		if (put_next_address(json, service, conf, answer->address++))
			continue;
		finish_service(answer, json);
		return;
	}
}

static void go_on_with_service(
	struct control_answer *answer, struct json *json, const struct master *master)
{
	_cleanup_service_conf_ struct service_conf *owned = NULL;
	const struct service *service = master->services[answer->place];

	put_addresses(answer, json, service, look_at_conf(service, &owned));
}

/* The line of the next service, or as much of it as there is room for. */
static void put_service(
	struct control_answer *answer, struct json *json, struct service *service, uint64_t now)
{
	_cleanup_service_conf_ struct service_conf *owned = NULL;
	const struct service_conf *conf = look_at_conf(service, &owned);

	service->told_to |= answer->bit;
	answer->number = service->number;
	answer->address = 0;
	answer->phase = CONTROL_ADDRESSES;
	begin_service(json, service, conf, now);
	put_addresses(answer, json, service, conf);
}

static void put_next_service(struct control_answer *answer, struct json *json,
	const struct master *master, uint64_t now)
{
	while (answer->next < master->n_services &&
		(master->services[answer->next]->told_to & answer->bit))
		answer->next++;
	if (answer->next >= master->n_services) {
		answer->phase = CONTROL_END;
		return;
	}
	answer->place = answer->next++;
	put_service(answer, json, master->services[answer->place], now);
}

static void put_end(struct control_answer *answer, struct json *json)
{
	json_open(json, NULL, '{');
	json_bool(json, "end", true);
	json_bool(json, "reloaded", answer->reloaded);
	json_close(json, '}');
	json_end_line(json);
	answer->phase = CONTROL_OVER;
}

static void put_error(struct json *json, const char *why)
{
	json_open(json, NULL, '{');
	json_text(json, "error", why);
	json_close(json, '}');
	json_end_line(json);
}

/* Go to the one service that is asked for. */
static void find_service(
	struct control_answer *answer, struct json *json, const struct master *master)
{
	size_t i = 0;

	while (i < master->n_services &&
		!service_is_called(master->services[i], answer->request.service))
		i++;
	answer->next = i;
	answer->phase = CONTROL_SERVICES;
	if (i < master->n_services)
		return;
	put_error(json, "no such service");
	answer->phase = CONTROL_OVER;
}

/* Nobody has been told of. */
static void forget_bits(const struct control_answer *answer, const struct master *master)
{
	for (size_t i = 0; i < master->n_services; i++)
		master->services[i]->told_to &= (uint8_t)~answer->bit;
}

static void put_first(struct control_answer *answer, struct json *json,
	const struct master *master, uint64_t now)
{
	if (answer->request.question == CONTROL_STATUS) {
		put_status(json, master, now);
		answer->phase = CONTROL_END;
	} else if (answer->request.service[0]) {
		find_service(answer, json, master);
	} else {
		answer->phase = CONTROL_SERVICES;
	}
}

static void put_piece(struct control_answer *answer, struct json *json,
	const struct master *master, uint64_t now)
{
	switch (answer->phase) {
	case CONTROL_BEGIN:
		put_first(answer, json, master, now);
		break;
	case CONTROL_SERVICES:
		put_next_service(answer, json, master, now);
		break;
	case CONTROL_ADDRESSES:
		go_on_with_service(answer, json, master);
		break;
	case CONTROL_END:
		put_end(answer, json);
		break;
	case CONTROL_OVER:
		break;
	}
}

/* There was a reload: services stand elsewhere, and some are gone.  A line that has begun is
 * ended without its service. */
static void find_way_back(
	struct control_answer *answer, struct json *json, const struct master *master)
{
	answer->generation = master->generation;
	answer->reloaded = true;
	answer->next = 0;
	if (answer->phase != CONTROL_ADDRESSES)
		return;
	answer->place = find_place(answer, master);
	if (answer->place == master->n_services)
		finish_service(answer, json);
}

void control_answer_begin(struct control_answer *answer, const struct master *master,
	const struct control_request *request, uint8_t bit)
{
	*answer = (struct control_answer){
		.request = *request,
		.generation = master->generation,
	};
	if (request->question != CONTROL_LIST || request->service[0])
		return;
	answer->bit = bit;
	forget_bits(answer, master);
}

size_t control_answer_write(struct control_answer *answer, const struct master *master,
	char *buf, size_t size, uint64_t now)
{
	struct json json;

	json_init(&json, buf, size);
	json.comma = answer->comma;
	if (answer->generation != master->generation)
		find_way_back(answer, &json, master);
	for (int i = 0; i < PIECES_MAX && answer->phase != CONTROL_OVER && has_room(&json); i++)
		put_piece(answer, &json, master, now);
	answer->comma = json.comma;
	return json.len;
}

size_t control_answer_error(const char *why, char *buf, size_t size)
{
	struct json json;

	json_init(&json, buf, size);
	put_error(&json, why);
	return json.len;
}
