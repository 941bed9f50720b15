#include "master/serve.h"

#include "base/clock.h"
#include "base/log.h"
#include "master/account.h"
#include "master/arrival.h"
#include "master/caller.h"
#include "master/conn.h"
#include "master/gate.h"
#include "master/hatch.h"
#include "master/inquiry.h"
#include "master/master.h"
#include "master/pass.h"
#include "master/pause.h"
#include "master/record.h"
#include "master/starve.h"
#include "master/worker.h"

#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

/* Clients taken in one event, and sockets among which they are shared. */
#define ACCEPT_BATCH   16
#define LISTENER_BATCH 16

/* Descriptors of one service that may be on their way to be closed. */
#define CLOSING_MAX 256

/*
 * A service may hold half as many slots as are free: however many of them do
 * not give theirs back, the next one finds some.
 */
static bool fair_share(const struct service *service)
{
	unsigned free_slots = SPAWN_SLOTS - spawner_in_flight(service->master->spawner);

	if (service->n_in_flight == 0)
		return free_slots > 0;
	return service->n_in_flight < SPAWN_SLOTS_PER_OWNER &&
	       service->n_in_flight <= free_slots / 2;
}

bool serve_has_slot(const struct service *service)
{
	return child_table_has_room(service->master->children) && fair_share(service);
}

/* Also by what was sent to its programs, which counts by itself: it is none of its clients'. */
bool serve_is_clogged(const struct service *service)
{
	return service_closing(service) + readinesses_left_by(service) > CLOSING_MAX;
}

/* And a record, as above: there are more than clients may be, but not for as many workers'
 * things as there are. */
static bool has_place(const struct worker *worker)
{
	return child_table_has_room(worker->master->children) && worker_has_room(worker);
}

/* Is there something that can serve one more: a slot for his program, a place at the
 * worker? */
static bool can_serve(const struct service *service, bool is_ip)
{
	const struct worker *worker = worker_of(service, is_ip);

	return worker ? has_place(worker) && backend_has_room(service)
	              : serve_has_slot(service);
}

/* The first that one more client has to do with: who hears him, who is asked about him, for
 * which there is always room, or who serves him. */
static bool can_be_served(const struct listener *listener)
{
	const struct service *service = listener->service;
	const struct worker *words = worker_of_words(service, listener->is_ip);
	const struct worker *asked = worker_of_questions(service);

	if (words)
		return worker_has_room(words);
	return asked ? !worker_is_paused(asked) : can_serve(service, listener->is_ip);
}

/* Slots and places are told of when they come free, the end of a worker's pause is not. */
static void wait_for(struct service *service, const struct worker *worker, uint64_t now)
{
	if (worker && worker_is_paused(worker))
		service_look_away(service, now);
	else
		service_starve(service);
}

static void wait_to_be_served(const struct listener *listener, uint64_t now)
{
	struct service *service = listener->service;
	const struct worker *first = worker_of_words(service, listener->is_ip);

	if (!first)
		first = worker_of_questions(service);
	if (!first && !backend_has_room(service))
		backend_let_wait(service, now);
	else
		wait_for(service, first ? first : worker_of(service, listener->is_ip), now);
}

/* Is somebody who cannot come in told so, instead of waiting?  A connection is accepted
 * for that, a datagram thrown away; what else a program waits for is not ours to touch. */
static bool refuses(const struct listener *listener, enum admit_verdict verdict)
{
	const struct service *service = listener->service;

	if (service->sensor)
		return true;
	if (!service->refuses || !service->wait)
		return service->refuses;
	return (verdict == ADMIT_RATE || verdict == ADMIT_LOAD) && arrival_has_sender(listener);
}

/* May one more come in, or be refused, whoever it is?  If not, they wait in the
 * kernel's queue. */
static bool room_for_one(struct listener *listener, uint64_t now)
{
	struct service *service = listener->service;
	enum admit_verdict verdict = gate_before_choice(service, now);

	if (verdict != ADMIT_OK && refuses(listener, verdict))
		return true;
	switch (verdict) {
	case ADMIT_OK:
		if (can_be_served(listener))
			return true;
		wait_to_be_served(listener, now);
		return false;
	case ADMIT_TOTAL:
		service_starve(service);
		record_full_total(service->master, now);
		return false;
	case ADMIT_RATE:
		service_wait_for_token(service, now);
		record_paced(service, now);
		return false;
	case ADMIT_LOAD:
		record_waits(service, ADMIT_LOAD, now);
		service_look_away_longer(service, now);
		return false;
	default:
		record_full(service, now);
		return false;
	}
}

static void refuse(struct conn *conn, enum admit_verdict verdict, uint64_t now)
{
	if (conn->number == 0)
		conn->number = conn->service->master->next_connection++;
	record_refused(conn, verdict, gate_ban(conn, verdict, now), now);
	if (!caller_deny(conn, now))
		conn_drop(conn, now);
}

/* The socket is ready, and has nobody.  A program that had it may have left an error in it,
 * which is cleared, or have shut it down for ever. */
static void serve_nobody(struct listener *listener)
{
	if (!arrival_clear(listener))
		service_pause(listener->service, PAUSE_SUSPECT,
			"its socket is ready, but there is nothing to take");
}

/* Nobody may be banned for a datagram: who has sent it is only what it says. */
static void refuse_datagram(struct conn *conn, enum admit_verdict verdict, uint64_t now)
{
	if (!arrival_sender(conn->listener, &conn->peer)) {
		serve_nobody(conn->listener);
		return;
	}
	conn->number = conn->service->master->next_connection++;
	conn_learn_source(conn);
	record_refused(conn, verdict, 0, now);
	arrival_drop(conn->listener);
}

/* The next client of a service that waits.  A datagram is thrown away, or it would wake us
 * for ever; who has connected cannot be turned away without being taken, and waits. */
static void refuse_arrival(struct conn *conn, enum admit_verdict verdict, uint64_t now)
{
	struct service *service = conn->service;

	if (arrival_has_sender(conn->listener)) {
		refuse_datagram(conn, verdict, now);
	} else if (verdict == ADMIT_TIMES) {
		record_waits(service, verdict, now);
		service_look_away_longer(service, now);
	}
}

static void tell_accept(const struct conn *conn)
{
	char peer[ADDR_TEXT_MAX];

	if (log_max_priority() >= LOG_DEBUG)
		log_debug("%saccept from %s", conn->service->label,
			account_show_conn(conn, peer));
}

/* The one client of --once has been served, or never will be; who is held will be. */
static void end_once(struct service *service, const struct conn *conn, int r)
{
	if (conn->held)
		return;
	service_close(service);
	if (r < 0)
		master_exit(service->master, ONCE_FAILED);
}

/* To his program, or to the worker who serves him. */
static int let_in(struct conn *conn, uint64_t now)
{
	struct service *service = conn->service;
	int r;

	r = worker_of(service, conn->listener->is_ip) ? pass(conn, now) : hatch(conn, now);
	if (r >= 0) {
		gate_count(conn, now);
		stats_let_in(conn, now);
	}
	if (service->master->cmdline->once)
		end_once(service, conn, r);
	return r;
}

/* To the worker who hears him.  A tcpmux has no other clients than these. */
static int let_speak(struct conn *conn, uint64_t now)
{
	int r = caller_begin(conn, now);

	if (r >= 0 && conn->service->setup->conf->builtin == BUILTIN_TCPMUX)
		gate_count(conn, now);
	return r;
}

/* False: no more from this socket now. */
static bool serve_conn(struct conn *conn, uint64_t now)
{
	enum admit_verdict verdict = gate_first(conn, now);

	if (verdict != ADMIT_OK) {
		refuse(conn, verdict, now);
		return true;
	}
	if (worker_of_words(conn->service, conn->listener->is_ip))
		return let_speak(conn, now) >= 0;
	if (worker_of_questions(conn->service))
		return caller_ask(conn, now) >= 0;
	return let_in(conn, now) >= 0;
}

/* What will pass, and who comes in that case waits for it. */
static bool is_passing(const struct service *service, enum admit_verdict verdict)
{
	return !service->refuses && (verdict == ADMIT_INSTANCES || verdict == ADMIT_TOTAL ||
					    verdict == ADMIT_RATE || verdict == ADMIT_LOAD);
}

enum admit_verdict serve_judge(const struct conn *conn, uint64_t now)
{
	struct service *service = conn->service;
	enum admit_verdict verdict;

	if (service->state != SERVICE_ACTIVE)
		return ADMIT_TCPMUX;
	if (!service_setup(service))
		return ADMIT_OK;
	verdict = gate_ask(conn, now);
	return is_passing(service, verdict) ? ADMIT_OK : verdict;
}

enum admit_verdict serve_judge_choice(const struct conn *conn, uint64_t now)
{
	enum admit_verdict verdict = gate_choice(conn, now);

	return is_passing(conn->service, verdict) ? ADMIT_OK : verdict;
}

/* The same without waiting for what will pass. */
static bool is_his_turn(const struct conn *conn, enum admit_verdict verdict)
{
	const struct service *service = conn->service;

	return verdict != ADMIT_OK ? !is_passing(service, verdict)
	                           : can_serve(service, conn->listener->is_ip);
}

bool serve_could(const struct conn *conn, uint64_t now)
{
	const struct service *service = conn->service;

	return !service->setup || is_his_turn(conn, gate_before(service, now));
}

bool serve_caller(struct conn *conn, uint64_t now)
{
	struct service *service = conn->service;
	enum admit_verdict verdict;

	if (service->state != SERVICE_ACTIVE) {
		conn_drop(conn, now);
		return true;
	}
	if (service->paused_until != 0 || !service_setup(service) || inquiry_is_needed(conn))
		return false;
	verdict = gate_ask(conn, now);
	if (!is_his_turn(conn, verdict))
		return false;
	if (verdict != ADMIT_OK) {
		refuse(conn, verdict, now);
		return true;
	}
	let_in(conn, now);
	service_update(service);
	return !conn->held;
}

/* One client.  False: no more from this socket now. */
static bool serve_client(struct listener *listener, uint64_t now)
{
	struct service *service = listener->service;
	struct conn conn;
	char reason[128];
	int r;

	r = conn_accept(listener, &conn);
	if (r == 0)
		return false;
	if (r < 0) {
		snprintf(reason, sizeof reason, "unable to accept: %s", strerror(-r));
		service_pause(service, PAUSE_MACHINE, reason);
		return false;
	}
	conn.accepted = now;
	stats_accepted(&conn);
	tell_accept(&conn);
	return serve_conn(&conn, now);
}

/* Is it his turn, to come in or to be refused?  Without a word if it is not: he waits, and it
 * is tried again. */
static bool may_go_on(const struct listener *listener, uint64_t now)
{
	enum admit_verdict verdict = gate_before_choice(listener->service, now);

	if (verdict != ADMIT_OK)
		return refuses(listener, verdict);
	return can_be_served(listener);
}

/* False: no more from this service now, whose sockets are closed when it has served the one
 * client of --once. */
static bool serve_held_of(struct service *service, size_t i, uint64_t now)
{
	struct conn conn;

	while (i < service->n_listeners && service_setup(service)) {
		struct listener *listener = service->listeners[i];

		if (!conn_next_held(listener))
			break;
		/* A reload may have changed whom its clients are for. */
		if (service->wait)
			conn_drop_held(listener, now);
		else if (!may_go_on(listener, now))
			break;
		else if (!conn_take_held(listener, &conn))
			conn_drop(&conn, now);
		else if (!serve_conn(&conn, now) || conn.held)
			return false;
	}
	return true;
}

void serve_held(struct service *service, uint64_t now)
{
	worker_resume(service, now);
	for (size_t i = 0; i < service->n_listeners; i++)
		if (!serve_held_of(service, i, now))
			break;
}

/* Who gets all sockets may serve any of them. */
static void note_arrivals(struct listener *listener)
{
	struct service *service = listener->service;

	if (!service->takes_all) {
		arrival_note(listener);
		return;
	}
	for (size_t i = 0; i < service->n_listeners; i++)
		arrival_note(service->listeners[i]);
}

/* Whose datagram is the next, if that makes a difference.  False: there is none. */
static bool learn_sender(struct conn *conn)
{
	if (!arrival_has_sender(conn->listener) || !gate_minds_sources(conn->service))
		return true;
	if (!arrival_sender(conn->listener, &conn->peer))
		return false;
	conn_learn_source(conn);
	return true;
}

static void serve_socket(struct listener *listener, uint64_t now)
{
	struct conn conn, client;
	enum admit_verdict verdict;

	conn_of_socket(listener, &conn);
	client = conn;
	if (!learn_sender(&client)) {
		serve_nobody(listener);
		return;
	}
	verdict = gate_ask(&client, now);
	if (verdict != ADMIT_OK) {
		refuse_arrival(&client, verdict, now);
		return;
	}
	note_arrivals(listener);
	if (hatch(&conn, now) >= 0)
		gate_count(&client, now);
}

/* All datagrams from now on: the worker looks who has sent each. */
static void serve_by_worker(struct listener *listener, uint64_t now)
{
	const struct worker *worker = worker_of_socket(listener);
	struct service *service = listener->service;

	if (has_place(worker))
		pass_socket(listener, now);
	else
		wait_for(service, worker, now);
	service_update(service);
}

/* At most so many clients of one listener.  Of a service that waits it is one, who gets
 * the socket; if he is refused, the next look reports the socket again. */
static void serve_listener(struct listener *listener, int most, uint64_t now)
{
	struct service *service = listener->service;

	/* What it says is in memory from here on, until the next event. */
	if (!service_setup(service)) {
		service_pause(service, PAUSE_MACHINE, NULL);
		return;
	}
	if (serve_is_clogged(service)) {
		service_pause(service, PAUSE_SUSPECT, "its connections cannot be closed");
		return;
	}
	if (listener->is_datagram && !service->wait) {
		serve_by_worker(listener, now);
		return;
	}
	for (int i = 0; i < most && service_setup(service) && room_for_one(listener, now);
		i++) {
		if (service->wait) {
			serve_socket(listener, now);
			break;
		}
		if (!serve_client(listener, now) || !service_takes_in(service))
			break;
	}
	service_update(service);
	if (service_is_full(service))
		record_full(service, now);
}

/* Was there nobody, or did only one of them go wrong? */
static bool is_ready(const struct listener *listener)
{
	struct pollfd poll_fd = {.fd = listener->fd, .events = POLLIN};

	return poll(&poll_fd, 1, 0) > 0;
}

/* Nobody is held before him, and there is a place. */
static bool is_next(const struct listener *listener, uint64_t now)
{
	return conn_count_held(listener) == 0 && listener->service->paused_until == 0 &&
	       may_go_on(listener, now);
}

/* One of the last.  False: no more can be taken. */
static bool serve_last_client(struct listener *listener, bool next, uint64_t now)
{
	struct service *service = listener->service;
	struct conn conn;
	int r = conn_accept(listener, &conn);

	if (r < 0)
		log_warning("%sunable to accept: %s, closing a socket where clients wait",
			service->label, strerror(-r));
	if (r <= 0)
		return r == 0 && is_ready(listener);
	conn.accepted = now;
	stats_accepted(&conn);
	tell_accept(&conn);
	if (!next)
		return conn_hold_behind(&conn) == 0;
	serve_conn(&conn, now);
	return true;
}

int serve_last(struct listener *listener, int most, bool holds, uint64_t now)
{
	struct service *service = listener->service;
	int n;

	for (n = 0; n < most && service_setup(service); n++) {
		bool next = is_next(listener, now);

		if ((!next && !holds) || !serve_last_client(listener, next, now))
			break;
	}
	return n;
}

/*
 * Where many services have a client each, a second accept finds nobody.  Where
 * it would have found somebody, the next look reports the socket again.
 */
static int how_many(struct listener *listener, int n_reported)
{
	struct master *master = listener->service->master;
	bool crowded = listener->look + 1 == master->looks;

	listener->look = master->looks;
	return crowded ? ACCEPT_BATCH / n_reported : 1;
}

int serve_on_clients(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct epoll_event events[LISTENER_BATCH];
	struct master *master = userdata;
	uint64_t now = clock_monotonic();
	int n = epoll_wait(fd, events, LISTENER_BATCH, 0);

	(void)source;
	(void)revents;
	master->looks++;
	for (int i = 0; i < n && !master->done; i++) {
		struct listener *listener = events[i].data.ptr;

		/* One before it may have had its service look away. */
		if (listener->polled)
			serve_listener(listener, how_many(listener, n), now);
		/* With the one client of --once all listeners go. */
		if (master->cmdline->once)
			break;
	}
	return 0;
}
