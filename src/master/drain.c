#include "master/drain.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "master/conn.h"
#include "master/control-lines.h"
#include "master/follow.h"
#include "master/master.h"
#include "master/overdue.h"
#include "master/service.h"
#include "master/stop.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

/* How it goes is looked at so often, and told if it goes on. */
#define LOOK_EVERY USEC_PER_SEC
/* ... and so often where only a look at all services tells whether somebody is left. */
#define LOOK_SOON (100 * USEC_PER_MSEC)

/* The service manager hears of us so often ... */
#define ASK_EVERY (5 * USEC_PER_SEC)
/* ... and would lose patience after that, which is longer, as the machine may be slow. */
#define ASK_FOR (20 * USEC_PER_SEC)

/* The log is told after that time, then after twice as long, up to that. */
#define LOG_MIN (10 * USEC_PER_SEC)
#define LOG_MAX (600 * USEC_PER_SEC)

/* Who is killed at the deadline gets as long as kill_after says, but for this at most. */
#define KILL_PATIENCE (15 * USEC_PER_SEC)

/* ------------------------------------------------------------------- who is left */

/* Processes of backends: they stay for as long as somebody needs them. */
static size_t count_backends(const struct master *master)
{
	const struct backend *b;
	size_t n = 0;

	LIST_FOREACH (b, &master->backends.all, all)
		n += b->process != NULL;
	return n;
}

/* Clients that were accepted, and that no child could be started for yet. */
static size_t count_held(const struct master *master)
{
	size_t n = 0;

	for (size_t i = 0; i < master->n_services; i++)
		for (uint32_t j = 0; j < master->services[i]->n_listeners; j++)
			n += conn_count_held(master->services[i]->listeners[j]);
	return n;
}

size_t drain_left(const struct master *master)
{
	return master_clients(master) - count_backends(master) + master->callers.ledgers.n +
	       callers_leaving(master) + count_held(master);
}

/* Without a look at all of them. */
static bool is_anybody_left(const struct master *master)
{
	return master_clients(master) > master->backends.n || master->callers.ledgers.n > 0 ||
	       callers_leaving(master) > 0;
}

/* ------------------------------------------------------------------ to be told */

/* "12 connections" */
static const char *describe_left(size_t n, char buf[TEXT_NUMBER_MAX + 16])
{
	snprintf(buf, TEXT_NUMBER_MAX + 16, "%zu connection%s", n, n == 1 ? "" : "s");
	return buf;
}

/* ", 40 s left", or "" where there is no deadline. */
static const char *describe_time(const struct drain *drain, uint64_t now, char buf[64])
{
	char text[TEXT_NUMBER_MAX];
	uint64_t left = drain->deadline > now ? drain->deadline - now : 0;

	buf[0] = '\0';
	if (drain->deadline != USEC_INFINITY)
		snprintf(buf, 64, ", %s left", text_format_elapsed(left, text));
	return buf;
}

/* Not for longer than it can go on. */
static uint64_t time_to_ask_for(const struct drain *drain, uint64_t now)
{
	uint64_t left = drain->deadline > now ? drain->deadline - now : 0;

	return left < ASK_FOR - STOP_TIME ? left + STOP_TIME : ASK_FOR;
}

static void tell_manager(struct master *master, const char *state, uint64_t now)
{
	char left[TEXT_NUMBER_MAX + 16], time[64];

	notify_send(master->notify, "%sEXTEND_TIMEOUT_USEC=%" PRIu64 "\nSTATUS=Draining: %s%s",
		state, time_to_ask_for(&master->drain, now),
		describe_left(master->drain.told, left),
		describe_time(&master->drain, now, time));
}

static void tell_log(struct master *master, uint64_t now)
{
	struct drain *drain = &master->drain;
	char left[TEXT_NUMBER_MAX + 16], time[64];

	log_notice("draining: %s%s", describe_left(drain->told, left),
		describe_time(drain, now, time));
	drain->log_due = now + drain->log_wait;
	drain->log_wait = drain->log_wait * 2 > LOG_MAX ? LOG_MAX : drain->log_wait * 2;
}

static void note_left(struct master *master, size_t left, uint64_t now)
{
	master->drain.told = left;
	master->drain.told_at = now;
}

static void tell(struct master *master, size_t left, uint64_t now)
{
	struct drain *drain = &master->drain;
	bool changed = left != drain->told;

	if (changed || now - drain->told_at >= ASK_EVERY) {
		note_left(master, left, now);
		tell_manager(master, "", now);
	}
	if (changed)
		follow_drain(master, "draining", now);
	if (now >= drain->log_due)
		tell_log(master, now);
}

/* ------------------------------------------------------------------- to begin */

/* They would take in others for as long as they live, and the drain would last as long: who
 * does not end is made to after kill_after. */
static void end_those_with_socket(struct service *service, uint64_t now)
{
	for (struct child *child = service->first; child; child = child->next)
		if (child->setup->conf->wait)
			overdue_end(child, LIFETIME_KILLED, now);
}

/* The clients of datagrams are the other one's affair, and so is who waits in a queue. */
static void let_go_of(struct service *service)
{
	service_take_back_sockets(service);
	for (uint32_t i = 0; i < service->n_listeners; i++)
		listener_let_nobody_in(service->listeners[i]);
}

/* No other services from now on, and none of those that there are at other addresses. */
static void close_all(struct master *master, bool keeps, uint64_t now)
{
	bool inherited = stop_leave(master);

	/* Nobody is to wait in a queue of which there is no next life to take him. */
	master->store.active = !keeps;
	for (size_t i = 0; i < master->n_services; i++) {
		end_those_with_socket(master->services[i], now);
		if (inherited)
			let_go_of(master->services[i]);
	}
	last_look_begin(master, now);
}

static void set_end(struct drain *drain, const struct drain_request *request, uint64_t now)
{
	drain->deadline =
		request->timeout < USEC_INFINITY - now ? now + request->timeout : USEC_INFINITY;
	drain->kills = request->kills;
	drain->due = now;
	drain->log_due = now;
	drain->log_wait = LOG_MIN;
}

void drain_begin(struct master *master, const struct drain_request *request, uint64_t now)
{
	struct drain *drain = &master->drain;
	bool is_new = !drain->on;

	if (master->stopping)
		return;
	set_end(drain, request, now);
	if (is_new) {
		drain->on = true;
		drain->signal = request->signal;
		close_all(master, request->keeps, now);
	}
	note_left(master, drain_left(master), now);
	tell_manager(master, is_new ? "STOPPING=1\n" : "", now);
	follow_drain(master, "draining", now);
	tell_log(master, now);
}

void drain_on_signal(struct master *master, int signal, uint64_t now)
{
	const struct drain_request request = {
		.timeout = image_conf(master->image)->drain_timeout,
		.keeps = true,
		.signal = signal,
	};

	if (signal == SIGTERM && request.timeout > 0 && !master->leaving)
		drain_begin(master, &request, now);
	else
		stop_begin(master, signal, now);
}

/* --------------------------------------------------------------------- to end */

static void kill_those_of(const struct service *service, uint64_t now)
{
	for (struct child *child = service->first; child; child = child->next)
		if (control_is_connection(child))
			overdue_end(child, LIFETIME_KILLED, now);
}

static void kill_all(const struct master *master, uint64_t now)
{
	for (size_t i = 0; i < master->n_services; i++)
		kill_those_of(master->services[i], now);
	for (const struct service *s = master->retired; s; s = s->next_retired)
		kill_those_of(s, now);
}

static void end(struct master *master, size_t left, uint64_t now)
{
	note_left(master, left, now);
	follow_drain(master, "drained", now);
	master->drain.due = USEC_INFINITY;
	stop_begin(master, master->drain.signal, now);
}

static void end_late(struct master *master, size_t left, uint64_t now)
{
	struct drain *drain = &master->drain;
	char text[TEXT_NUMBER_MAX + 16];

	log_notice("draining: the time is over, %s left%s", describe_left(left, text),
		drain->kills ? ", ending all of them" : "");
	if (!drain->kills) {
		end(master, left, now);
		return;
	}
	drain->kills = false;
	drain->deadline = now + KILL_PATIENCE;
	kill_all(master, now);
}

uint64_t drain_due(const struct drain *drain)
{
	return drain->last_look.goes_on ? 0 : drain->due;
}

void drain_turn(struct master *master, uint64_t now)
{
	struct drain *drain = &master->drain;
	size_t left;

	if (!drain->on || master->stopping)
		return;
	last_look_turn(master, now);
	if (now < drain->due &&
		(drain->looks_at_all || drain->last_look.goes_on || is_anybody_left(master)))
		return;
	left = drain_left(master);
	if (left == 0 && !drain->last_look.goes_on) {
		log_notice("drained: nobody is left");
		end(master, left, now);
		return;
	}
	if (now >= drain->deadline)
		end_late(master, left, now);
	if (master->stopping || now < drain->due)
		return;
	tell(master, left, now);
	drain->looks_at_all = !is_anybody_left(master);
	drain->due = now + (drain->looks_at_all ? LOOK_SOON : LOOK_EVERY);
	if (drain->deadline < drain->due)
		drain->due = drain->deadline;
}
