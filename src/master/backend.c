#include "master/backend.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "master/hatch.h"
#include "master/master.h"
#include "master/pass.h"
#include "master/pause.h"
#include "master/service.h"
#include "master/starve.h"
#include "master/worker-channel.h"

#include <signal.h>
#include <stdlib.h>

/* Stopped or killed in one turn. */
#define DUE_BATCH 64

/* One that has ended sooner has hardly done anything. */
#define GOOD_RUN USEC_PER_SEC

const char *backend_describe(const struct service *service)
{
	static const char *const words[] = {
		[BACKEND_OFF] = "off",
		[BACKEND_STARTING] = "starting",
		[BACKEND_RUNNING] = "running",
		[BACKEND_STOPPING] = "stopping",
	};
	const struct backend *b = service->backend;

	if (b && b->state == BACKEND_OFF && b->service->paused_until != 0)
		return "paused";
	return words[b ? b->state : BACKEND_OFF];
}

struct backend *backend_of_process(const struct child *child)
{
	return child->backend && child->backend->process == child ? child->backend : NULL;
}

const char *backend_reason(const struct child *child)
{
	switch ((enum backend_news)child->news) {
	case BACKEND_MISSED:
		return "backend.start_timeout";
	case BACKEND_GIVEN_UP:
		return "backend_ended";
	default:
		return NULL;
	}
}

/* ------------------------------------------------------------------- to begin */

static bool has_backend(const struct service *service)
{
	return service_conf_has_backend(service->setup->conf);
}

bool backend_is_stopping(const struct service *service)
{
	return service->backend && service->backend->state == BACKEND_STOPPING;
}

static bool is_paused(const struct backend *b)
{
	return b && b->service->paused_until != 0;
}

static bool may_start(const struct service *service)
{
	const struct master *master = service->master;

	return !is_paused(service->backend) && child_table_has_room(master->children) &&
	       spawner_in_flight(master->spawner) < SPAWN_SLOTS;
}

bool backend_has_room(const struct service *service)
{
	const struct backend *b = service->backend;

	if (!has_backend(service))
		return true;
	if (b && b->process)
		return b->state != BACKEND_STOPPING;
	return may_start(service);
}

/* Its end, and a slot that comes free, are told of; the end of its pause is not. */
void backend_let_wait(struct service *service, uint64_t now)
{
	if (is_paused(service->backend))
		service_look_away(service, now);
	else if (!backend_is_stopping(service))
		service_starve(service);
}

static struct backend *backend_free(struct backend *b)
{
	struct backends *backends = &b->master->backends;

	heap_remove(&backends->due, &b->due);
	LIST_REMOVE(b, all);
	backends->n--;
	service_free(b->service);
	free(b);
	return NULL;
}

/* Its messages begin as those of its owner do. */
static struct service *new_service(struct service *owner)
{
	struct service *service = service_new(owner->master, service_name(owner));

	if (!service)
		return NULL;
	service->index = CONF_NONE;
	service->instances = COUNT_UNLIMITED;
	service->state = SERVICE_ACTIVE;
	return service;
}

static int backend_make(struct service *owner)
{
	struct backends *backends = &owner->master->backends;
	struct backend *b;

	if (heap_reserve(&backends->due, backends->n + 1) < 0)
		return -ENOMEM;
	b = calloc(1, sizeof *b);
	if (!b)
		return -ENOMEM;
	b->master = owner->master;
	b->owner = owner;
	b->service = new_service(owner);
	if (!b->service) {
		free(b);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&backends->all, b, all);
	backends->n++;
	owner->backend = b;
	return 0;
}

static bool same_address(const struct service_conf *a, const struct service_conf *b)
{
	return addr_equal(&a->targets[a->backend_target], &b->targets[b->backend_target]);
}

/* One of it that is still at that address, where no other could be.  It has connections, so its
 * owner is who he was. */
static struct backend *find_parted(const struct service *service)
{
	const struct service_conf *conf = service->setup->conf;
	struct backend *b;

	LIST_FOREACH (b, &service->master->backends.all, all)
		if (b->parted && b->n_sessions > 0 && b->owner == service && b->process &&
			b->state != BACKEND_STOPPING &&
			same_address(b->process->setup->conf, conf))
			return b;
	return NULL;
}

static bool take_back(struct service *service)
{
	const struct service_conf *conf = service->setup->conf;
	struct backend *b = find_parted(service);

	if (!b)
		return false;
	b->parted = false;
	b->outdated = !service_conf_same_backend(b->process->setup->conf, conf);
	b->idle_stop = conf->backend_idle_stop;
	service->backend = b;
	return true;
}

static void set_due(struct backend *b, uint64_t due)
{
	struct heap *heap = &b->master->backends.due;

	if (due == USEC_INFINITY)
		heap_remove(heap, &b->due);
	else
		heap_put(heap, &b->due, due);
}

static uint64_t add(uint64_t time, uint64_t duration)
{
	return duration == DURATION_UNLIMITED ? USEC_INFINITY : time + duration;
}

/* Told before its exec it would forget it: then as soon as it has. */
static void stop(struct backend *b, uint64_t now)
{
	b->state = BACKEND_STOPPING;
	child_end_early(b->process);
	set_due(b, add(now, b->process->setup->conf->kill_after));
	if (!b->parted)
		service_update(b->owner);
}

/* Nobody would need it again as it is. */
static bool is_superfluous(const struct backend *b)
{
	return b->outdated || b->parted || b->owner->retired || b->master->stopping;
}

/* Nobody is there, or somebody has come, or it is another matter how long that may be. */
static void note_idle(struct backend *b, uint64_t now)
{
	if (!b->process || b->state == BACKEND_STOPPING)
		return;
	if (b->n_sessions > 0)
		set_due(b, USEC_INFINITY);
	else if (is_superfluous(b))
		stop(b, now);
	else
		set_due(b, add(b->idle_since, b->idle_stop));
}

static int start(struct backend *b, uint64_t now)
{
	const struct service_conf *conf = b->owner->setup->conf;
	int r;

	service_share_setup(b->service, b->owner->setup);
	service_open_log(b->service);
	r = hatch_process(b->service, NULL, 0, now, &b->process);
	if (r < 0)
		return r;
	log_info("%sbackend %d started: %s", b->service->label, b->process->pid, conf->path);
	b->process->backend = b;
	b->state = BACKEND_STARTING;
	b->outdated = false;
	b->idle_stop = conf->backend_idle_stop;
	b->idle_since = now;
	note_idle(b, now);
	return 0;
}

int backend_need(struct service *service, uint64_t now)
{
	int r = 0;

	if (!has_backend(service))
		return 0;
	if (!service->backend && !take_back(service))
		r = backend_make(service);
	if (r < 0) {
		service_pause(service, PAUSE_MACHINE, "unable to start its backend: no memory");
		return r;
	}
	if (service->backend->process)
		return backend_is_stopping(service) ? -EAGAIN : 0;
	r = may_start(service) ? start(service->backend, now) : -EAGAIN;
	if (r < 0)
		backend_let_wait(service, now);
	return r;
}

/* ------------------------------------------------------------------ connections */

/* It is among the children of its service by then. */
void backend_enter(struct child *child)
{
	struct backend *b = child->service->backend;

	if (!b || !service_conf_has_backend(child->setup->conf))
		return;
	child->backend = b;
	child->news = BACKEND_AWAITED;
	b->n_sessions++;
	set_due(b, USEC_INFINITY);
}

void backend_leave(struct child *child, uint64_t now)
{
	struct backend *b = child->backend;

	if (!b)
		return;
	child->backend = NULL;
	b->n_reached -= child->news == BACKEND_REACHED;
	if (--b->n_sessions > 0)
		return;
	b->idle_since = now;
	b->master->backends.changed |= b->parted;
	note_idle(b, now);
}

/* A program that is not started anew is not awaited either. */
static void give_up(const struct backend *b)
{
	struct child *child = b->n_sessions > 0 ? b->owner->first : NULL;

	for (; child; child = child->next) {
		if (child->backend != b || child->news != BACKEND_AWAITED)
			continue;
		child->news = BACKEND_GIVEN_UP;
		pass_give_up(child);
	}
}

/* One that has been given up may have got there in the last moment: the program was better
 * than it looked. */
bool backend_reached(struct child *child)
{
	struct backend *b = child->backend;

	if (child->news != BACKEND_AWAITED && child->news != BACKEND_GIVEN_UP)
		return false;
	if (child->news == BACKEND_AWAITED && b->state == BACKEND_STARTING) {
		b->state = BACKEND_RUNNING;
		log_debug("%sits backend takes clients", b->service->label);
	}
	child->news = BACKEND_REACHED;
	b->n_reached++;
	service_recovered(b->service);
	return true;
}

static void tell_late(const struct backend *b)
{
	char text[TEXT_NUMBER_MAX], reason[128];

	snprintf(reason, sizeof reason, "backend %d has taken no client within %s, stopping it",
		b->process->pid,
		text_format_elapsed(b->process->setup->conf->backend_start_timeout, text));
	service_pause(b->service, PAUSE_BROKEN, reason);
}

/* Who is there for others may be there again.  One that has been, and is there for nobody any
 * more, would stay as it is for as long as clients come. */
static bool is_of_no_use(const struct backend *b)
{
	return b->state == BACKEND_STARTING ||
	       (b->state == BACKEND_RUNNING && b->n_reached == 0);
}

bool backend_missed(struct child *child, uint64_t now)
{
	struct backend *b = child->backend;

	if (child->news == BACKEND_GIVEN_UP)
		return true;
	if (child->news != BACKEND_AWAITED)
		return false;
	child->news = BACKEND_MISSED;
	if (!b->process || !is_of_no_use(b))
		return true;
	tell_late(b);
	give_up(b);
	stop(b, now);
	return true;
}

/* ------------------------------------------------------------------- its end */

/* What clients can bring about never makes others wait for long. */
static void pause_after(struct backend *b, uint64_t age)
{
	if (b->master->stopping)
		return;
	if (b->state == BACKEND_STARTING)
		service_pause(b->service, PAUSE_BROKEN,
			"its backend has ended before it took a client");
	else if (b->state == BACKEND_RUNNING && age < GOOD_RUN)
		service_pause(b->service, PAUSE_SUSPECT, "its backend has ended at once");
}

/* The owner may be gone. */
static void tell_owner(struct backend *b)
{
	b->master->backends.changed |= b->parted;
	if (b->parted)
		return;
	if (b->owner->retired)
		b->master->retired_changed = true;
	service_update(b->owner);
}

void backend_ended(struct backend *b, uint64_t now)
{
	uint64_t born = b->process->born;

	/* It has been reaped: its number may be somebody else's. */
	b->process = NULL;
	set_due(b, USEC_INFINITY);
	/* Somebody may have got there before. */
	workers_hear(b->master);
	pause_after(b, now - born);
	b->state = BACKEND_OFF;
	give_up(b);
	tell_owner(b);
}

/* -------------------------------------------------------------------- reload */

enum backend_fate backend_judge(const struct service *service, const struct service_conf *conf)
{
	const struct backend *b = service->backend;
	const struct service_conf *old;

	if (!b || !b->process)
		return BACKEND_STAYS;
	old = b->process->setup->conf;
	if (service_conf_same_backend(old, conf))
		return BACKEND_STAYS;
	if (conf->condition)
		return BACKEND_RESTARTS;
	return service_conf_has_backend(conf) && same_address(old, conf) ? BACKEND_RESTARTS
	                                                                 : BACKEND_PARTS;
}

static void tell_outdated(const struct backend *b)
{
	if (b->n_sessions > 0)
		log_notice("%sbackend %d is not as configured, stopping it when %u %s over",
			b->service->label, b->process->pid, b->n_sessions,
			b->n_sessions == 1 ? "connection is" : "connections are");
}

void backend_follow(
	struct service *service, enum backend_fate fate, uint64_t idle_stop, uint64_t now)
{
	struct backend *b = service->backend;

	if (!b)
		return;
	service_forgive(b->service);
	b->outdated = b->process && fate == BACKEND_RESTARTS;
	b->idle_stop = idle_stop;
	if (b->process && fate != BACKEND_STAYS)
		tell_outdated(b);
	if (fate == BACKEND_PARTS)
		backend_part(service, now);
	else
		note_idle(b, now);
}

void backend_part(struct service *service, uint64_t now)
{
	struct backend *b = service->backend;

	if (!b)
		return;
	service->backend = NULL;
	b->parted = true;
	b->master->backends.changed = true;
	note_idle(b, now);
}

void backend_retire(struct service *service, uint64_t now)
{
	if (service->backend)
		note_idle(service->backend, now);
}

/* ------------------------------------------------------- from an image before us */

struct backend *backend_resume(
	struct service *owner, enum backend_state state, bool parted, uint64_t idle_since)
{
	struct backend *b;

	if (owner->backend || backend_make(owner) < 0)
		return NULL;
	b = owner->backend;
	b->state = state;
	b->parted = parted;
	b->idle_since = idle_since;
	if (parted)
		owner->backend = NULL;
	return b;
}

void backend_resume_process(struct backend *b, struct child *process)
{
	b->process = process;
	process->backend = b;
	service_share_setup(b->service, process->setup);
	b->idle_stop = process->setup->conf->backend_idle_stop;
}

void backend_resume_session(struct backend *b, struct child *child, enum backend_news news)
{
	child->backend = b;
	child->news = (uint8_t)news;
	b->n_sessions++;
	b->n_reached += news == BACKEND_REACHED;
}

bool backend_has_owner(const struct backend *b)
{
	return !b->parted || b->n_sessions > 0;
}

static void judge_again(struct service *owner, uint64_t now)
{
	const struct service_conf *conf = owner->setup->conf;

	backend_follow(owner, backend_judge(owner, conf), conf->backend_idle_stop, now);
}

void backends_begin(struct master *master, uint64_t now)
{
	struct backend *b;

	LIST_FOREACH (b, &master->backends.all, all) {
		if (b->state == BACKEND_STOPPING)
			set_due(b, add(now, b->process->setup->conf->kill_after));
		else if (!b->parted && !b->owner->retired && service_setup(b->owner))
			judge_again(b->owner, now);
		else
			note_idle(b, now);
	}
}

/* ------------------------------------------------------------------- the turn */

/* It was told to end, or nobody has come for long. */
static void act(struct backend *b, uint64_t now)
{
	char text[TEXT_NUMBER_MAX];

	if (b->state == BACKEND_STOPPING) {
		set_due(b, USEC_INFINITY);
		child_signal(b->process, SIGKILL);
		return;
	}
	log_info("%sbackend %d had no connection for %s, stopping it", b->service->label,
		b->process->pid, text_format_elapsed(b->idle_stop, text));
	stop(b, now);
}

static void bury(struct master *master)
{
	struct backend *b = LIST_FIRST(&master->backends.all);

	master->backends.changed = false;
	while (b) {
		struct backend *next = LIST_NEXT(b, all);

		if (b->parted && !b->process && b->n_sessions == 0)
			backend_free(b);
		b = next;
	}
}

uint64_t backends_due(const struct master *master)
{
	const struct heap_node *first = heap_first(&master->backends.due);

	return first ? first->key : USEC_INFINITY;
}

void backends_turn(struct master *master, uint64_t now)
{
	for (int i = 0; i < DUE_BATCH && backends_due(master) <= now; i++) {
		struct heap_node *first = heap_first(&master->backends.due);

		act((struct backend *)((char *)first - offsetof(struct backend, due)), now);
	}
	if (master->backends.changed)
		bury(master);
}

size_t backends_stop(struct master *master, uint64_t now)
{
	struct backend *b;
	size_t n = 0;

	LIST_FOREACH (b, &master->backends.all, all) {
		note_idle(b, now);
		n += b->state == BACKEND_STOPPING;
	}
	return n;
}

void backends_leave(struct master *master)
{
	struct backend *b;

	LIST_FOREACH (b, &master->backends.all, all)
		if (b->process && b->state != BACKEND_STOPPING &&
			b->process->setup->conf->stop == STOP_TERMINATE)
			child_end_early(b->process);
}

void backends_free(struct master *master)
{
	while (!LIST_EMPTY(&master->backends.all))
		backend_free(LIST_FIRST(&master->backends.all));
	heap_done(&master->backends.due);
}
