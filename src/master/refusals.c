#include "master/refusals-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "master/conceal.h"
#include "master/master.h"
#include "master/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct refusals *refusals_new(void)
{
	return calloc(1, sizeof(struct refusals));
}

struct refusals *refusals_free(struct refusals *refusals)
{
	free(refusals);
	return NULL;
}

static bool matches(const struct refusal *refusal, uint32_t service,
	const struct addr_source *source, enum admit_verdict verdict)
{
	return refusal->service == service && refusal->verdict == verdict &&
	       memcmp(&refusal->source, source, sizeof *source) == 0;
}

static bool is_free(const struct refusal *refusal, uint64_t now)
{
	return refusal->gate.held_back == 0 && refusal->gate.window_ends <= now;
}

/* Its texts are made now: the service may be gone when they are told. */
static void begin(struct refusal *refusal, const struct service *service,
	const struct addr_source *source, enum admit_verdict verdict)
{
	const struct service_conf *conf = service->setup->conf;

	*refusal = (struct refusal){
		.service = service->number,
		.verdict = verdict,
		.source = *source,
	};
	if (conf->log_on_failure & RECORD_HOST)
		conceal_source(conf, service->master->address_key, source, refusal->who);
	snprintf(refusal->label, sizeof refusal->label, "%s", service->label);
}

struct log_gate *refusals_gate(struct refusals *refusals, const struct service *service,
	const struct addr_source *source, enum admit_verdict verdict, uint64_t now)
{
	struct refusal *free_one = NULL;
	size_t n_free = 0, n_mine = 0;

	for (size_t i = 0; i < REFUSALS_MAX; i++) {
		struct refusal *refusal = &refusals->items[i];

		if (matches(refusal, service->number, source, verdict))
			return &refusal->gate;
		if (is_free(refusal, now)) {
			free_one = refusal;
			n_free++;
		} else if (refusal->service == service->number) {
			n_mine++;
		}
	}
	if (n_mine >= n_free)
		return NULL;
	begin(free_one, service, source, verdict);
	return &free_one->gate;
}

static uint64_t report(struct refusal *refusal, uint64_t now)
{
	uint64_t held_back;

	if (refusal->gate.held_back == 0)
		return USEC_INFINITY;
	if (now < refusal->gate.window_ends)
		return refusal->gate.window_ends;
	held_back = log_gate_take(&refusal->gate, now);
	log_notice("%s%llu more refused%s%s in the last 10 s: %s", refusal->label,
		(unsigned long long)held_back, refusal->who[0] ? " from " : "", refusal->who,
		admit_reason(refusal->verdict));
	return USEC_INFINITY;
}

uint64_t refusals_report(struct refusals *refusals, uint64_t now)
{
	uint64_t due = USEC_INFINITY;

	for (size_t i = 0; refusals && i < REFUSALS_MAX; i++) {
		uint64_t next = report(&refusals->items[i], now);

		if (next < due)
			due = next;
	}
	return due;
}
