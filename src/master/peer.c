#include "master/peer.h"

#include "base/fd.h"
#include "base/log-gate.h"
#include "base/log.h"
#include "base/own.h"
#include "master/account.h"
#include "master/gate.h"
#include "master/hatch.h"
#include "master/master.h"
#include "master/pass.h"
#include "master/pause.h"
#include "master/record.h"
#include "master/serve.h"
#include "master/service.h"
#include "master/worker-channel.h"
#include "os/pass_rights.h"

#include <poll.h>
#include <string.h>

struct offer {
	struct offer *next;
	struct channel_session session;
	uint32_t ticket;
	enum channel_verdict verdict; /* 0: not decided */
	struct channel_address peer, local;
};

/* CHANNEL_OFFERS_MAX of each socket at most. */
struct peer_offers {
	struct offer *first, *last; /* owned */
};

/* ------------------------------------------------------------------- to be asked */

/* Clients that it passes on have places as well. */
static struct child *find_socket(
	const struct worker *worker, const struct channel_session *session)
{
	struct child *child =
		session->place < worker->places ? worker->sessions[session->place] : NULL;

	if (!child || !child->posted)
		return NULL;
	return child->connection == session->connection ? child : NULL;
}

static bool is_ip(const struct channel_address *address)
{
	return address->family == AF_INET || address->family == AF_INET6;
}

static bool is_sound(const struct channel_facts *facts, const struct addr *local)
{
	if (facts->authority_len > 0 || facts->service[0])
		return false;
	if (addr_is_ip(local))
		return is_ip(&facts->peer) && is_ip(&facts->local);
	return !is_ip(&facts->peer) && facts->local.family == 0;
}

static int note(struct worker *worker, const struct channel_answer *answer)
{
	struct offer *offer = calloc(1, sizeof *offer);

	if (!worker->offers)
		worker->offers = calloc(1, sizeof *worker->offers);
	if (!offer || !worker->offers) {
		free(offer);
		return -ENOMEM;
	}
	offer->session = answer->session;
	offer->ticket = answer->ticket;
	offer->peer = answer->facts.peer;
	offer->local = answer->facts.local;
	if (worker->offers->last)
		worker->offers->last->next = offer;
	else
		worker->offers->first = offer;
	worker->offers->last = offer;
	return 0;
}

static void verdict_init(
	struct channel_request *ret, const struct offer *offer, enum channel_verdict verdict)
{
	channel_request_init(ret, CHANNEL_VERDICT, &offer->session);
	ret->verdict = (uint16_t)verdict;
	ret->ticket = offer->ticket;
}

static int tell(const struct worker *worker, const struct offer *offer,
	enum channel_verdict verdict, int fd)
{
	struct channel_request request;

	verdict_init(&request, offer, verdict);
	return channel_send(&worker->channel, &request, &fd, fd >= 0 ? 1 : 0);
}

/* There is no memory to keep it until it can be answered; before those that were kept it must
 * not be. */
static bool turn_away(const struct worker *worker, const struct child *child,
	const struct channel_answer *answer)
{
	const struct offer offer = {.session = answer->session, .ticket = answer->ticket};

	return child->n_offers == 0 && tell(worker, &offer, CHANNEL_BUSY, -1) == 0;
}

bool peer_offer(struct worker *worker, const struct channel_answer *answer)
{
	struct child *child =
		worker_is_for_datagrams(worker) ? find_socket(worker, &answer->session) : NULL;

	if (!child || answer->ticket != child->next_ticket ||
		child->n_offers >= CHANNEL_OFFERS_MAX ||
		!is_sound(&answer->facts, &child->local))
		return false;
	child->next_ticket++;
	if (note(worker, answer) == 0)
		child->n_offers++;
	else if (!turn_away(worker, child, answer))
		worker_kill(worker, "asks more than there is memory for");
	return true;
}

struct peer_offers *peer_forget(struct peer_offers *offers)
{
	while (offers && offers->first) {
		struct offer *offer = offers->first;

		offers->first = offer->next;
		free(offer);
	}
	free(offers);
	return NULL;
}

/* ------------------------------------------------------------------------ who it is */

static void learn_address(const struct channel_address *said, enum addr_kind kind,
	uint16_t port, struct addr *ret)
{
	addr_from_ip(kind, said->ip, said->family == AF_INET ? 4 : 16, port, ret);
}

static void learn_user(const struct channel_address *said, struct conn *conn)
{
	_Static_assert(sizeof conn->peer_cred <= sizeof said->ip, "a user has room there");

	if (said->family == AF_UNIX)
		memcpy(&conn->peer_cred, said->ip, sizeof conn->peer_cred);
	addr_source_uid(conn->peer_cred.uid, &conn->source);
}

/* The port is the socket's, whatever is said. */
static void learn_peer(const struct offer *offer, struct conn *conn)
{
	const struct service_conf *conf = conn->listener->service->setup->conf;
	enum addr_kind kind = conn->local.kind;

	if (!addr_is_ip(&conn->local)) {
		learn_user(&offer->peer, conn);
		return;
	}
	learn_address(&offer->peer, kind, offer->peer.port, &conn->peer);
	learn_address(&offer->local, kind, (uint16_t)addr_port(&conn->local), &conn->local);
	addr_source(&conn->peer, conf->source_prefix4, conf->source_prefix6, &conn->source);
}

/* Who is not known cannot be told from those who may not come in. */
static enum admit_verdict ask_gate(const struct conn *conn, uint64_t now)
{
	const struct service *service = conn->listener->service;

	if (!addr_is_ip(&conn->local) && conn->peer_cred.uid == (uid_t)-1 &&
		gate_has_rules(service))
		return ADMIT_ONLY_FROM;
	return gate_ask(conn, now);
}

/* ---------------------------------------------------------------------- to be let in */

/* A child on one end; the other is in *ret, and the caller's.  There is no room for descriptors
 * on the worker's side. */
static int hatch_on_pair(struct conn *conn, int *ret, uint64_t now)
{
	struct service *service = conn->listener->service;
	char reason[128];
	int ends[2];
	int r = pair_without_rights(SOCK_SEQPACKET, ends);

	if (r < 0) {
		snprintf(reason, sizeof reason, "unable to make a pair of sockets: %s",
			strerror(-r));
		service_pause(service, PAUSE_MACHINE, reason);
		return r;
	}
	conn->fd = ends[1];
	r = hatch(conn, now);
	if (r < 0) {
		fd_close(ends[0]); /* nobody else has had it */
		return r;
	}
	gate_count(conn, now);
	*ret = ends[0];
	return 0;
}

/* The one client of --once. */
static void end_once(struct service *service, int r)
{
	service_close(service);
	if (r < 0)
		master_exit(service->master, ONCE_FAILED);
}

/* Where the worker cannot be given its end, the program finds that nobody is there. */
static int give_program(
	const struct worker *worker, struct offer *offer, struct conn *conn, uint64_t now)
{
	int fd, r = hatch_on_pair(conn, &fd, now);

	if (r < 0)
		return r;
	if (tell(worker, offer, CHANNEL_ADMITTED, fd) == 0)
		offer->verdict = CHANNEL_ADMITTED;
	service_close_later(conn->service, fd, conn->number, now);
	return 0;
}

/* There are more places than clients may be, but where descriptors are few. */
static int pass_on(struct worker *worker, struct offer *offer, struct conn *conn, uint64_t now)
{
	struct channel_request request;
	int r;

	verdict_init(&request, offer, CHANNEL_ADMITTED);
	r = pass_peer(worker, conn, &request, now);
	if (r < 0) {
		if (log_once_a_minute(&service_told(conn->service)->pause, now))
			log_warning("%s%s has all it can do, new clients are refused",
				conn->service->label, worker_name(worker));
		return r;
	}
	offer->verdict = CHANNEL_ADMITTED;
	gate_count(conn, now);
	return 0;
}

static void let_in(struct worker *worker, struct offer *offer, struct conn *conn, uint64_t now)
{
	struct service *service = conn->listener->service;
	int r;

	offer->verdict = CHANNEL_BUSY;
	if (service_conf_is_redirect(service->setup->conf))
		r = pass_on(worker, offer, conn, now);
	else
		r = give_program(worker, offer, conn, now);
	if (service->master->cmdline->once)
		end_once(service, r);
}

/* ------------------------------------------------------------------------ to decide */

static enum channel_verdict verdict_of(enum admit_verdict verdict)
{
	switch (verdict) {
	case ADMIT_ONLY_FROM:
	case ADMIT_NO_ACCESS:
	case ADMIT_HOSTS_ACCESS:
	case ADMIT_BANNED:
	case ADMIT_TIMES:
		return CHANNEL_NOT_ALLOWED;
	default:
		return CHANNEL_BUSY;
	}
}

/* By that worker: it may have the socket since it was another's to serve. */
static bool may_serve(const struct worker *worker, const struct listener *listener)
{
	struct service *service = listener->service;

	return service->state == SERVICE_ACTIVE && service->paused_until == 0 &&
	       !service->master->leaving && !serve_is_clogged(service) &&
	       service_setup(service) && worker_of_socket(listener) == worker;
}

/* A slot for a program; who is passed on needs a record only. */
static bool has_slot(const struct service *service)
{
	if (service_conf_is_redirect(service->setup->conf))
		return child_table_has_room(service->master->children);
	return serve_has_slot(service);
}

static void tell_peer(const struct conn *conn)
{
	char peer[ADDR_TEXT_MAX];

	if (log_max_priority() >= LOG_DEBUG)
		log_debug("%sdatagrams from %s", conn->listener->service->label,
			account_show_conn(conn, peer));
}

/* Nobody is banned for a datagram: who has sent it is only what it says. */
static void refuse(
	struct offer *offer, struct conn *conn, enum admit_verdict verdict, uint64_t now)
{
	conn->number = conn->listener->service->master->next_connection++;
	record_refused(conn, verdict, 0, now);
	offer->verdict = verdict_of(verdict);
}

/* False: not now, there is no slot.  If he was let in, the worker knows. */
static bool decide(
	struct worker *worker, struct offer *offer, struct listener *listener, uint64_t now)
{
	struct service *service = listener->service;
	enum admit_verdict verdict;
	struct conn conn;

	if (!may_serve(worker, listener)) {
		offer->verdict = CHANNEL_BUSY;
		return true;
	}
	conn_of_peer(listener, &conn);
	learn_peer(offer, &conn);
	verdict = ask_gate(&conn, now);
	if (verdict == ADMIT_OK && !has_slot(service))
		return false;
	tell_peer(&conn);
	if (verdict == ADMIT_OK)
		let_in(worker, offer, &conn, now);
	else
		refuse(offer, &conn, verdict, now);
	return true;
}

static bool has_room(struct worker *worker)
{
	struct pollfd p = {.fd = worker->channel.requests, .events = POLLOUT};

	if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT))
		return true;
	worker_wait_for_room(worker);
	return false;
}

/* Is it answered?  Answers come in the order of the questions, for each socket. */
static bool settle(struct worker *worker, struct offer *offer, uint64_t now)
{
	struct child *child = find_socket(worker, &offer->session);

	/* Nobody wants to know any more: the socket is to be given back. */
	if (!child || child->unwanted || !child->listener)
		return true;
	if (child->put_off)
		return false;
	if (offer->verdict == 0) {
		child->put_off = !decide(worker, offer, child->listener, now);
		if (child->put_off)
			return false;
	}
	if (offer->verdict != CHANNEL_ADMITTED && tell(worker, offer, offer->verdict, -1) < 0) {
		child->put_off = true;
		return false;
	}
	child->n_offers--;
	return true;
}

static void begin_turn(const struct worker *worker)
{
	for (const struct offer *offer = worker->offers->first; offer; offer = offer->next) {
		struct child *child = find_socket(worker, &offer->session);

		if (child)
			child->put_off = false;
	}
}

/* Out of the list, with who was before it. */
static void drop(struct peer_offers *offers, struct offer **link, struct offer *before)
{
	struct offer *offer = *link;

	*link = offer->next;
	if (offers->last == offer)
		offers->last = before;
	free(offer);
}

void peer_turn(struct worker *worker, uint64_t now)
{
	struct offer *before = NULL, **link;

	if (!worker->process || !worker->offers || !worker->offers->first)
		return;
	begin_turn(worker);
	link = &worker->offers->first;
	/* There is room for some hundred. */
	while (*link && has_room(worker)) {
		if (settle(worker, *link, now)) {
			drop(worker->offers, link, before);
		} else {
			before = *link;
			link = &before->next;
		}
	}
}
