#include "master/caller-internal.h"

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
#include "master/worker-channel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Of those that wait, in one turn: so many are looked at, and so many of them tried. */
#define WAITING_BATCH 4096
#define TRIED_BATCH   64

#define caller_of(member, field) \
	((struct caller *)((char *)(member)-offsetof(struct caller, field)))

void callers_init(struct callers *callers)
{
	TAILQ_INIT(&callers->all);
	TAILQ_INIT(&callers->waiting);
	callers->belonging = (struct belonging){NULL};
	callers->ledgers = (struct ledgers){0};
	memset(&callers->leaving, 0, sizeof callers->leaving);
	/* Without random numbers its chains may become long: they are bounded. */
	(void)!getrandom(callers->leaving.key, sizeof callers->leaving.key, GRND_NONBLOCK);
	callers->due = USEC_INFINITY;
}

int caller_go_with(struct caller *caller)
{
	struct belonging *belonging = &caller->master->callers.belonging;
	int r = belonging_add(belonging, caller->conn.listener, &caller->to_listener);

	return r < 0 ? r : belonging_add(belonging, caller->conn.service, &caller->to_service);
}

bool caller_is_alone(const struct caller *caller)
{
	return !caller->to_listener.crowd || !caller->to_service.crowd;
}

int caller_choose(struct caller *caller, struct service *service)
{
	struct belonging *belonging = &caller->master->callers.belonging;
	int r = belonging_move(belonging, service, &caller->to_service);

	if (r == 0)
		caller->conn.service = service;
	return r;
}

void caller_part(struct caller *caller)
{
	struct belonging *belonging = &caller->master->callers.belonging;

	belonging_remove(belonging, &caller->to_listener);
	belonging_remove(belonging, &caller->to_service);
}

void caller_close_end(const struct caller *caller, int *end, uint64_t now)
{
	if (*end >= 0)
		master_close_later(caller->master, take_fd(end), now);
}

/* The last of him. */
static void done(struct caller *caller)
{
	uint64_t now = clock_monotonic();

	inquiry_free(caller->inquiry);
	findings_release(caller->conn.findings);
	caller_close_end(caller, &caller->far_end, now);
	caller_close_end(caller, &caller->near_end, now);
	free(caller->authority);
	free(caller->facts);
	free(caller);
}

void callers_done(struct callers *callers)
{
	struct caller *caller;

	while ((caller = TAILQ_FIRST(&callers->all))) {
		caller_part(caller);
		TAILQ_REMOVE(&callers->all, caller, all);
		done(caller);
	}
	pending_done(&callers->leaving);
	ledgers_done(&callers->ledgers);
}

/* ------------------------------------------------------------------- where he is */

static bool is_waiting(const struct caller *caller)
{
	return caller->state == CALLER_NEW || caller->state == CALLER_KNOWN;
}

void caller_let_wait(struct caller *caller, enum caller_state state, uint64_t due)
{
	struct callers *callers = &caller->master->callers;

	caller->state = state;
	TAILQ_INSERT_TAIL(&callers->waiting, caller, waiting);
	if (due < callers->due)
		callers->due = due;
}

void caller_stop_waiting(struct caller *caller)
{
	if (is_waiting(caller))
		TAILQ_REMOVE(&caller->master->callers.waiting, caller, waiting);
}

static void take_place(struct caller *caller)
{
	struct worker *worker = caller->worker;

	caller->has_place = true;
	caller->place = worker->free[--worker->n_free];
	worker->callers[caller->place] = caller;
	caller->state = CALLER_SPEAKS;
}

void caller_leave_place(struct caller *caller)
{
	struct worker *worker = caller->worker;

	caller->has_place = false;
	worker->callers[caller->place] = NULL;
	worker->free[worker->n_free++] = caller->place;
	worker->n_to_end -= caller->untold;
	caller->untold = false;
	/* Somebody may wait for it. */
	caller->master->slot_came_free = true;
}

void caller_leave_ledger(struct caller *caller)
{
	struct callers *callers = &caller->master->callers;

	if (caller->state == CALLER_CARRIED)
		pending_remove(&callers->leaving, &caller->pending);
	else
		ledger_remove(&callers->ledgers, caller->ledger, &caller->pending);
}

void caller_forget(struct caller *caller)
{
	caller_leave_ledger(caller);
	caller_part(caller);
	TAILQ_REMOVE(&caller->master->callers.all, caller, all);
	done(caller);
}

static void request_init(const struct caller *caller, enum channel_request_kind kind,
	struct channel_request *ret)
{
	const struct channel_session session = {
		.connection = caller->conn.number,
		.place = caller->place,
	};

	channel_request_init(ret, kind, &session);
}

/* ------------------------------------------------------------------ to let him go */

static int send_end(const struct caller *caller)
{
	struct channel_request request;

	request_init(caller, CHANNEL_END, &request);
	return channel_send(&caller->worker->channel, &request, NULL, 0);
}

static int send_verdict(struct caller *caller)
{
	struct channel_request request;
	int r;

	request_init(caller, CHANNEL_VERDICT, &request);
	request.verdict = (uint16_t)caller->verdict;
	request.what = caller->plus ? FRONT_PLUS : caller->by_worker ? CHANNEL_OF_PAIR : 0;
	r = channel_send(&caller->worker->channel, &request, &caller->far_end,
		caller->far_end >= 0 ? 1 : 0);
	if (r == 0)
		caller_close_end(caller, &caller->far_end, clock_monotonic());
	return r;
}

void caller_tell_worker(struct caller *caller)
{
	int r = caller->state == CALLER_GONE ? send_end(caller) : send_verdict(caller);

	caller->worker->n_to_end -= caller->untold;
	caller->untold = r < 0;
	caller->worker->n_to_end += caller->untold;
	if (caller->untold)
		worker_wait_for_room(caller->worker);
}

/* The worker still has its own copy, and its answer on the way. */
void caller_let_go(struct caller *caller, uint64_t now)
{
	caller_leave_ledger(caller);
	caller_part(caller);
	caller_unlink(caller);
	caller->inquiry = inquiry_free(caller->inquiry);
	caller_stop_waiting(caller);
	conn_drop(&caller->conn, now);
	if (!caller->has_place) {
		caller_forget(caller);
		return;
	}
	caller_close_end(caller, &caller->far_end, now);
	caller->state = CALLER_GONE;
	caller_tell_worker(caller);
}

void caller_refuse(struct caller *caller, enum admit_verdict verdict, uint64_t now)
{
	if (service_setup(caller->conn.service))
		record_refused(
			&caller->conn, verdict, gate_ban(&caller->conn, verdict, now), now);
}

/* Whoever has one in hand sees to him; but he must not be found again. */
static void drop(struct caller *caller, uint64_t now)
{
	caller_part(caller);
	if (caller->state != CALLER_IN_HAND)
		caller_let_go(caller, now);
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
		caller_tell_worker(caller);
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
	int r = caller_speaks_tls(caller) ? 0 : introduce_text(caller->conn.service);

	if (r < 0)
		return r;
	take_place(caller);
	r = caller_speaks_tls(caller) ? caller_tls_begin(caller) : serve(caller);
	if (r == 0)
		log_debug("%sconnection %llu: passed to child %d, %s",
			caller->conn.service->label, (unsigned long long)caller->conn.number,
			caller->worker->process->pid, worker_name(caller->worker));
	else
		caller_leave_place(caller);
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
	if (r == -EPIPE)
		worker_kill(caller->worker, NULL);
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

int caller_enter_ledger(struct caller *caller, uint64_t now)
{
	const struct pending_limits limits = limits_of(caller);
	const struct addr_source *source = &caller->conn.source;
	struct ledgers *ledgers = &caller->master->callers.ledgers;
	size_t all = most_of_all(caller);
	struct pending_node *node;

	if (ledger_reserve(ledgers, caller->ledger, limits.all) < 0)
		return -ENOMEM;
	while ((node = ledger_make_room(ledgers, caller->ledger, source, &limits, all))) {
		caller_refuse(caller_of(node, pending), ADMIT_PENDING, now);
		caller_let_go(caller_of(node, pending), now);
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
	caller->worker = tasks & FRONT_DENIED
	                         ? worker_of_front(conn->service, conn->listener->is_ip)
	                         : worker_of_words(conn->service, conn->listener->is_ip);
	caller->far_end = caller->near_end = -EBADF;
	caller->tasks = tasks;
	TAILQ_INSERT_TAIL(&master->callers.all, caller, all);
	if (caller_go_with(caller) == 0)
		return caller;
	caller_forget(caller);
	return NULL;
}

/* To the worker that reads what he says, or to be asked about. */
static int start(struct caller *caller, uint64_t now)
{
	int r = caller_enter_ledger(caller, now);

	if (r < 0)
		return r;
	if (caller->worker)
		return give(caller, now);
	return caller_inquire(caller, now) ? 0 : -ENOMEM;
}

/* A negative errno, and he is nobody's caller. */
static int begin(struct conn *conn, unsigned tasks, uint64_t now)
{
	struct caller *caller;
	int r;

	if (conn->number == 0)
		conn->number = conn->service->master->next_connection++;
	caller = new_caller(conn, tasks);
	r = caller ? start(caller, now) : -ENOMEM;
	/* The worker reads in a moment; nobody else is accepted until then. */
	if (r == -EAGAIN && caller->worker && caller->worker->process) {
		worker_is_full(caller->worker);
		caller_let_wait(caller, CALLER_NEW, now + CALLER_LOOK);
		r = 0;
	}
	if (r == 0)
		caller->conn.fd = master_move_up(caller->master, conn->fd);
	else if (caller)
		caller_forget(caller);
	return r;
}

int caller_begin(struct conn *conn, uint64_t now)
{
	struct service *service = conn->service;
	struct worker *worker = worker_of_words(service, conn->listener->is_ip);
	int r = begin(conn, introduce_tasks(conn), now);

	if (r < 0) {
		conn_hold(conn); /* he waits with his listener */
		pass_failed(service, worker, r);
		return r;
	}
	/* Of others it is their program, or who else serves them, that has to be well. */
	if (service_setup(service) && service->setup->conf->builtin == BUILTIN_TCPMUX)
		service_recovered(service);
	return 0;
}

/* One that cannot be started is not waited for: nobody would be served. */
int caller_ask(struct conn *conn, uint64_t now)
{
	struct service *service = conn->service;
	struct worker *worker = worker_of_questions(service);
	int r = worker_need(worker, now);

	if (r == 0 || r == -EAGAIN)
		r = begin(conn, 0, now);
	if (r < 0) {
		conn_hold(conn); /* he waits with his listener */
		pass_failed(service, worker, r);
	}
	return r;
}

bool caller_deny(struct conn *conn, uint64_t now)
{
	const struct service_conf *conf = conn->service->setup->conf;
	const struct worker *worker = worker_of_front(conn->service, conn->listener->is_ip);

	if (conn->is_caller || !worker || !conf->banner_fail_text)
		return false;
	return worker_has_room(worker) && begin(conn, FRONT_DENIED, now) == 0;
}

/* ------------------------------------------------------------------- to ask about him */

/* Who has offered to come in hears whether he may; any other one goes on. */
static void hear_answers(void *userdata, struct findings *findings, uint64_t now)
{
	struct caller *caller = userdata;

	caller->inquiry = NULL;
	caller->conn.findings = findings;
	if (caller->state == CALLER_SPEAKS) {
		caller_answer_offer(caller, now);
		return;
	}
	caller->state = CALLER_IN_HAND;
	caller_go_on(caller, now);
}

/* What was answered under another configuration is not known any more. */
bool caller_inquire(struct caller *caller, uint64_t now)
{
	caller->conn.findings = findings_release(caller->conn.findings);
	if (inquiry_begin(&caller->conn, hear_answers, caller, now, &caller->inquiry) < 0)
		return false;
	if (caller->state != CALLER_SPEAKS)
		caller->state = CALLER_ASKED;
	return true;
}

/* ------------------------------------------------------------------- those that wait */

/* Of those that speak TLS another one may have become free; NULL: it is spoken no longer.  What
 * an elder has not taken is for who has its place. */
static bool choose_worker(struct caller *caller)
{
	if (caller_speaks_tls(caller))
		caller->worker = worker_of_tls(caller->conn.service);
	else if (caller->worker && worker_is_elder(caller->worker))
		caller->worker = &caller->master->workers[caller->worker->kind];
	return caller->worker != NULL;
}

static void go_on_waiting(struct caller *caller, uint64_t now)
{
	bool known = caller->state == CALLER_KNOWN;

	caller->state = CALLER_IN_HAND;
	if (known)
		caller_go_on(caller, now);
	else if (service_setup(caller->conn.service) && !choose_worker(caller))
		caller_let_go(caller, now);
	else if (!service_setup(caller->conn.service) || give(caller, now) < 0)
		caller_let_wait(caller, CALLER_NEW, now + CALLER_LOOK);
}

/* He waits for what nobody gets now: it is not worth asking about him. */
static bool has_no_chance(const struct caller *caller, uint64_t now)
{
	const struct service *service = caller->conn.service;

	return caller->state == CALLER_KNOWN && service->state == SERVICE_ACTIVE &&
	       (service->paused_until != 0 || (service_is_full(service) && !service->refuses) ||
		       !serve_could(&caller->conn, now));
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
		if (has_no_chance(caller, now)) {
			TAILQ_INSERT_TAIL(&callers->waiting, caller, waiting);
			continue;
		}
		go_on_waiting(caller, now);
		tried++;
	}
	if (!TAILQ_EMPTY(&callers->waiting) && now + CALLER_LOOK < callers->due)
		callers->due = now + CALLER_LOOK;
}
