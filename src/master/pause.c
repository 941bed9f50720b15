#include "master/pause.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "master/master.h"
#include "master/service.h"

#define PAUSE_MIN (100 * USEC_PER_MSEC)
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

void service_pause(struct service *service, const char *reason)
{
	uint64_t now = clock_monotonic();
	uint64_t length = PAUSE_MIN << (service->pauses < 9 ? service->pauses : 9);
	char text[TEXT_NUMBER_MAX];

	if (length > PAUSE_MAX)
		length = PAUSE_MAX;
	if (service->paused_until == 0)
		service->pauses++;
	pause_until(service, now + length);
	if (log_gate_pass(&service->failures, now))
		log_warning("%s%s, retrying in %s", service->label, reason,
			text_format_elapsed(length, text));
	else
		master_gate_closed(service->master, service->failures.window_ends);
	service_update(service);
}

void service_recovered(struct service *service)
{
	service->pauses = 0;
	service->fruitless = 0;
}

/* ---------------------------------------------------------- no free slot */

void service_starve(struct service *service)
{
	struct master *master = service->master;

	if (!service->starved) {
		service->starved = true;
		service->prev_starved = NULL;
		service->next_starved = master->starved;
		if (master->starved)
			master->starved->prev_starved = service;
		master->starved = service;
	}
	service_update(service);
}

static void unstarve(struct service *service)
{
	if (service->prev_starved)
		service->prev_starved->next_starved = service->next_starved;
	else
		service->master->starved = service->next_starved;
	if (service->next_starved)
		service->next_starved->prev_starved = service->prev_starved;
	service->next_starved = service->prev_starved = NULL;
	service->starved = false;
}

void services_feed(struct master *master)
{
	master->slot_came_free = false;
	while (master->starved) {
		struct service *service = master->starved;

		unstarve(service);
		service_update(service);
	}
}

void service_unlink(struct service *service)
{
	if (service->paused_until != 0)
		delist(service);
	if (service->starved)
		unstarve(service);
}

void service_forgive(struct service *service)
{
	service_recovered(service);
	service_unlink(service);
	service->full_told = 0;
	service->last_failure[0] = '\0';
}
