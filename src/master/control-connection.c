#include "master/control-lines.h"

#include "base/clock.h"
#include "master/account.h"
#include "master/child.h"
#include "master/findings.h"
#include "master/readiness.h"
#include "master/service.h"
#include "master/worker.h"

/* A socket that a worker has is nobody's, and so are its process and that of a backend. */
bool control_is_connection(const struct child *child)
{
	if (child->worker)
		return !child->posted;
	return !child->backend && !worker_of_process(child);
}

/* One whose program cannot be executed never runs, also before it is reaped. */
static const char *state_of(const struct child *child)
{
	const char *said;

	if (child->life.reason != LIFETIME_UNLIMITED || child->unwanted || child->end_wanted)
		return "ending";
	if (child->slot || child->report.error != 0)
		return "starting";
	said = readiness_describe(child);
	return said ? said : "running";
}

/* Either the process that is the child, or the worker that it is with. */
static void put_server(struct json *json, const struct child *child)
{
	if (child->worker) {
		json_null(json, "pid");
		json_text(json, "worker", worker_name(child->worker));
	} else {
		json_number(json, "pid", (uint64_t)child->pid);
		json_null(json, "worker");
	}
	json_text(json, "user", child->worker ? NULL : child->setup->conf->user);
}

/* By the clock as it is now: a jump does not move it by more than that. */
static void put_times(struct json *json, const struct child *child, uint64_t now)
{
	uint64_t age = now - child->born;

	json_number(json, "since", (uint64_t)clock_wall().tv_sec - age / USEC_PER_SEC);
	json_number(json, "age_usec", age);
}

static void put_addr(struct json *json, const char *key, const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];

	json_text(json, key, addr->len > 0 ? addr_format_endpoint(addr, text) : NULL);
}

/* Who speaks for him, if somebody does: by these two the kernel knows the connection. */
static void put_ends(struct json *json, const struct child *child)
{
	if (!child->ends)
		return;
	put_addr(json, "proxy", &child->ends->peer);
	put_addr(json, "reached", &child->ends->local);
}

static void put_client(struct json *json, const struct child *child)
{
	char text[ADDR_TEXT_MAX];
	const char *peer = account_format_peer(&child->peer, &child->peer_cred, text);

	json_text(json, "peer", peer[0] ? peer : NULL);
	put_addr(json, "local", &child->local);
	put_ends(json, child);
	if (child->findings && child->findings->name)
		json_text(json, "peer_name", child->findings->name);
	if (child->findings && child->findings->user)
		json_text(json, "peer_user", child->findings->user);
}

void control_put_connection(struct json *json, const struct child *child, uint64_t now)
{
	json_open(json, NULL, '{');
	json_number(json, "connection", child->connection);
	json_text(json, "service", child->setup->conf->name);
	put_client(json, child);
	put_server(json, child);
	put_times(json, child, now);
	json_text(json, "state", state_of(child));
	if (child->life.reason != LIFETIME_UNLIMITED)
		json_text(json, "reason", lifetime_reason(child->life.reason));
	if (readiness_status(child))
		json_text(json, "status", readiness_status(child));
	json_close(json, '}');
	json_end_line(json);
}
