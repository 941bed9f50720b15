#include "master/worker-setup.h"

#include "base/clock.h"
#include "base/strv.h"
#include "master/caller.h"
#include "master/master.h"
#include "master/service.h"
#include "os/lookup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most connections at one worker. */
#define PLACES_MAX 16384

/* Places besides those of clients, for sockets of datagrams. */
#define SOCKETS 64

/* Descriptors that it needs besides. */
#define SPARE_FDS 64

/* A worker that has not come to its exec by then is killed, as any program. */
#define START_TIMEOUT (5 * USEC_PER_SEC)

static uint64_t at_most(uint64_t n, uint64_t max)
{
	return n < max ? n : max;
}

/* With hatchd-tls they stay while they are served, and may be leaving then. */
static uint64_t how_many_callers(const struct worker *worker)
{
	const struct master *master = worker->master;
	uint64_t most = master->budget.callers;

	if (worker_is_for_tls(worker))
		most += (uint64_t)callers_leaving_max(master) + master->budget.total_instances;
	return most;
}

/* One for datagrams keeps its sockets, so it is never without any, and not started anew when
 * other limits are in force: it has what it can ever need. */
static uint32_t how_many_places(const struct worker *worker)
{
	const struct master *master = worker->master;
	uint64_t fds = master->inherited.nofile.rlim_max;
	uint64_t most = (uint64_t)master->budget.total_instances + SOCKETS;

	if (worker_holds(worker) == WORKER_HOLDS_QUESTIONS)
		return INQUIRY_PLACES;
	if (worker_holds(worker) == WORKER_HOLDS_CALLERS)
		most = how_many_callers(worker);
	else if (worker_is_for_datagrams(worker))
		most = PLACES_MAX;
	most = at_most(most, PLACES_MAX);
	fds = fds > 2 * SPARE_FDS ? fds - SPARE_FDS : SPARE_FDS;
	return (uint32_t)at_most(most, fds / worker_fds(worker));
}

/* A worker for datagrams has two for each socket, and one for each program, of which a reload
 * may allow more. */
static uint64_t how_many_fds(const struct worker *worker)
{
	uint64_t fds = (uint64_t)worker->places * worker_fds(worker);
	uint64_t most = worker->master->inherited.nofile.rlim_max;

	if (worker_holds(worker) == WORKER_HOLDS_QUESTIONS)
		return at_most(LOOKUP_FDS_MAX, most);
	return worker_is_for_datagrams(worker) ? most : at_most(fds + SPARE_FDS, most);
}

/* What concerns how any program is linked and checked, and what the time is here. */
static int choose_environment(struct service_conf *conf)
{
	static const char *const wanted[] = {
		"ASAN_OPTIONS",
		"LD_LIBRARY_PATH",
		"LD_PRELOAD",
		"TZ",
		"UBSAN_OPTIONS",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		const char *value = getenv(wanted[i]);

		if (value && strv_addf(&conf->base_env, "%s=%s", wanted[i], value) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int choose_arguments(struct service_conf *conf, const char *name, uint32_t places)
{
	if (strv_add(&conf->argv, name) < 0 || strv_addf(&conf->argv, "%" PRIu32, places) < 0)
		return -ENOMEM;
	return 0;
}

/* It has keys, so that nobody else may be who it is. */
static bool has_keys(const struct worker *worker)
{
	return strcmp(worker_program(worker), "hatchd-tls") == 0;
}

bool worker_may_come_later(const struct worker *worker)
{
	return !worker_is_elder(worker) && has_keys(worker) && worker->program == -ENOENT;
}

/* All that we look for lie where the loader does.  To find out whether one that was not there
 * is there now is the business of who executes it (I2). */
static char *path_of(const struct worker *worker, const char *name)
{
	const char *loader = worker->master->loader, *slash = strrchr(loader, '/');
	char *path;

	if (!worker_may_come_later(worker))
		return strdup(name);
	if (asprintf(&path, "%.*s/%s", (int)(slash - loader), loader, worker_program(worker)) <
		0)
		return NULL;
	return path;
}

/* Never root: then the configuration does not come from our loader, or it has no use for
 * that worker. */
static int choose_identity(const struct worker *worker, struct service_conf *conf)
{
	const struct conf *all = image_conf(worker->master->image);
	bool we_are_root = worker->master->inherited.uid == 0;

	conf->change_identity = all->worker_identity;
	conf->uid = has_keys(worker) ? all->tls_worker_uid : all->worker_uid;
	conf->gid = has_keys(worker) ? all->tls_worker_gid : all->worker_gid;
	return (we_are_root || conf->change_identity) && conf->uid == 0 ? -EPERM : 0;
}

/* As a configuration would have it. */
static int describe(const struct worker *worker, const char *name, struct service_conf *ret)
{
	struct rlimit_conf *nofile = &ret->rlimit[RLIMIT_NOFILE];
	int r;

	ret->nice = NICE_INHERIT;
	ret->umask = 077;
	ret->stderr_kind = STDERR_LOG;
	ret->stop = STOP_LEAVE;
	ret->start_timeout = START_TIMEOUT;
	ret->time_limit = ret->first_byte_timeout = ret->idle_timeout = DURATION_UNLIMITED;
	ret->kill_after = DURATION_UNLIMITED;
	ret->instances = ret->per_source = COUNT_UNLIMITED;
	ret->log_on_success = RECORD_OF_SUCCESS;
	ret->log_on_failure = RECORD_OF_FAILURE;
	*nofile = (struct rlimit_conf){
		.given = true,
		.soft = how_many_fds(worker),
		.hard = how_many_fds(worker),
	};
	r = choose_identity(worker, ret);
	if (r < 0)
		return r;
	ret->directory = strdup("/");
	ret->path = path_of(worker, name);
	if (!ret->directory || !ret->path)
		return -ENOMEM;
	r = choose_arguments(ret, name, worker->places);
	return r < 0 ? r : choose_environment(ret);
}

static int make_setup(const struct worker *worker)
{
	const char *name = worker_name(worker);
	_cleanup_service_conf_ struct service_conf *conf = service_conf_new(name);
	int r = conf ? describe(worker, name, conf) : -ENOMEM;

	if (r < 0)
		return r;
	r = service_pin_setup(worker->service, conf);
	if (r < 0)
		return r;
	conf = NULL;
	worker->service->setup->recipe.by_descriptor = worker->program >= 0;
	worker->service->setup->recipe.program_fd = CHANNEL_PROGRAM_FD;
	return 0;
}

static void free_places(struct worker *worker)
{
	free(worker->sessions);
	free(worker->callers);
	free(worker->questions);
	free(worker->free);
	worker->sessions = NULL;
	worker->callers = NULL;
	worker->questions = NULL;
	worker->free = NULL;
	worker->places = worker->n_free = 0;
}

/* By whom that worker has at its places. */
static bool make_table(struct worker *worker, uint32_t n)
{
	switch (worker_holds(worker)) {
	case WORKER_HOLDS_SESSIONS:
		worker->sessions = calloc(n, sizeof(struct child *));
		break;
	case WORKER_HOLDS_CALLERS:
		worker->callers = calloc(n, sizeof(struct caller *));
		break;
	case WORKER_HOLDS_QUESTIONS:
		worker->questions = inquiry_places_new(n);
	}
	return worker->questions || worker->callers || worker->sessions;
}

static int make_places(struct worker *worker, uint32_t n)
{
	if (worker->places == n)
		return 0;
	free_places(worker);
	worker->free = calloc(n, sizeof *worker->free);
	if (!worker->free || !make_table(worker, n))
		return -ENOMEM;
	/* The lowest first: its tables are used from their beginning. */
	for (uint32_t i = 0; i < n; i++)
		worker->free[i] = n - 1 - i;
	worker->places = worker->n_free = n;
	return 0;
}

/* When it is needed for the first time. */
static int make_service(struct worker *worker)
{
	struct service *service = service_new(worker->master, worker_name(worker));

	if (!service)
		return -ENOMEM;
	service->index = CONF_NONE;
	service->instances = COUNT_UNLIMITED;
	service->state = SERVICE_ACTIVE;
	worker->service = service;
	return 0;
}

int worker_prepare(struct worker *worker)
{
	int r = worker_sessions(worker) == 0 ? make_places(worker, how_many_places(worker)) : 0;

	if (r == 0 && !worker->service)
		r = make_service(worker);
	if (r == 0)
		r = make_setup(worker);
	if (r == 0)
		service_open_log(worker->service);
	return r;
}

int worker_prepare_elder(struct worker *worker, uint32_t places)
{
	int r = places > 0 && places <= PLACES_MAX ? make_places(worker, places) : -EBADMSG;

	return r < 0 ? r : make_service(worker);
}

bool worker_has_wrong_size(const struct worker *worker)
{
	return worker_sessions(worker) == 0 && worker->places != how_many_places(worker);
}

bool worker_is_outgrown(const struct worker *worker)
{
	return worker->process && worker_sessions(worker) > 0 &&
	       worker->places != how_many_places(worker);
}
