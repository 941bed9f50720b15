#include "master/worker.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log-gate.h"
#include "base/log.h"
#include "base/own.h"
#include "master/caller.h"
#include "master/hatch.h"
#include "master/inquiry.h"
#include "master/loader.h"
#include "master/master.h"
#include "master/pass.h"
#include "master/pause.h"
#include "master/peer.h"
#include "master/service.h"
#include "master/unread.h"
#include "master/worker-channel.h"
#include "master/worker-setup.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

/* One that has ended sooner has hardly done anything. */
#define GOOD_RUN USEC_PER_SEC

/* While it is given connections it is asked so often whether it goes on. */
#define ASK_EVERY USEC_PER_SEC

/* One that has refused a client has fewest, and would get them all. */
#define SHUNNED_FOR USEC_PER_SEC

/* One that keeps something is asked now and then also when it is given nothing. */
#define ASK_KEEPER_EVERY (30 * USEC_PER_SEC)

size_t workers_used(const struct master *master)
{
	return _WORKER_KIND_MAX + master->n_elders;
}

struct worker *worker_of_process(const struct child *child)
{
	struct master *master = child->service->master;

	/* Most are clients' programs. */
	if (child->service->index != CONF_NONE)
		return NULL;
	for (size_t i = 0; i < workers_used(master); i++)
		if (master->workers[i].service == child->service)
			return &master->workers[i];
	return NULL;
}

uint32_t worker_sessions(const struct worker *worker)
{
	return worker->places - worker->n_free;
}

/* ------------------------------------------------------------------- process */

static int start(struct worker *worker, uint64_t now)
{
	int r = worker_open_channel(worker);

	if (r >= 0) {
		const int fds[] = {worker->unread, worker->theirs, worker->program};
		size_t n = ARRAY_SIZE(fds) - (worker->program < 0);

		r = hatch_process(worker->service, fds, n, now, &worker->process);
	}
	if (r < 0) {
		worker_close_channel(worker, now);
		return r;
	}
	worker->asked = 0;
	worker_ask(worker, now);
	if (worker->kept)
		unread_send(take_ptr(worker->kept), worker, now);
	worker_tell(worker);
	return 0;
}

/* ------------------------------------------------------------------- watch */

void worker_ask(struct worker *worker, uint64_t now)
{
	if (!worker->process || worker->due != USEC_INFINITY || now - worker->asked < ASK_EVERY)
		return;
	worker->asked = now;
	worker_ping(worker, now);
}

/* It has something also when nobody comes who would have it asked: sockets, or the bytes of
 * those whom others serve; and to an elder nobody comes. */
static bool keeps_something(const struct worker *worker)
{
	return worker->n_posted > 0 ||
	       ((worker_is_for_tls(worker) || worker_is_elder(worker)) &&
		       worker_sessions(worker) > 0);
}

/* When something is to be done: it has to have answered, or is to be asked. */
static uint64_t look_due(const struct worker *worker)
{
	if (worker->due != USEC_INFINITY)
		return worker->due;
	return keeps_something(worker) ? worker->asked + ASK_KEEPER_EVERY : USEC_INFINITY;
}

static void look_after(struct worker *worker, uint64_t now)
{
	if (worker->due == USEC_INFINITY) {
		worker_ask(worker, now);
	} else {
		worker->due = USEC_INFINITY;
		worker->asked = now;
		worker_kill(worker, "does not answer");
	}
}

/* It ends when its channel does. */
static void let_go(struct worker *worker, uint64_t now)
{
	worker_close_channel(worker, now);
	worker->process = NULL;
}

uint64_t workers_turn(struct master *master, uint64_t now)
{
	uint64_t due = USEC_INFINITY;

	for (size_t i = 0; i < workers_used(master); i++) {
		struct worker *worker = &master->workers[i];

		peer_turn(worker, now);
		if (worker->process && now >= look_due(worker))
			look_after(worker, now);
		if (worker->process && worker_is_superfluous(worker) &&
			worker_sessions(worker) == 0)
			let_go(worker, now);
		if (worker->process && look_due(worker) < due)
			due = look_due(worker);
	}
	return due;
}

/* ------------------------------------------------------------------- to begin */

bool worker_is_paused(const struct worker *worker)
{
	return worker->service && worker->service->paused_until != 0;
}

static bool may_start(const struct worker *worker)
{
	return spawner_in_flight(worker->master->spawner) < SPAWN_SLOTS &&
	       !worker_is_paused(worker);
}

bool worker_has_room(const struct worker *worker)
{
	return worker->process ? worker->n_free > 0 && !worker->is_full : may_start(worker);
}

int worker_need(struct worker *worker, uint64_t now)
{
	int r;

	if (worker->process && worker_has_wrong_size(worker))
		let_go(worker, now);
	if (worker->process)
		return worker->n_free > 0 ? 0 : -EAGAIN;
	if (worker->master->stopping)
		return -ESHUTDOWN;
	if (worker->program < 0 && !worker_may_come_later(worker))
		return worker->program;
	if (!may_start(worker))
		return -EAGAIN;
	r = worker_prepare(worker);
	return r < 0 ? r : start(worker, now);
}

/* ------------------------------------------------------------------- to end */

/* Those that were let go and have not ended: nobody asks any more whether they go on. */
static void kill_old(const struct worker *worker)
{
	if (!worker->service)
		return;
	for (struct child *child = worker->service->first; child; child = child->next)
		if (child != worker->process)
			child_signal(child, SIGKILL);
}

void workers_renew_lookup(struct master *master, uint64_t now)
{
	struct worker *worker = &master->workers[WORKER_LOOKUP];

	kill_old(worker);
	if (!worker->process)
		return;
	inquiries_lost(worker, false);
	let_go(worker, now);
}

void worker_refuses(struct worker *worker, uint64_t now)
{
	worker->shunned_until = now + SHUNNED_FOR;
	if (log_once_a_minute(&service_told(worker->service)->pause, now))
		log_warning("%slacks memory or descriptors for a connection",
			worker->service->label);
}

void worker_kill(struct worker *worker, const char *why)
{
	if (!worker->process)
		return;
	if (why)
		log_error("%schild %d %s, killing it", worker->service->label,
			worker->process->pid, why);
	child_signal(worker->process, SIGKILL);
	if (worker->answers)
		sd_event_source_set_enabled(worker->answers, SD_EVENT_OFF);
}

static uint32_t lose_children(struct worker *worker, uint64_t now)
{
	uint32_t lost = 0;

	for (uint32_t i = 0; i < worker->places; i++) {
		if (!worker->sessions[i])
			continue;
		pass_lost(worker->sessions[i], now);
		lost++;
	}
	return lost;
}

/* Questions are asked again. */
static void lose_sessions(struct worker *worker, uint64_t now)
{
	uint32_t lost = 0;

	switch (worker_holds(worker)) {
	case WORKER_HOLDS_SESSIONS:
		lost = lose_children(worker, now);
		break;
	case WORKER_HOLDS_CALLERS:
		lost = callers_lost(worker, now);
		break;
	case WORKER_HOLDS_QUESTIONS:
		inquiries_lost(worker, true);
	}
	if (lost > 0)
		log_warning("%s%" PRIu32 " %s lost", worker->service->label, lost,
			lost == 1 ? "connection" : "connections");
}

/* There will be no other worker; what else goes wrong is a shortage that passes. */
static bool is_for_good(int r)
{
	return r == -ESHUTDOWN || r == -ENOENT || r == -EACCES || r == -EPERM;
}

/* For those that the last one has not read; there may be a pause, or no slot, for now. */
static void try_again(struct worker *worker, uint64_t now)
{
	int r = worker_need(worker, now);

	if (is_for_good(r))
		unread_lose(take_ptr(worker->kept), worker, now);
	else if (r < 0 && !worker_is_paused(worker))
		service_look_away(worker->service, now);
}

/* One that could not set itself up will not be able to in a moment either; what a client may
 * have brought about never makes others wait for long. */
static void pause_after(struct worker *worker, uint64_t now)
{
	if (worker->theirs >= 0)
		service_pause(worker->service, PAUSE_BROKEN, "it has not become ready");
	else if (!worker->master->stopping && now - worker->process->born < GOOD_RUN)
		service_pause(worker->service, PAUSE_SUSPECT, "it has ended at once");
}

/* What it has not read, where that is not looked after by who has asked it. */
static struct unread *take_unread(struct worker *worker, uint64_t now)
{
	return worker_holds(worker) == WORKER_HOLDS_SESSIONS ? unread_take(worker, now) : NULL;
}

void worker_ended(struct worker *worker, uint64_t now)
{
	struct unread *unread;

	pause_after(worker, now);
	worker->process = NULL;
	worker_hear_last(worker, now);
	unread = take_unread(worker, now);
	lose_sessions(worker, now);
	worker_close_channel(worker, now);
	worker->kept = unread;
	if (unread)
		try_again(worker, now);
}

void worker_resume(const struct service *service, uint64_t now)
{
	struct worker *workers = service->master->workers;

	for (size_t i = 0; i < workers_used(service->master); i++)
		if (workers[i].service == service && workers[i].kept)
			try_again(&workers[i], now);
}

/* ------------------------------------------------------------------- all of them */

void workers_init(struct master *master)
{
	for (size_t i = 0; i < WORKERS_MAX; i++) {
		struct worker *worker = &master->workers[i];

		*worker = (struct worker){
			.master = master,
			.kind = i < _WORKER_KIND_MAX ? (enum worker_kind)i : _WORKER_KIND_MAX,
			.program = -ENOENT,
			.channel = CHANNEL_NONE,
			.unread = -EBADF,
			.theirs = -EBADF,
			.due = USEC_INFINITY,
		};
		if (worker_is_elder(worker))
			continue;
		worker->program = loader_open_other(worker_program(worker));
		if (worker->program >= 0)
			worker->program = master_move_up(master, worker->program);
	}
}

/* Once it has been told that nothing more will come: whom it passes datagrams on for has no
 * more than a socket that it gives back. */
static bool is_ending(const struct worker *worker)
{
	return worker->process &&
	       (worker_sessions(worker) == worker->n_posted || worker_is_for_datagrams(worker));
}

bool workers_are_ending(const struct master *master)
{
	for (size_t i = 0; i < workers_used(master); i++)
		if (is_ending(&master->workers[i]))
			return true;
	return false;
}

void workers_drain(struct master *master)
{
	for (size_t i = 0; i < workers_used(master); i++) {
		/* The end of the channel, when we end, says the same. */
		if (master->workers[i].process)
			(void)worker_say(&master->workers[i], CHANNEL_DRAIN);
	}
}

void workers_kill_idle(struct master *master)
{
	for (size_t i = 0; i < workers_used(master); i++) {
		struct worker *worker = &master->workers[i];

		kill_old(worker);
		if (is_ending(worker))
			worker_kill(worker, NULL);
	}
}

uint32_t workers_not_clients(const struct master *master)
{
	uint32_t n = 0;

	for (size_t i = 0; i < workers_used(master); i++) {
		const struct worker *worker = &master->workers[i];

		n += worker->n_posted + (worker->service ? worker->service->n_children : 0);
	}
	return n;
}

void workers_done(struct master *master)
{
	uint64_t now = clock_monotonic();

	for (size_t i = 0; i < workers_used(master); i++) {
		struct worker *worker = &master->workers[i];

		if (!worker->master)
			continue;
		unread_free(take_ptr(worker->kept), master, now);
		worker_close_channel(worker, now);
		worker->program = fd_close(worker->program);
	}
}

void workers_free(struct master *master)
{
	for (size_t i = 0; i < workers_used(master); i++) {
		service_free(master->workers[i].service);
		free(master->workers[i].sessions);
		free(master->workers[i].callers);
		free(master->workers[i].questions);
		free(master->workers[i].free);
	}
}
