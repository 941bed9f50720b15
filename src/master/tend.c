#include "master/tend.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/own.h"
#include "master/admitted.h"
#include "master/master.h"
#include "master/pause.h"
#include "master/readiness.h"
#include "master/record.h"
#include "master/serve.h"
#include "master/service.h"
#include "master/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A child that ended sooner has hardly done anything. */
#define GOOD_RUN USEC_PER_SEC

/* So many wait children in a row may leave what woke them, where the next arrival
 * may look like the one before. */
#define FRUITLESS_MAX 20

/* So many children in a row may die at once. */
#define DEATHS_MAX 5
/* Of its living children so many are asked whether one of them has done better. */
#define LIVING_ASKED 32

/*
 * Ours may be the last copy, and what that means is the program's doing: it is
 * somebody else's to close (I2).  Not even a child that was seen before its exec
 * is an exception, it may have ended until the close is reached.
 */
static void close_connection(struct child *child, uint64_t now)
{
	if (child->conn < 0)
		return;
	service_close_later(child->service, take_fd(&child->conn), child->connection, now);
}

static bool executed(const struct child *child)
{
	return child->report.error == 0 && child->report.step == SPAWN_EXEC &&
	       !child->killed_late;
}

/* The child has put our dumpable flag back to 0; other children may have changed it since. */
static void go_private(struct master *master)
{
	prctl(PR_SET_DUMPABLE, 0);
	if (!spawner_is_shared(master->spawner))
		return;
	spawner_go_private(master->spawner, "fs.suid_dumpable has become 1");
	log_warning("sharing memory with children is no longer safe, they start with %s",
		spawner_describe(master->spawner));
}

/* Memory, files, or descriptors, as long as their limit is still the one of hatchd. */
static bool is_shortage(const struct spawn_report *report)
{
	return report->error == ENOMEM || report->error == ENFILE ||
	       (report->error == EMFILE && report->step < SPAWN_LIMITS);
}

/* RLIMIT_NPROC: the shortage of that user, not a broken program. */
static bool lacks_processes(const struct spawn_report *report)
{
	return report->error == EAGAIN &&
	       (report->step == SPAWN_EXEC || report->step == SPAWN_UID);
}

static void judge_failure(struct child *child, uint64_t now)
{
	struct service *service = child->service;
	const struct spawn_report *report = &child->report;

	if (lacks_processes(report)) {
		service_pause(service, PAUSE_PROCESSES, "its user may have no more processes");
		return;
	}
	record_not_started(child, spawn_step_name(report->step), report->error, now);
	if (report->step == SPAWN_PROTECT)
		go_private(service->master);
	else if (is_shortage(report))
		service_pause(service, PAUSE_MACHINE, NULL);
	else if (report->error != 0)
		service_pause(service, PAUSE_BROKEN, NULL);
}

static void judge_start(struct child *child, uint64_t now)
{
	if (!executed(child)) {
		stats_not_started(child);
		judge_failure(child, now);
		return;
	}
	stats_started(child, now);
	log_debug("%sexec %s", child->service->label, child->setup->conf->path);
	/* Of a worker, or with notify = yes, it is a start when it says so, of a backend when
	 * others do. */
	if (!worker_of_process(child) && !child->backend && !readiness_is_awaited(child))
		service_recovered(child->service);
}

static void leave_slot(struct child *child, uint64_t now)
{
	struct service *service = child->service;

	child->report = spawn_slot_reclaim(service->master->spawner, child->slot);
	child->slot = NULL;
	service->n_in_flight--;
	judge_start(child, now);
	service_update(service);
	service->master->slot_came_free = true;
}

/* Not reaped yet: its number is its own. */
static void leave_slot_alive(struct child *child, uint64_t now)
{
	leave_slot(child, now);
	if (child->unwanted || child->life.reason != LIFETIME_UNLIMITED)
		child_signal(child, SIGTERM);
}

static void kill_late(struct child *child)
{
	if (!child->killed_late)
		syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0);
	child->killed_late = true;
}

/* Its service's user may have stopped it, or its program lies on a dead file server. */
static void kill_if_late(struct child *child, uint64_t now)
{
	if (now - child->born >= child->setup->conf->start_timeout)
		kill_late(child);
}

bool tend_is_stuck(const struct master *master, uint64_t since)
{
	struct spawn_slot *slot = spawner_first(master->spawner);

	for (; slot; slot = spawn_slot_next(slot))
		if (((const struct child *)spawn_slot_owner(slot))->born < since)
			return true;
	return false;
}

void tend_kill_slots(struct master *master)
{
	struct spawn_slot *slot = spawner_first(master->spawner);

	for (; slot; slot = spawn_slot_next(slot))
		kill_late(spawn_slot_owner(slot));
}

void tend_slots(struct master *master, uint64_t now)
{
	struct spawn_slot *slot = spawner_first(master->spawner);

	while (slot) {
		struct spawn_slot *next = spawn_slot_next(slot);
		struct child *child = spawn_slot_owner(slot);
		enum spawn_state state = spawn_slot_poll(slot);

		if (state == SPAWN_DONE) {
			close_connection(child, now);
			leave_slot_alive(child, now);
		} else {
			kill_if_late(child, now);
		}
		slot = next;
	}
}

uint64_t tend_young(struct master *master, uint64_t now)
{
	struct child *child;

	while ((child = child_table_young(master->children))) {
		if (now - child->born < RECORD_OPEN_AFTER)
			return child->born + RECORD_OPEN_AFTER;
		child_announced(master->children, child);
		record_open(child, now);
	}
	return USEC_INFINITY;
}

/* ------------------------------------------------------ what it has done */

/* A program that could not even begin.  Who is written to when nobody reads is
 * no such case: the client has left. */
static bool died_at_once(const struct child *child, const struct child_end *end, uint64_t now)
{
	const struct outcome *outcome = &end->outcome;

	if (now - child->born >= GOOD_RUN)
		return false;
	if (outcome->killed)
		return outcome->status != SIGPIPE;
	return outcome->status == 126 || outcome->status == 127;
}

/* Does one of its youngest children, born since those deaths began, live well? */
static bool another_lives(const struct service *service, uint64_t now)
{
	const struct child *child = service_youngest(service);

	for (int i = 0; i < LIVING_ASKED && child; i++) {
		if (child->born < service->deaths_since)
			return false;
		if (!child->slot && executed(child) && now - child->born >= GOOD_RUN)
			return true;
		child = child == service->first ? NULL : child->prev;
	}
	return false;
}

/* It was started, or killed by somebody before that. */
static void judge_life(struct child *child, const struct child_end *end, uint64_t now)
{
	struct service *service = child->service;

	/* We ended it. */
	if (child->life.reason != LIFETIME_UNLIMITED)
		return;
	if (!died_at_once(child, end, now)) {
		service->deaths = 0;
		return;
	}
	if (service->deaths == 0)
		service->deaths_since = child->born;
	if (service->deaths < DEATHS_MAX)
		service->deaths++;
	if (service->deaths < DEATHS_MAX)
		return;
	if (another_lives(service, now))
		service->deaths = 0;
	else
		service_pause(service, PAUSE_SUSPECT, "the program dies at once");
}

/* A child of the service has left what woke it.  A datagram that several have left is
 * the one that is wrong. */
static bool judge_arrival(struct listener *listener, bool ran, uint64_t now)
{
	struct addr sender;

	if (!arrival_untouched(listener))
		return false;
	if (ran && arrival_refused(listener, &sender))
		record_dropped(listener, &sender, now);
	return true;
}

/* Is anything left of what woke it? */
static bool judge_arrivals(const struct child *child, bool ran, uint64_t now)
{
	const struct service *service = child->service;
	bool left = false;

	if (child->listener && child->setup->conf->pass_as == PASS_STDIO)
		return judge_arrival(child->listener, ran, now);
	for (size_t i = 0; i < service->n_listeners; i++)
		left |= judge_arrival(service->listeners[i], ran, now);
	return left;
}

static bool is_exact(const struct listener *listener)
{
	return listener && arrival_is_exact(listener);
}

/*
 * Without a pause the next child would be started for the same arrival at once.
 * Where that is a datagram, the pauses come to an end with it; where one arrival
 * cannot be told from the next, a crowd of clients that come and go must not
 * switch the service off for the others (I6).  So they never grow here.
 */
static void judge_wait_child(struct child *child, const struct child_end *end, uint64_t now)
{
	struct service *service = child->service;
	bool failed = end->outcome.killed || end->outcome.status != 0;
	bool left;

	/* Then it is paused already. */
	if (!executed(child) && child->report.error != 0)
		return;
	left = judge_arrivals(child, executed(child), now);
	if (!left || now - child->born >= GOOD_RUN) {
		service->fruitless = 0;
		return;
	}
	if (service->fruitless < FRUITLESS_MAX)
		service->fruitless++;
	if (failed || (!is_exact(child->listener) && service->fruitless >= FRUITLESS_MAX))
		service_pause(service, PAUSE_SUSPECT,
			"the program ended without taking what woke it");
}

/* It has not begun to serve, by what it said itself, and is started anew for who waits.  Who
 * was told to end is no such case, unless it was for that. */
static bool was_unready(const struct child *child)
{
	enum lifetime_reason reason = child->life.reason;

	return readiness_is_awaited(child) && executed(child) && !child->unwanted &&
	       (reason == LIFETIME_UNLIMITED || reason == LIFETIME_READY) &&
	       child->service->state == SERVICE_ACTIVE;
}

/* That it took too long was told when it was ended. */
static void judge_unready(const struct child *child)
{
	char reason[96];

	snprintf(reason, sizeof reason, "process %d ended before it said READY=1", child->pid);
	service_pause(child->service, PAUSE_UNREADY,
		child->life.reason == LIFETIME_READY ? NULL : reason);
}

/* What the service is to think of its program. */
static void judge_end(
	struct child *child, const struct child_end *end, bool is_backend, uint64_t now)
{
	if (was_unready(child)) {
		judge_unready(child);
		return;
	}
	if (!is_backend && (executed(child) || child->report.error == 0))
		judge_life(child, end, now);
	if (child->setup->conf->wait && !child->unwanted &&
		child->service->state == SERVICE_ACTIVE)
		judge_wait_child(child, end, now);
}

/* As env(1) and timeout(1) report: 126 found but not executable, 127 not found. */
static int once_status(const struct child *child, const struct child_end *end)
{
	if (executed(child))
		return outcome_shell_status(&end->outcome);
	if (child->report.step != SPAWN_EXEC)
		return ONCE_FAILED;
	return child->report.error == ENOENT ? 127 : 126;
}

void tend_on_end(void *userdata, struct child *child, const struct child_end *end)
{
	struct worker *worker = worker_of_process(child);
	struct backend *backend = backend_of_process(child);
	struct master *master = userdata;
	uint64_t now = clock_monotonic();

	close_connection(child, now);
	if (child->slot)
		leave_slot(child, now);
	if (executed(child)) {
		record_end(child, end, now);
		stats_ended(child, end);
	}
	if (worker && worker->process == child)
		worker_ended(worker, now);
	if (backend)
		backend_ended(backend, now);
	if (!worker && !backend && master->cmdline->once)
		master_end_once(master, once_status(child, end));
	judge_end(child, end, backend != NULL, now);
	if (executed(child))
		service_end_pause(child->service, PAUSE_PROCESSES);
	admitted_forget(child, now);
}
