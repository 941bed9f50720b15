#include "master/orphans.h"

#include "base/clock.h"
#include "base/log-gate.h"
#include "base/log.h"
#include "base/own.h"
#include "master/loader.h"
#include "master/master.h"

#include <stdlib.h>
#include <string.h>

/* Those who wait since the last hatchd has died come first. */
#define LOOK_FIRST USEC_PER_SEC

/* As long as some are left, and the more seldom the longer their number is the same; and when
 * some were told to end. */
#define LOOK_AGAIN     (30 * USEC_PER_SEC)
#define LOOK_AGAIN_MAX (600 * USEC_PER_SEC)
#define LOOK_SOON      USEC_PER_SEC

/* What a look has found is the answer for so many times what it took, so that those who ask
 * have no more than a small part of a processor; within these bounds. */
#define FRESH_FACTOR 10
#define FRESH_MIN    USEC_PER_SEC
#define FRESH_MAX    (30 * USEC_PER_SEC)

/* From one search to the next, also of who may end them: to start a process costs us
 * something. */
#define PAUSE (100 * USEC_PER_MSEC)

/* News in one turn. */
#define BATCH 64

/* The turn looks after it. */
static int on_news(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source;
	(void)fd;
	(void)revents;
	(void)userdata;
	return 0;
}

int orphans_init(struct master *master, const char *main_file)
{
	struct orphans *orphans = &master->orphans;
	int r;

	lineage_learn(main_file, &orphans->lineage);
	if (!orphans->lineage.known)
		return 0;
	r = orphan_search_new(loader_open_other("hatchd-orphans"), master->null_fd,
		master->budget.low_limit, &orphans->search);
	if (r < 0)
		return r;
	return sd_event_add_io(master->event, &orphans->source,
		orphan_search_fd(orphans->search), EPOLLIN, on_news, master);
}

void orphans_begin(struct master *master, uint64_t now)
{
	struct orphans *orphans = &master->orphans;

	orphans->look_again = LOOK_AGAIN;
	if (orphans->search)
		orphans->look_due = orphans->due = now + LOOK_FIRST;
}

void orphans_done(struct orphans *orphans)
{
	sd_event_source_disable_unref(orphans->source);
	orphan_search_done(orphans->search);
	free(orphans->found);
	free(orphans->coming);
	*orphans = ORPHANS_NONE;
}

/* ----------------------------------------------------------------------- requests */

static struct orphans_request *request_at(struct orphans *orphans, uint64_t number)
{
	return &orphans->queue[number % ORPHANS_QUEUE_MAX];
}

static bool is_waiting(const struct orphans *orphans)
{
	return orphans->n_over < orphans->n_asked;
}

static void append(struct orphans *orphans, enum orphan_order_kind kind, const char *service)
{
	struct orphans_request *request = request_at(orphans, orphans->n_asked++);

	memset(request, 0, sizeof *request);
	request->order.kind = kind;
	request->order.own_group = orphans->lineage.own_group;
	request->order.mark = orphans->lineage.mark;
	strncpy(request->order.service, service, ORPHAN_SERVICE_MAX - 1);
	orphans->due = 0;
	/* Who looks after that wants to see what has become of it. */
	if (kind != ORPHAN_LOOK)
		orphans->fresh_until = 0;
}

/* The one that is fresh, or the last one that was asked for, also if it runs. */
static bool find_look(struct orphans *orphans, uint64_t now, uint64_t *ret_number)
{
	uint64_t number = orphans->n_asked - 1;

	if (is_waiting(orphans) && request_at(orphans, number)->order.kind == ORPHAN_LOOK) {
		*ret_number = number;
		return true;
	}
	*ret_number = orphans->fresh_look;
	return !is_waiting(orphans) && now < orphans->fresh_until;
}

const char *orphans_ask(struct master *master, enum orphan_order_kind kind, const char *service,
	uint64_t now, uint64_t *ret_number)
{
	struct orphans *orphans = &master->orphans;
	uint64_t number;

	if (!orphans->search)
		return "it is not known what others have left";
	if (kind != ORPHAN_LOOK || !find_look(orphans, now, &number)) {
		if (orphans->n_asked - orphans->n_over >= ORPHANS_QUEUE_MAX)
			return "too many ask for that at once";
		number = orphans->n_asked;
		append(orphans, kind, service);
	}
	request_at(orphans, number)->n_waiting++;
	*ret_number = number;
	return NULL;
}

void orphans_leave(struct orphans *orphans, uint64_t number)
{
	/* In the place of one that is long over there may be another one. */
	if (orphans->n_asked - number <= ORPHANS_QUEUE_MAX)
		request_at(orphans, number)->n_waiting--;
}

/* By ourselves; what is fresh is looked at again when it is not. */
static void look(struct orphans *orphans, uint64_t now)
{
	uint64_t number;

	orphans->look_due = USEC_INFINITY;
	if (!find_look(orphans, now, &number))
		append(orphans, ORPHAN_LOOK, "");
	else if (number < orphans->n_over)
		orphans->look_due = orphans->fresh_until;
	if (is_waiting(orphans))
		request_at(orphans, orphans->n_asked - 1)->ours = true;
}

const struct orphans_request *orphans_answer(const struct orphans *orphans, uint64_t number)
{
	return number < orphans->n_over ? &orphans->queue[number % ORPHANS_QUEUE_MAX] : NULL;
}

const struct orphan *orphans_next(const struct orphans *orphans, pid_t after)
{
	for (size_t i = 0; i < orphans->n_listed; i++)
		if (orphans->found[i].pid > after)
			return &orphans->found[i];
	return NULL;
}

/* ----------------------------------------------------------------------- the search */

static bool make_room(struct orphans *orphans)
{
	if (!orphans->coming)
		orphans->coming = calloc(ORPHANS_TOLD_MAX, sizeof *orphans->coming);
	return orphans->coming;
}

/* Without memory they are counted and not listed. */
static void note(struct orphans *orphans, const struct orphan *orphan)
{
	if (make_room(orphans))
		orphans->coming[orphans->n_coming++] = *orphan;
}

/* Processes that come and go could fill the log with it: each of both once a minute. */
static void tell_number(struct orphans *orphans, uint64_t now)
{
	uint32_t n = orphans->n_found;
	bool left = n > 0;

	if (left == orphans->told_left ||
		!log_once_a_minute(left ? &orphans->left_told : &orphans->none_told, now))
		return;
	orphans->told_left = left;
	if (left)
		log_notice("an earlier hatchd has left %u %s running; hatchctl orphans lists "
			   "%s",
			n, n == 1 ? "process" : "processes", n == 1 ? "it" : "them");
	else
		log_notice("nothing is running any more that an earlier hatchd has left");
}

/* Where nobody has asked nobody need know, as in a container that may not look into
 * processes. */
static void tell_failure(
	struct orphans *orphans, const struct orphans_request *request, uint64_t now)
{
	bool asked = request->n_waiting > 0;
	char why[HELPER_WHY_MAX];

	if (!asked || log_once_a_minute(&orphans->failed_told, now))
		log_message(asked ? LOG_WARNING : LOG_DEBUG,
			"unable to look for what an earlier hatchd has left: %s",
			orphan_search_explain(request->result, why));
}

static void tell_signals(const struct orphans_request *request)
{
	const struct orphan_order *order = &request->order;
	const char *service = order->service;

	if (request->n_told == 0)
		return;
	log_notice("%s%ssent %s to %u %s that an earlier hatchd has left, as was asked for at "
		   "the control socket",
		service, service[0] ? ": " : "",
		order->kind == ORPHAN_KILL ? "SIGKILL" : "SIGTERM", request->n_told,
		request->n_told == 1 ? "process" : "processes");
}

/* Where it was broken off, those that were found by then are better than none. */
static void note_result(struct master *master, const struct orphan_news *over, uint64_t now)
{
	struct orphans *orphans = &master->orphans;
	uint32_t before = orphans->n_found;

	if (over->result < 0 && over->n_found == 0)
		return;
	free(orphans->found);
	orphans->found = take_ptr(orphans->coming);
	orphans->n_listed = orphans->n_coming;
	orphans->n_found = over->n_found;
	orphans->known = true;
	tell_number(orphans, now);
	if (orphans->n_found != before)
		orphans->look_again = LOOK_AGAIN;
	/* With wait = yes they have sockets, whose addresses are free now. */
	if (orphans->n_found < before)
		waiting_hurry(master, now);
}

/* Another time it may go well. */
static bool is_worth_another(int result)
{
	return result == -EAGAIN || result == -ENOMEM || result == -EBUSY || result == -ETIME;
}

/* Nobody may be left who has to be looked for; but it may have been hatchd that lacked
 * something. */
static void plan_next(struct orphans *orphans, const struct orphan_news *over, uint64_t now)
{
	uint64_t again = orphans->look_again;

	orphans->look_due = USEC_INFINITY;
	if (over->n_told > 0) {
		orphans->look_due = now + LOOK_SOON;
	} else if (orphans->n_found > 0 || is_worth_another(over->result)) {
		orphans->look_due = now + again;
		orphans->look_again = 2 * again < LOOK_AGAIN_MAX ? 2 * again : LOOK_AGAIN_MAX;
	}
}

static void keep_fresh(struct orphans *orphans, uint64_t now)
{
	uint64_t fresh = FRESH_FACTOR * (now - orphans->begun);

	if (fresh < FRESH_MIN)
		fresh = FRESH_MIN;
	if (fresh > FRESH_MAX)
		fresh = FRESH_MAX;
	orphans->fresh_look = orphans->n_over - 1;
	orphans->fresh_until = now + fresh;
}

static void finish(struct master *master, const struct orphan_news *over, uint64_t now)
{
	struct orphans *orphans = &master->orphans;
	struct orphans_request *request = request_at(orphans, orphans->n_over++);

	request->result = over->result;
	request->n_told = over->n_told;
	if (over->result < 0)
		tell_failure(orphans, request, now);
	else
		tell_signals(request);
	note_result(master, over, now);
	orphans->n_coming = 0;
	if (request->order.kind == ORPHAN_LOOK)
		keep_fresh(orphans, now);
	plan_next(orphans, over, now);
	control_look_again(master);
}

static void hear(struct master *master, uint64_t now)
{
	struct orphans *orphans = &master->orphans;
	struct orphan_news news;

	for (int i = 0; i < BATCH && orphan_search_take(orphans->search, now, &news); i++) {
		if (news.kind == ORPHAN_FOUND)
			note(orphans, &news.orphan);
		else
			finish(master, &news, now);
	}
}

/* What was asked for by those who have gone, to kill somebody perhaps, is not done. */
static void skip_unwanted(struct orphans *orphans)
{
	while (is_waiting(orphans) && !orphan_search_runs(orphans->search)) {
		struct orphans_request *next = request_at(orphans, orphans->n_over);

		if (next->ours || next->n_waiting > 0)
			return;
		next->result = -ECANCELED;
		orphans->n_over++;
	}
}

/* USEC_INFINITY: nobody waits for one, or it runs. */
static uint64_t next_begin(const struct orphans *orphans)
{
	if (!is_waiting(orphans) || orphan_search_runs(orphans->search))
		return USEC_INFINITY;
	return orphans->pause_end;
}

static void begin_next(struct orphans *orphans, uint64_t now)
{
	if (now < next_begin(orphans))
		return;
	orphans->begun = now;
	orphans->pause_end = now + PAUSE;
	orphan_search_begin(orphans->search, &request_at(orphans, orphans->n_over)->order, now);
}

void orphans_turn(struct master *master, uint64_t now)
{
	struct orphans *orphans = &master->orphans;

	if (!orphans->search)
		return;
	hear(master, now);
	if (now >= orphans->look_due)
		look(orphans, now);
	skip_unwanted(orphans);
	begin_next(orphans, now);
	orphans->due = orphan_search_tend(orphans->search, now);
	if (orphans->look_due < orphans->due)
		orphans->due = orphans->look_due;
	if (next_begin(orphans) < orphans->due)
		orphans->due = next_begin(orphans);
}
