#include "master/control-lines.h"

#include "base/log.h"
#include "master/master.h"
#include "master/service.h"
#include "policy/admit.h"

/* ------------------------------------------------------------------ what is counted */

/* Counts behind the last one that is not 0 are left out. */
static void put_histogram(struct json *json, const char *key, const struct histogram *histogram)
{
	size_t n = histogram_used(histogram);

	if (n == 0)
		return;
	json_open(json, key, '{');
	json_number(json, "sum_usec", histogram->sum);
	json_open(json, "counts", '[');
	for (size_t i = 0; i < n; i++)
		json_number(json, NULL, histogram->counts[i]);
	json_close(json, ']');
	json_close(json, '}');
}

/* All kinds, so that it can be seen how each grows from 0. */
static void put_ended(struct json *json, const uint64_t ended[_STATS_END_MAX])
{
	json_open(json, "ended", '{');
	for (int i = 0; i < _STATS_END_MAX; i++)
		json_number(json, stats_end_word((enum stats_end)i), ended[i]);
	json_close(json, '}');
}

static void put_sessions(struct json *json, const uint64_t sessions[_STATS_SESSION_MAX])
{
	json_open(json, "sessions", '{');
	for (unsigned i = 0; i < _STATS_SESSION_MAX; i++)
		if (sessions[i] > 0)
			json_number(json, stats_session_word(i), sessions[i]);
	json_close(json, '}');
}

static void put_stats(struct json *json, const struct stats *stats, const uint64_t *refused)
{
	json_number(json, "accepted", stats->accepted);
	control_put_refused(json, refused);
	put_ended(json, stats->ended);
	put_sessions(json, stats->sessions);
	json_number(json, "cpu_usec", stats->cpu_usec);
	json_number(json, "bytes_in", stats->bytes_in);
	json_number(json, "bytes_out", stats->bytes_out);
	put_histogram(json, "queue", &stats->queue);
	put_histogram(json, "wait", &stats->wait);
	put_histogram(json, "spawn", &stats->spawn);
}

/* ---------------------------------------------------------------------- hatchd itself */

static void put_bounds(struct json *json)
{
	json_open(json, "bounds_usec", '[');
	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++)
		json_number(json, NULL, histogram_bounds[i]);
	json_close(json, ']');
}

static void put_helper(
	struct json *json, const char *name, bool runs, uint64_t started, uint32_t connections)
{
	json_open(json, NULL, '{');
	json_text(json, "name", name);
	json_bool(json, "runs", runs);
	json_number(json, "started", started);
	json_number(json, "connections", connections);
	json_close(json, '}');
}

/* They have the name of those that have taken their place. */
static uint32_t connections_of_elders(const struct worker *worker)
{
	const struct master *master = worker->master;
	uint32_t n = 0;

	for (size_t i = _WORKER_KIND_MAX; i < workers_used(master); i++)
		if (master->workers[i].kind == worker->kind)
			n += worker_sessions(&master->workers[i]);
	return n;
}

/* Those that were ever needed. */
static void put_helpers(struct json *json, const struct master *master)
{
	const struct counter *counter = master->tally.counter;
	const struct asker *asker = master->overdue.asker;

	json_open(json, "workers", '[');
	for (size_t i = 0; i < _WORKER_KIND_MAX; i++) {
		const struct worker *worker = &master->workers[i];
		uint32_t old = connections_of_elders(worker);

		if (worker->service || old > 0)
			put_helper(json, worker_name(worker), worker->process,
				worker->service ? worker->service->n_started : 0,
				worker_sessions(worker) + old);
	}
	if (asker_starts(asker) > 0)
		put_helper(json, "hatchd-ask", asker_pid(asker) > 0, asker_starts(asker), 0);
	if (counter_starts(counter) > 0)
		put_helper(json, "hatchd-bytes", counter_pid(counter) > 0,
			counter_starts(counter), 0);
	json_close(json, ']');
}

static void put_reloads(struct json *json, const struct reload *reload)
{
	json_open(json, "reloads", '{');
	json_number(json, "done", reload->n_done);
	json_number(json, "failed", reload->n_failed);
	json_close(json, '}');
	json_bool(json, "reload_failed", reload->failed);
}

static void put_sources(struct json *json, const struct master *master)
{
	size_t remembered = sources_remembered(master->sources);

	json_open(json, "sources", '{');
	json_number(json, "connected", sources_used(master->sources) - remembered);
	json_number(json, "remembered", remembered);
	json_close(json, '}');
	json_number(json, "forgotten", sources_forgotten(master->sources));
	json_number(json, "bans", master->n_bans);
}

void control_put_metrics(struct json *json, const struct master *master, uint64_t now)
{
	json_open(json, NULL, '{');
	json_text(json, "hatchd", PACKAGE_VERSION);
	control_put_since(json, master, now);
	json_text(json, "spawn_mode", spawner_describe(master->spawner));
	put_bounds(json);
	put_reloads(json, &master->reload);
	json_number(json, "log_lost", log_lost());
	json_number(json, "services", master->n_services);
	json_number(json, "removed", state_count_retired(master));
	json_number(json, "children", master_clients(master));
	json_number(json, "total_instances", master->budget.total_instances);
	control_put_n_orphans(json, master);
	put_sources(json, master);
	put_stats(json, &master->stats, master->refused);
	put_helpers(json, master);
	json_close(json, '}');
	json_end_line(json);
}

/* ------------------------------------------------------------------------ a service */

/* What is not counted yet is as good as 0.  Its configuration need not be read. */
void control_put_service_metrics(struct json *json, const struct service *service)
{
	_cleanup_service_conf_ struct service_conf *owned = NULL;
	const struct service_conf *conf =
		service->label[0] ? NULL : control_look_at_conf(service, &owned);
	static const struct stats nothing;
	const struct stats *stats = service->stats ? service->stats : &nothing;

	json_open(json, NULL, '{');
	control_put_name(json, service, conf);
	json_number(json, "children", service->n_children);
	control_put_instances(json, service);
	json_number(json, "started", service->n_started);
	if (service->backend)
		json_number(json, "backend_started", service->backend->service->n_started);
	put_stats(json, stats, service->told ? service->told->refused : NULL);
	json_close(json, '}');
	json_end_line(json);
}
