#include "master/tally.h"

#include "base/clock.h"
#include "base/log-gate.h"
#include "base/log.h"
#include "base/own.h"
#include "master/findings.h"
#include "master/master.h"
#include "master/record.h"
#include "master/service.h"
#include "master/setup.h"
#include "master/stats.h"

#include <stdlib.h>
#include <string.h>

/* News in one event, and records in one turn. */
#define BATCH 256

#define PLACES (BUDGET_CHILDREN_MAX + TALLY_WAITING_MAX)

/* The lower bits of a ticket are the place, the others the number of the connection. */
#define PLACE_BITS 20
_Static_assert(PLACES <= 1 << PLACE_BITS, "a place has a number");
_Static_assert(PLACES <= BYTES_WATCHED_MAX, "each of them can be watched");

/* Of one connection: its child lives, or its record waits. */
struct tally_place {
	uint64_t ticket; /* 0: the place is free */
	struct tcp_handle tcp;
	uint32_t generation; /* of the counter that watches it */
	bool known;
	struct tcp_bytes bytes;
	struct child *child; /* NULL once it has ended */
	struct waiting_record *record;
	struct tally_place *next; /* of those that are free */
};

struct waiting_record {
	struct tally_place *place;
	struct tally_list *list; /* that it is in */
	struct waiting_record *prev, *next;
	uint64_t since; /* usec, monotonic: in that list */
	struct service *service;
	struct setup *setup;       /* held: the record points into both */
	struct findings *findings; /* held */
	struct record told;
	struct tcp_ends ends; /* by which the kernel knows the connection */
};

/* -------------------------------------------------------------------- the places */

static struct tally_place *take_place(struct tally *tally)
{
	struct tally_place *place = tally->free;

	if (place)
		tally->free = place->next;
	else if (tally->n_used < PLACES)
		place = &tally->places[tally->n_used++];
	else
		return NULL;
	memset(place, 0, sizeof *place);
	tally->n_taken++;
	return place;
}

static void give_place(struct tally *tally, struct tally_place *place)
{
	place->ticket = 0;
	tally->n_taken--;
	place->next = tally->free;
	tally->free = place;
}

static uint64_t make_ticket(const struct tally *tally, const struct tally_place *place)
{
	return place->child->connection << PLACE_BITS | (uint64_t)(place - tally->places);
}

/* NULL: nobody's, or no longer. */
static struct tally_place *find_place(const struct tally *tally, uint64_t ticket)
{
	size_t at = ticket & ((1 << PLACE_BITS) - 1);

	if (at >= tally->n_used || ticket == 0 || tally->places[at].ticket != ticket)
		return NULL;
	return &tally->places[at];
}

/* --------------------------------------------------------------------- the lists */

static void append(struct tally_list *list, struct waiting_record *record, uint64_t now)
{
	record->list = list;
	record->since = now;
	record->prev = list->last;
	record->next = NULL;
	if (list->last)
		list->last->next = record;
	else
		list->first = record;
	list->last = record;
}

static void take_out(struct waiting_record *record)
{
	struct tally_list *list = record->list;

	if (record->prev)
		record->prev->next = record->next;
	else
		list->first = record->next;
	if (record->next)
		record->next->prev = record->prev;
	else
		list->last = record->prev;
}

/* ------------------------------------------------------------------- the records */

/* Where they are wanted. */
static void set_bytes(struct account *account, const struct tcp_bytes *bytes)
{
	if (!account->bytes_missed)
		return;
	account->bytes_in = bytes->in;
	account->bytes_out = bytes->out;
	account->bytes_missed = false;
}

/* With what is known by now. */
static void write_record(struct tally *tally, struct waiting_record *record)
{
	struct service *service = record->service;

	if (record->place->known) {
		set_bytes(&record->told.whole, &record->place->bytes);
		set_bytes(&record->told.logged, &record->place->bytes);
	}
	record_write(service, &record->told);
	take_out(record);
	give_place(tally, record->place);
	tally->n_waiting--;
	if (--service->n_tallied == 0 && service->retired)
		service->master->retired_changed = true;
	findings_release(record->findings);
	setup_release(record->setup);
	free(record);
}

/* Nobody is to say it any more. */
static void give_up(struct tally *tally, struct waiting_record *record)
{
	counter_forget(tally->counter, record->place->tcp.cookie);
	write_record(tally, record);
}

static void learn(struct tally *tally, struct tally_place *place, const struct tcp_bytes *bytes)
{
	place->known = true;
	place->bytes = *bytes;
	stats_bytes(place->child ? place->child->service : place->record->service, bytes->in,
		bytes->out);
	if (place->record)
		write_record(tally, place->record);
}

/* Memory for it, which is its child's until now. */
static struct waiting_record *make_record(const struct child *child, const struct record *told)
{
	struct waiting_record *record = malloc(sizeof *record);

	if (!record)
		return NULL;
	record->service = child->service;
	record->setup = setup_hold(child->setup);
	record->findings = findings_hold(child->findings);
	record->told = *told;
	record->ends =
		child->ends ? *child->ends : (struct tcp_ends){child->local, child->peer};
	return record;
}

/* Who has waited for the longest waits for somebody who does not let go. */
static void make_room(struct tally *tally)
{
	if (tally->n_waiting < TALLY_WAITING_MAX)
		return;
	give_up(tally, tally->asked.first ? tally->asked.first : tally->waiting.first);
}

static bool let_wait(
	struct tally *tally, struct tally_place *place, const struct record *told, uint64_t now)
{
	struct waiting_record *record;

	record = make_record(place->child, told);
	if (!record)
		return false;
	make_room(tally);
	record->place = place;
	record->service->n_tallied++;
	place->record = record;
	append(&tally->waiting, record, now);
	tally->n_waiting++;
	return true;
}

/* What is known of it so far; the answer comes, or does not where a program holds the lock
 * of the connection. */
static void ask_after(struct master *master, struct waiting_record *record, uint64_t now)
{
	const struct asker_question question = {
		.owner = &master->tally,
		.id = record->place->ticket,
		.group = record->service->number,
		.local = record->ends.local,
		.peer = record->ends.peer,
		.handle = record->place->tcp,
	};

	if (!asker_put(master->overdue.asker, &question)) {
		give_up(&master->tally, record);
		return;
	}
	take_out(record);
	append(&master->tally.asked, record, now);
}

/* ------------------------------------------------------------------ the children */

int tally_init(struct master *master, int program)
{
	struct tally *tally = &master->tally;
	int r = counter_new(
		program, master->null_fd, master->budget.low_limit, &tally->counter);

	if (r < 0)
		return r;
	tally->places = calloc(PLACES, sizeof *tally->places);
	return tally->places ? 0 : -ENOMEM;
}

void tally_done(struct tally *tally)
{
	counter_done(tally->counter);
	free(tally->places);
}

/* Are its bytes to be recorded? */
static bool is_wanted(const struct child *child)
{
	const struct service_conf *conf = child->setup->conf;

	return conf->account_bytes && !conf->wait && !child->worker && !child->backend &&
	       !child->on_pair && child->came_by_ip;
}

/* Of one over several paths the kernel does not tell it. */
static bool learn_handle(
	const struct child *child, const struct conn *conn, struct tcp_handle *ret)
{
	if (child->tcp.cookie != 0)
		*ret = child->tcp;
	else if (tcp_diag_learn(conn_program_fd(conn), ret) < 0)
		return false;
	return ret->token == 0;
}

static void watch(struct child *child, const struct tcp_handle *tcp)
{
	struct tally *tally = &child->service->master->tally;
	struct tally_place *place = take_place(tally);

	if (!place)
		return;
	place->child = child;
	place->tcp = *tcp;
	place->generation = counter_generation(tally->counter);
	place->ticket = make_ticket(tally, place);
	child->tallied =
		counter_watch(tally->counter, tcp->cookie, place->ticket) ? place : NULL;
	if (!child->tallied)
		give_place(tally, place);
}

void tally_begin(struct child *child, const struct conn *conn)
{
	const struct tally *tally = &child->service->master->tally;
	struct tcp_handle tcp;

	if (!is_wanted(child) || counter_generation(tally->counter) == 0 ||
		!learn_handle(child, conn, &tcp) || !child_learn_ends(child, conn))
		return;
	watch(child, &tcp);
}

struct tcp_handle tally_handle(const struct child *child)
{
	return child->tallied ? child->tallied->tcp : (struct tcp_handle){0};
}

void tally_resume(struct child *child, const struct tcp_handle *handle)
{
	const struct tally *tally = &child->service->master->tally;

	if (handle->cookie != 0 && counter_generation(tally->counter) != 0)
		watch(child, handle);
}

void tally_forget(struct child *child)
{
	struct tally *tally = &child->service->master->tally;
	struct tally_place *place = take_ptr(child->tallied);

	if (!place)
		return;
	if (!place->known)
		counter_forget(tally->counter, place->tcp.cookie);
	give_place(tally, place);
}

void tally_end(const struct child *child, struct account *account)
{
	const struct tally_place *place = child->tallied;

	account->bytes_missed = is_wanted(child);
	if (place && place->known)
		set_bytes(account, &place->bytes);
}

bool tally_keep(struct child *child, const struct record *record, uint64_t now)
{
	struct tally *tally = &child->service->master->tally;
	struct tally_place *place = child->tallied;

	if (!place || place->known || !let_wait(tally, place, record, now))
		return false;
	place->child = NULL;
	child->tallied = NULL;
	/* Nobody will tell of it any more. */
	if (place->generation != counter_generation(tally->counter))
		ask_after(child->service->master, place->record, now);
	return true;
}

/* ---------------------------------------------------------------------- the news */

static void hear(struct tally *tally, uint64_t now)
{
	struct counter_news news;

	for (int i = 0; i < BATCH && counter_take(tally->counter, now, &news); i++) {
		struct tally_place *place = find_place(tally, news.ticket);

		if (place && !place->known)
			learn(tally, place, &news.bytes);
	}
}

int tally_on_news(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct master *master = userdata;

	(void)source;
	(void)fd;
	(void)revents;
	hear(&master->tally, clock_monotonic());
	return 0;
}

/* The kernel may not know it any more, since a moment ago. */
void tally_answer(struct master *master, const struct asker_answer *answer)
{
	struct tally *tally = &master->tally;
	struct tally_place *place;

	hear(tally, clock_monotonic());
	place = find_place(tally, answer->id);
	if (!place || !place->record)
		return;
	if (answer->result == 0) {
		counter_forget(tally->counter, place->tcp.cookie);
		learn(tally, place, &answer->facts.bytes);
	} else {
		give_up(tally, place->record);
	}
}

/* ---------------------------------------------------------------------- the turn */

/* hatchd itself is about to end. */
static bool is_in_a_hurry(const struct master *master)
{
	return master->stopping || master->once_over;
}

static uint64_t patience(const struct master *master, const struct waiting_record *record)
{
	const struct tally *tally = &master->tally;

	if (record->list == &tally->asked)
		return TALLY_PATIENCE_ASKED;
	if (record->place->generation != counter_generation(tally->counter))
		return 0;
	return is_in_a_hurry(master) ? TALLY_PATIENCE_STOP : TALLY_PATIENCE;
}

static uint64_t due(const struct master *master, const struct tally_list *list)
{
	const struct waiting_record *record = list->first;

	return record ? record->since + patience(master, record) : USEC_INFINITY;
}

static void want_counter(struct master *master)
{
	struct tally *tally = &master->tally;
	bool wanted = tally->n_taken > 0;

	if (tally->generation == master->generation && (!tally->lingers || wanted))
		return;
	tally->lingers = wanted;
	tally->generation = master->generation;
	for (size_t i = 0; i < master->n_services; i++)
		wanted = wanted || master->services[i]->tallies;
	counter_want(tally->counter, wanted);
}

static void tell_trouble(struct tally *tally, uint64_t now)
{
	int trouble = counter_trouble(tally->counter);
	char why[HELPER_WHY_MAX];

	if (trouble < 0 && log_once_a_minute(&tally->told, now))
		log_warning("unable to count the bytes of all connections: %s, those that are "
			    "missed are unknown",
			counter_explain(trouble, why));
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void tally_turn(struct master *master, uint64_t now)
{
	struct tally *tally = &master->tally;
	uint64_t counter_due;

	want_counter(master);
	counter_due = counter_tend(tally->counter, now);
	for (int i = 0; i < BATCH && now >= due(master, &tally->waiting); i++)
		ask_after(master, tally->waiting.first, now);
	for (int i = 0; i < BATCH && now >= due(master, &tally->asked); i++)
		give_up(tally, tally->asked.first);
	tell_trouble(tally, now);
	tally->due = earlier(
		counter_due, earlier(due(master, &tally->waiting), due(master, &tally->asked)));
}

bool tally_waits(const struct tally *tally)
{
	return tally->n_waiting > 0;
}

void tally_flush(struct master *master)
{
	struct tally *tally = &master->tally;

	if (!tally->counter)
		return;
	hear(tally, clock_monotonic());
	while (tally->waiting.first)
		write_record(tally, tally->waiting.first);
	while (tally->asked.first)
		write_record(tally, tally->asked.first);
}
