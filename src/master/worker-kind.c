#include "master/worker-kind.h"

#include "base/addr.h"
#include "base/redirect.h"
#include "master/listener.h"
#include "master/master.h"
#include "master/service.h"

#define SESSIONS  WORKER_HOLDS_SESSIONS
#define CALLERS   WORKER_HOLDS_CALLERS
#define QUESTIONS WORKER_HOLDS_QUESTIONS

static const struct {
	const char *name, *program;
	uint32_t fds; /* that a connection takes there */
	enum worker_holds holds;
} kinds[] = {
	[WORKER_BUILTIN] = {"hatchd-builtin", "hatchd-builtin", 1, SESSIONS},
	[WORKER_RELAY] = {"hatchd-relay", "hatchd-relay", REDIRECT_FDS, SESSIONS},
	[WORKER_BUILTIN_LOCAL] = {"hatchd-builtin-local", "hatchd-builtin", 1, SESSIONS},
	[WORKER_FRONT] = {"hatchd-front", "hatchd-front", 1, CALLERS},
	[WORKER_FRONT_LOCAL] = {"hatchd-front-local", "hatchd-front", 1, CALLERS},
	[WORKER_RELAY_LOCAL] = {"hatchd-relay-local", "hatchd-relay", REDIRECT_FDS, SESSIONS},
	[WORKER_UDP] = {"hatchd-udp", "hatchd-udp", 1, SESSIONS},
	[WORKER_UDP_LOCAL] = {"hatchd-udp-local", "hatchd-udp", 1, SESSIONS},
	/* A socket takes one for itself, and one for the set of its ways. */
	[WORKER_UDP_RELAY] = {"hatchd-udp-relay", "hatchd-udp", 2, SESSIONS},
	[WORKER_LOOKUP] = {"hatchd-lookup", "hatchd-lookup", 0, QUESTIONS},
};

static enum worker_kind kind_of(const struct worker *worker)
{
	return (enum worker_kind)(worker - worker->master->workers);
}

const char *worker_name(const struct worker *worker)
{
	return kinds[kind_of(worker)].name;
}

const char *worker_program(const struct worker *worker)
{
	return kinds[kind_of(worker)].program;
}

uint32_t worker_fds(const struct worker *worker)
{
	return kinds[kind_of(worker)].fds;
}

enum worker_holds worker_holds(const struct worker *worker)
{
	return kinds[kind_of(worker)].holds;
}

/* Who is at the other end of a UNIX socket belongs to this machine, and may hold its worker
 * up. */
static bool has_local_target(const struct service_conf *conf)
{
	for (size_t i = 0; i < conf->n_targets; i++)
		if (conf->targets[i].kind == ADDR_UNIX)
			return true;
	return false;
}

struct worker *worker_of(const struct service *service, bool is_ip)
{
	const struct service_conf *conf = service->setup->conf;
	struct worker *workers = service->master->workers;

	if (service_conf_is_builtin(conf))
		return &workers[is_ip ? WORKER_BUILTIN : WORKER_BUILTIN_LOCAL];
	if (service_conf_is_redirect(conf))
		return &workers[is_ip && !has_local_target(conf) ? WORKER_RELAY
								 : WORKER_RELAY_LOCAL];
	return NULL;
}

struct worker *worker_of_front(const struct service *service, bool is_ip)
{
	enum worker_kind kind = is_ip ? WORKER_FRONT : WORKER_FRONT_LOCAL;

	return service_conf_has_front(service->setup->conf) ? &service->master->workers[kind]
	                                                    : NULL;
}

struct worker *worker_of_questions(const struct service *service)
{
	return service_conf_has_lookups(service->setup->conf)
	               ? &service->master->workers[WORKER_LOOKUP]
	               : NULL;
}

bool worker_is_for_datagrams(const struct worker *worker)
{
	enum worker_kind kind = kind_of(worker);

	return kind == WORKER_UDP || kind == WORKER_UDP_LOCAL || kind == WORKER_UDP_RELAY;
}

struct worker *worker_of_socket(const struct listener *listener)
{
	const struct service *service = listener->service;
	const struct service_conf *conf = service->setup->conf;
	struct worker *workers = service->master->workers;

	if (service_conf_is_builtin(conf))
		return worker_of(service, listener->is_ip);
	if (service_conf_is_redirect(conf))
		return &workers[WORKER_UDP_RELAY];
	return &workers[listener->is_ip ? WORKER_UDP : WORKER_UDP_LOCAL];
}
