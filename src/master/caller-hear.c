#include "master/caller-internal.h"

#include "base/front.h"
#include "master/gate.h"
#include "master/introduce.h"
#include "master/master.h"
#include "master/serve.h"
#include "master/service.h"
#include "master/unread.h"

#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------- who it is */

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
	enum admit_verdict verdict = ask_mux(caller, now);
	struct service *service;

	if (verdict != ADMIT_OK)
		return verdict;
	service = introduce_service(caller->master, name);
	if (!service)
		return ADMIT_TCPMUX;
	if (caller_choose(caller, service) < 0)
		return ADMIT_TOTAL; /* without memory: not now */
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
	case ADMIT_HOSTS_ACCESS:
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
static void answer_offer(struct caller *caller, enum admit_verdict verdict, uint64_t now)
{
	caller->refused = verdict != ADMIT_OK;
	if (caller->refused)
		caller_refuse(caller, verdict, now);
	caller->verdict = in_words(verdict);
	caller->plus = !caller->refused && is_told_plus(caller);
	caller_tell_worker(caller);
}

void caller_answer_offer(struct caller *caller, uint64_t now)
{
	answer_offer(caller, serve_judge(&caller->conn, now), now);
}

/* Without memory it is asked later, if he comes in. */
static bool has_to_be_asked(struct caller *caller, uint64_t now)
{
	return service_setup(caller->conn.service) && inquiry_is_needed(&caller->conn) &&
	       caller_inquire(caller, now);
}

static bool hear_offer(struct caller *caller, const struct channel_answer *answer, uint64_t now)
{
	enum admit_verdict verdict;

	if (caller->offered || caller->tasks & FRONT_DENIED || !learn(caller, &answer->facts))
		return false;
	caller->offered = true;
	verdict = settle(caller, answer->facts.service, now);
	if (verdict == ADMIT_OK)
		verdict = serve_judge(&caller->conn, now);
	if (verdict != ADMIT_OK || !has_to_be_asked(caller, now))
		answer_offer(caller, verdict, now);
	return true;
}

/* If not, he waits. */
static void try_to_serve(struct caller *caller, uint64_t now)
{
	struct conn *conn = &caller->conn;

	conn->held = false;
	caller->state = CALLER_IN_HAND;
	if (serve_caller(conn, now)) {
		caller_forget(caller);
	} else if (caller_is_alone(caller)) {
		conn_drop(conn, now);
		caller_forget(caller);
	} else {
		caller_let_wait(caller, CALLER_KNOWN, now + CALLER_LOOK);
	}
}

/* A service that was asked for by name greets its clients itself. */
static bool is_to_be_greeted(const struct caller *caller)
{
	return caller->tasks & FRONT_MUX && service_setup(caller->conn.service) &&
	       introduce_has_banners(caller->conn.service);
}

/* A reload may have changed whom the service is for since he was told that he may come in. */
static bool is_still_had(struct caller *caller)
{
	const struct service *service = caller->conn.service;

	if (service->wait || service->setup->conf->builtin == BUILTIN_TCPMUX)
		return false;
	if (!caller_tls_fits(caller))
		return false;
	return !caller->named || image_entry(caller->master->image, service->index).mux != 0;
}

static void turn_away(struct caller *caller, uint64_t now)
{
	if (caller->named || caller->shaken)
		caller_refuse(caller, caller->named ? ADMIT_TCPMUX : ADMIT_HANDSHAKE, now);
	caller_let_go(caller, now);
}

/* For who came through a proxy it was not asked before whether he may come in at all. */
static void go_to_tls(struct caller *caller, uint64_t now)
{
	enum admit_verdict verdict;

	conn_learn_source(&caller->conn);
	verdict = serve_judge_choice(&caller->conn, now);
	if (verdict != ADMIT_OK)
		caller_refuse(caller, verdict, now);
	/* Until now he was one of his proxy's. */
	caller_leave_ledger(caller);
	if (verdict != ADMIT_OK || caller_enter_ledger(caller, now) < 0) {
		caller_let_go(caller, now);
		return;
	}
	caller->worker = worker_of_tls(caller->conn.service);
	caller->tries = 0;
	caller->offered = false;
	caller_let_wait(caller, CALLER_NEW, now);
}

/* The setup may have gone since it was looked at, and there may be no memory for it now. */
void caller_go_on(struct caller *caller, uint64_t now)
{
	if (!service_setup(caller->conn.service)) {
		caller_let_wait(caller, CALLER_KNOWN, now + CALLER_LOOK);
	} else if (!is_still_had(caller)) {
		turn_away(caller, now);
	} else if (caller_has_to_shake_hands(caller)) {
		go_to_tls(caller, now);
	} else if (inquiry_is_needed(&caller->conn)) {
		if (!caller_inquire(caller, now))
			caller_let_wait(caller, CALLER_KNOWN, now + CALLER_LOOK);
	} else if (is_to_be_greeted(caller)) {
		caller->tasks = 0;
		caller->offered = false;
		caller_let_wait(caller, CALLER_NEW, now);
	} else if (caller->shaken) {
		caller_carry(caller, now);
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

	/* It has not been answered yet. */
	if (caller->inquiry || caller->refused || caller->tasks & FRONT_DENIED ||
		(!known && !learn(caller, &answer->facts)))
		return false;
	caller->conn.taken += answer->bytes_in;
	caller_leave_place(caller);
	caller->state = CALLER_IN_HAND;
	if (!known)
		verdict = settle(caller, answer->facts.service, now);
	if (verdict == ADMIT_OK) {
		caller_go_on(caller, now);
		return true;
	}
	caller_refuse(caller, verdict, now);
	conn_drop(&caller->conn, now);
	caller_forget(caller);
	return true;
}

/* He has gone, or was refused, or has to. */
static void hear_end(struct caller *caller, uint32_t result, uint64_t now)
{
	bool tls = caller_speaks_tls(caller);

	if (result == CHANNEL_BAD_HEADER)
		caller_refuse(caller, tls ? ADMIT_HANDSHAKE : ADMIT_HEADER, now);
	else if (result == CHANNEL_SILENT)
		caller_refuse(
			caller, tls ? ADMIT_HANDSHAKE_TIMEOUT : ADMIT_HEADER_TIMEOUT, now);
	caller_stop_waiting(caller);
	caller_leave_place(caller);
	conn_drop(&caller->conn, now);
	caller_forget(caller);
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
		caller_leave_place(caller);
		caller_forget(caller);
		return true;
	}
	if (caller->state == CALLER_CARRIED) {
		caller_carried(caller, answer);
		return answer->result < CHANNEL_PASSED;
	}
	if (answer->result == CHANNEL_PASSED)
		return !caller_speaks_tls(caller) && hear_passed(caller, answer, now);
	if (answer->result == CHANNEL_REFUSED)
		worker_refuses(caller->worker, now);
	if (may_try_again(caller, answer)) {
		caller_leave_place(caller);
		caller_forget_facts(caller);
		caller_let_wait(caller, CALLER_NEW, now + CALLER_LOOK);
		return true;
	}
	hear_end(caller, answer->result, now);
	return true;
}

/* It was on its way when he was let go: no more than there can have been. */
static bool hear_of_gone(struct caller *caller, const struct channel_answer *answer)
{
	if (answer->kind == CHANNEL_CUT) {
		bool told = caller->cut;

		caller->cut = true;
		return caller->by_worker && !told;
	}
	if (caller->offered)
		return false;
	caller->offered = answer->kind == CHANNEL_OFFER;
	caller->facts_len += answer->kind == CHANNEL_FACT ? answer->facts.authority_len : 0;
	return caller->facts_len <= CHANNEL_FACTS_BYTES_MAX;
}

bool caller_hear(struct worker *worker, const struct channel_answer *answer, uint64_t now)
{
	const struct channel_session *id = &answer->session;
	struct caller *caller = id->place < worker->places ? worker->callers[id->place] : NULL;

	if (!caller || caller->conn.number != id->connection)
		return false;
	if (answer->kind == CHANNEL_DONE)
		return hear_done(caller, answer, now);
	if (caller->state == CALLER_GONE)
		return hear_of_gone(caller, answer);
	if (answer->kind == CHANNEL_CUT)
		return caller_hear_cut(caller, now);
	if (caller_speaks_tls(caller))
		return caller_tls_hear(caller, answer, now);
	return answer->kind == CHANNEL_OFFER && hear_offer(caller, answer, now);
}

/* ----------------------------------------------------------------- when it has died */

/* Whom it has not taken is as he was before; of whom it has spoken it has taken him, whatever
 * it has left there. */
static void take_back(struct worker *worker, const struct channel_request *request)
{
	const struct channel_session *id = &request->session;
	struct caller *caller = id->place < worker->places ? worker->callers[id->place] : NULL;

	if (request->kind != CHANNEL_SERVE || !caller || caller->state != CALLER_SPEAKS ||
		caller->offered || caller->conn.number != id->connection)
		return;
	/* One that has never become ready was not tried. */
	if (worker->theirs < 0 && ++caller->tries >= WORKERS_TRIED_MAX)
		return;
	caller_leave_place(caller);
	/* What it may have told of him all the same is not to be added to. */
	caller_forget_facts(caller);
	caller_let_wait(caller, CALLER_NEW, clock_monotonic());
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
		lost += caller->state != CALLER_GONE;
		if (caller->state != CALLER_GONE)
			conn_drop(&caller->conn, now);
		caller_unlink(caller);
		caller_stop_waiting(caller);
		caller_leave_place(caller);
		caller_forget(caller);
	}
	return lost;
}
