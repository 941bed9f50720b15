#include "master/hatch.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "master/arrival.h"
#include "master/environ.h"
#include "master/master.h"
#include "master/pause.h"
#include "master/record.h"
#include "master/starve.h"
#include "os/load_average.h"
#include "os/sockopt.h"

#include <assert.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Clients taken in one event, and sockets among which they are shared. */
#define ACCEPT_BATCH   16
#define LISTENER_BATCH 16

/* Descriptors of one service that may be on their way to be closed. */
#define CLOSING_MAX 256

/* ------------------------------------------------------------- accept */

/* Errors that concern this client alone, or the network (accept(2)): next, please. */
static bool transient(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case ENOPROTOOPT:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

static void conn_init(struct conn *conn, struct listener *listener, int fd)
{
	memset(conn, 0, sizeof *conn);
	conn->listener = listener;
	conn->fd = fd;
	conn->peer_cred.uid = (uid_t)-1;
}

/* Whom the client counts as; a UNIX one as its user. */
static void learn_source(struct conn *conn)
{
	const struct service_conf *conf = conn->listener->service->setup->conf;
	socklen_t len = sizeof conn->peer_cred;

	if (addr_family(listener_addr(conn->listener)) != AF_UNIX) {
		addr_source(
			&conn->peer, conf->source_prefix4, conf->source_prefix6, &conn->source);
		return;
	}

	if (getsockopt(conn->fd, SOL_SOCKET, SO_PEERCRED, &conn->peer_cred, &len) < 0)
		conn->peer_cred.uid = (uid_t)-1;
	addr_source_uid(conn->peer_cred.uid, &conn->source);
}

/* A wildcard listener does not know which of our addresses was meant. */
static void learn_local(struct conn *conn)
{
	const struct listener *listener = conn->listener;
	struct sockaddr_storage storage;
	socklen_t len = sizeof storage;

	conn->local = *listener_addr(listener);
	if (!addr_is_wildcard(&conn->local))
		return;
	if (getsockname(conn->fd, (struct sockaddr *)&storage, &len) == 0)
		addr_from_sockaddr(
			conn->local.kind, (struct sockaddr *)&storage, len, &conn->local);
}

static void learn_peer(struct conn *conn, const struct sockaddr *sa, socklen_t len)
{
	addr_from_sockaddr(listener_addr(conn->listener)->kind, sa, len, &conn->peer);
	learn_local(conn);
	learn_source(conn);
}

/* 1: a client; 0: none is waiting; else a negative errno. */
static int take_client(struct listener *listener, struct conn *conn)
{
	struct sockaddr_storage storage;
	socklen_t len = sizeof storage;
	int fd = accept4(listener->fd, (struct sockaddr *)&storage, &len, SOCK_CLOEXEC);

	/* If another waits behind the one that went wrong, the next event says so. */
	if (fd < 0)
		return errno == EAGAIN || transient(errno) ? 0 : -errno;

	conn_init(conn, listener, fd);
	sockopt_finish(fd, listener->service->setup->conf, listener_addr(listener));
	learn_peer(conn, (struct sockaddr *)&storage, len);
	return 1;
}

/* The same for the one that was accepted before.  False: he has left without being
 * served, and nobody knows any more who he was. */
static bool take_held(struct listener *listener, struct conn *conn)
{
	struct sockaddr_storage storage;
	socklen_t len = sizeof storage;

	conn_init(conn, listener, listener->held);
	conn->number = listener->held_number;
	listener->held = -EBADF;
	if (getpeername(conn->fd, (struct sockaddr *)&storage, &len) < 0)
		return false;
	learn_peer(conn, (struct sockaddr *)&storage, len);
	return true;
}

/* The program will accept, or receive, for itself. */
static void take_socket(struct listener *listener, struct conn *conn)
{
	conn_init(conn, listener, listener->fd);
	conn->local = *listener_addr(listener);
	conn->peer.kind = conn->local.kind;
}

/* ----------------------------------------------------------- decision */

/* The kernel computes it anew every five seconds. */
static uint32_t current_load(struct master *master)
{
	uint64_t now = clock_monotonic();

	if (master->load_at == 0 || now - master->load_at >= USEC_PER_SEC) {
		master->load_at = now;
		master->load = load_average();
	}
	return master->load;
}

/* What is known before anybody is accepted. */
static struct admit_request request_of(const struct service *service, uint64_t now)
{
	struct master *master = service->master;
	const struct service_conf *conf = service->setup->conf;
	struct admit_request request = {
		.total = (uint32_t)child_table_used(master->children),
		.total_limit = master->budget.total_instances,
		.instances = service->n_children,
		.instances_limit = service->instances,
		.per_source_limit = UINT32_MAX,
		.now = now,
		.sensor = service->sensor,
		.load = conf->max_load == COUNT_UNLIMITED ? 0 : current_load(master),
		.max_load = conf->max_load,
	};

	if (service->pace) {
		request.rate = service->pace->limit;
		request.bucket = service->pace->bucket;
	}
	return request;
}

/* The rules about who may come in; NULL: there are none.  What is retired is in the
 * image no longer, and has no clients either. */
static const uint8_t *rules_of(const struct service *service)
{
	if (service->retired || !service->master->image)
		return NULL;
	return image_access(service->master->image, service->index);
}

/* All groups of a UNIX client, of which SO_PEERCRED has but the first. */
static void learn_groups(
	const struct conn *conn, uint32_t groups[ACCESS_GROUPS_MAX], struct access_peer *peer)
{
	socklen_t len = (ACCESS_GROUPS_MAX - 1) * sizeof *groups;

	groups[0] = conn->peer_cred.gid;
	peer->groups = groups;
	peer->n_groups = 1;
	if (getsockopt(conn->fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &len) < 0)
		peer->more_groups = true;
	else
		peer->n_groups += len / sizeof *groups;
}

static enum access_verdict ask_rules(const struct conn *conn)
{
	const uint8_t *rules = rules_of(conn->listener->service);
	uint32_t groups[ACCESS_GROUPS_MAX];
	struct access_peer peer = {0};

	if (!rules)
		return ACCESS_OK;
	if (addr_family(&conn->local) != AF_UNIX) {
		addr_source(&conn->peer, 32, 128, &peer.who);
	} else {
		addr_source_uid(conn->peer_cred.uid, &peer.who);
		if (access_wants_groups(rules))
			learn_groups(conn, groups, &peer);
	}
	return access_ask(rules, &peer).verdict;
}

/* As what it is banned from all services, however these tell sources apart. */
static struct addr_source source_everywhere(const struct conn *conn)
{
	struct addr_source source = conn->source;

	if (conn->source.family == 4 || conn->source.family == 6)
		addr_source(&conn->peer, 32, 64, &source);
	return source;
}

/* By the clock on the wall, which may have jumped. */
static bool is_closed(const struct service *service)
{
	const struct hours *hours = service->setup->conf->hours;
	const struct hours_zone *zone = &image_conf(service->master->image)->zone;

	return hours && !hours_open(hours, hours_local(zone, clock_wall().tv_sec));
}

/* What is known of the one who asks. */
static void add_source(const struct conn *conn, struct admit_request *request)
{
	const struct service *service = conn->listener->service;
	const struct sources *sources = service->master->sources;
	struct source_facts facts = sources_look(sources, service->number, &conn->source);

	request->access = ask_rules(conn);
	request->from_source = facts.count;
	/* The children of a service that waits are nobody's in particular. */
	if (!service->wait)
		request->per_source_limit = service->setup->conf->per_source;
	request->source_rate = service->setup->conf->per_source_rate;
	request->source_bucket = facts.bucket;
	request->banned_until = facts.banned_until;
	if (sources_any_everywhere(sources)) {
		struct addr_source source = source_everywhere(conn);

		facts = sources_look(sources, SOURCES_EVERYWHERE, &source);
		if (facts.banned_until > request->banned_until)
			request->banned_until = facts.banned_until;
	}
}

static enum admit_verdict decide(const struct conn *conn, uint64_t now)
{
	const struct service *service = conn->listener->service;
	struct admit_request request = request_of(service, now);

	request.closed = is_closed(service);
	if (conn->source.family != 0)
		add_source(conn, &request);
	return admit(&request);
}

/* He has come in. */
static void count_client(const struct conn *conn, uint64_t now)
{
	struct service *service = conn->listener->service;
	const struct limit *limit = &service->setup->conf->per_source_rate;

	service_count_client(service, now);
	if (conn->source.family != 0 && limit_is_set(limit))
		sources_charge(
			service->master->sources, service->number, &conn->source, limit, now);
}

/* -------------------------------------------------------------- spawn */

static int stderr_of(const struct conn *conn)
{
	const struct service *service = conn->listener->service;

	switch (service->setup->conf->stderr_kind) {
	case STDERR_SOCKET:
		return conn->fd;
	case STDERR_LOG:
		if (service->log_stream >= 0)
			return service->log_stream;
		return log_target() == LOG_TARGET_STDERR ? STDERR_FILENO
		                                         : service->master->null_fd;
	default:
		return service->master->null_fd;
	}
}

static void plan_descriptors(const struct conn *conn, struct spawn_plan *plan)
{
	const struct service *service = conn->listener->service;
	bool passed = service->takes_all;
	bool on_socket = service->setup->conf->stderr_kind == STDERR_SOCKET;
	int null_fd = service->master->null_fd;

	plan->fds[0] = passed ? null_fd : conn->fd;
	plan->fds[1] = passed ? null_fd : conn->fd;
	plan->fds[2] = passed && on_socket ? null_fd : stderr_of(conn);
	plan->n_fds = 3;
	for (size_t i = 0; passed && i < service->n_listeners && plan->n_fds < SPAWN_FDS_MAX;
		i++)
		plan->fds[plan->n_fds++] = service->listeners[i]->fd;
}

static struct child *note_child(const struct conn *conn, struct spawn_slot *slot, uint64_t now)
{
	struct service *service = conn->listener->service;
	struct child *child = child_new(service->master->children);

	if (!child)
		return NULL;
	child->service = service;
	child->setup = setup_hold(service->setup);
	child->connection = conn->number;
	child->slot = slot;
	child->born = now;
	child->peer = conn->peer;
	child->local = conn->local;
	child->peer_cred = conn->peer_cred;
	child->source = conn->source;
	overdue_begin(child, conn->fd, now);
	return child;
}

static void count_child(struct child *child, const struct conn *conn)
{
	struct service *service = child->service;

	service_add_child(service, child);
	if (child->source.family != 0 &&
		sources_add(service->master->sources, service->number, &child->source) < 0)
		child->source.family = 0;
	if (!service->wait)
		return;
	child->listener = conn->listener;
	conn->listener->child = child;
	conn->listener->lent = true;
	if (!service->takes_all)
		return;
	service->wait_child = child;
	for (uint32_t i = 0; i < service->n_listeners; i++)
		service->listeners[i]->lent = true;
}

static void tell_start(const struct child *child, const struct conn *conn)
{
	const struct service *service = child->service;
	char text[ADDR_TEXT_MAX];

	if (log_max_priority() < LOG_DEBUG)
		return;
	if (service->takes_all)
		log_debug("%schild %d: descriptors 3 to %u are the listening sockets",
			service->label, child->pid, 2 + service->n_listeners);
	else if (service->wait)
		log_debug("%schild %d: descriptors 0 and 1 are the socket %s", service->label,
			child->pid, addr_format(&conn->local, text));
	else
		log_debug("%schild %d: descriptors 0 and 1 are the connection", service->label,
			child->pid);
}

static int start_child(struct child *child, const struct conn *conn)
{
	struct service *service = child->service;
	struct master *master = service->master;
	struct spawn_plan *plan = spawn_slot_plan(child->slot);
	int r;

	plan->recipe = &child->setup->recipe;
	plan_descriptors(conn, plan);
	r = environ_fill(conn, child->setup->conf, plan);
	if (r < 0)
		return r;
	r = spawn_slot_start(master->spawner, child->slot, child, &child->pid, &child->pidfd);
	if (r < 0)
		return r;

	/* Our copy of the connection stays open, under its number, until the
	 * child has its own. */
	if (!service->wait)
		child->conn = conn->fd;
	count_child(child, conn);
	master->slot_delay = USEC_PER_MSEC;
	return 0;
}

/* It is hatchd that lacks something, or its machine: try again in a moment. */
static bool shortage(int error)
{
	return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE ||
	       error == ENOBUFS || error == ENOSPC;
}

static void not_started(struct child *child, int r, uint64_t now)
{
	struct service *service = child->service;
	char reason[128];

	spawn_slot_cancel(service->master->spawner, child->slot);
	child->slot = NULL;
	if (shortage(-r)) {
		snprintf(reason, sizeof reason, "unable to clone a child: %s", strerror(-r));
		service_pause(service, PAUSE_MACHINE, reason);
	} else {
		record_not_started(child, "clone", -r, now);
		service_pause(service, PAUSE_SUSPECT, NULL);
	}
	child_free(service->master->children, child);
}

/* Nobody has it but us; a UNIX client can have put something into it that takes
 * its time to be let go, and what a driver of vsock waits for is its own affair. */
static void drop_client(struct listener *listener, int fd, uint64_t now)
{
	if (listener->is_ip)
		fd_close(fd);
	else
		service_close_later(listener->service, fd, now);
}

static void hold_client(const struct conn *conn)
{
	conn->listener->held = conn->fd;
	conn->listener->held_number = conn->number;
}

void hatch_drop_held(struct listener *listener, uint64_t now)
{
	if (listener->held < 0)
		return;
	drop_client(listener, listener->held, now);
	listener->held = -EBADF;
}

/* The connection is ours no longer when this returns. */
static int hatch(struct conn *conn, uint64_t now)
{
	struct service *service = conn->listener->service;
	struct master *master = service->master;
	struct spawn_slot *slot = spawner_take(master->spawner);
	struct child *child;
	int r;

	assert(slot); /* room_for_one() has looked */

	if (conn->number == 0)
		conn->number = master->next_connection++;
	child = note_child(conn, slot, now);
	assert(child);

	r = start_child(child, conn);
	if (r < 0) {
		if (!service->wait && shortage(-r))
			hold_client(conn);
		else if (!service->wait)
			drop_client(conn->listener, conn->fd, now);
		not_started(child, r, now);
		return r;
	}
	child_watch(master->children, child, now);
	tell_start(child, conn);
	return 0;
}

/* --------------------------------------------------------- the event */

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

/* Somebody keeps many of its connections from being closed. */
static bool clogged(const struct service *service)
{
	return service_closing(service) > CLOSING_MAX;
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
	struct admit_request request = request_of(service, now);
	enum admit_verdict verdict = admit(&request);

	if (verdict != ADMIT_OK && refuses(listener, verdict))
		return true;
	switch (verdict) {
	case ADMIT_OK:
		if (fair_share(service))
			return true;
		service_starve(service);
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

/* For how long one who was refused for that is to be refused for everything; 0: not. */
static uint64_t ban_for(const struct conn *conn, enum admit_verdict verdict)
{
	const struct service_conf *conf = conn->listener->service->setup->conf;

	if (conn->source.family == 0)
		return 0;
	if (verdict == ADMIT_SENSOR)
		return conf->ban_time;
	if (verdict == ADMIT_PER_SOURCE || verdict == ADMIT_PER_SOURCE_RATE)
		return conf->overflow_source;
	return 0;
}

/* Who is banned and comes back is not banned for longer (I6). */
static void ban(const struct conn *conn, uint64_t duration, uint64_t now)
{
	const struct service *service = conn->listener->service;
	struct addr_source source = source_everywhere(conn);
	uint64_t until = now + duration;

	if (service->sensor || service->setup->conf->ban_scope == BAN_ALL)
		sources_ban(service->master->sources, SOURCES_EVERYWHERE, &source, until, now);
	else
		sources_ban(
			service->master->sources, service->number, &conn->source, until, now);
}

static void refuse(struct conn *conn, enum admit_verdict verdict, uint64_t now)
{
	uint64_t duration = ban_for(conn, verdict);

	conn->number = conn->listener->service->master->next_connection++;
	if (duration > 0)
		ban(conn, duration, now);
	record_refused(conn, verdict, duration, now);
	drop_client(conn->listener, conn->fd, now);
}

/* Nobody may be banned for a datagram: who has sent it is only what it says.  False: it is
 * gone already. */
static bool refuse_datagram(struct conn *conn, enum admit_verdict verdict, uint64_t now)
{
	if (!arrival_sender(conn->listener, &conn->peer))
		return false;
	conn->number = conn->listener->service->master->next_connection++;
	learn_source(conn);
	record_refused(conn, verdict, 0, now);
	arrival_drop(conn->listener);
	return true;
}

/* The next client of a service that waits.  A datagram is thrown away, or it would wake us
 * for ever; who has connected cannot be turned away without being taken, and waits.
 * True: there may be another. */
static bool refuse_arrival(struct conn *conn, enum admit_verdict verdict, uint64_t now)
{
	struct service *service = conn->listener->service;

	if (arrival_has_sender(conn->listener))
		return refuse_datagram(conn, verdict, now);
	if (verdict == ADMIT_TIMES) {
		record_waits(service, verdict, now);
		service_look_away_longer(service, now);
	}
	return false;
}

static void tell_accept(const struct conn *conn)
{
	char peer[ADDR_TEXT_MAX];

	if (log_max_priority() >= LOG_DEBUG)
		log_debug("%saccept from %s", conn->listener->service->label,
			record_peer(&conn->peer, &conn->peer_cred, peer));
}

/* The one client of --once has been served, or never will be; who is held will be. */
static void end_once(struct service *service, const struct conn *conn, int r)
{
	if (conn->listener->held >= 0)
		return;
	service_close(service);
	if (r < 0)
		master_exit(service->master, ONCE_FAILED);
}

/* False: no more from this socket now. */
static bool serve_conn(struct conn *conn, uint64_t now)
{
	struct service *service = conn->listener->service;
	enum admit_verdict verdict = decide(conn, now);
	int r;

	if (verdict != ADMIT_OK) {
		refuse(conn, verdict, now);
		return true;
	}
	r = hatch(conn, now);
	if (r >= 0)
		count_client(conn, now);
	if (service->master->cmdline->once)
		end_once(service, conn, r);
	return r >= 0;
}

/* One client.  False: no more from this socket now. */
static bool serve_client(struct listener *listener, uint64_t now)
{
	struct service *service = listener->service;
	struct conn conn;
	char reason[128];
	int r;

	r = take_client(listener, &conn);
	if (r == 0)
		return false;
	if (r < 0) {
		snprintf(reason, sizeof reason, "unable to accept: %s", strerror(-r));
		service_pause(service, PAUSE_MACHINE, reason);
		return false;
	}
	tell_accept(&conn);
	return serve_conn(&conn, now);
}

/* Without a word about it: he waits, and it is tried again. */
static bool is_room(const struct service *service, uint64_t now)
{
	struct admit_request request = request_of(service, now);

	return admit(&request) == ADMIT_OK && fair_share(service);
}

void hatch_held(struct service *service, uint64_t now)
{
	if (!service_setup(service))
		return;
	for (size_t i = 0; i < service->n_listeners && is_room(service, now); i++) {
		struct listener *listener = service->listeners[i];
		struct conn conn;

		if (listener->held < 0)
			continue;
		/* A reload may have changed whom its clients are for. */
		if (service->wait)
			hatch_drop_held(listener, now);
		else if (!take_held(listener, &conn))
			drop_client(listener, conn.fd, now);
		else if (!serve_conn(&conn, now))
			break;
	}
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

static bool limits_sources(const struct service *service)
{
	return rules_of(service) || limit_is_set(&service->setup->conf->per_source_rate) ||
	       sources_any_everywhere(service->master->sources);
}

/* Whose datagram is the next, if that makes a difference.  False: there is none, such as
 * after those that were refused. */
static bool learn_sender(struct conn *conn)
{
	if (!arrival_has_sender(conn->listener) || !limits_sources(conn->listener->service))
		return true;
	if (!arrival_sender(conn->listener, &conn->peer))
		return false;
	learn_source(conn);
	return true;
}

/* True: there may be another, this one was refused. */
static bool serve_socket(struct listener *listener, uint64_t now)
{
	struct conn conn, client;
	enum admit_verdict verdict;

	take_socket(listener, &conn);
	client = conn;
	if (!learn_sender(&client))
		return false;
	verdict = decide(&client, now);
	if (verdict != ADMIT_OK)
		return refuse_arrival(&client, verdict, now);
	note_arrivals(listener);
	if (hatch(&conn, now) >= 0)
		count_client(&client, now);
	return false;
}

/* At most so many clients of one listener. */
static void serve_listener(struct listener *listener, int most, uint64_t now)
{
	struct service *service = listener->service;

	/* What it says is in memory from here on, until the next event. */
	if (!service_setup(service)) {
		service_pause(service, PAUSE_MACHINE, NULL);
		return;
	}
	if (clogged(service)) {
		service_pause(service, PAUSE_SUSPECT, "its connections cannot be closed");
		return;
	}
	for (int i = 0; i < most && room_for_one(listener, now); i++) {
		bool more = service->wait ? serve_socket(listener, now)
		                          : serve_client(listener, now);

		if (!more || service->state != SERVICE_ACTIVE)
			break;
	}
	service_update(service);
	if (service_is_full(service))
		record_full(service, now);
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

int hatch_on_clients(sd_event_source *source, int fd, uint32_t revents, void *userdata)
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
