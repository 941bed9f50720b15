#include "master/master.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "master/pace.h"
#include "master/pause.h"
#include "master/record.h"
#include "master/serve.h"
#include "master/service.h"
#include "master/starve.h"
#include "master/state.h"
#include "master/stop.h"
#include "master/tend.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

/* Slots in flight are looked at again after so long at most. */
#define SLOT_DELAY_MAX (50 * USEC_PER_MSEC)
/* A log target, or a service manager, that takes nothing is tried again. */
#define RETRY (100 * USEC_PER_MSEC)
void master_exit(struct master *master, int status)
{
	if (master->done)
		return;
	master->done = true;
	master->status = status;
}

void master_end_once(struct master *master, int status)
{
	if (master->once_over)
		return;
	master->once_over = true;
	master->once_status = status;
}

void master_gate_closed(struct master *master, uint64_t due)
{
	if (due < master->gates_due)
		master->gates_due = due;
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	(void)source;
	drain_on_signal(userdata, (int)info->ssi_signo, clock_monotonic());
	return 0;
}

/* A terminal that went away ends what was started on it; a daemon has none. */
static int on_hangup(
	sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct master *master = userdata;

	if (master->cmdline->adhoc)
		return on_stop(source, info, userdata);
	reload_request(master, clock_monotonic());
	return 0;
}

static int on_user_signal(
	sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	(void)source;
	(void)info;
	state_request(userdata);
	accounting_reopen(userdata);
	return 0;
}

static int on_upgrade(
	sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	(void)source;
	(void)info;
	upgrade_request(userdata, clock_monotonic());
	return 0;
}

static int on_child_end(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct master *master = userdata;

	(void)source;
	(void)fd;
	(void)revents;
	child_table_reap(master->children, clock_monotonic());
	return 0;
}

/* An address may be free now that somebody waits for. */
static int on_closed(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	eventfd_t n;

	(void)source;
	(void)revents;
	eventfd_read(fd, &n);
	waiting_hurry(userdata, clock_monotonic());
	return 0;
}

int master_add_sources(struct master *master)
{
	static const int stop_signals[] = {SIGTERM, SIGINT, SIGQUIT};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(stop_signals); i++) {
		r = sd_event_add_signal(master->event, NULL, stop_signals[i], on_stop, master);
		if (r < 0)
			return r;
	}
	r = sd_event_add_signal(master->event, NULL, SIGHUP, on_hangup, master);
	if (r < 0)
		return r;
	r = sd_event_add_signal(master->event, NULL, SIGUSR1, on_user_signal, master);
	if (r < 0)
		return r;
	r = sd_event_add_signal(master->event, NULL, SIGUSR2, on_upgrade, master);
	if (r < 0)
		return r;
	r = sd_event_add_io(master->event, &master->arrivals, master->listeners_fd, EPOLLIN,
		serve_on_clients, master);
	if (r < 0)
		return r;
	r = sd_event_add_io(master->event, NULL, closer_done_fd(master->closer), EPOLLIN,
		on_closed, master);
	if (r < 0)
		return r;
	r = sd_event_add_io(master->event, NULL, asker_fd(master->overdue.asker), EPOLLIN,
		overdue_on_answers, master);
	if (r < 0)
		return r;
	r = sd_event_add_io(master->event, NULL, counter_fd(master->tally.counter), EPOLLIN,
		tally_on_news, master);
	if (r < 0)
		return r;
	r = sd_event_add_io(master->event, NULL, child_table_fd(master->children), EPOLLIN,
		on_child_end, master);
	return r < 0 ? r : watchdog_begin(master);
}

int master_move_up(const struct master *master, int fd)
{
	int high = fd_move_up(fd, master->budget.low_limit);

	return high < 0 ? fd : high;
}

uint32_t master_clients(const struct master *master)
{
	return (uint32_t)child_table_used(master->children) - workers_not_clients(master);
}

void master_have_closed(struct master *master, struct closer_job job, uint64_t now)
{
	job.ticket = spawner_started(master->spawner);
	closer_close(master->closer, &job, now);
	master->closer_due = 0; /* it is looked after once in a turn, maybe before this */
}

static void close_later(struct master *master, int fd, bool tell, uint64_t now)
{
	struct closer_job job = {.pending = &master->n_closing, .tell = tell};

	if (!master->closer) {
		fd_close(fd);
		return;
	}
	job.fd = master_move_up(master, fd);
	master_have_closed(master, job, now);
}

void master_close_later(struct master *master, int fd, uint64_t now)
{
	close_later(master, fd, false, now);
}

void master_close_listener_later(struct master *master, int fd, uint64_t now)
{
	close_later(master, fd, true, now);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Reasons to wake up without an event, as time from now. */
static uint64_t patience(const struct master *master, uint64_t now)
{
	uint64_t due = master->paused_due, wait;

	due = earlier(due, paces_due(master));
	due = earlier(due, master->young_due);
	due = earlier(due, reload_due(&master->reload));
	due = earlier(due, master->waiting.due);
	due = earlier(due, master->gates_due);
	due = earlier(due, state_due(&master->state));
	due = earlier(due, control_due(&master->control));
	due = earlier(due, master->followers.due);
	due = earlier(due, master->closer_due);
	if (spawner_has_spare_memory(master->spawner))
		due = earlier(due, master->spare_due);
	due = earlier(due, child_table_retry_due(master->children));
	due = earlier(due, child_table_due(master->children));
	due = earlier(due, master->overdue.asker_due);
	due = earlier(due, master->readinesses.due);
	due = earlier(due, master->tally.due);
	due = earlier(due, master->workers_due);
	due = earlier(due, master->callers.due);
	due = earlier(due, master->inquiries.due);
	due = earlier(due, master->inquiries.look_due);
	due = earlier(due, backends_due(master));
	due = earlier(due, master->expiry.due);
	due = earlier(due, master->accounting.due);
	due = earlier(due, master->store.due);
	due = earlier(due, master->announced.due);
	due = earlier(due, upgrade_due(&master->upgrade));
	due = earlier(due, master->strays.due);
	due = earlier(due, master->orphans.due);
	due = earlier(due, successor_due(master));
	due = earlier(due, drain_due(&master->drain));
	if (master->stopping && master->stop_due < due)
		due = master->stop_due;

	wait = due == USEC_INFINITY ? USEC_INFINITY : due > now ? due - now : 0;
	if (spawner_in_flight(master->spawner) > 0 && master->slot_delay < wait)
		wait = master->slot_delay;
	if ((log_pending_fd() >= 0 || notify_pending(master->notify)) && RETRY < wait)
		wait = RETRY;
	return wait;
}

/* Not before the crowd has been gone for a while: the next one would need it. */
static void give_back_memory(struct master *master, uint64_t now)
{
	if (!spawner_has_spare_memory(master->spawner))
		return;
	if (master->spare_due == USEC_INFINITY)
		master->spare_due = now + USEC_PER_SEC;
	if (now < master->spare_due)
		return;
	spawner_give_back_memory(master->spawner);
	master->spare_due = USEC_INFINITY;
}

static void turn(struct master *master, bool event_came)
{
	uint64_t now = clock_monotonic();

	if (!event_came && master->slot_delay < SLOT_DELAY_MAX)
		master->slot_delay *= 2;
	if (spawner_in_flight(master->spawner) > 0)
		tend_slots(master, now);
	inquiries_turn(master, now);
	if (master->slot_came_free || now >= master->callers.due)
		callers_turn(master, now);
	if (master->slot_came_free)
		services_feed(master);
	if (now >= master->paused_due)
		services_resume(master, now);
	paces_resume(master, now);
	child_table_retry(master->children, now);
	tally_turn(master, now);
	overdue_turn(master, now);
	readinesses_turn(master, now);
	master->workers_due = workers_turn(master, now);
	backends_turn(master, now);
	master->young_due = tend_young(master, now);
	master->closer_due =
		closer_tend(master->closer, spawner_arranging(master->spawner), now);
	if (now >= master->gates_due)
		master->gates_due = record_report_held_back(master, now);
	record_forgotten(master, now);
	if (master->state.asked)
		state_turn(master);
	orphans_turn(master, now);
	control_turn(master, now);
	give_back_memory(master, now);
	reload_turn(master, now);
	waiting_turn(master, now);
	expiry_turn(master, now);
	accounting_turn(master, now);
	strays_turn(&master->strays, now);
	if (master->retired_changed)
		services_bury(master);
	if (master->once_over && callers_leaving(master) == 0 && !tally_waits(&master->tally))
		master_exit(master, master->once_status);
	successor_turn(master, now);
	drain_turn(master, now);
	if (master->stopping)
		stop_turn(master, now);
	followers_turn(master, now);
	notify_flush(master->notify);
	announce_turn(master, now);
	store_turn(master, now);
	log_flush();
	upgrade_turn(master, now);
}

/* The library wants memory before it looks for events: whoever comes waits until there
 * is some. */
static void wait_for_memory(struct master *master)
{
	if (log_once_a_minute(&master->shortage_told, clock_monotonic()))
		log_warning(
			"unable to wait for events: %s, retrying in 100 ms", strerror(ENOMEM));
	poll(NULL, 0, RETRY / USEC_PER_MSEC);
}

int master_loop(struct master *master)
{
	while (!master->done) {
		int r = sd_event_run(master->event, patience(master, clock_monotonic()));

		if (r == -ENOMEM) {
			wait_for_memory(master);
		} else if (r < 0) {
			log_error("unable to wait for events: %s", strerror(-r));
			return r;
		}
		turn(master, r > 0);
	}
	return 0;
}

void master_set_budget(struct master *master, const struct budget *budget)
{
	master->budget.total_instances = budget->total_instances;
	master->budget.callers = budget->callers;
	master->budget.fd_limit = budget->fd_limit;
	spawner_set_fd_limit(master->spawner, budget->fd_limit);
	/* There may be room now for those who wait for some. */
	master->slot_came_free = true;
}
