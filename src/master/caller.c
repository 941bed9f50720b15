#include "master/caller.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/front.h"
#include "base/log.h"
#include "base/own.h"
#include "master/gate.h"
#include "master/introduce.h"
#include "master/master.h"
#include "master/pass.h"
#include "master/record.h"
#include "master/serve.h"
#include "master/service.h"
#include "master/unread.h"

#include <stdlib.h>
#include <string.h>

/* Of those that wait, in one turn: so many are looked at, and so many of them tried; and how
 * long until they are looked at again. */
#define WAITING_BATCH 4096
#define TRIED_BATCH   64
#define WAITING_LOOK  (20 * USEC_PER_MSEC)

enum caller_state {
	CALLER_IN_HAND, /* something is being done about him: whoever does that sees to him */
	CALLER_NEW,     /* waits for the worker */
	CALLER_SPEAKS,  /* the worker reads what he says */
	CALLER_KNOWN,   /* waits for somebody to serve him */
	CALLER_GONE,    /* nothing is left but his place at the worker, who has been told */
};

struct caller {
	struct pending_node pending; /* in the ledger of the service that he came to */
	TAILQ_ENTRY(caller) all, waiting;
	struct belongs to_listener, to_service; /* of `conn`, who take him along */
	struct master *master;
	struct conn conn; /* its descriptor owned, a high number; and what is known of him */
	uint32_t ledger;  /* number of that service */
	enum caller_state state;
	struct worker *worker; /* that reads, or is to */
	uint32_t place;        /* there: of CALLER_SPEAKS and CALLER_GONE */
	unsigned tries;        /* workers that he was sent to, and that did not take him */
	unsigned tasks;        /* enum front_task: what the worker is told to do */
	bool named;            /* he has come to a tcpmux, and conn.service is what he wants */
	bool offered;          /* the worker has asked whether he may come in, */
	bool refused;          /* and he may not */
	enum channel_verdict verdict; /* what became of that */
	bool plus;                    /* with it: "+go" is to be said */
	bool untold;        /* the worker is to be told that, or of his end when he has gone,
	                       as soon as there is room */
	uint8_t *authority; /* owned: conn.authority; NULL: not said */
};

#define caller_of(member, field) \
	((struct caller *)((char *)(member)-offsetof(struct caller, field)))

void callers_init(struct callers *callers)
{
	TAILQ_INIT(&callers->all);
	TAILQ_INIT(&callers->waiting);
	callers->belonging = (struct belonging){NULL};
	callers->ledgers = (struct ledgers){0};
	callers->due = USEC_INFINITY;
}

/* 0 or -ENOMEM. */
static int go_with(struct caller *caller)
{
	struct belonging *belonging = &caller->master->callers.belonging;
	int r = belonging_add(belonging, caller->conn.listener, &caller->to_listener);

	return r < 0 ? r : belonging_add(belonging, caller->conn.service, &caller->to_service);
}

/* They have gone, and he was in hand. */
static bool is_alone(const struct caller *caller)
{
	return !caller->to_listener.crowd || !caller->to_service.crowd;
}

static void go_with_nobody(struct caller *caller)
{
	struct belonging *belonging = &caller->master->callers.belonging;

	belonging_remove(belonging, &caller->to_listener);
	belonging_remove(belonging, &caller->to_service);
}

void callers_done(struct callers *callers)
{
	struct caller *caller;

	while ((caller = TAILQ_FIRST(&callers->all))) {
		go_with_nobody(caller);
		TAILQ_REMOVE(&callers->all, caller, all);
		free(caller->authority);
		free(caller);
	}
	ledgers_done(&callers->ledgers);
}

/* ------------------------------------------------------------------- where he is */

static bool is_waiting(const struct caller *caller)
{
	return caller->state == CALLER_NEW || caller->state == CALLER_KNOWN;
}

static void let_wait(struct caller *caller, enum caller_state state, uint64_t due)
{
	struct callers *callers = &caller->master->callers;

	caller->state = state;
	TAILQ_INSERT_TAIL(&callers->waiting, caller, waiting);
	if (due < callers->due)
		callers->due = due;
}

static void take_place(struct caller *caller)
{
	struct worker *worker = caller->worker;

	caller->place = worker->free[--worker->n_free];
	worker->callers[caller->place] = caller;
	caller->state = CALLER_SPEAKS;
}

static void leave_place(struct caller *caller)
{
	struct worker *worker = caller->worker;

	worker->callers[caller->place] = NULL;
	worker->free[worker->n_free++] = caller->place;
	worker->n_to_end -= caller->untold;
	caller->untold = false;
	/* Somebody may wait for it. */
	caller->master->slot_came_free = true;
}

static void leave_ledger(struct caller *caller)
{
	ledger_remove(&caller->master->callers.ledgers, caller->ledger, &caller->pending);
}

/* Without a place, and not waiting; the descriptor is somebody else's. */
static void forget(struct caller *caller)
{
	leave_ledger(caller);
	go_with_nobody(caller);
	TAILQ_REMOVE(&caller->master->callers.all, caller, all);
	free(caller->authority);
	free(caller);
}

static void request_init(const struct caller *caller, enum channel_request_kind kind,
	struct channel_request *ret)
{
	memset(ret, 0, sizeof *ret);
	ret->version = CHANNEL_VERSION;
	ret->kind = (uint16_t)kind;
	ret->session.connection = caller->conn.number;
	ret->session.place = caller->place;
}

/* ------------------------------------------------------------------ to let him go */

/* What became of his offer, or that he has to end; the latter if he has gone. */
static void tell_worker(struct caller *caller)
{
	struct channel_request request;

	if (caller->state == CALLER_GONE) {
		request_init(caller, CHANNEL_END, &request);
	} else {
		request_init(caller, CHANNEL_VERDICT, &request);
		request.verdict = (uint16_t)caller->verdict;
		request.what = caller->plus ? FRONT_PLUS : 0;
	}
	caller->worker->n_to_end -= caller->untold;
	caller->untold = channel_send(&caller->worker->channel, &request, NULL, 0) < 0;
	caller->worker->n_to_end += caller->untold;
	if (caller->untold)
		worker_wait_for_room(caller->worker);
}

/* The worker still has its own copy, and its answer on the way. */
static void let_go(struct caller *caller, uint64_t now)
{
	leave_ledger(caller);
	go_with_nobody(caller);
	if (is_waiting(caller))
		TAILQ_REMOVE(&caller->master->callers.waiting, caller, waiting);
	conn_drop(&caller->conn, now);
	if (caller->state != CALLER_SPEAKS) {
		forget(caller);
		return;
	}
	caller->state = CALLER_GONE;
	tell_worker(caller);
}

static void refuse(struct caller *caller, enum admit_verdict verdict, uint64_t now)
{
	if (service_setup(caller->conn.service))
		record_refused(
			&caller->conn, verdict, gate_ban(&caller->conn, verdict, now), now);
}

/* Whoever has one in hand sees to him; but he must not be found again. */
static void drop(struct caller *caller, uint64_t now)
{
	go_with_nobody(caller);
	if (caller->state != CALLER_IN_HAND)
		let_go(caller, now);
}

void callers_drop_listener(const struct listener *listener, uint64_t now)
{
	struct belonging *belonging = &listener->service->master->callers.belonging;
	struct belongs *member;

	while ((member = belonging_first(belonging, listener)))
		drop(caller_of(member, to_listener), now);
}

void callers_drop_service(const struct service *service, uint64_t now)
{
	struct belonging *belonging = &service->master->callers.belonging;
	struct belongs *member;

	while ((member = belonging_first(belonging, service)))
		drop(caller_of(member, to_service), now);
}

void callers_forget(struct service *service, uint64_t now)
{
	callers_drop_service(service, now);
	ledger_forget(&service->master->callers.ledgers, service->number);
}

uint32_t callers_pending(const struct service *service)
{
	return ledger_count(&service->master->callers.ledgers, service->number);
}

void callers_tell(struct worker *worker)
{
	for (uint32_t i = 0; i < worker->places && worker->n_to_end > 0; i++) {
		struct caller *caller = worker->callers[i];

		if (!caller || !caller->untold)
			continue;
		tell_worker(caller);
		if (caller->untold)
			break;
	}
}

/* ------------------------------------------------------------------- to the worker */

static int serve(const struct caller *caller)
{
	const struct conn *conn = &caller->conn;
	int text_fd = conn->service->setup->front_text;
	const int fds[] = {conn->fd, text_fd};
	struct channel_request request;

	request_init(caller, CHANNEL_SERVE, &request);
	request.what = (uint16_t)caller->tasks;
	request.has_text = text_fd >= 0;
	request.patience = conn->service->setup->conf->header_timeout;
	request.peer = conn->peer;
	request.local = conn->local;
	return channel_send(&caller->worker->channel, &request, fds, text_fd >= 0 ? 2 : 1);
}

static int send_to_worker(struct caller *caller)
{
	int r = introduce_text(caller->conn.service);

	if (r < 0)
		return r;
	take_place(caller);
	r = serve(caller);
	if (r == 0)
		log_debug("%sconnection %llu: passed to child %d, %s",
			caller->conn.service->label, (unsigned long long)caller->conn.number,
			caller->worker->process->pid, worker_name(caller->worker));
	else
		leave_place(caller);
	return r;
}

/* The setup of his service is in memory. */
static int give(struct caller *caller, uint64_t now)
{
	int r = worker_need(caller->worker, now);

	if (r == 0)
		r = send_to_worker(caller);
	if (r == 0)
		worker_ask(caller->worker, now);
	return r;
}

/* Places and descriptors are everybody's: some are left for those that have been let go, of
 * whom the worker has not said so yet. */
static uint32_t most_of_all(const struct caller *caller)
{
	uint32_t all = caller->master->budget.callers;

	return all - all / 8;
}

static struct pending_limits limits_of(const struct caller *caller)
{
	const struct service_conf *conf = caller->conn.service->setup->conf;
	uint32_t all = most_of_all(caller);

	return (struct pending_limits){
		.all = conf->pending < all ? conf->pending : all,
		.per_source = conf->pending_per_source,
	};
}

/* One more, if need be in the place of another one. */
static int enter_ledger(struct caller *caller, uint64_t now)
{
	const struct pending_limits limits = limits_of(caller);
	const struct addr_source *source = &caller->conn.source;
	struct ledgers *ledgers = &caller->master->callers.ledgers;
	size_t all = most_of_all(caller);
	struct pending_node *node;

	if (ledger_reserve(ledgers, caller->ledger, limits.all) < 0)
		return -ENOMEM;
	while ((node = ledger_make_room(ledgers, caller->ledger, source, &limits, all))) {
		refuse(caller_of(node, pending), ADMIT_PENDING, now);
		let_go(caller_of(node, pending), now);
	}
	ledger_add(ledgers, caller->ledger, &caller->pending, source);
	/* What was told of those who had to go has taken memory for other services. */
	return service_setup(caller->conn.service) ? 0 : -ENOMEM;
}

static struct caller *new_caller(const struct conn *conn, unsigned tasks)
{
	struct master *master = conn->service->master;
	struct caller *caller = calloc(1, sizeof *caller);

	if (!caller)
		return NULL;
	caller->master = master;
	caller->conn = *conn;
	caller->conn.is_caller = true;
	caller->ledger = conn->service->number;
	caller->worker = worker_of_front(conn->service, conn->listener->is_ip);
	caller->tasks = tasks;
	TAILQ_INSERT_TAIL(&master->callers.all, caller, all);
	if (go_with(caller) == 0)
		return caller;
	forget(caller);
	return NULL;
}

/* A negative errno, and he is nobody's caller. */
static int begin(struct conn *conn, unsigned tasks, uint64_t now)
{
	struct caller *caller;
	int r;

	if (conn->number == 0)
		conn->number = conn->service->master->next_connection++;
	caller = new_caller(conn, tasks);
	r = caller ? enter_ledger(caller, now) : -ENOMEM;
	if (r == 0)
		r = give(caller, now);
	/* The worker reads in a moment; nobody else is accepted until then. */
	if (r == -EAGAIN && caller->worker->process) {
		worker_is_full(caller->worker);
		let_wait(caller, CALLER_NEW, now + WAITING_LOOK);
		r = 0;
	}
	if (r == 0)
		caller->conn.fd = master_move_up(caller->master, conn->fd);
	else if (caller)
		forget(caller);
	return r;
}

int caller_begin(struct conn *conn, uint64_t now)
{
	struct service *service = conn->service;
	struct worker *worker = worker_of_front(service, conn->listener->is_ip);
	int r = begin(conn, introduce_tasks(conn), now);

	if (r < 0) {
		conn_hold(conn); /* he waits with his listener */
		pass_failed(service, worker, r);
		return r;
	}
	service_recovered(service);
	return 0;
}

bool caller_deny(struct conn *conn, uint64_t now)
{
	const struct service_conf *conf = conn->service->setup->conf;
	const struct worker *worker = worker_of_front(conn->service, conn->listener->is_ip);

	if (conn->is_caller || !worker || !conf->banner_fail_text)
		return false;
	return worker_has_room(worker) && begin(conn, FRONT_DENIED, now) == 0;
}

/* -------------------------------------------------------------- what the worker says */

/* Without memory he is served without. */
static void keep_authority(struct caller *caller, const struct channel_facts *facts)
{
	caller->authority = malloc(facts->authority_len);
	if (!caller->authority)
		return;
	memcpy(caller->authority, facts->authority, facts->authority_len);
	caller->conn.authority = caller->authority;
	caller->conn.authority_len = facts->authority_len;
}

/* False: it lies. */
static bool learn(struct caller *caller, const struct channel_facts *facts)
{
	if (!introduce_learn(&caller->conn, caller->tasks, facts))
		return false;
	if (facts->authority_len > 0)
		keep_authority(caller, facts);
	return true;
}

/* A tcpmux has rules of its own; they were asked about the one whom its socket told. */
static enum admit_verdict ask_mux(struct caller *caller, uint64_t now)
{
	if (!(caller->tasks & FRONT_PROXY) || !service_setup(caller->conn.service))
		return ADMIT_OK;
	conn_learn_source(&caller->conn);
	return gate_ask(&caller->conn, now);
}

static enum admit_verdict find_service(struct caller *caller, const char *name, uint64_t now)
{
	struct belonging *belonging = &caller->master->callers.belonging;
	enum admit_verdict verdict = ask_mux(caller, now);
	struct service *service;

	if (verdict != ADMIT_OK)
		return verdict;
	service = introduce_service(caller->master, name);
	if (!service)
		return ADMIT_TCPMUX;
	belonging_remove(belonging, &caller->to_service);
	if (belonging_add(belonging, service, &caller->to_service) < 0)
		return ADMIT_TOTAL; /* without memory: not now */
	caller->conn.service = service;
	caller->named = true;
	return ADMIT_OK;
}

/* Whom he wants is known, and if he may have that, so is who he is to them. */
static enum admit_verdict settle(struct caller *caller, const char *name, uint64_t now)
{
	if (caller->tasks & FRONT_MUX) {
		enum admit_verdict verdict = find_service(caller, name, now);

		if (verdict != ADMIT_OK)
			return verdict;
	}
	/* Without memory for what it says he waits, and so does this. */
	if (service_setup(caller->conn.service))
		conn_learn_source(&caller->conn);
	return ADMIT_OK;
}

static enum channel_verdict in_words(enum admit_verdict verdict)
{
	switch (verdict) {
	case ADMIT_OK:
		return CHANNEL_ADMITTED;
	case ADMIT_TCPMUX:
		return CHANNEL_NO_SERVICE;
	case ADMIT_ONLY_FROM:
	case ADMIT_NO_ACCESS:
	case ADMIT_BANNED:
	case ADMIT_SENSOR:
		return CHANNEL_NOT_ALLOWED;
	default:
		return CHANNEL_BUSY;
	}
}

static bool is_told_plus(const struct caller *caller)
{
	struct service *service = caller->conn.service;

	return caller->tasks & FRONT_MUX && service_setup(service) &&
	       service->setup->conf->tcpmux == TCPMUX_USE_PLUS;
}

/* What he is told is said now; whether he comes in is decided when that is done, and who
 * would have to wait then is told that he may. */
static bool hear_offer(struct caller *caller, const struct channel_answer *answer, uint64_t now)
{
	enum admit_verdict verdict;

	if (caller->offered || caller->tasks & FRONT_DENIED || !learn(caller, &answer->facts))
		return false;
	caller->offered = true;
	verdict = settle(caller, answer->facts.service, now);
	if (verdict == ADMIT_OK)
		verdict = serve_judge(&caller->conn, now);
	caller->refused = verdict != ADMIT_OK;
	if (caller->refused)
		refuse(caller, verdict, now);
	caller->verdict = in_words(verdict);
	caller->plus = !caller->refused && is_told_plus(caller);
	tell_worker(caller);
	return true;
}

/* If not, he waits. */
static void try_to_serve(struct caller *caller, uint64_t now)
{
	struct conn *conn = &caller->conn;

	conn->held = false;
	caller->state = CALLER_IN_HAND;
	if (serve_caller(conn, now)) {
		forget(caller);
	} else if (is_alone(caller)) {
		conn_drop(conn, now);
		forget(caller);
	} else {
		let_wait(caller, CALLER_KNOWN, now + WAITING_LOOK);
	}
}

/* A service that was asked for by name greets its clients itself. */
static bool is_to_be_greeted(const struct caller *caller)
{
	return caller->tasks & FRONT_MUX && service_setup(caller->conn.service) &&
	       introduce_has_banners(caller->conn.service);
}

/* A reload may have changed whom the service is for since he was told that he may come in. */
static bool is_still_had(const struct caller *caller)
{
	const struct service *service = caller->conn.service;

	if (service->wait || service->setup->conf->builtin == BUILTIN_TCPMUX)
		return false;
	return !caller->named || image_entry(caller->master->image, service->index).mux != 0;
}

static void turn_away(struct caller *caller, uint64_t now)
{
	if (caller->named)
		refuse(caller, ADMIT_TCPMUX, now);
	conn_drop(&caller->conn, now);
	forget(caller);
}

/* The setup may have gone since it was looked at, and there may be no memory for it now. */
static void go_on(struct caller *caller, uint64_t now)
{
	if (!service_setup(caller->conn.service)) {
		let_wait(caller, CALLER_KNOWN, now + WAITING_LOOK);
	} else if (!is_still_had(caller)) {
		turn_away(caller, now);
	} else if (is_to_be_greeted(caller)) {
		caller->tasks = 0;
		caller->offered = false;
		let_wait(caller, CALLER_NEW, now);
	} else {
		try_to_serve(caller, now);
	}
}

/* The worker has nothing of him any more. */
static bool hear_passed(
	struct caller *caller, const struct channel_answer *answer, uint64_t now)
{
	enum admit_verdict verdict = ADMIT_OK;
	bool known = caller->offered;

	if (caller->refused || caller->tasks & FRONT_DENIED ||
		(!known && !learn(caller, &answer->facts)))
		return false;
	caller->conn.taken += answer->bytes_in;
	leave_place(caller);
	if (!known)
		verdict = settle(caller, answer->facts.service, now);
	if (verdict == ADMIT_OK) {
		go_on(caller, now);
		return true;
	}
	refuse(caller, verdict, now);
	conn_drop(&caller->conn, now);
	forget(caller);
	return true;
}

/* He has gone, or was refused, or has to. */
static void hear_end(struct caller *caller, uint32_t result, uint64_t now)
{
	if (result == CHANNEL_BAD_HEADER)
		refuse(caller, ADMIT_HEADER, now);
	else if (result == CHANNEL_SILENT)
		refuse(caller, ADMIT_HEADER_TIMEOUT, now);
	leave_place(caller);
	conn_drop(&caller->conn, now);
	forget(caller);
}

/* The worker lacked what it needs for one more: later, or another one.  Not where it has taken
 * something: what is left may be the client's, and would be read as what his proxy says. */
static bool may_try_again(struct caller *caller, const struct channel_answer *answer)
{
	return answer->result == CHANNEL_REFUSED && answer->bytes_in == 0 &&
	       answer->bytes_out == 0 && !caller->offered &&
	       ++caller->tries < WORKERS_TRIED_MAX;
}

static bool hear_done(struct caller *caller, const struct channel_answer *answer, uint64_t now)
{
	if (caller->state == CALLER_GONE) {
		leave_place(caller);
		forget(caller);
		return true;
	}
	if (answer->result == CHANNEL_PASSED)
		return hear_passed(caller, answer, now);
	if (may_try_again(caller, answer)) {
		leave_place(caller);
		let_wait(caller, CALLER_NEW, now + WAITING_LOOK);
		return true;
	}
	hear_end(caller, answer->result, now);
	return true;
}

bool caller_hear(struct worker *worker, const struct channel_answer *answer, uint64_t now)
{
	const struct channel_session *id = &answer->session;
	struct caller *caller = id->place < worker->places ? worker->callers[id->place] : NULL;

	if (!caller || caller->conn.number != id->connection)
		return false;
	if (answer->kind == CHANNEL_DONE)
		return hear_done(caller, answer, now);
	return caller->state == CALLER_GONE || hear_offer(caller, answer, now);
}

/* ----------------------------------------------------------------- when it has died */

/* Whom it has not taken is as he was before. */
static void take_back(struct worker *worker, const struct channel_request *request)
{
	const struct channel_session *id = &request->session;
	struct caller *caller = id->place < worker->places ? worker->callers[id->place] : NULL;

	if (request->kind != CHANNEL_SERVE || !caller || caller->state != CALLER_SPEAKS ||
		caller->conn.number != id->connection)
		return;
	/* One that has never become ready was not tried. */
	if (worker->theirs < 0 && ++caller->tries >= WORKERS_TRIED_MAX)
		return;
	leave_place(caller);
	let_wait(caller, CALLER_NEW, clock_monotonic());
}

/* Only copies of ours can be there; what has come along is memory. */
static void take_unread(struct worker *worker, uint64_t now)
{
	struct channel_request request;
	int fds[CHANNEL_FDS_MAX], r;
	size_t n;

	do {
		r = channel_take(worker->unread, &request, fds, &n);
		if (r == 0)
			take_back(worker, &request);
		for (size_t i = 0; i < n; i++)
			master_close_later(worker->master, fds[i], now);
	} while (r == 0 || r == -EMFILE);
}

uint32_t callers_lost(struct worker *worker, uint64_t now)
{
	uint32_t lost = 0;

	take_unread(worker, now);
	for (uint32_t i = 0; i < worker->places; i++) {
		struct caller *caller = worker->callers[i];

		if (!caller)
			continue;
		lost += caller->state == CALLER_SPEAKS;
		if (caller->state == CALLER_SPEAKS)
			conn_drop(&caller->conn, now);
		leave_place(caller);
		forget(caller);
	}
	return lost;
}

/* ------------------------------------------------------------------- those that wait */

static void go_on_waiting(struct caller *caller, uint64_t now)
{
	bool known = caller->state == CALLER_KNOWN;

	caller->state = CALLER_IN_HAND;
	if (known)
		go_on(caller, now);
	else if (!service_setup(caller->conn.service) || give(caller, now) < 0)
		let_wait(caller, CALLER_NEW, now + WAITING_LOOK);
}

/* He waits for what nobody gets now: it is not worth asking about him. */
static bool has_no_chance(const struct caller *caller)
{
	const struct service *service = caller->conn.service;

	return caller->state == CALLER_KNOWN && service->state == SERVICE_ACTIVE &&
	       (service->paused_until != 0 || (service_is_full(service) && !service->refuses));
}

void callers_turn(struct master *master, uint64_t now)
{
	struct callers *callers = &master->callers;
	const struct caller *last = TAILQ_LAST(&callers->waiting, caller_list);
	bool more = last != NULL;
	int tried = 0;

	callers->due = USEC_INFINITY;
	for (int i = 0; i < WAITING_BATCH && tried < TRIED_BATCH && more; i++) {
		struct caller *caller = TAILQ_FIRST(&callers->waiting);

		/* What is done about one may let go of others. */
		more = caller && caller != last;
		if (!caller)
			break;
		TAILQ_REMOVE(&callers->waiting, caller, waiting);
		if (has_no_chance(caller)) {
			TAILQ_INSERT_TAIL(&callers->waiting, caller, waiting);
			continue;
		}
		go_on_waiting(caller, now);
		tried++;
	}
	if (!TAILQ_EMPTY(&callers->waiting) && now + WAITING_LOOK < callers->due)
		callers->due = now + WAITING_LOOK;
}
