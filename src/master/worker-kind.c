#include "master/worker-kind.h"

#include "base/addr.h"
#include "base/clock.h"
#include "base/own.h"
#include "base/redirect.h"
#include "base/tls.h"
#include "master/listener.h"
#include "master/master.h"
#include "master/service.h"
#include "master/worker-setup.h"
#include "master/worker.h"

#include <string.h>

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
	[WORKER_TLS] = {"hatchd-tls", "hatchd-tls", TLS_FDS, CALLERS},
	[WORKER_TLS + 1] = {"hatchd-tls-2", "hatchd-tls", TLS_FDS, CALLERS},
	[WORKER_TLS + 2] = {"hatchd-tls-3", "hatchd-tls", TLS_FDS, CALLERS},
	[WORKER_TLS + 3] = {"hatchd-tls-4", "hatchd-tls", TLS_FDS, CALLERS},
	[WORKER_TLS + 4] = {"hatchd-tls-5", "hatchd-tls", TLS_FDS, CALLERS},
	[WORKER_TLS + 5] = {"hatchd-tls-6", "hatchd-tls", TLS_FDS, CALLERS},
	[WORKER_TLS + 6] = {"hatchd-tls-7", "hatchd-tls", TLS_FDS, CALLERS},
	[WORKER_TLS + 7] = {"hatchd-tls-8", "hatchd-tls", TLS_FDS, CALLERS},
	[WORKER_TLS + 8] = {"hatchd-tls-9", "hatchd-tls", TLS_FDS, CALLERS},
	[WORKER_TLS + 9] = {"hatchd-tls-10", "hatchd-tls", TLS_FDS, CALLERS},
	[WORKER_TLS + 10] = {"hatchd-tls-11", "hatchd-tls", TLS_FDS, CALLERS},
	[WORKER_TLS + 11] = {"hatchd-tls-12", "hatchd-tls", TLS_FDS, CALLERS},
	[WORKER_TLS + 12] = {"hatchd-tls-13", "hatchd-tls", TLS_FDS, CALLERS},
	[WORKER_TLS + 13] = {"hatchd-tls-14", "hatchd-tls", TLS_FDS, CALLERS},
	[WORKER_TLS + 14] = {"hatchd-tls-15", "hatchd-tls", TLS_FDS, CALLERS},
	[WORKER_TLS + 15] = {"hatchd-tls-16", "hatchd-tls", TLS_FDS, CALLERS},
};

_Static_assert(ARRAY_SIZE(kinds) == _WORKER_KIND_MAX, "a row for each");

static enum worker_kind kind_of(const struct worker *worker)
{
	return worker->kind;
}

enum worker_kind worker_kind_named(const char *name)
{
	size_t i = 0;

	while (i < _WORKER_KIND_MAX && strcmp(kinds[i].name, name) != 0)
		i++;
	return (enum worker_kind)i;
}

bool worker_is_elder(const struct worker *worker)
{
	return worker >= worker->master->workers + _WORKER_KIND_MAX;
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

/* Where none is said it is one; and none, when no service has it any more: one that has been
 * at work still has the keys. */
static uint32_t how_many_speak_tls(const struct master *master)
{
	uint32_t n = image_conf(master->image)->tls_workers;

	if (image_secrets(master->image) < 0)
		return 0;
	return n > 0 ? n : 1;
}

/* Which of them get clients: as many as are wanted, from the first on; but one that was started
 * with other limits than those in force keeps what it has, and the next takes its place. */
static uint32_t choose_of_tls(struct master *master, struct worker *ret[CONF_TLS_WORKERS_MAX])
{
	uint32_t wanted = how_many_speak_tls(master), n = 0;

	for (size_t i = WORKER_TLS; i <= WORKER_TLS_LAST && n < wanted; i++)
		if (!worker_is_outgrown(&master->workers[i]))
			ret[n++] = &master->workers[i];
	return n;
}

bool worker_is_for_tls(const struct worker *worker)
{
	return kind_of(worker) >= WORKER_TLS && kind_of(worker) <= WORKER_TLS_LAST;
}

bool worker_is_superfluous(const struct worker *worker)
{
	struct worker *chosen[CONF_TLS_WORKERS_MAX];
	uint32_t n;

	if (worker_is_elder(worker))
		return true;
	if (!worker_is_for_tls(worker))
		return false;
	n = choose_of_tls(worker->master, chosen);
	for (uint32_t i = 0; i < n; i++)
		if (chosen[i] == worker)
			return false;
	return true;
}

/* One that can take nobody now comes behind all that can, and before those one that has just
 * refused somebody. */
static uint32_t burden_of(const struct worker *worker, uint64_t now)
{
	if (!worker_has_room(worker))
		return UINT32_MAX;
	return now < worker->shunned_until ? UINT32_MAX - 1 : worker_sessions(worker);
}

struct worker *worker_of_tls(const struct service *service)
{
	struct worker *chosen[CONF_TLS_WORKERS_MAX];
	struct worker *best = &service->master->workers[WORKER_TLS];
	uint64_t now = clock_monotonic();
	uint32_t n;

	if (!service_conf_has_tls(service->setup->conf))
		return NULL;
	n = choose_of_tls(service->master, chosen);
	for (uint32_t i = 0; i < n; i++)
		if (i == 0 || burden_of(chosen[i], now) < burden_of(best, now))
			best = chosen[i];
	return best;
}

struct worker *worker_of_words(const struct service *service, bool is_ip)
{
	struct worker *front = worker_of_front(service, is_ip);

	return front ? front : worker_of_tls(service);
}

bool worker_is_relay(const struct worker *worker)
{
	enum worker_kind kind = kind_of(worker);

	return kind == WORKER_RELAY || kind == WORKER_RELAY_LOCAL;
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
