#include "master/refusals.h"

#include "base/clock.h"
#include "base/log.h"
#include "master/conceal.h"
#include "master/handover/codec-policy.h"
#include "master/handover/codec-told.h"
#include "master/master.h"
#include "master/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct refusal {
	struct log_gate gate; /* never opened: free */
	uint32_t service;     /* its number */
	enum admit_verdict verdict;
	struct addr_source source;
	char who[ADDR_SOURCE_TEXT_MAX];
	char label[SERVICE_NAME_MAX + sizeof ": "];
};

struct refusals {
	struct refusal items[REFUSALS_MAX];
};

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

/* ---------------------------------------------------------- from one image to the next */

/* Its texts are as they were made, and so is its number: a service that has gone has none that
 * is given again. */
static void fields(struct codec *codec, void *object)
{
	struct refusal *refusal = object;

	codec_gate(codec, &refusal->gate);
	codec_u32(codec, &refusal->service);
	codec_verdict(codec, &refusal->verdict);
	codec_source(codec, &refusal->source);
	codec_line(codec, refusal->who, sizeof refusal->who);
	codec_line(codec, refusal->label, sizeof refusal->label);
}

static void read_items(struct codec *codec, struct refusals *refusals)
{
	void *items = NULL;
	size_t n = 0;

	codec_array(codec, &items, &n, sizeof *refusals->items, REFUSALS_MAX, fields);
	if (n > 0)
		memcpy(refusals->items, items, n * sizeof *refusals->items);
	free(items);
}

/* Those that anything is known of. */
static void write_items(struct codec *codec, const struct refusals *refusals)
{
	struct refusal used[REFUSALS_MAX];
	void *items = used;
	size_t n = 0;

	for (size_t i = 0; i < REFUSALS_MAX; i++)
		if (refusals->items[i].gate.window_ends > 0)
			used[n++] = refusals->items[i];
	codec_array(codec, &items, &n, sizeof *used, REFUSALS_MAX, fields);
}

void refusals_field(struct codec *codec, struct refusals **refusals)
{
	bool there = *refusals;

	codec_bool(codec, &there);
	if (!there)
		return;
	if (!codec_reads(codec)) {
		write_items(codec, *refusals);
		return;
	}
	*refusals = refusals_new();
	if (*refusals)
		read_items(codec, *refusals);
	else
		codec_fault(codec, -ENOMEM);
}

void refusals_settle(struct refusals *refusals, uint64_t now)
{
	for (size_t i = 0; refusals && i < REFUSALS_MAX; i++)
		codec_settle_gate(&refusals->items[i].gate, now);
}
