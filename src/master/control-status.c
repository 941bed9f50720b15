#include "master/control-lines.h"

#include "base/clock.h"
#include "master/master.h"
#include "master/service.h"
#include "policy/admit.h"

void control_put_refused(struct json *json, const uint64_t *refused)
{
	json_open(json, "refused", '{');
	for (int i = 0; refused && i < _ADMIT_MAX; i++)
		if (refused[i] > 0)
			json_number(json, admit_reason((enum admit_verdict)i), refused[i]);
	json_close(json, '}');
}

void control_put_reload(struct json *json, const struct reload *reload, uint64_t now)
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

static void put_upgrade(struct json *json, const struct upgrade *upgrade)
{
	json_open(json, "upgrade", '{');
	json_bool(json, "running", upgrade_runs(upgrade));
	json_number(json, "done", upgrade->n_done);
	json_number(json, "failed", upgrade->n_failed);
	if (upgrade->reason[0])
		json_text(json, "reason", upgrade->reason);
	if (upgrade->foreign)
		json_bool(json, "foreign", true);
	json_close(json, '}');
}

static const char *worker_state(const struct worker *worker)
{
	if (worker_is_elder(worker))
		return "finishing";
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
	for (size_t i = 0; i < workers_used(master); i++)
		if (master->workers[i].process || worker_is_paused(&master->workers[i]))
			put_worker(json, &master->workers[i]);
	json_close(json, ']');
}

/* A jump of the clock does not move when we were started by more than that.  Two rounded times
 * would, by a second now and then, and a new start is what that looks like. */
void control_put_since(struct json *json, const struct master *master, uint64_t now)
{
	uint64_t up = now - master->started;
	struct timespec wall = clock_wall();
	uint64_t usec = (uint64_t)wall.tv_sec * USEC_PER_SEC + (uint64_t)wall.tv_nsec / 1000;

	json_number(json, "since", (usec - up) / USEC_PER_SEC);
	json_number(json, "up_usec", up);
}

void control_put_n_orphans(struct json *json, const struct master *master)
{
	if (master->orphans.known)
		json_number(json, "orphans", master->orphans.n_found);
	else
		json_null(json, "orphans");
}

/* Where nobody keeps any there is nothing to be counted. */
static void put_n_kept(struct json *json, const struct master *master)
{
	if (master->store.max > 0)
		json_number(json, "kept", store_count(master));
	else
		json_null(json, "kept");
}

/* Only where there are some. */
static void put_handed_over(struct json *json, const struct handed_over *handed_over)
{
	uint64_t n = 0, unclaimed = 0;

	for (size_t i = 0; i < handed_over->n; i++) {
		const struct handed_socket *socket = handed_over->sockets[i];

		n += socket->kind == HANDED_SOCKET;
		unclaimed += socket->kind == HANDED_SOCKET && socket->fd >= 0 && socket->told;
	}
	if (n == 0)
		return;
	json_open(json, "handed_over", '{');
	json_number(json, "sockets", n);
	json_number(json, "unclaimed", unclaimed);
	json_close(json, '}');
}

static void put_counts(struct json *json, const struct master *master)
{
	size_t remembered = sources_remembered(master->sources);

	json_number(json, "services", master->n_services);
	json_number(json, "removed", state_count_retired(master));
	json_number(json, "children", master_clients(master));
	json_number(json, "total_instances", master->budget.total_instances);
	control_put_n_orphans(json, master);
	put_n_kept(json, master);
	put_handed_over(json, &master->inherited.handed_over);
	json_number(json, "connections", master->next_connection - 1);
	json_number(json, "clients", sources_used(master->sources) - remembered);
	json_number(json, "remembered", remembered);
	json_number(json, "bans", master->n_bans);
	control_put_refused(json, master->refused);
}

static const char *state_of(const struct master *master)
{
	if (master->stopping)
		return "stopping";
	return master->leaving ? "draining" : "serving";
}

static void put_drain(struct json *json, const struct master *master, uint64_t now)
{
	uint64_t deadline = master->drain.deadline;

	json_open(json, "drain", '{');
	json_number(json, "connections", drain_left(master));
	if (deadline != USEC_INFINITY)
		json_number(json, "left_usec", deadline > now ? deadline - now : 0);
	json_close(json, '}');
}

void control_put_status(struct json *json, const struct master *master, uint64_t now)
{
	json_open(json, NULL, '{');
	json_text(json, "hatchd", PACKAGE_VERSION);
	json_number(json, "protocol", CONTROL_PROTOCOL);
	json_number(json, "pid", (uint64_t)getpid());
	json_text(json, "state", state_of(master));
	control_put_since(json, master, now);
	json_text(json, "config", image_conf(master->image)->main_file);
	json_text(json, "spawn", spawner_describe(master->spawner));
	control_put_reload(json, &master->reload, now);
	put_upgrade(json, &master->upgrade);
	if (master->drain.on)
		put_drain(json, master, now);
	put_counts(json, master);
	put_workers(json, master);
	json_close(json, '}');
	json_end_line(json);
}
