/*
 * caller-restore: clients of whom it is not known yet who serves them, from one image of hatchd
 * to the next.
 *
 * Who is with a worker stays with it, as that goes on (master/elder): what has been read of him
 * is there.  Who waits for one, or for a place at his service, waits on.  What was looked up
 * about him is looked up again, and those whom nobody has any more are let go.
 */
#include "master/caller-internal.h"

#include "base/own.h"
#include "base/tls-facts.h"
#include "master/handover/handover.h"
#include "master/inquiry.h"
#include "master/master.h"
#include "master/service.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------ to save */

static bool is_undecided(const struct caller *caller)
{
	return caller->state != CALLER_CARRIED && caller->state != CALLER_GONE;
}

static uint8_t stage_of(const struct caller *caller)
{
	switch (caller->state) {
	case CALLER_NEW:
		return caller_speaks_tls(caller) ? HANDOVER_CALLER_TLS : HANDOVER_CALLER_FRONT;
	case CALLER_SPEAKS:
		return HANDOVER_CALLER_SPEAKS;
	default:
		return HANDOVER_CALLER_KNOWN;
	}
}

static int copy_bytes(const void *from, size_t len, uint8_t **ret, size_t *ret_len)
{
	if (len == 0)
		return 0;
	*ret = malloc(len);
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, from, len);
	*ret_len = len;
	return 0;
}

static int save_words(const struct caller *caller, struct handover_caller *to)
{
	const struct conn *conn = &caller->conn;
	int r = copy_bytes(caller->facts, caller->facts_len, &to->facts, &to->facts_len);

	return r < 0 ? r
	             : copy_bytes(conn->authority, conn->authority_len, &to->authority,
			       &to->authority_len);
}

static void save_conn(const struct conn *conn, struct handover_caller *to)
{
	to->number = conn->number;
	to->accepted = conn->accepted;
	to->taken = conn->taken;
	to->fd = conn->fd;
	to->peer = conn->peer;
	to->local = conn->local;
	to->proxy = conn->proxy;
	to->reached = conn->reached;
	to->peer_pid = (uint32_t)conn->peer_cred.pid;
	to->peer_uid = conn->peer_cred.uid;
	to->peer_gid = conn->peer_cred.gid;
	to->source = conn->source;
}

static int save(const struct caller *caller, struct handover_caller *to)
{
	*to = (struct handover_caller){
		.place = caller->has_place ? caller->place : HANDOVER_NONE,
		.stage = stage_of(caller),
		.counted = caller->pending.source,
		.tries = caller->tries,
		.tasks = caller->tasks,
		.named = caller->named,
		.offered = caller->offered,
		.refused = caller->refused,
		.plus = caller->plus,
		.untold = caller->untold,
		.shaken = caller->shaken,
		.asked = caller->state == CALLER_SPEAKS && caller->inquiry,
		.verdict = (uint8_t)caller->verdict,
	};
	save_conn(&caller->conn, to);
	memcpy(to->trust, caller->trust, sizeof to->trust);
	return save_words(caller, to);
}

int callers_save(const struct master *master, struct handover_caller *ret, caller_placed place,
	void *userdata)
{
	const struct caller *caller;
	int n = 0, r = 0;

	TAILQ_FOREACH(caller, &master->callers.all, all)
	{
		const struct caller_company company = {
			.service = caller->conn.service,
			.listener = caller->conn.listener,
			.worker = caller->has_place ? caller->worker : NULL,
		};

		if (!is_undecided(caller) || r < 0)
			continue;
		r = save(caller, &ret[n]);
		place(userdata, &company, &ret[n++]);
	}
	return r < 0 ? r : n;
}

/* ------------------------------------------------------------------------ and back */

static void restore_words(struct caller *caller, struct handover_caller *from)
{
	struct conn *conn = &caller->conn;

	caller->facts = (char *)take_ptr(from->facts);
	caller->facts_len = from->facts_len;
	caller->authority = take_ptr(from->authority);
	conn->authority = caller->authority;
	conn->authority_len = (uint16_t)from->authority_len;
	if (!caller->shaken)
		return;
	conn->tls_facts = caller->facts;
	conn->tls_facts_len = caller->facts_len;
}

static void restore_conn(struct conn *conn, struct handover_caller *from)
{
	conn->number = from->number;
	conn->accepted = from->accepted;
	conn->taken = from->taken;
	conn->fd = take_fd(&from->fd);
	conn->peer = from->peer;
	conn->local = from->local;
	conn->proxy = from->proxy;
	conn->reached = from->reached;
	conn->peer_cred = (struct ucred){
		.pid = (pid_t)from->peer_pid, .uid = from->peer_uid, .gid = from->peer_gid};
	conn->source = from->source;
	conn->pair = -EBADF;
	conn->is_caller = true;
}

static void restore(struct caller *caller, struct handover_caller *from)
{
	restore_conn(&caller->conn, from);
	caller->far_end = caller->near_end = -EBADF;
	caller->tries = from->tries;
	caller->tasks = from->tasks;
	caller->named = from->named;
	caller->offered = from->offered;
	caller->refused = from->refused;
	caller->plus = from->plus;
	caller->untold = from->untold;
	caller->shaken = from->shaken;
	caller->verdict = (enum channel_verdict)from->verdict;
	caller->asks_again = from->asked;
	memcpy(caller->trust, from->trust, sizeof caller->trust);
	restore_words(caller, from);
}

static bool enter_ledger(struct caller *caller, const struct addr_source *counted)
{
	struct ledgers *ledgers = &caller->master->callers.ledgers;
	uint32_t room = ledger_count(ledgers, caller->ledger) + 1;

	if (room > PENDING_MAX || ledger_reserve(ledgers, caller->ledger, room) < 0)
		return false;
	ledger_add(ledgers, caller->ledger, &caller->pending, counted);
	return true;
}

static bool has_room_for(const struct worker *worker, uint32_t place)
{
	return worker_holds(worker) == WORKER_HOLDS_CALLERS && place < worker->places &&
	       !worker->callers[place];
}

/* He waits with the others for who is at work now. */
static struct worker *worker_for(const struct caller *caller, enum handover_caller_stage stage)
{
	struct worker *workers = caller->master->workers;

	if (stage == HANDOVER_CALLER_TLS)
		return &workers[WORKER_TLS];
	if (stage != HANDOVER_CALLER_FRONT)
		return NULL;
	return &workers[caller->conn.listener->is_ip ? WORKER_FRONT : WORKER_FRONT_LOCAL];
}

static void take_place(struct caller *caller, struct worker *worker, uint32_t place)
{
	caller->worker = worker;
	caller->has_place = true;
	caller->place = place;
	worker->callers[place] = caller;
	worker->n_to_end += caller->untold;
}

/* His worker has him, and nobody else does. */
static void end_at_worker(struct worker *worker, const struct handover_caller *from)
{
	struct carried gone = {
		.number = from->number,
		.place = from->place,
		.near_end = -EBADF,
		.far_end = -EBADF,
		.gone = true,
		.untold = true,
	};

	(void)caller_resume(worker, &gone);
}

static struct caller *make(struct master *master, struct handover_caller *from,
	const struct caller_company_here *company)
{
	struct caller *caller = calloc(1, sizeof *caller);

	if (!caller)
		return NULL;
	caller->master = master;
	caller->conn.service = company->service;
	caller->conn.listener = company->listener;
	caller->ledger = company->listener->service->number;
	TAILQ_INSERT_TAIL(&master->callers.all, caller, all);
	if (caller_go_with(caller) == 0 && enter_ledger(caller, &from->counted)) {
		restore(caller, from);
		return caller;
	}
	caller->far_end = caller->near_end = -EBADF;
	caller_forget(caller);
	return NULL;
}

bool caller_restore(struct master *master, struct handover_caller *from,
	const struct caller_company_here *company, uint64_t now)
{
	struct worker *worker = company->worker;
	bool had_worker = from->worker != HANDOVER_NONE, stays;
	struct caller *caller;

	if (had_worker && (!worker || !has_room_for(worker, from->place)))
		return false;
	stays = company->service && company->listener;
	caller = stays ? make(master, from, company) : NULL;
	if (!caller && worker)
		end_at_worker(worker, from);
	if (!caller)
		return false;
	if (worker)
		take_place(caller, worker, from->place);
	else
		caller->worker = worker_for(caller, from->stage);
	if (from->stage == HANDOVER_CALLER_SPEAKS)
		caller->state = CALLER_SPEAKS;
	else
		caller_let_wait(caller,
			from->stage == HANDOVER_CALLER_KNOWN ? CALLER_KNOWN : CALLER_NEW, now);
	return true;
}

/* His worker waits for the answer to its offer. */
static void ask_again(struct caller *caller, uint64_t now)
{
	bool asks = service_setup(caller->conn.service) && inquiry_is_needed(&caller->conn) &&
	            caller_inquire(caller, now);

	caller->asks_again = false;
	if (!asks)
		caller_answer_offer(caller, now);
}

void callers_ask_again(struct master *master, uint64_t now)
{
	struct caller *caller;

	TAILQ_FOREACH(caller, &master->callers.all, all)
	if (caller->asks_again && caller->state == CALLER_SPEAKS)
		ask_again(caller, now);
}
