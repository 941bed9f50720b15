#include "master/inquiry-internal.h"

#include "base/clock.h"
#include "base/own.h"
#include "master/master.h"
#include "master/worker-channel.h"

#include <string.h>

/* Answers that are read in one event. */
#define ANSWER_BATCH 8

/* Workers that may die while they have a question, which may be why. */
#define TRIES_MAX 3

/* How long an answer may be on its way after the time that the worker has; and then, how
 * often and how many times it is looked whether it has come, until the worker has to go.  A
 * look is what counts, so that it is not blamed for a while in which we did nothing. */
#define GRACE      (100 * USEC_PER_MSEC)
#define LATE_LOOK  USEC_PER_SEC
#define LATE_LOOKS 5

/* At the worker. */
struct inquiry_place {
	uint64_t number; /* of the question; 0: it is free */
	uint64_t due;    /* usec: it is to be looked whether it has been answered */
	uint32_t what;
	uint32_t looks;            /* at which it had not been, and had to be */
	struct question *question; /* NULL: nobody wants to know any more */
};

static struct worker *worker_of_lookups(struct master *master)
{
	return &master->workers[WORKER_LOOKUP];
}

static struct question *question_of(struct pending_node *node)
{
	return (struct question *)node;
}

/* -------------------------------------------------------------------------- to ask */

struct inquiry_place *inquiry_places_new(uint32_t n)
{
	return calloc(n, sizeof(struct inquiry_place));
}

/* The question is nobody's, or waits, or is done: whoever calls that says what it is. */
static void leave_worker(struct question *question)
{
	struct master *master = question->inquiry->master;

	worker_of_lookups(master)->questions[question->place].question = NULL;
	pending_remove(&master->inquiries.asked, &question->asked);
}

static void free_place(struct worker *worker, uint32_t place)
{
	worker->questions[place] = (struct inquiry_place){0};
	worker->free[worker->n_free++] = place;
}

static void take_place(struct worker *worker, struct question *question)
{
	struct inquiries *all = &worker->master->inquiries;
	uint64_t due = question->inquiry->late.key + GRACE;

	question->place = worker->free[--worker->n_free];
	worker->questions[question->place] = (struct inquiry_place){
		.number = ++all->last,
		.due = due,
		.what = question->what,
		.question = question,
	};
	if (due < all->look_due)
		all->look_due = due;
}

static void request_init(const struct worker *worker, const struct question *question,
	enum lookup_request_kind kind, struct lookup_request *ret)
{
	memset(ret, 0, sizeof *ret);
	ret->version = LOOKUP_VERSION;
	ret->kind = (uint16_t)kind;
	ret->session.place = question->place;
	ret->session.connection = worker->questions[question->place].number;
}

/* If he cannot be told now, the answer comes in a while and is nobody's. */
void question_give_up(struct question *question)
{
	const struct worker *worker = worker_of_lookups(question->inquiry->master);
	struct lookup_request request;

	request_init(worker, question, LOOKUP_FORGET, &request);
	(void)lookup_send(&worker->channel, &request);
	leave_worker(question);
}

/* -EINVAL: there is nothing that could be asked. */
static int put_question(const struct question *question, struct lookup_question *ret)
{
	const struct inquiry *inquiry = question->inquiry;
	char *const *names = inquiry->setup->conf->target_names;

	return lookup_question_init(ret, question->what, &inquiry->conn->peer,
		&inquiry->conn->local, names ? names[question->target] : NULL);
}

static int send_question(
	const struct worker *worker, const struct question *question, uint64_t now)
{
	uint64_t due = question->inquiry->late.key;
	struct lookup_request request;
	int r;

	request_init(worker, question, LOOKUP_ASK, &request);
	request.patience = due > now ? due - now : 0;
	r = put_question(question, &request.question);
	return r < 0 ? r : lookup_send(&worker->channel, &request);
}

/* One more of that source can be asked, if need be in the place of another one. */
static int make_room(struct inquiries *all, const struct addr_source *source)
{
	const struct pending_limits limits = {
		.all = INQUIRY_PLACES - INQUIRY_PLACES / 8,
		.per_source = UINT32_MAX,
	};
	struct pending_node *node;

	if (pending_count(&all->asked, source) >= INQUIRY_PER_SOURCE)
		return -EAGAIN;
	while ((node = pending_make_room(&all->asked, source, &limits))) {
		question_give_up(question_of(node));
		question_settle_without(question_of(node), LOOKUP_CROWDED);
	}
	return 0;
}

/* Places are left for questions that have been given up, whose answers have yet to come. */
static int pass_on(struct worker *worker, struct question *question, uint64_t now)
{
	struct inquiries *all = &worker->master->inquiries;
	const struct addr_source *source = &question->inquiry->conn->source;
	int r = make_room(all, source);

	if (r < 0)
		return r;
	if (worker->n_free == 0)
		return -EAGAIN;
	take_place(worker, question);
	r = send_question(worker, question, now);
	if (r < 0) {
		free_place(worker, question->place);
		return r;
	}
	question->state = QUESTION_ASKED;
	pending_add(&all->asked, &question->asked, source);
	worker_ask(worker, now);
	return 0;
}

void question_ask(struct question *question, uint64_t now)
{
	struct worker *worker = worker_of_lookups(question->inquiry->master);
	int r;

	r = worker_need(worker, now);
	if (r == 0)
		r = pass_on(worker, question, now);
	if (r == -EINVAL)
		question_settle_without(question, LOOKUP_NONE);
	else if (r == -EAGAIN && worker->process)
		worker_wait_for_room(worker);
}

/* ----------------------------------------------------------------- what does not come */

/* Its question is over, and it is not.  Returns when the next look is due; *ret_hangs: there
 * have been so many that the worker has to go. */
static uint64_t look_at_place(struct inquiry_place *place, uint64_t now, bool *ret_hangs)
{
	if (place->number == 0)
		return USEC_INFINITY;
	if (now < place->due)
		return place->due;
	place->due = now + LATE_LOOK;
	if (++place->looks == LATE_LOOKS) {
		place->looks = 0;
		*ret_hangs = true;
	}
	return place->due;
}

void inquiries_look_after(struct master *master, uint64_t now)
{
	struct worker *worker = worker_of_lookups(master);
	uint64_t due = USEC_INFINITY;
	bool hangs = false;

	for (uint32_t i = 0; i < worker->places; i++) {
		uint64_t next = look_at_place(&worker->questions[i], now, &hangs);

		if (next < due)
			due = next;
	}
	/* It is all of them each time: not for each answer that is late by itself. */
	master->inquiries.look_due = due < now + GRACE ? now + GRACE : due;
	if (hangs)
		worker_kill(worker, "does not answer a question");
}

/* ------------------------------------------------------------------------- to hear */

/* False: it was not asked that. */
static bool hear_done(struct worker *worker, const struct lookup_answer *answer)
{
	uint32_t place = answer->session.place;
	struct question *question;

	if (place >= worker->places || worker->questions[place].number == 0 ||
		worker->questions[place].number != answer->session.connection ||
		worker->questions[place].what != answer->what)
		return false;
	question = worker->questions[place].question;
	if (question)
		leave_worker(question);
	free_place(worker, place);
	inquiries_hurry(worker->master);
	if (question)
		question_settle(question, &answer->facts);
	return true;
}

static bool hear(struct worker *worker, const struct lookup_answer *answer)
{
	switch (answer->kind) {
	case LOOKUP_READY:
		return worker_is_ready(worker);
	case LOOKUP_PONG:
		return worker_goes_on(worker);
	default:
		return hear_done(worker, answer);
	}
}

int inquiry_hear(struct worker *worker)
{
	struct lookup_answer answers[ANSWER_BATCH];
	int n = lookup_receive(&worker->channel, answers, ANSWER_BATCH);

	for (int i = 0; i < n; i++)
		if (!hear(worker, &answers[i]))
			return -EPROTO;
	return n;
}

int inquiry_say(const struct worker *worker, enum channel_request_kind kind)
{
	const struct lookup_request request = {
		.version = LOOKUP_VERSION,
		.kind = kind == CHANNEL_PING ? LOOKUP_PING : LOOKUP_DRAIN,
	};

	return lookup_send(&worker->channel, &request);
}

static void ask_again(struct question *question, bool blamed)
{
	leave_worker(question);
	question->tries += blamed;
	if (question->tries >= TRIES_MAX) {
		question_settle_without(question, LOOKUP_FAILED);
		return;
	}
	question->state = QUESTION_WAITS;
	inquiry_let_wait(question->inquiry, 0);
}

void inquiries_lost(struct worker *worker, bool blamed)
{
	for (uint32_t i = 0; i < worker->places; i++) {
		struct question *question = worker->questions[i].question;

		if (worker->questions[i].number == 0)
			continue;
		if (question)
			ask_again(question, blamed);
		free_place(worker, i);
	}
}
