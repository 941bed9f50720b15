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

/* As long as some are left; and when some were told to end. */
#define LOOK_AGAIN (30 * USEC_PER_SEC)
#define LOOK_SOON  USEC_PER_SEC

/* From one search to the next: to start a process costs us something, and whoever may look may
 * ask all the time. */
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

/* A look that has not begun serves everybody who wants one. */
static bool shares_look(struct orphans *orphans, enum orphan_order_kind kind)
{
	uint64_t waiting = orphans->n_asked - orphans->n_over;

	if (kind != ORPHAN_LOOK || waiting == 0)
		return false;
	if (waiting == 1 && orphan_search_runs(orphans->search))
		return false;
	return request_at(orphans, orphans->n_asked - 1)->order.kind == ORPHAN_LOOK;
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
}

const char *orphans_ask(struct master *master, enum orphan_order_kind kind, const char *service,
	uint64_t *ret_number)
{
	struct orphans *orphans = &master->orphans;

	if (!orphans->search)
		return "it is not known what others have left";
	if (!shares_look(orphans, kind)) {
		if (orphans->n_asked - orphans->n_over >= ORPHANS_QUEUE_MAX)
			return "too many ask for that at once";
		append(orphans, kind, service);
	}
	*ret_number = orphans->n_asked - 1;
	return NULL;
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

static void tell_number(const struct orphans *orphans, uint32_t before)
{
	uint32_t n = orphans->n_found;

	if (n > 0 && before == 0)
		log_notice("an earlier hatchd has left %u %s running; hatchctl orphans lists "
			   "%s",
			n, n == 1 ? "process" : "processes", n == 1 ? "it" : "them");
	if (n == 0 && before > 0)
		log_notice("nothing is running any more that an earlier hatchd has left");
}

static void tell_failure(struct orphans *orphans, int result, uint64_t now)
{
	if (log_once_a_minute(&orphans->failed_told, now))
		log_warning("unable to look for what an earlier hatchd has left: %s",
			orphan_search_explain(result));
}

static void tell_signals(const struct orphans_request *request)
{
	const struct orphan_order *order = &request->order;
	bool of_one = order->service[0];

	if (order->kind == ORPHAN_LOOK)
		return;
	log_notice("%s%s%u %s an earlier hatchd has left %s at the control socket",
		of_one ? order->service : "", of_one ? ": " : "", request->n_told,
		request->n_told == 1 ? "process that" : "processes that",
		order->kind == ORPHAN_KILL ? "got SIGKILL" : "got SIGTERM");
}

/* Where it was broken off, those that were found by then are better than none. */
static void take_over(struct master *master, const struct orphan_news *over, uint64_t now)
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
	tell_number(orphans, before);
	/* With wait = yes they have sockets, whose addresses are free now. */
	if (orphans->n_found < before)
		waiting_hurry(master, now);
}

/* Nobody may be left who has to be looked for; but it may have been hatchd that lacked
 * something. */
static void plan_next(struct orphans *orphans, const struct orphan_news *over, uint64_t now)
{
	orphans->look_due = USEC_INFINITY;
	if (orphans->n_found > 0 || over->result == -EAGAIN || over->result == -ENOMEM)
		orphans->look_due = now + (over->n_told > 0 ? LOOK_SOON : LOOK_AGAIN);
}

static void finish(struct master *master, const struct orphan_news *over, uint64_t now)
{
	struct orphans *orphans = &master->orphans;
	struct orphans_request *request = request_at(orphans, orphans->n_over++);

	request->result = over->result;
	request->n_told = over->n_told;
	if (over->result < 0)
		tell_failure(orphans, over->result, now);
	else
		tell_signals(request);
	take_over(master, over, now);
	orphans->n_coming = 0;
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

/* USEC_INFINITY: nobody waits for one, or it runs. */
static uint64_t next_begin(const struct orphans *orphans)
{
	if (orphans->n_over == orphans->n_asked || orphan_search_runs(orphans->search))
		return USEC_INFINITY;
	return orphans->pause_end;
}

static void begin_next(struct orphans *orphans, uint64_t now)
{
	if (now < next_begin(orphans))
		return;
	orphans->pause_end = now + PAUSE;
	orphan_search_begin(orphans->search, &request_at(orphans, orphans->n_over)->order, now);
}

void orphans_turn(struct master *master, uint64_t now)
{
	struct orphans *orphans = &master->orphans;
	uint64_t number;

	if (!orphans->search)
		return;
	hear(master, now);
	if (now >= orphans->look_due) {
		orphans->look_due = USEC_INFINITY;
		orphans_ask(master, ORPHAN_LOOK, "", &number);
	}
	begin_next(orphans, now);
	orphans->due = orphan_search_tend(orphans->search, now);
	if (orphans->look_due < orphans->due)
		orphans->due = orphans->look_due;
	if (next_begin(orphans) < orphans->due)
		orphans->due = next_begin(orphans);
}
