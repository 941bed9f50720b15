/*
 * caller-tls: clients who speak TLS, with hatchd-tls, from the master's side: what it tells of
 * them, which service they get, and the stream pair between it and who serves them.
 */
#include "master/caller-internal.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "base/tls-facts.h"
#include "master/introduce.h"
#include "master/master.h"
#include "master/serve.h"
#include "master/service.h"
#include "os/pass_rights.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* So many may be leaving at least. */
#define LEAVING_MIN 64

#define caller_of(member, field) \
	((struct caller *)((char *)(member)-offsetof(struct caller, field)))

bool caller_speaks_tls(const struct caller *caller)
{
	return caller->worker && worker_is_for_tls(caller->worker);
}

/* Who has come to a tcpmux speaks in the clear, whoever it hands him to. */
bool caller_has_to_shake_hands(const struct caller *caller)
{
	return !caller->shaken && !caller->named &&
	       service_conf_has_tls(caller->conn.service->setup->conf);
}

/* ------------------------------------------------------------------- to begin */

/* Each configuration has setups of its own, with other keys of tickets; 0 would say that it has
 * no number. */
static uint64_t number_of(const struct service *service)
{
	return (uint64_t)service->master->generation << 32 | (service->index + 1);
}

int caller_tls_begin(struct caller *caller)
{
	const struct conn *conn = &caller->conn;
	const struct service *service = conn->service;
	const struct image *image = caller->master->image;
	const int fds[] = {conn->fd, image_secrets(image)};
	const struct channel_session session = {
		.connection = conn->number,
		.place = caller->place,
	};
	struct channel_request request;
	uint32_t offset, length;

	if (fds[1] < 0 || !image_setup(image, service->index, &offset, &length))
		return -ENOENT;
	memcpy(caller->trust, service->setup->conf->tls_trust, sizeof caller->trust);
	channel_request_init(&request, CHANNEL_SERVE, &session);
	request.has_text = true;
	request.text_at = offset;
	request.text_len = length;
	request.text_number = number_of(service);
	request.patience = service->setup->conf->tls_handshake_timeout;
	request.peer = conn->peer;
	request.local = conn->local;
	return channel_send(&caller->worker->channel, &request, fds, ARRAY_SIZE(fds));
}

/* Who came to it by name has to have it at that socket still. */
static bool is_at(const struct service *service, const struct service *host)
{
	const struct service_conf *conf = service->setup->conf;

	if (!service_conf_is_tls_guest(conf))
		return service == host;
	return service_is_called(host, conf->tls_host);
}

bool caller_tls_fits(struct caller *caller)
{
	struct service *service = caller->conn.service, *host = caller->conn.listener->service;

	if (!caller->shaken)
		return !service_conf_is_tls_guest(service->setup->conf);
	/* Without memory for what it says he cannot be judged. */
	if (!service_setup(host) || !service_setup(service))
		return false;
	return is_at(service, host) &&
	       memcmp(caller->trust, host->setup->conf->tls_trust, sizeof caller->trust) == 0;
}

/* ------------------------------------------------------------------- what it tells */

void caller_forget_facts(struct caller *caller)
{
	caller->conn.tls_facts = NULL;
	caller->conn.tls_facts_len = 0;
	free(caller->facts);
	caller->facts = NULL;
	caller->facts_len = 0;
}

/* Addresses are the socket's to tell. */
static bool says_where(const struct channel_facts *facts)
{
	return facts->peer.family != 0 || facts->local.family != 0;
}

static bool hear_fact(struct caller *caller, const struct channel_facts *facts, uint64_t now)
{
	size_t len = facts->authority_len;
	char *longer;

	if (len == 0 || len > sizeof facts->authority || says_where(facts) ||
		facts->service[0] || caller->facts_len + len > CHANNEL_FACTS_BYTES_MAX)
		return false;
	longer = realloc(caller->facts, caller->facts_len + len);
	if (!longer) {
		/* Who he is decides who comes in: without memory for it nobody does. */
		caller_let_go(caller, now);
		return true;
	}
	memcpy(longer + caller->facts_len, facts->authority, len);
	caller->facts = longer;
	caller->facts_len += len;
	return true;
}

/* 0; ADMIT_HANDSHAKE: there is no such service any more. */
static enum admit_verdict choose(struct caller *caller, const char *name)
{
	struct service *service;

	if (!name[0])
		return caller->conn.service->state == SERVICE_ACTIVE ? ADMIT_OK
		                                                     : ADMIT_HANDSHAKE;
	service = introduce_guest(&caller->conn, name);
	if (!service || service->state != SERVICE_ACTIVE)
		return ADMIT_HANDSHAKE;
	return caller_choose(caller, service) < 0 ? ADMIT_TOTAL : ADMIT_OK;
}

/* Whom he wants is known, and if he may have that, so is who he is to them. */
static enum admit_verdict settle(struct caller *caller, const char *name, uint64_t now)
{
	enum admit_verdict verdict = choose(caller, name);

	/* Without memory for what it says he waits, and so does this. */
	if (verdict != ADMIT_OK || !service_setup(caller->conn.service))
		return verdict;
	conn_learn_source(&caller->conn);
	return serve_judge(&caller->conn, now);
}

/* The worker tells him, and says so when he has heard it. */
static void turn_away(struct caller *caller)
{
	caller->state = CALLER_SPEAKS;
	caller->refused = true;
	caller->verdict = CHANNEL_NOT_ALLOWED;
	caller_tell_worker(caller);
}

static bool hear_offer(struct caller *caller, const struct channel_answer *answer, uint64_t now)
{
	const struct channel_facts *facts = &answer->facts;
	enum admit_verdict verdict;

	if (says_where(facts) || facts->authority_len > 0 ||
		!tls_facts_hold(caller->facts, caller->facts_len))
		return false;
	caller->offered = caller->shaken = true;
	caller->conn.tls_facts = caller->facts;
	caller->conn.tls_facts_len = caller->facts_len;
	/* It harms its own clients alone if that is not so. */
	caller->conn.taken += answer->bytes_in;
	verdict = settle(caller, facts->service, now);
	if (verdict != ADMIT_OK) {
		caller_refuse(caller, verdict, now);
		turn_away(caller);
		return true;
	}
	log_debug("%sconnection %" PRIu64 ": TLS is spoken", caller->conn.service->label,
		caller->conn.number);
	caller->state = CALLER_IN_HAND;
	caller_go_on(caller, now);
	return true;
}

bool caller_tls_hear(struct caller *caller, const struct channel_answer *answer, uint64_t now)
{
	if (caller->offered)
		return false;
	/* It has died since: nobody could be served. */
	if (!caller->worker->process)
		return true;
	if (answer->kind == CHANNEL_FACT)
		return hear_fact(caller, &answer->facts, now);
	return answer->kind == CHANNEL_OFFER && hear_offer(caller, answer, now);
}

/* ------------------------------------------------------------------- to be served */

static int make_pair(struct caller *caller)
{
	int ends[2], r = pair_without_rights(SOCK_STREAM, ends);

	if (r < 0)
		return r;
	caller->conn.pair = ends[0];
	caller->far_end = ends[1];
	return 0;
}

/* Nobody has had it. */
static void break_pair(struct caller *caller)
{
	caller->conn.pair = fd_close(caller->conn.pair);
	caller->far_end = fd_close(caller->far_end);
}

static void link_child(struct caller *caller, struct child *child)
{
	caller->child = child;
	child->carrier = caller;
}

void caller_unlink(struct caller *caller)
{
	if (caller->child)
		caller->child->carrier = NULL;
	caller->child = NULL;
}

/* A program has it, and its copy here is the child's. */
static void keep_near_end(struct caller *caller)
{
	int end = take_fd(&caller->conn.pair);

	caller->by_worker = caller->child->worker != NULL;
	if (caller->by_worker)
		caller->near_end = master_move_up(caller->master, end);
}

/* From here on he is his program's, and the worker's: the services and sockets that he came by
 * may go. */
static void let_carry(struct caller *caller, uint64_t now)
{
	struct conn *conn = &caller->conn;

	caller_leave_ledger(caller);
	caller_part(caller);
	link_child(caller, conn->child);
	caller->served = stats_place_of(conn->service);
	/* Whoever serves him has nothing to do with it. */
	service_close_copy_later(conn->service, conn->fd, 0, now);
	conn->fd = -EBADF;
	keep_near_end(caller);
	conn->service = NULL;
	conn->listener = NULL;
	conn->findings = findings_release(conn->findings);
	caller_forget_facts(caller);
	caller->state = CALLER_CARRIED;
	caller->verdict = CHANNEL_ADMITTED;
	caller_tell_worker(caller);
	if (caller->far_end >= 0)
		caller->far_end = master_move_up(caller->master, caller->far_end);
}

/* He was refused within, and the connection is dropped. */
static void let_turn_away(struct caller *caller)
{
	caller->conn.fd = caller->conn.pair = -EBADF;
	caller->far_end = fd_close(caller->far_end);
	turn_away(caller);
}

static void let_wait(struct caller *caller, uint64_t now)
{
	break_pair(caller);
	if (caller_is_alone(caller))
		caller_let_go(caller, now);
	else
		caller_let_wait(caller, CALLER_KNOWN, now + CALLER_LOOK);
}

void caller_carry(struct caller *caller, uint64_t now)
{
	struct conn *conn = &caller->conn;

	conn->held = false;
	conn->child = NULL;
	caller->state = CALLER_IN_HAND;
	if (make_pair(caller) < 0 || !serve_caller(conn, now))
		let_wait(caller, now);
	else if (conn->child)
		let_carry(caller, now);
	else
		let_turn_away(caller);
}

/* ------------------------------------------------------------------- to leave */

uint32_t callers_leaving_max(const struct master *master)
{
	uint32_t callers = master->budget.callers;

	return callers > LEAVING_MIN ? callers : LEAVING_MIN;
}

size_t callers_leaving(const struct master *master)
{
	return master->callers.leaving.n;
}

/* One more, if need be in the place of another one. */
static int enter_leaving(struct caller *caller, uint64_t now)
{
	struct pending *leaving = &caller->master->callers.leaving;
	const struct addr_source *source = &caller->conn.source;
	const struct pending_limits limits = {
		.all = callers_leaving_max(caller->master),
		.per_source = UINT32_MAX,
	};
	struct pending_node *node;

	if (pending_reserve(leaving, limits.all) < 0)
		return -ENOMEM;
	while ((node = pending_make_room(leaving, source, &limits)))
		caller_let_go(caller_of(node, pending), now);
	pending_add(leaving, &caller->pending, source);
	return 0;
}

/* What was broken off must not look like an end: nothing of it is seen at hatchd-tls before it
 * has said that he is gone. */
void caller_left(struct caller *caller, uint64_t now)
{
	bool broke_off = caller->child->broke_off;

	caller_unlink(caller);
	if (broke_off)
		caller_let_go(caller, now);
	else
		caller_leave(caller, now);
}

void caller_leave(struct caller *caller, uint64_t now)
{
	if (enter_leaving(caller, now) < 0)
		caller_let_go(caller, now);
	else
		caller_close_end(caller, &caller->near_end, now);
}

/* Who serves him is ended, and breaks off whom it has passed him on to; then he is let go. */
bool caller_hear_cut(struct caller *caller, uint64_t now)
{
	if (caller->state != CALLER_CARRIED || !caller->by_worker || caller->cut)
		return false;
	caller->cut = true;
	if (!caller->child) {
		caller_let_go(caller, now);
		return true;
	}
	caller->child->client_cut = true;
	child_signal(caller->child, SIGTERM);
	return true;
}

static void tell_over(const struct caller *caller, const struct channel_answer *answer)
{
	log_debug("%sconnection %" PRIu64 " over, %" PRIu64 " bytes in, %" PRIu64 " out%s",
		caller->worker->service->label, caller->conn.number, answer->bytes_in,
		answer->bytes_out, answer->result == CHANNEL_RESET ? ", reset" : "");
}

/* A worker that has served him has counted the same bytes. */
void caller_carried(struct caller *caller, const struct channel_answer *answer)
{
	tell_over(caller, answer);
	if (!caller->by_worker)
		stats_bytes_at(
			caller->master, &caller->served, answer->bytes_in, answer->bytes_out);
	caller_unlink(caller);
	caller_leave_place(caller);
	caller_forget(caller);
}
