#include "master/handover/service-state.h"

#include "base/own.h"
#include "master/handover/codec-policy.h"
#include "master/handover/codec-told.h"
#include "master/master.h"
#include "master/pause.h"
#include "master/service.h"

#include <stdlib.h>
#include <string.h>

/* What four bits hold. */
#define NIBBLE_MAX 15U

/* ---------------------------------------------------------------------- what it is */

static void pause_fields(struct codec *codec, struct saved_service *state)
{
	codec_u8(codec, &state->deaths);
	codec_u64(codec, &state->deaths_since);
	codec_u8(codec, &state->pause_why);
	codec_u8(codec, &state->pauses);
	codec_u64(codec, &state->paused_until);
	codec_u8(codec, &state->fruitless);
	codec_expect(codec, state->deaths <= NIBBLE_MAX && state->pauses <= NIBBLE_MAX &&
				    state->pause_why < _PAUSE_WHY_MAX);
}

static void pace_fields(struct codec *codec, struct saved_service *state)
{
	codec_bool(codec, &state->has_pace);
	codec_bucket(codec, &state->bucket);
	codec_u64(codec, &state->pace_told);
}

static void steered_fields(struct codec *codec, struct saved_service *state)
{
	struct steered *steered = &state->steered;

	codec_bool(codec, &steered->has_instances);
	codec_u32(codec, &state->instances);
	codec_bool(codec, &steered->has_rate);
	codec_limit(codec, &state->rate);
	codec_bool(codec, &steered->has_per_source);
	codec_u32(codec, &steered->per_source);
	codec_bool(codec, &steered->has_per_source_rate);
	codec_limit(codec, &steered->per_source_rate);
}

/* Whether it is there; of what is read, with memory for it. */
static bool is_there(struct codec *codec, void **part, size_t size)
{
	bool there = *part;

	codec_bool(codec, &there);
	if (!codec_reads(codec) || !there)
		return there;
	*part = calloc(1, size);
	if (!*part)
		codec_fault(codec, -ENOMEM);
	return *part;
}

/* Fields are only ever added at the end. */
static void state_fields(struct codec *codec, void *object)
{
	struct saved_service *state = object;

	codec_u32(codec, &state->number);
	codec_bool(codec, &state->disabled);
	codec_u64(codec, &state->n_started);
	pause_fields(codec, state);
	pace_fields(codec, state);
	steered_fields(codec, state);
	if (is_there(codec, (void **)&state->told, sizeof *state->told))
		codec_told(codec, state->told);
	if (is_there(codec, (void **)&state->stats, sizeof *state->stats))
		codec_stats(codec, state->stats);
}

/* ------------------------------------------------------------------------- to write */

static void take_steered(const struct service *service, struct saved_service *state)
{
	if (!service->steered)
		return;
	state->steered = *service->steered;
	state->instances = service->instances;
	if (state->steered.has_rate && service->pace)
		state->rate = service->pace->limit;
}

/* Whom a worker serves is not added to the next image's children. */
static uint64_t count_others(const struct service *service)
{
	uint64_t n = service->n_started;

	for (const struct child *child = service->first; child; child = child->next)
		n -= !child->worker && !child->backend;
	return n;
}

/* What it owns stays the service's. */
static struct saved_service look_at(const struct service *service)
{
	struct saved_service state = {
		.number = service->number,
		.disabled = service->state == SERVICE_DISABLED,
		.n_started = count_others(service),
		.deaths = service->deaths,
		.deaths_since = service->deaths_since,
		.pause_why = (uint8_t)service->pause_why,
		.pauses = service->pauses,
		.paused_until = service->paused_until,
		.fruitless = service->fruitless,
		.has_pace = service->pace,
		.told = service->told,
		.stats = service->stats,
	};

	if (service->pace) {
		state.bucket = service->pace->bucket;
		state.pace_told = service->pace->told;
	}
	take_steered(service, &state);
	return state;
}

int service_state_save(const struct service *service, struct wire_writer *out)
{
	struct saved_service state = look_at(service);
	struct codec codec = {.out = out};

	codec_record(&codec, state_fields, &state);
	return codec_error(&codec);
}

/* -------------------------------------------------------------------------- to read */

int service_state_read(const void *data, size_t len, struct saved_service *ret)
{
	*ret = (struct saved_service){0};
	return codec_read_record(data, len, state_fields, ret);
}

void service_state_done(struct saved_service *state)
{
	if (state->told)
		free(state->told->last_failure);
	free(state->told);
	free(state->stats);
	*state = (struct saved_service){0};
}

/* --------------------------------------------------------------------------- to use */

/* The rate first, for which there may be no memory: what comes after it has all it needs. */
static int put_steered(const struct saved_service *state, struct service *service)
{
	const struct steered *steered = &state->steered;
	int r = 0;

	if (steered->has_rate)
		r = steer_set_rate(service, &state->rate);
	if (r == 0 && steered->has_instances)
		r = steer_set_instances(service, state->instances);
	if (r == 0 && steered->has_per_source)
		r = steer_set_per_source(service, steered->per_source);
	if (r == 0 && steered->has_per_source_rate)
		r = steer_set_per_source_rate(service, &steered->per_source_rate);
	return r;
}

/* The rate may be another one by now: what was taken stays taken. */
static void put_pace(const struct saved_service *state, struct service *service, uint64_t now)
{
	struct pace *pace = service->pace;

	if (!pace || !state->has_pace)
		return;
	pace->bucket = state->bucket;
	pace->bucket.at = codec_not_after(pace->bucket.at, now);
	pace->told = codec_not_after(state->pace_told, now);
}

/* Whoever comes later has another one. */
static void put_number(uint32_t number, struct service *service)
{
	if (number == 0)
		return;
	service->number = number;
	if (service->master->last_service < number)
		service->master->last_service = number;
}

static void put_counts(struct saved_service *state, struct service *service, uint64_t now)
{
	service->n_started = state->n_started;
	if (state->stats) {
		free(service->stats);
		service->stats = take_ptr(state->stats);
	}
	if (!state->told)
		return;
	if (service->told)
		free(service->told->last_failure);
	free(service->told);
	service->told = take_ptr(state->told);
	codec_settle_told(service->told, now);
	master_gate_closed(service->master, service->told->failures.window_ends);
}

static void put_pauses(const struct saved_service *state, struct service *service, uint64_t now)
{
	service->deaths = state->deaths & NIBBLE_MAX;
	service->deaths_since = codec_not_after(state->deaths_since, now);
	service->fruitless = state->fruitless;
	service->pauses = state->pauses & NIBBLE_MAX;
	service->pause_why = state->pause_why & NIBBLE_MAX;
	service_pause_again(service, state->paused_until, now);
}

int service_state_put(struct saved_service *state, struct service *service, uint64_t now)
{
	int r = put_steered(state, service);

	if (r < 0)
		return r;
	/* It forgives, and comes before there is something to forgive. */
	if (state->disabled)
		steer_disable(service, now);
	put_number(state->number, service);
	put_pace(state, service, now);
	put_counts(state, service, now);
	put_pauses(state, service, now);
	service_update(service);
	return 0;
}
