#include "master/pass.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/own.h"
#include "master/admitted.h"
#include "master/master.h"
#include "master/pause.h"
#include "master/record.h"
#include "master/service.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

static void request_init(
	struct channel_request *ret, enum channel_request_kind kind, const struct child *child)
{
	memset(ret, 0, sizeof *ret);
	ret->version = CHANNEL_VERSION;
	ret->kind = (uint16_t)kind;
	ret->session.connection = child->connection;
	ret->session.place = child->place;
}

/* What is to be said goes along as a descriptor: it may be long, and a worker opens no
 * files.  -EBADF: nothing is. */
static int make_text(const struct service_conf *conf)
{
	_cleanup_close_ int fd = -EBADF;

	if (!conf->reply)
		return -EBADF;
	fd = memfd_create("hatchd-text", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, conf->reply, conf->reply_len) != (ssize_t)conf->reply_len)
		return -ENOMEM;
	return take_fd(&fd);
}

static int send_to(const struct worker *worker, const struct child *child, int fd)
{
	const struct service_conf *conf = child->setup->conf;
	_cleanup_close_ int text = make_text(conf);
	struct channel_request request;
	int fds[] = {fd, text};

	if (text < 0 && text != -EBADF)
		return text;
	request_init(&request, CHANNEL_SERVE, child);
	request.what = (uint16_t)conf->builtin;
	request.has_text = text >= 0;
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
}

static void leave_place(struct child *child)
{
	struct worker *worker = child->worker;

	worker->sessions[child->place] = NULL;
	worker->free[worker->n_free++] = child->place;
}

/* Until it has been sent, everything can be taken back. */
static int begin(struct worker *worker, struct conn *conn, uint64_t now)
{
	struct master *master = worker->master;
	struct child *child = admitted_note(conn, now);
	int r;

	take_place(worker, child);
	child->workers_tried = 1;
	r = send_to(worker, child, conn->fd);
	if (r < 0) {
		leave_place(child);
		child_free(master->children, child);
		return r;
	}
	admitted_count(child);
	child_begin(master->children, child);
	return 0;
}

/* He waits with his listener.  A worker that has all it can do, or has just died, is tried
 * again soon; one that is not there later and later. */
static void not_passed(const struct conn *conn, const struct worker *worker, int r)
{
	enum pause_why why = r == -ENOENT || r == -EACCES ? PAUSE_BROKEN : PAUSE_MACHINE;
	char reason[128];

	conn_hold(conn);
	snprintf(reason, sizeof reason, "unable to pass a connection to %s: %s",
		worker_name(worker), strerror(-r));
	service_pause(conn->listener->service, why, reason);
}

int pass(struct conn *conn, uint64_t now)
{
	struct service *service = conn->listener->service;
	struct worker *worker = worker_of(service);
	int r = worker_need(worker, now);

	if (r == 0)
		r = begin(worker, conn, now);
	if (r < 0) {
		not_passed(conn, worker, r);
		return r;
	}
	service_recovered(service);
	log_debug("%sconnection %llu: passed to child %d, %s", service->label,
		(unsigned long long)conn->number, worker->process->pid, worker_name(worker));
	/* The worker has its own by now, and may hold its lock. */
	service_close_later(service, conn->fd, conn->number, now);
	return 0;
}

static void forget(struct child *child, uint64_t now)
{
	struct master *master = child->service->master;

	leave_place(child);
	admitted_forget(child, now);
	if (master->cmdline->once)
		master_exit(master, 0);
}

bool pass_done(struct worker *worker, const struct channel_answer *answer, uint64_t now)
{
	const struct channel_session *id = &answer->session;
	struct child *child = id->place < worker->places ? worker->sessions[id->place] : NULL;

	if (!child || child->connection != id->connection)
		return false;
	record_session_end(child, answer, now);
	forget(child, now);
	return true;
}

void pass_lost(struct child *child, uint64_t now)
{
	record_session_end(child, NULL, now);
	forget(child, now);
}

void pass_end(const struct child *child)
{
	struct channel_request request;

	request_init(&request, CHANNEL_END, child);
	/* Where there is no room for it now, it has all it can do: a limit that asks again, or
	 * the end of all, kills it. */
	if (channel_send(&child->worker->channel, &request, NULL, 0) < 0)
		log_debug("%sunable to end connection %llu now", child->service->label,
			(unsigned long long)child->connection);
}
