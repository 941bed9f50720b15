#include "master/state.h"

#include "base/clock.h"
#include "base/log.h"
#include "master/master.h"
#include "master/readiness.h"
#include "master/service.h"
#include "policy/admit.h"

#include <inttypes.h>
#include <stdio.h>

/* Lines in one turn. */
#define STATE_BATCH 64

/* Every reason with a count of 20 digits. */
#define REFUSED_TEXT_MAX 1024

size_t state_count_retired(const struct master *master)
{
	size_t n = 0;

	for (const struct service *s = master->retired; s; s = s->next_retired)
		n += s->first != NULL;
	return n;
}

static void tell_all(const struct master *master)
{
	size_t remembered = sources_remembered(master->sources);
	size_t n_retired = state_count_retired(master);

	log_notice("state: services: %zu, children: %u of at most %u, "
		   "clients with a child: %zu, others remembered: %zu",
		master->n_services, master_clients(master), master->budget.total_instances,
		sources_used(master->sources) - remembered, remembered);
	if (master->leaving)
		log_notice("state: %s, connections left: %zu",
			master->stopping ? "stopping" : "draining", drain_left(master));
	if (n_retired > 0)
		log_notice("state: removed services that have children: %zu", n_retired);
}

const char *state_describe(const struct service *service)
{
	if (service->master->leaving && !service->master->stopping)
		return "draining";
	if (service->state == SERVICE_WAITING)
		return "waiting";
	if (service->state == SERVICE_DISABLED)
		return "disabled";
	if (service->state == SERVICE_STOPPED)
		return "stopped";
	if (!service_is_served(service))
		return "without an address";
	if (service->paused_until > 0)
		return "paused";
	if (readiness_describe(service->wait_child))
		return readiness_describe(service->wait_child);
	if (service_is_full(service))
		return "full";
	if (service_is_paced(service))
		return "above its rate";
	return "serving";
}

/* ", refused 7: per_source 5, rate 2", or nothing; returns buf. */
static const char *describe_refused(const struct told *told, char buf[REFUSED_TEXT_MAX])
{
	const uint64_t *refused = told ? told->refused : NULL;
	uint64_t all = 0;
	size_t len;

	buf[0] = '\0';
	for (int i = 0; refused && i < _ADMIT_MAX; i++)
		all += refused[i];
	if (all == 0)
		return buf;
	len = (size_t)snprintf(buf, REFUSED_TEXT_MAX, ", refused %" PRIu64, all);
	for (int i = 0, n = 0; i < _ADMIT_MAX; i++)
		if (refused[i] > 0)
			len += (size_t)snprintf(buf + len, REFUSED_TEXT_MAX - len,
				"%s %s %" PRIu64, n++ ? "," : ":",
				admit_reason((enum admit_verdict)i), refused[i]);
	return buf;
}

static void tell(const struct service *service)
{
	char refused[REFUSED_TEXT_MAX];

	log_notice("%s%s, %u %s%s", service->label, state_describe(service),
		service->n_children, service->n_children == 1 ? "child" : "children",
		describe_refused(service->told, refused));
}

void state_request(struct master *master)
{
	master->state = (struct state){.asked = true};
	tell_all(master);
}

uint64_t state_due(const struct state *state)
{
	return state->asked ? 0 : USEC_INFINITY;
}

/* A reload in between may leave one out, or tell one twice. */
void state_turn(struct master *master)
{
	struct state *state = &master->state;

	for (int i = 0; i < STATE_BATCH && state->asked; i++) {
		if (state->next < master->n_services)
			tell(master->services[state->next++]);
		else
			state->asked = false;
	}
}
