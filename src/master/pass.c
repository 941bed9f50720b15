#include "master/pass.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log-gate.h"
#include "base/log.h"
#include "base/own.h"
#include "base/redirect.h"
#include "master/admitted.h"
#include "master/backend.h"
#include "master/findings.h"
#include "master/master.h"
#include "master/pause.h"
#include "master/record.h"
#include "master/serve.h"
#include "master/service.h"
#include "master/starve.h"
#include "master/worker-channel.h"

#include <assert.h>
#include <string.h>
#include <sys/uio.h>

static void request_init(
	struct channel_request *ret, enum channel_request_kind kind, const struct child *child)
{
	const struct channel_session session = {
		.connection = child->connection,
		.place = child->place,
	};

	channel_request_init(ret, kind, &session);
}

/* What has to be known for it, in the order in which it is written. */
struct text {
	const void *rules; /* policy/access; NULL: none */
	size_t rules_len;
	const void *rest; /* NULL: there is none */
	size_t rest_len;
	struct wire_writer wire; /* holds it, if it had to be made */
};

/* It goes along as a descriptor: it may be long, and a worker opens no files.  -EBADF: there
 * is nothing. */
static int write_text(const struct text *text)
{
	const struct iovec parts[] = {
		{.iov_base = (void *)text->rules, .iov_len = text->rules_len},
		{.iov_base = (void *)text->rest, .iov_len = text->rest_len},
	};

	if (!text->rules && !text->rest)
		return -EBADF;
	return fd_new_memory("hatchd-text", parts, ARRAY_SIZE(parts));
}

/* Where they are, if some are written by their names.  Those who send datagrams have others
 * than those who connect. */
static uint32_t choose_targets(const struct child *child, struct addr *ret)
{
	const struct service_conf *conf = child->setup->conf;
	bool by_name = conf->target_names && child->findings;
	const struct addr *all = by_name ? child->findings->targets : conf->targets;
	size_t n_all = by_name ? child->findings->n_targets : conf->n_targets;
	uint32_t n = 0;

	for (size_t i = 0; i < n_all; i++)
		if (addr_is_datagram(&all[i]) == child->posted)
			ret[n++] = all[i];
	return n;
}

/* The one that is started on demand, if there is one among them. */
static void await_backend(const struct service_conf *conf, struct redirect *redirect)
{
	if (!service_conf_has_backend(conf))
		return;
	for (uint32_t i = 0; i < redirect->n_targets; i++) {
		if (!addr_equal(&redirect->targets[i], &conf->targets[conf->backend_target]))
			continue;
		redirect->awaited = i;
		redirect->await_timeout = conf->backend_start_timeout;
		return;
	}
}

static void add_redirect(const struct child *child, struct text *text)
{
	const struct service_conf *conf = child->setup->conf;
	struct addr targets[REDIRECT_TARGETS_MAX];
	struct redirect redirect = {
		.service = child->service->number,
		.order = (enum redirect_order)conf->redirect_order,
		.proxy = (enum redirect_proxy)conf->send_proxy,
		.connect_timeout = conf->connect_timeout,
		.n_targets = choose_targets(child, targets),
		.targets = targets,
	};

	await_backend(conf, &redirect);
	redirect_put(&text->wire, &redirect);
	text->rest = text->wire.data;
	text->rest_len = text->wire.len;
}

/* The master has looked who a client is, and is asked who sends datagrams to a program; who
 * sends them to what is built in is the worker's to look at. */
static void gather_text(const struct child *child, struct text *text)
{
	const struct service_conf *conf = child->setup->conf;
	const struct service *service = child->service;

	text->rest = conf->reply;
	text->rest_len = conf->reply_len;
	if (service_conf_is_redirect(conf))
		add_redirect(child, text);
	if (child->posted && service_conf_is_builtin(conf))
		text->rules = image_access_bytes(
			service->master->image, service->index, &text->rules_len);
}

static int make_text(const struct child *child, uint32_t *ret_rules_len)
{
	struct text text = {0};
	int r;

	wire_writer_init(&text.wire);
	gather_text(child, &text);
	*ret_rules_len = (uint32_t)text.rules_len;
	r = text.wire.error ? text.wire.error : write_text(&text);
	wire_writer_done(&text.wire);
	return r;
}

/* What is to be done with it, as that worker understands it. */
static void put_task(const struct child *child, struct channel_request *request)
{
	const struct service_conf *conf = child->setup->conf;

	if (service_conf_is_builtin(conf)) {
		request->what = (uint16_t)conf->builtin;
	} else if (child->on_pair) {
		request->what = CHANNEL_OF_PAIR;
	} else if (child->posted) {
		if (conf->per_datagram && !service_conf_is_redirect(conf))
			request->what = CHANNEL_PER_DATAGRAM;
		request->patience = conf->session_timeout;
	}
}

static int send_to(const struct worker *worker, const struct child *child, int fd)
{
	struct channel_request request;
	uint32_t rules_len;
	_cleanup_close_ int text = make_text(child, &rules_len);
	int fds[] = {fd, text};

	if (text < 0 && text != -EBADF)
		return text;
	request_init(&request, CHANNEL_SERVE, child);
	put_task(child, &request);
	request.is_socket = child->posted;
	request.has_text = text >= 0;
	request.rules_len = rules_len;
	request.peer = child->peer;
	request.local = child->local;
	return channel_send(&worker->channel, &request, fds, text >= 0 ? 2 : 1);
}

static void take_place(struct worker *worker, struct child *child)
{
	assert(worker->n_free > 0);
	child->worker = worker;
	child->place = worker->free[--worker->n_free];
	worker->sessions[child->place] = child;
	worker->n_posted += child->posted;
}

static void leave_place(struct child *child)
{
	struct worker *worker = child->worker;

	worker->sessions[child->place] = NULL;
	worker->free[worker->n_free++] = child->place;
	worker->n_posted -= child->posted;
	worker->n_to_end -= child->end_wanted;
	child->end_wanted = false;
}

/* Until it has been sent, everything can be taken back. */
static int send_new(struct worker *worker, struct child *child, int fd)
{
	int r;

	take_place(worker, child);
	child->workers_tried = 1;
	r = send_to(worker, child, fd);
	if (r == 0) {
		log_debug("%s%s %llu: passed to child %d, %s", child->service->label,
			child->posted ? "socket" : "connection",
			(unsigned long long)child->connection, worker->process->pid,
			worker_name(worker));
		return 0;
	}
	leave_place(child);
	child_free(worker->master->children, child);
	/* It has ended, or does not listen any more. */
	if (r == -EPIPE)
		worker_kill(worker, NULL);
	return r;
}

void pass_failed(struct service *service, struct worker *worker, int r)
{
	/* A worker that has all it can do, or has just died, is tried again soon; one that is
	 * not there later and later. */
	enum pause_why why = r == -ENOENT || r == -EACCES ? PAUSE_BROKEN : PAUSE_MACHINE;
	char reason[128];

	/* It reads in a moment, or is found not to. */
	if (r == -EAGAIN) {
		worker_is_full(worker);
		service_look_away(service, clock_monotonic());
		if (log_once_a_minute(&service_told(service)->pause, clock_monotonic()))
			log_warning("%s%s has all it can do, new clients wait", service->label,
				worker_name(worker));
		return;
	}
	snprintf(reason, sizeof reason, "unable to pass a connection to %s: %s",
		worker_name(worker), strerror(-r));
	service_pause(service, why, reason);
}

static int begin(struct worker *worker, struct conn *conn, uint64_t now)
{
	struct child *child = admitted_note(conn, now);
	int r = send_new(worker, child, conn_program_fd(conn));

	if (r < 0)
		return r;
	admitted_count(child);
	backend_enter(child);
	conn->child = child;
	child_begin(worker->master->children, child);
	follow_open(child, now);
	return 0;
}

/* Worker and backend, where they had to be started for him, have one each. */
static bool has_record(struct service *service)
{
	if (child_table_has_room(service->master->children))
		return true;
	service_starve(service);
	return false;
}

int pass(struct conn *conn, uint64_t now)
{
	struct service *service = conn->service;
	struct worker *worker = worker_of(service, conn->listener->is_ip);
	int r = worker_need(worker, now);

	if (r == 0 && (backend_need(service, now) < 0 || !has_record(service))) {
		conn_hold(conn);
		return -EAGAIN;
	}
	if (r == 0)
		r = begin(worker, conn, now);
	if (r < 0) {
		conn_hold(conn); /* he waits with his listener */
		pass_failed(service, worker, r);
		return r;
	}
	service_recovered(service);
	worker_ask(worker, now);
	/* The worker has its own by now, and may hold its lock.  Of a stream pair the copy
	 * stays with who has made it. */
	if (conn->pair < 0)
		service_close_copy_later(service, conn->fd, conn->number, now);
	return 0;
}

int pass_peer(
	struct worker *worker, struct conn *conn, struct channel_request *verdict, uint64_t now)
{
	struct child *child;
	int r;

	if (worker->n_free == 0)
		return -EAGAIN;
	child = admitted_note(conn, now);
	take_place(worker, child);
	verdict->client = (struct channel_session){
		.connection = child->connection,
		.place = child->place,
	};
	r = channel_send(&worker->channel, verdict, NULL, 0);
	if (r < 0) {
		leave_place(child);
		child_free(worker->master->children, child);
		return r;
	}
	admitted_count(child);
	child_begin(worker->master->children, child);
	follow_open(child, now);
	return 0;
}

static struct child *note_socket(const struct listener *listener, uint64_t now)
{
	struct service *service = listener->service;
	struct child *child = child_new(service->master->children);

	if (!child)
		return NULL;
	child->service = service;
	child->setup = setup_hold(service->setup);
	child->connection = service->master->next_connection++;
	child->born = now;
	child->posted = true;
	child->local = *listener_addr(listener);
	child->peer.kind = child->local.kind;
	child->peer_cred.uid = (uid_t)-1;
	return child;
}

static int begin_socket(struct worker *worker, struct listener *listener, uint64_t now)
{
	struct child *child = note_socket(listener, now);
	int r = child ? send_new(worker, child, listener->fd) : -EAGAIN;

	if (r < 0)
		return r;
	service_add_child(listener->service, child);
	child->listener = listener;
	listener->child = child;
	listener->lent = true;
	return 0;
}

int pass_socket(struct listener *listener, uint64_t now)
{
	struct worker *worker = worker_of_socket(listener);
	int r = worker_need(worker, now);

	if (r == 0)
		r = begin_socket(worker, listener, now);
	if (r < 0) {
		pass_failed(listener->service, worker, r);
		return r;
	}
	service_recovered(listener->service);
	worker_ask(worker, now);
	return 0;
}

static void forget(struct child *child, int once_status, uint64_t now)
{
	struct master *master = child->service->master;

	bool client = !child->posted;

	leave_place(child);
	backend_leave(child, now);
	admitted_forget(child, now);
	if (client && master->cmdline->once)
		master_end_once(master, once_status);
}

/* NULL: it has no such connection. */
static struct child *find(const struct worker *worker, const struct channel_session *id)
{
	struct child *child = id->place < worker->places ? worker->sessions[id->place] : NULL;

	return child && child->connection == id->connection ? child : NULL;
}

bool pass_done(struct worker *worker, const struct channel_answer *answer, uint64_t now)
{
	struct child *child = find(worker, &answer->session);

	if (!child || answer->result >= CHANNEL_PASSED)
		return false;
	if (answer->result == CHANNEL_UNREACHABLE && child->backend)
		backend_missed(child, now);
	record_session_end(child, answer, now);
	stats_session_ended(child, answer);
	child->broke_off = answer->result != CHANNEL_FINISHED;
	forget(child, answer->result == CHANNEL_REFUSED ? ONCE_FAILED : 0, now);
	return true;
}

bool pass_news(struct worker *worker, const struct channel_answer *answer, uint64_t now)
{
	struct child *child = find(worker, &answer->session);

	if (!child || child->news == BACKEND_NONE)
		return false;
	/* The image before us had started it, and it has gone since. */
	if (!child->backend)
		return true;
	return answer->kind == CHANNEL_REACHED ? backend_reached(child)
	                                       : backend_missed(child, now);
}

void pass_lost(struct child *child, uint64_t now)
{
	record_session_end(child, NULL, now);
	stats_session_ended(child, NULL);
	child->broke_off = true;
	forget(child, ONCE_FAILED, now);
}

void pass_left_behind(struct child *child, uint64_t now)
{
	record_session_end(child, NULL, now);
	stats_session_ended(child, NULL);
	child->broke_off = true;
	admitted_forget(child, now);
}

static int tell_to_end(struct child *child)
{
	struct channel_request request;
	int r;

	request_init(&request, child->gives_up ? CHANNEL_GIVE_UP : CHANNEL_END, child);
	r = channel_send(&child->worker->channel, &request, NULL, 0);
	child->end_wanted = r < 0;
	return r;
}

static void tell_soon(struct child *child)
{
	struct worker *worker = child->worker;

	/* It is among those that wait already. */
	if (child->end_wanted)
		return;
	worker_ask(worker, clock_monotonic());
	/* Those before it first. */
	if (worker->n_to_end > 0 || tell_to_end(child) < 0) {
		child->end_wanted = true;
		worker->n_to_end++;
		worker_wait_for_room(worker);
	}
}

void pass_end(struct child *child)
{
	child->gives_up = false;
	tell_soon(child);
}

void pass_give_up(struct child *child)
{
	if (child->end_wanted)
		return;
	child->gives_up = true;
	tell_soon(child);
}

void pass_insist(struct child *child)
{
	if (!child->end_wanted)
		worker_kill(child->worker, "does not end a connection");
}

void pass_ends(struct worker *worker)
{
	uint32_t left = worker->n_to_end;

	for (uint32_t i = 0; i < worker->places && left > 0; i++) {
		struct child *child = worker->sessions[i];

		if (!child || !child->end_wanted)
			continue;
		if (tell_to_end(child) < 0)
			break;
		left--;
		worker->n_to_end--;
	}
	if (worker->n_to_end > 0)
		worker_wait_for_room(worker);
}
