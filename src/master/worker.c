#include "master/worker.h"

#include "base/clock.h"
#include "base/fd.h"
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
#include "master/worker-setup.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

/* Answers in one event: a worker that has much to say does not keep us from others. */
#define ANSWER_BATCH 64

/* Of these, where all that was said is to be heard. */
#define HEAR_TURNS 16

/* One that has ended sooner has hardly done anything. */
#define GOOD_RUN USEC_PER_SEC

/* While it is given connections it is asked so often whether it goes on, and has so long to
 * answer: what does not, does not serve anybody either. */
#define ASK_EVERY    USEC_PER_SEC
#define ASK_PATIENCE (10 * USEC_PER_SEC)

/* One that keeps sockets of datagrams is asked now and then also when it is given nothing. */
#define ASK_KEEPER_EVERY (30 * USEC_PER_SEC)

struct worker *worker_of_process(const struct child *child)
{
	struct worker *workers = child->service->master->workers;

	for (size_t i = 0; i < _WORKER_KIND_MAX; i++)
		if (workers[i].service == child->service)
			return &workers[i];
	return NULL;
}

uint32_t worker_sessions(const struct worker *worker)
{
	return worker->places - worker->n_free;
}

/* ------------------------------------------------------------------- process */

/* Connections may still be in it that nobody has taken out: who closes the last copy of
 * those may have to wait. */
static void close_channel(struct worker *worker, uint64_t now)
{
	worker->answers = sd_event_source_unref(worker->answers);
	worker->room = sd_event_source_unref(worker->room);
	worker->due = USEC_INFINITY;
	worker->to_ask = worker->is_full = false;
	worker->offers = peer_forget(worker->offers);
	worker->channel.answers = fd_close(worker->channel.answers);
	worker->channel.requests = fd_close(worker->channel.requests);
	worker->theirs = fd_close(worker->theirs);
	if (worker->unread >= 0)
		master_close_later(worker->master, take_fd(&worker->unread), now);
}

/* Of one of its connections.  False: it lies. */
static bool hear(struct worker *worker, const struct channel_answer *answer, uint64_t now)
{
	if (answer->kind == CHANNEL_REACHED || answer->kind == CHANNEL_MISSED)
		return worker_holds(worker) != WORKER_HOLDS_CALLERS &&
		       pass_news(worker, answer, now);
	if (worker_holds(worker) == WORKER_HOLDS_CALLERS)
		return caller_hear(worker, answer, now);
	if (answer->kind == CHANNEL_OFFER)
		return peer_offer(worker, answer);
	return pass_done(worker, answer, now);
}

static bool is_of_connection(const struct channel_answer *answer)
{
	return answer->kind == CHANNEL_DONE || answer->kind == CHANNEL_OFFER ||
	       answer->kind == CHANNEL_REACHED || answer->kind == CHANNEL_MISSED;
}

static const char *describe_lie(const struct channel_answer *answer)
{
	switch (answer->kind) {
	case CHANNEL_DONE:
		return "speaks of a connection that it does not have";
	case CHANNEL_OFFER:
		return "offers a client whom it must not offer";
	case CHANNEL_REACHED:
	case CHANNEL_MISSED:
		return "speaks of a target that was not started";
	default:
		return "says what it was not asked";
	}
}

bool worker_is_ready(struct worker *worker)
{
	if (worker->theirs < 0)
		return false;
	log_debug("%sready", worker->service->label);
	service_recovered(worker->service);
	worker->theirs = fd_close(worker->theirs);
	return true;
}

bool worker_goes_on(struct worker *worker)
{
	bool asked = worker->due != USEC_INFINITY;

	worker->due = USEC_INFINITY;
	return asked;
}

/* False: it lies. */
static bool believe(struct worker *worker, const struct channel_answer *answer, uint64_t now)
{
	switch (answer->kind) {
	case CHANNEL_READY:
		return worker_is_ready(worker);
	case CHANNEL_PONG:
		return worker_goes_on(worker);
	default:
		return hear(worker, answer, now);
	}
}

/* How many answers there were; 0 also where it has been killed. */
static int hear_connections(struct worker *worker)
{
	struct channel_answer answers[ANSWER_BATCH];
	uint64_t now = clock_monotonic();
	int n = channel_receive(&worker->channel, answers, ANSWER_BATCH);

	for (int i = 0; i < n; i++)
		if (!believe(worker, &answers[i], now)) {
			worker_kill(worker, describe_lie(&answers[i]));
			return 0;
		}
	return n;
}

/* As many as a pipe holds, and a few more.  What cannot be understood is found here as well as
 * where answers are waited for; that there will be no more is found there. */
static void hear_all(struct worker *worker)
{
	int n = 1;

	for (int turns = 0; turns < HEAR_TURNS && n > 0; turns++)
		n = hear_connections(worker);
	if (n < 0 && n != -EPIPE)
		worker_kill(worker, "says what cannot be understood");
}

void workers_hear(struct master *master)
{
	static const enum worker_kind relays[] = {WORKER_RELAY, WORKER_RELAY_LOCAL};

	for (size_t i = 0; i < ARRAY_SIZE(relays); i++)
		if (master->workers[relays[i]].process)
			hear_all(&master->workers[relays[i]]);
}

static int on_answers(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct worker *worker = userdata;
	int n = worker_holds(worker) == WORKER_HOLDS_QUESTIONS ? inquiry_hear(worker)
	                                                       : hear_connections(worker);

	(void)fd;
	(void)revents;
	if (n >= 0)
		return 0;
	/* Its end is on the way, or it cannot be heard any more. */
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	if (n == -EPROTO)
		worker_kill(worker, "says what it was not asked");
	else if (n != -EPIPE)
		worker_kill(worker, "says what cannot be understood");
	else
		worker_kill(worker, NULL);
	return 0;
}

static int open_channel(struct worker *worker)
{
	struct master *master = worker->master;
	int theirs[2], r = channel_new(&worker->channel, theirs);

	if (r < 0)
		return r;
	worker->unread = master_move_up(master, theirs[0]);
	worker->theirs = theirs[1];
	worker->channel.requests = master_move_up(master, worker->channel.requests);
	worker->channel.answers = master_move_up(master, worker->channel.answers);
	return sd_event_add_io(master->event, &worker->answers, worker->channel.answers,
		EPOLLIN, on_answers, worker);
}

static void tell_ends(struct worker *worker)
{
	if (worker_holds(worker) == WORKER_HOLDS_QUESTIONS)
		inquiries_hurry(worker->master);
	else if (worker_holds(worker) == WORKER_HOLDS_CALLERS)
		callers_tell(worker);
	else
		pass_ends(worker);
}

static int start(struct worker *worker, uint64_t now)
{
	int r = open_channel(worker);

	if (r >= 0) {
		const int fds[] = {worker->unread, worker->theirs, worker->program};

		r = hatch_process(worker->service, fds, ARRAY_SIZE(fds), now, &worker->process);
	}
	if (r < 0) {
		close_channel(worker, now);
		return r;
	}
	worker->asked = 0;
	worker_ask(worker, now);
	if (worker->kept)
		unread_send(take_ptr(worker->kept), worker, now);
	tell_ends(worker);
	return 0;
}

/* ------------------------------------------------------------------- requests */

/* What is about nobody: PING and DRAIN. */
static int say(const struct worker *worker, enum channel_request_kind kind)
{
	struct channel_request request;

	if (worker_holds(worker) == WORKER_HOLDS_QUESTIONS)
		return inquiry_say(worker, kind);
	channel_request_init(&request, kind, NULL);
	return channel_send(&worker->channel, &request, NULL, 0);
}

/* It has read what was there: that is a sign, so it has all its time from here on. */
static void ask(struct worker *worker, uint64_t now)
{
	worker->due = now + ASK_PATIENCE;
	worker->to_ask = say(worker, CHANNEL_PING) < 0;
	if (worker->to_ask)
		worker_wait_for_room(worker);
}

static int on_room(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct worker *worker = userdata;

	(void)source;
	(void)fd;
	(void)revents;
	worker->room = sd_event_source_unref(worker->room);
	if (worker->is_full)
		worker->master->slot_came_free = true;
	worker->is_full = false;
	if (worker->to_ask)
		ask(worker, clock_monotonic());
	tell_ends(worker);
	return 0;
}

/* Without memory for it the next one who is to end tries again. */
void worker_wait_for_room(struct worker *worker)
{
	if (worker->process && !worker->room)
		(void)sd_event_add_io(worker->master->event, &worker->room,
			worker->channel.requests, EPOLLOUT, on_room, worker);
}

/* Without memory to wait for it, the next one finds out. */
void worker_is_full(struct worker *worker)
{
	worker_wait_for_room(worker);
	worker->is_full = worker->room != NULL;
}

void worker_ask(struct worker *worker, uint64_t now)
{
	if (!worker->process || worker->due != USEC_INFINITY || now - worker->asked < ASK_EVERY)
		return;
	worker->asked = now;
	ask(worker, now);
}

/* When something is to be done: it has to have answered, or it keeps sockets, so that nobody
 * comes who would have it asked. */
static uint64_t look_due(const struct worker *worker)
{
	if (worker->due != USEC_INFINITY)
		return worker->due;
	return worker->n_posted > 0 ? worker->asked + ASK_KEEPER_EVERY : USEC_INFINITY;
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

uint64_t workers_turn(struct master *master, uint64_t now)
{
	uint64_t due = USEC_INFINITY;

	for (size_t i = 0; i < _WORKER_KIND_MAX; i++) {
		struct worker *worker = &master->workers[i];

		peer_turn(worker, now);
		if (worker->process && now >= look_due(worker))
			look_after(worker, now);
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

/* It ends when its channel does. */
static void let_go(struct worker *worker, uint64_t now)
{
	close_channel(worker, now);
	worker->process = NULL;
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
	if (worker->program < 0)
		return worker->program;
	if (!may_start(worker))
		return -EAGAIN;
	r = worker_prepare(worker);
	return r < 0 ? r : start(worker, now);
}

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

/* What it has said last is still in the pipe; what is not true there ends it. */
static void hear_last(struct worker *worker, uint64_t now)
{
	struct channel_answer answers[ANSWER_BATCH];
	int n;

	while ((n = channel_receive(&worker->channel, answers, ANSWER_BATCH)) > 0)
		for (int i = 0; i < n; i++)
			if (!is_of_connection(&answers[i]) || !hear(worker, &answers[i], now))
				return;
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
	if (worker_holds(worker) != WORKER_HOLDS_QUESTIONS)
		hear_last(worker, now);
	unread = take_unread(worker, now);
	lose_sessions(worker, now);
	close_channel(worker, now);
	worker->kept = unread;
	if (unread)
		try_again(worker, now);
}

void worker_resume(const struct service *service, uint64_t now)
{
	struct worker *workers = service->master->workers;

	for (size_t i = 0; i < _WORKER_KIND_MAX; i++)
		if (workers[i].service == service && workers[i].kept)
			try_again(&workers[i], now);
}

void workers_init(struct master *master)
{
	for (size_t i = 0; i < _WORKER_KIND_MAX; i++) {
		struct worker *worker = &master->workers[i];

		*worker = (struct worker){
			.master = master,
			.channel = CHANNEL_NONE,
			.unread = -EBADF,
			.theirs = -EBADF,
			.due = USEC_INFINITY,
		};
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
	for (size_t i = 0; i < _WORKER_KIND_MAX; i++)
		if (is_ending(&master->workers[i]))
			return true;
	return false;
}

void workers_drain(struct master *master)
{
	for (size_t i = 0; i < _WORKER_KIND_MAX; i++) {
		/* The end of the channel, when we end, says the same. */
		if (master->workers[i].process)
			(void)say(&master->workers[i], CHANNEL_DRAIN);
	}
}

void workers_kill_idle(struct master *master)
{
	for (size_t i = 0; i < _WORKER_KIND_MAX; i++) {
		struct worker *worker = &master->workers[i];

		kill_old(worker);
		if (is_ending(worker))
			worker_kill(worker, NULL);
	}
}

uint32_t workers_not_clients(const struct master *master)
{
	uint32_t n = 0;

	for (size_t i = 0; i < _WORKER_KIND_MAX; i++) {
		const struct worker *worker = &master->workers[i];

		n += worker->n_posted + (worker->service ? worker->service->n_children : 0);
	}
	return n;
}

void workers_done(struct master *master)
{
	uint64_t now = clock_monotonic();

	for (size_t i = 0; i < _WORKER_KIND_MAX; i++) {
		struct worker *worker = &master->workers[i];

		if (!worker->master)
			continue;
		unread_free(take_ptr(worker->kept), master, now);
		close_channel(worker, now);
		worker->program = fd_close(worker->program);
	}
}

void workers_free(struct master *master)
{
	for (size_t i = 0; i < _WORKER_KIND_MAX; i++) {
		service_free(master->workers[i].service);
		free(master->workers[i].sessions);
		free(master->workers[i].callers);
		free(master->workers[i].questions);
		free(master->workers[i].free);
	}
}
