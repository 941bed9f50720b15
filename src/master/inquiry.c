#include "master/inquiry-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "base/redirect.h"
#include "master/account.h"
#include "master/master.h"
#include "master/record.h"
#include "master/service.h"

#include <stddef.h>
#include <string.h>
#include <sys/random.h>

/* How long those that wait are not looked at, and how many are in one turn. */
#define LOOK       (20 * USEC_PER_MSEC)
#define TURN_BATCH 64

/* Room is made for so many at once, a power of two. */
#define LATE_STEP 256

#define inquiry_of(node) ((struct inquiry *)((char *)(node)-offsetof(struct inquiry, late)))

/* ----------------------------------------------------------------------- lists */

static void leave_list(struct inquiry *inquiry)
{
	if (inquiry->list)
		TAILQ_REMOVE(inquiry->list, inquiry, link);
	inquiry->list = NULL;
}

static void enter_list(struct inquiry *inquiry, struct inquiry_list *list, uint64_t due)
{
	struct inquiries *all = &inquiry->master->inquiries;

	leave_list(inquiry);
	TAILQ_INSERT_TAIL(list, inquiry, link);
	inquiry->list = list;
	if (due < all->due)
		all->due = due;
}

void inquiry_let_wait(struct inquiry *inquiry, uint64_t due)
{
	enter_list(inquiry, &inquiry->master->inquiries.waiting, due);
}

void inquiries_init(struct inquiries *inquiries)
{
	TAILQ_INIT(&inquiries->waiting);
	TAILQ_INIT(&inquiries->over);
	inquiries->late = (struct heap){0};
	inquiries->asked = (struct pending){0};
	(void)!getrandom(inquiries->asked.key, sizeof inquiries->asked.key, GRND_NONBLOCK);
	inquiries->last = 0;
	inquiries->due = inquiries->look_due = USEC_INFINITY;
}

void inquiries_done(struct inquiries *inquiries)
{
	heap_done(&inquiries->late);
	pending_done(&inquiries->asked);
}

void inquiries_hurry(struct master *master)
{
	struct inquiries *all = &master->inquiries;

	if (!TAILQ_EMPTY(&all->waiting))
		all->due = 0;
}

/* --------------------------------------------------------------------- answers */

/* Its user is told of it in the turn. */
static void end(struct inquiry *inquiry)
{
	struct inquiries *all = &inquiry->master->inquiries;

	heap_remove(&all->late, &inquiry->late);
	enter_list(inquiry, &all->over, 0);
}

static void settle(struct question *question)
{
	question->state = QUESTION_DONE;
	if (--question->inquiry->n_open == 0)
		end(question->inquiry);
}

/* Of clients that is nothing new, and of the operator's servers it may be. */
static void tell_nothing(const struct question *question, enum lookup_result result)
{
	const struct inquiry *inquiry = question->inquiry;
	const char *why = lookup_result_text(result);
	char peer[ADDR_TEXT_MAX];

	if (question->what == LOOKUP_ADDRESSES_OF) {
		record_not_found(inquiry->conn->service, "target",
			inquiry->setup->conf->target_names[question->target], why);
		return;
	}
	account_show_host(inquiry->conn, peer);
	if (question->what == LOOKUP_NAME_OF && result != LOOKUP_NONE &&
		result != LOOKUP_MISMATCH)
		record_not_found(inquiry->conn->service, "name of", peer, why);
	else
		log_debug("%sno %s %s: %s", inquiry->conn->service->label,
			question->what == LOOKUP_IDENT ? "user at" : "name of", peer, why);
}

/* What is not found out is unsure. */
static void learn_lack(struct question *question, enum lookup_result result)
{
	struct findings *findings = question->inquiry->findings;

	if (question->what == LOOKUP_IDENT && result == LOOKUP_CROWDED)
		findings->user_state = WRAPPERS_USER_UNSURE;
	if (question->what != LOOKUP_NAME_OF)
		return;
	if (result == LOOKUP_NONE)
		findings->name_state = WRAPPERS_NAME_NONE;
	if (result == LOOKUP_MISMATCH)
		findings->name_state = WRAPPERS_NAME_PARANOID;
}

void question_settle_without(struct question *question, enum lookup_result result)
{
	tell_nothing(question, result);
	learn_lack(question, result);
	settle(question);
}

/* He is as one of whom it is not known, so who is let in by it is not; but that is our fault,
 * and not his name server's or his. */
static void tell_lost(const struct question *question)
{
	const struct conn *conn = question->inquiry->conn;
	char peer[ADDR_TEXT_MAX];

	if (question->what == LOOKUP_IDENT)
		question->inquiry->findings->user_state = WRAPPERS_USER_UNSURE;
	record_not_found(conn->service, question->what == LOOKUP_IDENT ? "user at" : "name of",
		account_show_host(conn, peer), strerror(ENOMEM));
}

/* 0 or -ENOMEM. */
static int learn(struct question *question, const struct lookup_facts *facts)
{
	struct findings *findings = question->inquiry->findings;

	switch (question->what) {
	case LOOKUP_NAME_OF:
		return findings_set_name(findings, facts->text);
	case LOOKUP_IDENT:
		return findings_set_user(findings, facts->text);
	default:
		memcpy(question->addresses, facts->addresses, sizeof facts->addresses);
		question->n_addresses = facts->n_addresses;
		return 0;
	}
}

void question_settle(struct question *question, const struct lookup_facts *facts)
{
	if (facts->result != LOOKUP_FOUND) {
		question_settle_without(question, facts->result);
		return;
	}
	if (learn(question, facts) < 0)
		tell_lost(question);
	settle(question);
}

/* ------------------------------------------------------------------------ one client */

static bool is_of_ip(const struct conn *conn)
{
	return addr_is_ip(&conn->peer) && conn->peer.len > 0;
}

static bool wants_name(const struct conn *conn, const struct service_conf *conf)
{
	return conf->resolve && is_of_ip(conn);
}

/* Whom a proxy speaks for has no connection with us that his machine could know of.  One that
 * has come over a UNIX socket has no address. */
static bool wants_user(const struct conn *conn, const struct service_conf *conf)
{
	return conf->ident != IDENT_USE_NO && is_of_ip(conn) && conn->reached.len == 0;
}

static bool is_name(const struct service_conf *conf, size_t target)
{
	return conf->target_names && conf->target_names[target][0] != '\0';
}

static size_t count_names(const struct service_conf *conf)
{
	size_t n = 0;

	for (size_t i = 0; conf->target_names && i < conf->n_targets; i++)
		n += is_name(conf, i);
	return n;
}

bool inquiry_is_needed(const struct conn *conn)
{
	const struct service *service = conn->service;
	const struct service_conf *conf = service->setup->conf;

	if (service->wait || service->sensor || conn->listener->is_datagram)
		return false;
	if (conn->findings && conn->findings->generation == service->master->generation)
		return false;
	/* Also who has nothing that could be asked about: that is known of him then, and not
	 * that he has not been asked about yet. */
	return service_conf_has_lookups(conf);
}

static void add_question(struct inquiry *inquiry, enum lookup_what what, size_t target)
{
	inquiry->questions[inquiry->n++] = (struct question){
		.inquiry = inquiry,
		.what = what,
		.target = (uint32_t)target,
	};
	inquiry->n_open++;
}

static void add_questions(struct inquiry *inquiry)
{
	const struct service_conf *conf = inquiry->setup->conf;
	const struct conn *conn = inquiry->conn;

	if (wants_name(conn, conf))
		add_question(inquiry, LOOKUP_NAME_OF, 0);
	if (wants_user(conn, conf))
		add_question(inquiry, LOOKUP_IDENT, 0);
	for (size_t i = 0; i < conf->n_targets; i++)
		if (is_name(conf, i))
			add_question(inquiry, LOOKUP_ADDRESSES_OF, i);
}

static struct inquiry *new_inquiry(const struct conn *conn)
{
	const struct service *service = conn->service;
	size_t most = 2 + count_names(service->setup->conf);
	struct inquiry *inquiry =
		calloc(1, sizeof *inquiry + most * sizeof *inquiry->questions);

	if (!inquiry)
		return NULL;
	inquiry->findings = findings_new(service->master->generation);
	if (!inquiry->findings) {
		free(inquiry);
		return NULL;
	}
	inquiry->master = service->master;
	inquiry->conn = conn;
	inquiry->setup = setup_hold(service->setup);
	add_questions(inquiry);
	return inquiry;
}

/* What can be asked now. */
static void go_on(struct inquiry *inquiry, uint64_t now)
{
	bool waits = false;

	for (size_t i = 0; i < inquiry->n; i++) {
		if (inquiry->questions[i].state == QUESTION_WAITS)
			question_ask(&inquiry->questions[i], now);
		waits = waits || inquiry->questions[i].state == QUESTION_WAITS;
	}
	if (waits)
		inquiry_let_wait(inquiry, now + LOOK);
}

/* 0 or -ENOMEM. */
static int have_room(struct inquiries *all)
{
	int r = heap_reserve(&all->late, (all->late.n | (LATE_STEP - 1)) + 1);

	return r < 0 ? r : pending_reserve(&all->asked, INQUIRY_PLACES);
}

static void note_late(struct inquiry *inquiry, uint64_t due)
{
	struct inquiries *all = &inquiry->master->inquiries;

	heap_put(&all->late, &inquiry->late, due);
	if (due < all->due)
		all->due = due;
}

int inquiry_begin(const struct conn *conn, inquiry_answered answered, void *userdata,
	uint64_t now, struct inquiry **ret)
{
	struct inquiries *all = &conn->service->master->inquiries;
	struct inquiry *inquiry;

	if (have_room(all) < 0)
		return -ENOMEM;
	inquiry = new_inquiry(conn);
	if (!inquiry)
		return -ENOMEM;
	*ret = inquiry;
	inquiry->answered = answered;
	inquiry->userdata = userdata;
	note_late(inquiry, now + inquiry->setup->conf->lookup_timeout);
	if (inquiry->n_open == 0)
		end(inquiry);
	go_on(inquiry, now);
	return 0;
}

struct inquiry *inquiry_free(struct inquiry *inquiry)
{
	if (!inquiry)
		return NULL;
	for (size_t i = 0; i < inquiry->n; i++)
		if (inquiry->questions[i].state == QUESTION_ASKED)
			question_give_up(&inquiry->questions[i]);
	heap_remove(&inquiry->master->inquiries.late, &inquiry->late);
	leave_list(inquiry);
	findings_release(inquiry->findings);
	setup_release(inquiry->setup);
	free(inquiry);
	return NULL;
}

/* -------------------------------------------------------------------------- targets */

/* Who is passed on to where he has come to would come again and again.  Of who has come
 * through a proxy that is where the proxy has; a socket of MPTCP is one of TCP as well. */
static bool leads_back(const struct conn *conn, const struct addr *target)
{
	struct addr here = conn->reached.len > 0 ? conn->reached : conn->local;

	here.kind = target->kind;
	return addr_equal(target, &here);
}

static void add_target(struct inquiry *inquiry, const struct addr *target)
{
	struct findings *findings = inquiry->findings;

	if (findings->n_targets < REDIRECT_TARGETS_MAX && !addr_is_datagram(target) &&
		!leads_back(inquiry->conn, target))
		findings->targets[findings->n_targets++] = *target;
}

/* The wildcard says which families are wanted, and the port. */
static bool is_wanted(const struct addr *written, const struct lookup_address *address)
{
	return written->dual || addr_family(written) == address->family;
}

static void add_addresses(struct inquiry *inquiry, const struct question *question)
{
	const struct addr *written = &inquiry->setup->conf->targets[question->target];
	struct addr target;

	for (size_t i = 0; i < question->n_addresses; i++) {
		struct lookup_address address = question->addresses[i];

		if (!is_wanted(written, &address))
			continue;
		address.port = (uint16_t)addr_port(written);
		lookup_address_to(&address, &target);
		/* Filters say 0.0.0.0 of names that nobody is to reach: it would be us. */
		if (!redirect_refuses(&target))
			add_target(inquiry, &target);
	}
}

/* Each in its place.  Without memory there are none. */
static void gather_targets(struct inquiry *inquiry)
{
	const struct service_conf *conf = inquiry->setup->conf;
	const struct question *question = inquiry->questions;

	if (!conf->target_names)
		return;
	inquiry->findings->targets = calloc(REDIRECT_TARGETS_MAX, sizeof(struct addr));
	if (!inquiry->findings->targets)
		return;
	while (question->what != LOOKUP_ADDRESSES_OF)
		question++;
	for (size_t i = 0; i < conf->n_targets; i++) {
		if (is_name(conf, i))
			add_addresses(inquiry, question++);
		else
			add_target(inquiry, &conf->targets[i]);
	}
}

/* -------------------------------------------------------------------------- the turn */

static void finish(struct inquiry *inquiry, uint64_t now)
{
	gather_targets(inquiry);
	inquiry->answered(inquiry->userdata, take_ptr(inquiry->findings), now);
	inquiry_free(inquiry);
}

static void turn_waiting(struct inquiries *all, uint64_t now)
{
	const struct inquiry *last = TAILQ_LAST(&all->waiting, inquiry_list);
	bool more = last != NULL;

	for (int i = 0; i < TURN_BATCH && more; i++) {
		struct inquiry *inquiry = TAILQ_FIRST(&all->waiting);

		/* One that is asked may take the place of another one, which is over then. */
		more = inquiry && inquiry != last;
		if (!inquiry)
			break;
		leave_list(inquiry);
		go_on(inquiry, now);
	}
}

static void give_up(struct inquiry *inquiry)
{
	for (size_t i = 0; i < inquiry->n; i++) {
		struct question *question = &inquiry->questions[i];

		if (question->state == QUESTION_ASKED)
			question_give_up(question);
		if (question->state != QUESTION_DONE)
			question_settle_without(question, LOOKUP_LATE);
	}
}

/* Their time is kept here, because a worker may hang, or be somebody else's. */
static void turn_late(struct inquiries *all, uint64_t now)
{
	for (int i = 0; i < TURN_BATCH; i++) {
		const struct heap_node *first = heap_first(&all->late);

		if (!first || first->key > now)
			break;
		give_up(inquiry_of(first));
	}
}

/* That may be in the past: then there is more to do. */
static uint64_t next_due(const struct inquiries *all, uint64_t now)
{
	const struct heap_node *late = heap_first(&all->late);
	uint64_t due = late ? late->key : USEC_INFINITY;

	if (!TAILQ_EMPTY(&all->over))
		return 0;
	return !TAILQ_EMPTY(&all->waiting) && now + LOOK < due ? now + LOOK : due;
}

void inquiries_turn(struct master *master, uint64_t now)
{
	struct inquiries *all = &master->inquiries;
	uint64_t due;

	if (now >= all->look_due)
		inquiries_look_after(master, now);
	if (now < all->due)
		return;
	all->due = USEC_INFINITY;
	turn_late(all, now);
	turn_waiting(all, now);
	for (int i = 0; i < TURN_BATCH && !TAILQ_EMPTY(&all->over); i++) {
		struct inquiry *inquiry = TAILQ_FIRST(&all->over);

		leave_list(inquiry);
		finish(inquiry, now);
	}
	due = next_due(all, now);
	if (due < all->due)
		all->due = due;
}
