#include "master/control-lines.h"

#include "base/clock.h"
#include "master/caller.h"
#include "master/master.h"
#include "master/readiness.h"
#include "master/service.h"
#include "policy/validity.h"

#include <stdio.h>
#include <string.h>

const struct service_conf *control_look_at_conf(
	const struct service *service, struct service_conf **owned)
{
	if (service->setup)
		return service->setup->conf;
	if (image_get(service->master->image, service->index, owned) < 0)
		return NULL;
	return *owned;
}

/* Its label is the name and ": ", but for the one of a command line. */
void control_put_name(
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
	if (readiness_status(service->wait_child))
		json_text(json, "status", readiness_status(service->wait_child));
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

void control_put_instances(struct json *json, const struct service *service)
{
	if (service->instances == COUNT_UNLIMITED)
		json_null(json, "instances");
	else
		json_number(json, "instances", service->instances);
}

void control_begin_service(struct json *json, const struct service *service,
	const struct service_conf *conf, uint64_t now)
{
	json_open(json, NULL, '{');
	control_put_name(json, service, conf);
	put_state(json, service, conf, now);
	json_number(json, "children", service->n_children);
	control_put_instances(json, service);
	if (conf && service_conf_has_pending(conf))
		json_number(json, "pending", callers_pending(service));
	if (conf && service_conf_has_backend(conf))
		put_backend(json, service);
	if (conf && service_conf_has_tls(conf) && !conf->condition)
		put_certificate(json, conf);
	json_number(json, "started", service->n_started);
	control_put_refused(json, service->told ? service->told->refused : NULL);
	json_open(json, "addresses", '[');
}

void control_end_service(struct json *json)
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
	if (listener_is_handed_over(listener))
		json_text(json, "handed_over", listener->bound->handed_over->name);
	if (listener->fd < 0)
		put_failure(json, listener);
	json_close(json, '}');
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

bool control_put_address(struct json *json, const struct service *service,
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

bool control_knows(const struct master *master, const char *name)
{
	for (size_t i = 0; i < master->n_services; i++)
		if (service_is_called(master->services[i], name))
			return true;
	for (const struct service *s = master->retired; s; s = s->next_retired)
		if (service_is_called(s, name))
			return true;
	return false;
}
