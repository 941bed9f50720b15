#include "master/handover/gather-strays.h"

#include "base/log.h"
#include "master/backend.h"
#include "master/elder.h"
#include "master/master.h"
#include "master/service.h"

struct found {
	struct handover *handover; /* with room for STRAYS_MAX */
	int error;
};

static void add(struct found *found, pid_t pid)
{
	struct handover *handover = found->handover;

	if (pid <= 1)
		return;
	if (handover->n_strays == STRAYS_MAX)
		found->error = -EUSERS;
	else
		handover->strays[handover->n_strays++].pid = pid;
}

static void add_all(struct found *found, const pid_t *pids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add(found, pids[i]);
}

/* They see that nobody speaks with them any more, and end. */
static void add_workers(struct found *found, const struct master *master)
{
	for (size_t i = 0; i < workers_used(master); i++) {
		const struct worker *worker = &master->workers[i];
		const struct service *service = worker->service;

		for (const struct child *c = service ? service->first : NULL; c; c = c->next)
			if (c != worker->process || !elder_is_wanted(worker))
				add(found, c->pid);
	}
}

/* It ends as soon as it has nobody, and whose it was is not known any more. */
static void add_backends(struct found *found, const struct master *master)
{
	const struct backend *b;

	LIST_FOREACH (b, &master->backends.all, all)
		if (b->process && !backend_has_owner(b))
			add(found, b->process->pid);
}

static void add_helpers(struct found *found, const struct master *master)
{
	pid_t pids[HELPER_PIDS_MAX];

	add(found, log_relay_pid());
	add_all(found, pids, asker_pids(master->overdue.asker, pids));
	add_all(found, pids, counter_pids(master->tally.counter, pids));
	if (master->orphans.search)
		add_all(found, pids, orphan_search_pids(master->orphans.search, pids));
	if (master->accounting.feed)
		add_all(found, pids, account_feed_pids(master->accounting.feed, pids));
}

int gather_strays(const struct master *master, struct handover *handover)
{
	struct found found = {.handover = handover};

	add_workers(&found, master);
	add_backends(&found, master);
	add_helpers(&found, master);
	add_all(&found, master->reload.stuck, master->reload.n_stuck);
	add_all(&found, master->strays.pids, master->strays.n);
	return found.error;
}
