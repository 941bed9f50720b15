#include "master/hatch.h"

#include "base/clock.h"
#include "base/log.h"
#include "master/admitted.h"
#include "master/environ.h"
#include "master/master.h"
#include "master/pause.h"
#include "master/readiness.h"
#include "master/record.h"
#include "master/tally.h"

#include <assert.h>
#include <string.h>

static int stderr_of(const struct service *service, int conn_fd)
{
	switch (service->setup->conf->stderr_kind) {
	case STDERR_SOCKET:
		return conn_fd;
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
	const struct service *service = conn->service;
	bool passed = service->takes_all;
	bool on_socket = service->setup->conf->stderr_kind == STDERR_SOCKET;
	int null_fd = service->master->null_fd;

	plan->fds[0] = passed ? null_fd : conn_program_fd(conn);
	plan->fds[1] = plan->fds[0];
	plan->fds[2] =
		passed && on_socket ? null_fd : stderr_of(service, conn_program_fd(conn));
	plan->n_fds = 3;
	for (size_t i = 0; passed && i < service->n_listeners && plan->n_fds < SPAWN_FDS_MAX;
		i++)
		plan->fds[plan->n_fds++] = service->listeners[i]->fd;
}

/* Who has the sockets of a service that waits. */
static void lend_sockets(struct child *child, const struct conn *conn)
{
	struct service *service = child->service;

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

static int start_child(struct child *child, const struct conn *conn, uint64_t now)
{
	struct service *service = child->service;
	struct master *master = service->master;
	struct spawn_plan *plan = spawn_slot_plan(child->slot);
	int r;

	plan->recipe = &child->setup->recipe;
	plan_descriptors(conn, plan);
	r = environ_fill(conn, child->setup->conf, plan);
	if (r == 0)
		r = readiness_open(child, plan);
	if (r == 0)
		r = lineage_mark(&master->orphans.lineage, plan);
	if (r < 0)
		return r;
	r = spawn_slot_start(master->spawner, child->slot, child, &child->pid, &child->pidfd);
	if (r < 0)
		return r;

	/* Our copy of the connection stays open, under its number, until the
	 * child has its own. */
	if (!service->wait)
		child->conn = conn_program_fd(conn);
	admitted_count(child);
	if (service->wait)
		lend_sockets(child, conn);
	readiness_begin(child, now);
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
		stats_not_started(child);
		service_pause(service, PAUSE_SUSPECT, NULL);
	}
	readiness_close(child, now);
	child_free(service->master->children, child);
}

int hatch(struct conn *conn, uint64_t now)
{
	struct service *service = conn->service;
	struct master *master = service->master;
	struct spawn_slot *slot = spawner_take(master->spawner);
	struct child *child;
	int r;

	assert(slot); /* master/serve has looked */

	child = admitted_note(conn, now);
	child->slot = slot;
	r = start_child(child, conn, now);
	if (r < 0) {
		/* Datagrams are lost. */
		if (!service->wait && shortage(-r) && !conn->listener->is_datagram)
			conn_hold(conn);
		else if (!service->wait)
			conn_drop(conn, now);
		not_started(child, r, now);
		return r;
	}
	child_watch(master->children, child, now);
	child_begin(master->children, child);
	tally_begin(child, conn);
	follow_open(child, now);
	conn->child = child;
	tell_start(child, conn);
	return 0;
}

/* ------------------------------------------------------------ without a client */

static int plan_process(const struct child *child, const int *fds, size_t n_fds)
{
	struct spawn_plan *plan = spawn_slot_plan(child->slot);
	const struct service *service = child->service;
	char **env = child->setup->conf->base_env;

	plan->recipe = &child->setup->recipe;
	plan->fds[0] = plan->fds[1] = service->master->null_fd;
	plan->fds[2] = stderr_of(service, service->master->null_fd);
	if (plan->recipe->output_to_stderr)
		plan->fds[1] = plan->fds[2];
	plan->n_fds = 3;
	for (size_t i = 0; i < n_fds; i++)
		plan->fds[plan->n_fds++] = fds[i];
	plan->n_env = 0;
	for (; env && env[plan->n_env]; plan->n_env++)
		plan->envp[plan->n_env] = env[plan->n_env];
	return lineage_mark(&service->master->orphans.lineage, plan);
}

static struct child *note_process(
	struct service *service, struct spawn_slot *slot, uint64_t now)
{
	struct master *master = service->master;
	struct child *child = child_new(master->children);

	if (!child)
		return NULL;
	child->service = service;
	child->setup = setup_hold(service->setup);
	child->connection = master->next_connection++;
	child->slot = slot;
	child->born = now;
	child->peer_cred.uid = (uid_t)-1;
	return child;
}

int hatch_process(
	struct service *service, const int *fds, size_t n_fds, uint64_t now, struct child **ret)
{
	struct master *master = service->master;
	struct spawn_slot *slot = spawner_take(master->spawner);
	struct child *child = slot ? note_process(service, slot, now) : NULL;
	int r;

	if (!child) {
		if (slot)
			spawn_slot_cancel(master->spawner, slot);
		return -EAGAIN;
	}
	r = plan_process(child, fds, n_fds);
	if (r == 0)
		r = spawn_slot_start(master->spawner, slot, child, &child->pid, &child->pidfd);
	if (r < 0) {
		not_started(child, r, now);
		return r;
	}
	service_add_child(service, child);
	master->slot_delay = USEC_PER_MSEC;
	child_watch(master->children, child, now);
	*ret = child;
	return 0;
}
