#include "master/elder.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "master/caller.h"
#include "master/master.h"
#include "master/service.h"
#include "master/setup.h"
#include "master/worker-channel.h"
#include "master/worker-kind.h"
#include "master/worker-setup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool elder_is_wanted(const struct worker *worker)
{
	if (!worker->process || worker_sessions(worker) == 0)
		return false;
	switch (worker_holds(worker)) {
	case WORKER_HOLDS_SESSIONS:
		return !worker_is_for_datagrams(worker);
	case WORKER_HOLDS_CALLERS:
		return true;
	default:
		return false;
	}
}

static void fill_process(struct worker *worker, struct child *child, struct elder *from)
{
	child->service = worker->service;
	child->connection = from->connection;
	child->pid = from->pid;
	child->pidfd = take_fd(&from->pidfd);
	child->report = (struct spawn_report){.step = SPAWN_EXEC};
	child->born = from->born;
	child->peer_cred.uid = (uid_t)-1;
}

/* What it was started with is of no use any more. */
static struct child *make_process(struct worker *worker, struct elder *from)
{
	struct child *child = child_new(worker->master->children);

	if (!child)
		return NULL;
	child->setup = setup_of_nothing(worker->service, worker_name(worker));
	if (!child->setup) {
		child_free(worker->master->children, child);
		return NULL;
	}
	fill_process(worker, child, from);
	return child;
}

static void take_channel(struct worker *worker, struct elder *from)
{
	worker->channel.requests = take_fd(&from->channel.requests);
	worker->channel.answers = take_fd(&from->channel.answers);
	worker->unread = take_fd(&from->unread);
	worker->theirs = take_fd(&from->theirs);
}

struct worker *elder_add(struct master *master, struct elder *from, uint64_t now)
{
	enum worker_kind kind = worker_kind_named(from->name);
	struct worker *worker = &master->workers[workers_used(master)];
	struct child *child;

	if (master->n_elders == WORKERS_ELDER_MAX || kind == _WORKER_KIND_MAX)
		return NULL;
	worker->kind = kind;
	if (worker_prepare_elder(worker, from->places) < 0)
		return NULL;
	master->n_elders++;
	child = make_process(worker, from);
	if (!child)
		return NULL;
	worker->process = child;
	service_add_child(worker->service, child);
	child_watch(master->children, child, now);
	take_channel(worker, from);
	if (from->pinged)
		worker_awaits_answer(worker, now);
	return worker;
}

bool elder_add_session(struct worker *worker, struct child *child, uint32_t place)
{
	if (worker_holds(worker) != WORKER_HOLDS_SESSIONS || place >= worker->places ||
		worker->sessions[place])
		return false;
	worker->sessions[place] = child;
	child->worker = worker;
	child->place = place;
	return true;
}

static bool is_taken(const struct worker *worker, uint32_t place)
{
	return worker->sessions ? worker->sessions[place] != NULL
	                        : worker->callers[place] != NULL;
}

static void count_free(struct worker *worker)
{
	worker->n_free = 0;
	for (uint32_t i = worker->places; i-- > 0;)
		if (!is_taken(worker, i))
			worker->free[worker->n_free++] = i;
}

static void begin(struct worker *worker, uint64_t now)
{
	int r = worker_listen(worker);

	callers_resume_leaving(worker, now);
	count_free(worker);
	if (r < 0) {
		log_error("%sunable to hear child %d: %s", worker->service->label,
			worker->process->pid, strerror(-r));
		worker_kill(worker, NULL);
		return;
	}
	log_info("%schild %d goes on with %" PRIu32 " %s", worker->service->label,
		worker->process->pid, worker_sessions(worker),
		worker_sessions(worker) == 1 ? "connection" : "connections");
	if (worker->n_to_end > 0)
		worker_wait_for_room(worker);
	worker_ask(worker, now);
}

void elders_begin(struct master *master, uint64_t now)
{
	for (size_t i = _WORKER_KIND_MAX; i < workers_used(master); i++)
		if (master->workers[i].process)
			begin(&master->workers[i], now);
}
