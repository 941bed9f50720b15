#include "master/stop.h"

#include "base/clock.h"
#include "base/log.h"
#include "master/account.h"
#include "master/caller.h"
#include "master/record.h"
#include "master/service.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>

/* At the end, for closes that may sleep. */
#define CLOSER_PATIENCE_MS 200

static size_t terminate_those_of(const struct service *service, bool told)
{
	size_t n = 0;

	for (struct child *child = service->first; child; child = child->next) {
		if (child->setup->conf->stop != STOP_TERMINATE)
			continue;
		n++;
		if (!told)
			child_signal(child, SIGTERM);
	}
	return n;
}

/* Those that are to end, also where their service is gone; told so the first time. */
static size_t terminate_children(struct master *master)
{
	size_t n = 0;

	for (size_t i = 0; i < master->n_services; i++)
		n += terminate_those_of(master->services[i], master->stop_told);
	for (const struct service *s = master->retired; s; s = s->next_retired)
		n += terminate_those_of(s, master->stop_told);
	if (n > 0 && !master->stop_told)
		log_info("stopping, waiting for %zu %s to end", n,
			n == 1 ? "child" : "children");
	master->stop_told = true;
	return n;
}

static struct child *find(const struct service *service, uint64_t connection)
{
	struct child *child = service->first;

	while (child && child->connection != connection)
		child = child->next;
	return child;
}

static struct child *find_child(const struct master *master, uint64_t connection)
{
	struct child *child = NULL;

	for (size_t i = 0; i < master->n_services && !child; i++)
		child = find(master->services[i], connection);
	for (const struct service *s = master->retired; s && !child; s = s->next_retired)
		child = find(s, connection);
	return child;
}

/* What is left in a UNIX socket may take its time as well, and that is a client's doing. */
static void kill_holder(struct child *holder)
{
	char who[ACCOUNT_WHO_MAX];

	if (!holder || !holder->came_by_ip || !addr_is_tcp(&holder->peer))
		return;
	log_warning("%s%s holds the lock of its connection, killing it to be able to end",
		holder->service->label, account_who_child(holder, who));
	child_signal(holder, SIGKILL);
}

static void kill_holders(const struct master *master)
{
	uint64_t connections[CLOSER_THREADS_MAX];
	size_t n = closer_begun(master->closer, connections);

	for (size_t i = 0; i < n; i++)
		kill_holder(find_child(master, connections[i]));
}

size_t stop_count_closing(const struct master *master)
{
	size_t n = __atomic_load_n(&master->n_closing, __ATOMIC_ACQUIRE);

	n += readinesses_closing(&master->readinesses);
	for (size_t i = 0; i < master->n_services; i++)
		n += service_closing(master->services[i]);
	for (const struct service *s = master->retired; s; s = s->next_retired)
		n += service_closing(s);
	return n;
}

/* Usually it takes no time at all. */
static bool wait_for_closer(struct master *master)
{
	for (int patience = CLOSER_PATIENCE_MS; patience > 0; patience--) {
		closer_tend(master->closer, UINT64_MAX, clock_monotonic());
		if (stop_count_closing(master) == 0)
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

bool stop_wait_for_closer(struct master *master)
{
	if (wait_for_closer(master))
		return true;
	kill_holders(master);
	return wait_for_closer(master);
}

static void finish(struct master *master)
{
	uint32_t n = master_clients(master);

	workers_kill_idle(master);
	backends_leave(master);
	record_flush_held_back(master);
	if (n > 0)
		log_notice("stopped, leaving %u %s alive", n, n == 1 ? "child" : "children");
	else
		log_info("stopped");
	master_exit(master, master->stop_status);
}

/* Nobody is to have its sockets any more. */
static void stop_service(struct service *service)
{
	service_take_back_sockets(service);
	service_close(service);
}

bool stop_leave(struct master *master)
{
	bool inherited;

	master->leaving = true;
	inherited = successor_inherits(master);
	upgrade_stop(master);
	reload_stop(&master->reload);
	waiting_give_up(&master->waiting);
	/* What the service manager has is for the next one: who comes now waits for him. */
	master->store.active = false;
	control_look_again(master);
	return inherited;
}

void stop_begin(struct master *master, int signal, uint64_t now)
{
	if (master->stopping) {
		finish(master);
		return;
	}
	notify_send(master->notify,
		"STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64 "\nSTATUS=Stopping", STOP_TIME);
	(void)stop_leave(master);
	master->stopping = true;
	master->drain.due = USEC_INFINITY;
	master->drain.last_look.goes_on = false;
	master->stop_due = now + STOP_PATIENCE;
	/* Nobody was served: that is not the status of a program. */
	master->stop_status = master->cmdline->once ? 128 + signal : 0;
	for (size_t i = 0; i < master->n_services; i++)
		stop_service(master->services[i]);
	workers_drain(master);
}

void stop_turn(struct master *master, uint64_t now)
{
	if (spawner_in_flight(master->spawner) > 0 && now < master->stop_due)
		return;
	if (terminate_children(master) > 0 && now < master->stop_due)
		return;
	/* When nobody is connected to them any more. */
	if (backends_stop(master, now) > 0 && now < master->stop_due)
		return;
	/* What programs have said last may be on its way to those who read slowly. */
	if (callers_leaving(master) > 0 && now < master->stop_due)
		return;
	if (workers_are_ending(master) && now < master->stop_due)
		return;
	if (tally_waits(&master->tally) && now < master->stop_due)
		return;
	/* A socket that it does not forget is the next one's to serve. */
	if (store_has_to_tell(&master->store) && now < master->stop_due)
		return;
	finish(master);
}
