/*
 * caller-resume: clients whose bytes hatchd-tls carries, and those who have been let go and
 * whose worker has not said so yet, from one image of hatchd to the next.  The others are
 * caller-restore's.
 */
#include "master/caller-internal.h"

#include "base/own.h"
#include "master/master.h"

#include <stdlib.h>

size_t caller_count(const struct master *master)
{
	const struct caller *caller;
	size_t n = 0;

	TAILQ_FOREACH(caller, &master->callers.all, all)
	n++;
	return n;
}

const struct worker *caller_carrier(const struct child *child, uint32_t *ret_place)
{
	const struct caller *caller = child->carrier;

	if (!caller)
		return NULL;
	*ret_place = caller->place;
	return caller->worker;
}

bool caller_carried_at(const struct worker *worker, uint32_t place, struct carried *ret)
{
	const struct caller *caller = worker->callers[place];

	if (!caller || (caller->state != CALLER_CARRIED && caller->state != CALLER_GONE))
		return false;
	*ret = (struct carried){
		.number = caller->conn.number,
		.place = place,
		.source = caller->conn.source,
		.served = caller->served,
		.near_end = caller->near_end,
		.far_end = caller->far_end,
		.gone = caller->state != CALLER_CARRIED,
		.by_worker = caller->by_worker,
		.cut = caller->cut,
		.untold = caller->untold,
	};
	return true;
}

static void fill(struct caller *caller, struct carried *from)
{
	caller->conn.number = from->number;
	caller->conn.source = from->source;
	caller->conn.fd = caller->conn.pair = -EBADF;
	caller->conn.is_caller = true;
	caller->served = from->served;
	caller->near_end = take_fd(&from->near_end);
	caller->far_end = take_fd(&from->far_end);
	caller->state = from->gone ? CALLER_GONE : CALLER_CARRIED;
	caller->verdict = CHANNEL_ADMITTED;
	caller->by_worker = from->by_worker;
	caller->cut = from->cut;
	caller->untold = from->untold;
	caller->has_place = true;
	caller->place = from->place;
}

bool caller_resume(struct worker *worker, struct carried *from)
{
	struct master *master = worker->master;
	struct caller *caller;

	if (worker_holds(worker) != WORKER_HOLDS_CALLERS || from->place >= worker->places ||
		worker->callers[from->place])
		return false;
	caller = calloc(1, sizeof *caller);
	if (!caller)
		return false;
	fill(caller, from);
	caller->master = master;
	caller->worker = worker;
	worker->callers[from->place] = caller;
	worker->n_to_end += caller->untold;
	TAILQ_INSERT_TAIL(&master->callers.all, caller, all);
	return true;
}

bool caller_resume_child(struct worker *worker, uint32_t place, struct child *child)
{
	struct caller *caller =
		worker_holds(worker) == WORKER_HOLDS_CALLERS && place < worker->places
			? worker->callers[place]
			: NULL;

	if (!caller || caller->state != CALLER_CARRIED || caller->child)
		return false;
	caller->child = child;
	child->carrier = caller;
	return true;
}

void callers_resume_leaving(struct worker *worker, uint64_t now)
{
	for (uint32_t i = 0; worker->callers && i < worker->places; i++) {
		struct caller *caller = worker->callers[i];

		if (caller && caller->state == CALLER_CARRIED && !caller->child)
			caller_leave(caller, now);
	}
}
