#include "master/worker-channel.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/own.h"
#include "master/caller.h"
#include "master/inquiry.h"
#include "master/master.h"
#include "master/pass.h"
#include "master/pause.h"
#include "master/peer.h"
#include "master/service.h"

/* Answers in one event: a worker that has much to say does not keep us from others. */
#define ANSWER_BATCH 64

/* Of these, where all that was said is to be heard. */
#define HEAR_TURNS 16

/* What has been asked whether it goes on has so long to answer: what does not, does not serve
 * anybody either. */
#define ASK_PATIENCE (10 * USEC_PER_SEC)

/* How one speaks with a worker.  `say` and `tell` are worker_say() and worker_tell(). */
struct manner {
	/* Something is in the pipe: how many records it was, 0 also where the worker was killed
	 * for them; or a negative errno as channel_receive(), -EPROTO: it lies. */
	int (*hear)(struct worker *worker);
	/* One record of a connection.  False: it lies.  NULL: its records are others, and
	 * `hear` sees to them. */
	bool (*record)(
		struct worker *worker, const struct channel_answer *answer, uint64_t now);
	int (*say)(const struct worker *worker, enum channel_request_kind kind);
	void (*tell)(struct worker *worker);
};

static const struct manner *manner_of(const struct worker *worker);

/* ------------------------------------------------------------------- what it says */

static const char *describe_lie(const struct channel_answer *answer)
{
	switch (answer->kind) {
	case CHANNEL_DONE:
	case CHANNEL_CUT:
		return "speaks of a connection that it does not have";
	case CHANNEL_OFFER:
		return "offers a client whom it must not offer";
	case CHANNEL_FACT:
		return "tells of a client what cannot be";
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
		return manner_of(worker)->record(worker, answer, now);
	}
}

/* How many answers there were; 0 also where it has been killed. */
static int hear_channel(struct worker *worker)
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
		n = hear_channel(worker);
	if (n < 0 && n != -EPIPE)
		worker_kill(worker, "says what cannot be understood");
}

void workers_hear(struct master *master)
{
	for (size_t i = 0; i < workers_used(master); i++) {
		struct worker *worker = &master->workers[i];

		if (worker->process && worker_is_relay(worker))
			hear_all(worker);
	}
}

void worker_hear_last(struct worker *worker, uint64_t now)
{
	const struct manner *manner = manner_of(worker);
	struct channel_answer answers[ANSWER_BATCH];
	int n;

	if (!manner->record)
		return;
	while ((n = channel_receive(&worker->channel, answers, ANSWER_BATCH)) > 0)
		for (int i = 0; i < n; i++)
			if (!manner->record(worker, &answers[i], now))
				return;
}

static int on_answers(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct worker *worker = userdata;
	int n = manner_of(worker)->hear(worker);

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

/* ------------------------------------------------------------------- what it is told */

int worker_say(const struct worker *worker, enum channel_request_kind kind)
{
	return manner_of(worker)->say(worker, kind);
}

void worker_tell(struct worker *worker)
{
	manner_of(worker)->tell(worker);
}

void worker_awaits_answer(struct worker *worker, uint64_t now)
{
	worker->asked = now;
	worker->due = now + ASK_PATIENCE;
}

/* It has read what was there: that is a sign, so it has all its time from here on. */
void worker_ping(struct worker *worker, uint64_t now)
{
	worker_awaits_answer(worker, now);
	worker->to_ask = worker_say(worker, CHANNEL_PING) < 0;
	if (worker->to_ask)
		worker_wait_for_room(worker);
}

static int on_room(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct worker *worker = userdata;

	(void)source;
	(void)fd;
	worker->room = sd_event_source_unref(worker->room);
	/* There will be none any more: it has ended, or does not listen. */
	if (revents & (EPOLLHUP | EPOLLERR)) {
		worker_kill(worker, NULL);
		return 0;
	}
	if (worker->is_full)
		worker->master->slot_came_free = true;
	worker->is_full = false;
	if (worker->to_ask)
		worker_ping(worker, clock_monotonic());
	worker_tell(worker);
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

/* ------------------------------------------------------------------- its ends */

int worker_listen(struct worker *worker)
{
	return sd_event_add_io(worker->master->event, &worker->answers, worker->channel.answers,
		EPOLLIN, on_answers, worker);
}

int worker_open_channel(struct worker *worker)
{
	struct master *master = worker->master;
	int theirs[2], r = channel_new(&worker->channel, theirs);

	if (r < 0)
		return r;
	worker->unread = master_move_up(master, theirs[0]);
	worker->theirs = theirs[1];
	worker->channel.requests = master_move_up(master, worker->channel.requests);
	worker->channel.answers = master_move_up(master, worker->channel.answers);
	return worker_listen(worker);
}

/* Connections may still be in it that nobody has taken out: who closes the last copy of
 * those may have to wait. */
void worker_close_channel(struct worker *worker, uint64_t now)
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

/* ------------------------------------------------------------------- its manners */

/* Of a client whom it serves, or of a socket that it keeps. */
static bool hear_of_session(
	struct worker *worker, const struct channel_answer *answer, uint64_t now)
{
	switch (answer->kind) {
	case CHANNEL_DONE:
		return pass_done(worker, answer, now);
	case CHANNEL_OFFER:
		return peer_offer(worker, answer);
	case CHANNEL_REACHED:
	case CHANNEL_MISSED:
		return pass_news(worker, answer, now);
	default:
		return false;
	}
}

/* Of a client who has said something to it. */
static bool hear_of_caller(
	struct worker *worker, const struct channel_answer *answer, uint64_t now)
{
	switch (answer->kind) {
	case CHANNEL_DONE:
	case CHANNEL_OFFER:
	case CHANNEL_FACT:
	case CHANNEL_CUT:
		return caller_hear(worker, answer, now);
	default:
		return false;
	}
}

static int say_channel(const struct worker *worker, enum channel_request_kind kind)
{
	struct channel_request request;

	channel_request_init(&request, kind, NULL);
	return channel_send(&worker->channel, &request, NULL, 0);
}

static void tell_of_questions(struct worker *worker)
{
	inquiries_hurry(worker->master);
}

/* By what it has at its places.  One with records of its own, or of whose connections another
 * module has to hear, is one more row here. */
static const struct manner manners[] = {
	[WORKER_HOLDS_SESSIONS] = {hear_channel, hear_of_session, say_channel, pass_ends},
	[WORKER_HOLDS_CALLERS] = {hear_channel, hear_of_caller, say_channel, callers_tell},
	[WORKER_HOLDS_QUESTIONS] = {inquiry_hear, NULL, inquiry_say, tell_of_questions},
};

static const struct manner *manner_of(const struct worker *worker)
{
	return &manners[worker_holds(worker)];
}
