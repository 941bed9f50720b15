#include "master/pause.h"

#include "base/clock.h"
#include "base/log-gate.h"
#include "base/log.h"
#include "base/text.h"
#include "master/master.h"
#include "master/serve.h"
#include "master/service.h"
#include "master/starve.h"

#include <stdlib.h>

#define PAUSE_MIN (100 * USEC_PER_MSEC)

/* Doubled more often, a pause of any kind is longer than it may be. */
#define DOUBLINGS_MAX 9

/* Pauses from this on are told of also where each failure is, once a minute. */
#define PAUSE_LONG (1 * USEC_PER_SEC)

/* No pause of any kind is longer. */
#define PAUSE_MAX (30 * USEC_PER_SEC)

/* Pauses end at multiples of it: thousands of them end together. */
#define PAUSE_GRID (25 * USEC_PER_MSEC)

/* ------------------------------------------------- the list of the paused */

static void enlist(struct service *service)
{
	struct master *master = service->master;

	service->prev_paused = NULL;
	service->next_paused = master->paused;
	if (master->paused)
		master->paused->prev_paused = service;
	master->paused = service;
}

/* What is due is left as it is: a look too early does no harm. */
static void delist(struct service *service)
{
	struct master *master = service->master;

	if (service->prev_paused)
		service->prev_paused->next_paused = service->next_paused;
	else
		master->paused = service->next_paused;
	if (service->next_paused)
		service->next_paused->prev_paused = service->prev_paused;
	service->next_paused = service->prev_paused = NULL;
	service->paused_until = 0;
}

static void pause_until(struct service *service, uint64_t when)
{
	struct master *master = service->master;

	if (service->paused_until == 0)
		enlist(service);
	service->paused_until = (when + PAUSE_GRID - 1) / PAUSE_GRID * PAUSE_GRID;
	if (service->paused_until < master->paused_due)
		master->paused_due = service->paused_until;
}

void services_resume(struct master *master, uint64_t now)
{
	struct service *service = master->paused;

	/* Whoever is paused again meanwhile lowers it by himself. */
	master->paused_due = USEC_INFINITY;
	while (service) {
		struct service *next = service->next_paused;

		if (service->paused_until <= now) {
			delist(service);
			serve_held(service, now);
			service_update(service);
		} else if (service->paused_until < master->paused_due) {
			master->paused_due = service->paused_until;
		}
		service = next;
	}
}

/* ------------------------------------------------------------- to pause */

void service_look_away(struct service *service, uint64_t now)
{
	pause_until(service, now + PAUSE_MIN);
}

void service_look_away_longer(struct service *service, uint64_t now)
{
	pause_until(service, now + USEC_PER_SEC);
}

static uint64_t longest(enum pause_why why)
{
	switch (why) {
	case PAUSE_SUSPECT:
		return PAUSE_MIN;
	case PAUSE_MACHINE:
		return 1 * USEC_PER_SEC;
	default:
		return PAUSE_MAX;
	}
}

/* Of the pause that begins now, which is then counted. */
static uint64_t next_length(struct service *service, enum pause_why why)
{
	uint64_t length;

	if (why != service->pause_why)
		service->pauses = 0;
	service->pause_why = why;
	length = PAUSE_MIN << service->pauses;
	if (service->pauses < DOUBLINGS_MAX)
		service->pauses++;
	return length < longest(why) ? length : longest(why);
}

static bool is_told(struct service *service, enum pause_why why, uint64_t now)
{
	struct log_gate *gate;

	if (why == PAUSE_MACHINE)
		return log_once_a_minute(&service->master->shortage_told, now);
	gate = &service_told(service)->failures;
	if (log_gate_pass(gate, now))
		return true;
	master_gate_closed(service->master, gate->window_ends);
	return false;
}

static void tell(struct service *service, enum pause_why why, const char *reason,
	uint64_t length, uint64_t now)
{
	char text[TEXT_NUMBER_MAX];

	if (reason && is_told(service, why, now))
		log_warning("%s%s, retrying in %s", service->label, reason,
			text_format_elapsed(length, text));
	if (!reason && length >= PAUSE_LONG &&
		log_once_a_minute(&service_told(service)->pause, now))
		log_warning("%sno child can be started, new clients wait, retrying in %s",
			service->label, text_format_elapsed(length, text));
}

void service_pause(struct service *service, enum pause_why why, const char *reason)
{
	uint64_t now = clock_monotonic(), length;

	if (service->paused_until != 0 || !service_takes_in(service))
		return;
	length = next_length(service, why);
	pause_until(service, now + length);
	follow_service(service, "paused", service_pause_reason(service));
	tell(service, why, reason, length, now);
	service_update(service);
}

void service_pause_again(struct service *service, uint64_t until, uint64_t now)
{
	if (service_takes_in(service) && until > now)
		pause_until(service, until < now + PAUSE_MAX ? until : now + PAUSE_MAX);
}

void service_end_pause(struct service *service, enum pause_why why)
{
	if (service->paused_until == 0 || service->pause_why != why)
		return;
	/* In the next turn, like all that resume. */
	service->paused_until = 1;
	service->master->paused_due = 0;
}

void service_recovered(struct service *service)
{
	service_end_pause(service, PAUSE_BROKEN);
	service_end_pause(service, PAUSE_PROCESSES);
	service_end_pause(service, PAUSE_UNREADY);
	service->pauses = 0;
}

const char *service_pause_reason(const struct service *service)
{
	static const char *const reasons[] = {
		[PAUSE_MACHINE] = "descriptors, memory or processes are short",
		[PAUSE_BROKEN] = "the program cannot be started",
		[PAUSE_PROCESSES] = "its user may have no more processes",
		[PAUSE_SUSPECT] = "the program dies at once, or leaves what woke it",
		[PAUSE_UNREADY] = "the program ends before it is ready",
	};

	if (service->paused_until == 0 || service->pauses == 0)
		return NULL;
	return reasons[service->pause_why];
}

void service_leave_lists(struct service *service)
{
	if (service->paused_until != 0)
		delist(service);
	service_unstarve(service);
	service_stop_waiting(service);
}

void service_forgive(struct service *service)
{
	service_recovered(service);
	service_leave_lists(service);
	if (!service->told)
		return;
	service->told->full = 0;
	free(service->told->last_failure);
	service->told->last_failure = NULL;
}
