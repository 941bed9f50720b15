#include "master/handover/master-state.h"

#include "base/log.h"
#include "base/own.h"
#include "master/handover/codec-policy.h"
#include "master/handover/codec-refusals.h"
#include "master/handover/codec-told.h"
#include "master/master.h"
#include "master/refusals.h"
#include "master/service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------- what it is */

static void told_fields(struct codec *codec, void *object)
{
	struct saved_master_told *told = object;

	codec_u64(codec, &told->full);
	codec_u64(codec, &told->shortage);
	codec_u64(codec, &told->forgot);
	codec_u64(codec, &told->forgot_before);
	codec_u64(codec, &told->operators);
	codec_u64(codec, &told->no_asker);
	codec_u64(codec, &told->ask_full);
	codec_u64(codec, &told->tally);
	codec_u64(codec, &told->lost);
}

static void reload_fields(struct codec *codec, void *object)
{
	struct saved_reload *reload = object;

	codec_u64(codec, &reload->n_done);
	codec_u64(codec, &reload->n_failed);
	codec_u64(codec, &reload->finished);
	codec_bool(codec, &reload->failed);
	codec_bool(codec, &reload->hindered);
	codec_line(codec, reload->reason, sizeof reload->reason);
}

/* Fields are only ever added at the end. */
static void state_fields(struct codec *codec, void *object)
{
	struct saved_master *state = object;

	codec_u64(codec, &state->started);
	codec_u64(codec, &state->next_connection);
	codec_u32(codec, &state->last_service);
	codec_raw(codec, state->address_key, sizeof state->address_key);
	codec_u32(codec, &state->log_level);
	codec_refused(codec, state->refused);
	codec_u64(codec, &state->n_bans);
	codec_stats(codec, &state->stats);
	codec_record(codec, reload_fields, &state->reload);
	codec_record(codec, told_fields, &state->last_told);
	codec_told(codec, &state->told);
	codec_gate(codec, &state->other_refusals);
	codec_refusals(codec, &state->refusals);
	codec_refusals(codec, &state->bans);
	codec_u64(codec, &state->records_lost);
	codec_u64(codec, &state->records_untold);
	codec_bans(codec, &state->banned);
	codec_u64(codec, &state->forgotten);
	codec_memories(codec, &state->memories, &state->n_memories);
}

/* ------------------------------------------------------------------------- to write */

static struct saved_master_told look_at_told(const struct master *master)
{
	return (struct saved_master_told){
		.full = master->full_told,
		.shortage = master->shortage_told,
		.forgot = master->forgot_told,
		.forgot_before = master->forgot_before,
		.operators = master->control.refused_told,
		.no_asker = master->overdue.told,
		.ask_full = master->overdue.full_told,
		.tally = master->tally.told,
		.lost = master->accounting.lost_told,
	};
}

static struct saved_reload look_at_reload(const struct reload *reload)
{
	struct saved_reload state = {
		.n_done = reload->n_done,
		.n_failed = reload->n_failed,
		.finished = reload->finished,
		.failed = reload->failed,
		.hindered = reload->hindered,
	};

	memcpy(state.reason, reload->reason, sizeof state.reason);
	return state;
}

static int take_memories(
	const struct sources *sources, uint64_t now, struct saved_master *state)
{
	size_t n = sources_places(sources);

	state->forgotten = sources_forgotten(sources);
	state->memories = calloc(n + 1, sizeof *state->memories);
	if (!state->memories)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		state->n_memories +=
			sources_memory_at(sources, i, now, &state->memories[state->n_memories]);
	return 0;
}

/* What it owns stays the master's. */
static struct saved_master look_at(const struct master *master)
{
	struct saved_master state = {
		.started = master->started,
		.next_connection = master->next_connection,
		.last_service = master->last_service,
		.log_level = (uint32_t)log_max_priority(),
		.n_bans = master->n_bans,
		.stats = master->stats,
		.reload = look_at_reload(&master->reload),
		.last_told = look_at_told(master),
		.told = master->told,
		.other_refusals = master->other_refusals,
		.refusals = master->refusals,
		.bans = master->bans,
		.records_lost = master->accounting.lost,
		.records_untold = master->accounting.untold,
		.banned = master->banned,
	};

	memcpy(state.address_key, master->address_key, sizeof state.address_key);
	memcpy(state.refused, master->refused, sizeof state.refused);
	return state;
}

int master_state_save(const struct master *master, uint64_t now, struct wire_writer *out)
{
	struct saved_master state = look_at(master);
	struct codec codec = {.out = out};
	int r;

	r = take_memories(master->sources, now, &state);
	if (r == 0)
		codec_record(&codec, state_fields, &state);
	free(state.memories);
	return r < 0 ? r : codec_error(&codec);
}

/* -------------------------------------------------------------------------- to read */

int master_state_read(const void *data, size_t len, struct saved_master *ret)
{
	*ret = (struct saved_master){0};
	return codec_read_record(data, len, state_fields, ret);
}

void master_state_done(struct saved_master *state)
{
	free(state->told.last_failure);
	refusals_free(state->refusals);
	refusals_free(state->bans);
	bans_done(&state->banned);
	free(state->memories);
	*state = (struct saved_master){0};
}

/* --------------------------------------------------------------------------- to use */

/* One of zeros would be known to everybody: then it is not in there. */
static void put_key(const struct saved_master *state, struct master *master)
{
	static const uint8_t none[sizeof state->address_key];

	if (memcmp(state->address_key, none, sizeof none) != 0)
		memcpy(master->address_key, state->address_key, sizeof master->address_key);
}

/* Never given twice. */
static void put_numbers(const struct saved_master *state, struct master *master, uint64_t now)
{
	if (state->started > 0)
		master->started = codec_not_after(state->started, now);
	if (state->next_connection > master->next_connection)
		master->next_connection = state->next_connection;
	if (state->last_service > master->last_service)
		master->last_service = state->last_service;
}

static void put_told(const struct saved_master_told *told, struct master *master, uint64_t now)
{
	master->full_told = codec_not_after(told->full, now);
	master->shortage_told = codec_not_after(told->shortage, now);
	master->forgot_told = codec_not_after(told->forgot, now);
	master->forgot_before = told->forgot_before;
	master->control.refused_told = codec_not_after(told->operators, now);
	master->overdue.told = codec_not_after(told->no_asker, now);
	master->overdue.full_told = codec_not_after(told->ask_full, now);
	master->tally.told = codec_not_after(told->tally, now);
	master->accounting.lost_told = codec_not_after(told->lost, now);
}

static void put_reload(const struct saved_reload *state, struct reload *reload, uint64_t now)
{
	reload->n_done = state->n_done;
	reload->n_failed = state->n_failed;
	reload->finished = codec_not_after(state->finished, now);
	reload->failed = state->failed;
	reload->hindered = state->hindered;
	memcpy(reload->reason, state->reason, sizeof reload->reason);
}

static void put_counts(const struct saved_master *state, struct master *master)
{
	memcpy(master->refused, state->refused, sizeof master->refused);
	master->n_bans = state->n_bans;
	master->stats = state->stats;
	master->accounting.lost = state->records_lost;
	master->accounting.untold = state->records_untold;
}

/* What was held back by a window that is over by now is told in the next turn. */
static void put_gates(struct saved_master *state, struct master *master, uint64_t now)
{
	free(master->told.last_failure);
	master->told = state->told;
	state->told.last_failure = NULL;
	codec_settle_told(&master->told, now);
	master->other_refusals = state->other_refusals;
	codec_settle_gate(&master->other_refusals, now);
	refusals_free(master->refusals);
	refusals_free(master->bans);
	master->refusals = take_ptr(state->refusals);
	master->bans = take_ptr(state->bans);
	codec_settle_refusals(master->refusals, now);
	codec_settle_refusals(master->bans, now);
	master_gate_closed(master, now);
}

void master_state_put(struct saved_master *state, struct master *master, uint64_t now)
{
	put_key(state, master);
	put_numbers(state, master, now);
	put_counts(state, master);
	put_reload(&state->reload, &master->reload, now);
	put_told(&state->last_told, master, now);
	put_gates(state, master, now);
	bans_done(&master->banned);
	master->banned = state->banned;
	state->banned = (struct bans){0};
	if (state->log_level >= LOG_ERR && state->log_level <= LOG_DEBUG)
		log_set_max_priority((int)state->log_level);
}

/* ------------------------------------------------------------------------- sources */

/* Numbers of services, in order. */
struct numbers {
	uint32_t *items; /* owned */
	size_t n;
};

static int compare_numbers(const void *a, const void *b)
{
	uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

	return (one > other) - (one < other);
}

static int list_numbers(const struct master *master, struct numbers *ret)
{
	size_t n = master->n_services;

	for (const struct service *s = master->retired; s; s = s->next_retired)
		n++;
	ret->items = calloc(n + 1, sizeof *ret->items);
	if (!ret->items)
		return -ENOMEM;
	for (ret->n = 0; ret->n < master->n_services; ret->n++)
		ret->items[ret->n] = master->services[ret->n]->number;
	for (const struct service *s = master->retired; s; s = s->next_retired)
		ret->items[ret->n++] = s->number;
	qsort(ret->items, ret->n, sizeof *ret->items, compare_numbers);
	return 0;
}

static bool is_known(const struct numbers *numbers, uint64_t service)
{
	uint32_t number = (uint32_t)service;

	return service == SOURCES_EVERYWHERE ||
	       (service <= UINT32_MAX && bsearch(&number, numbers->items, numbers->n,
						 sizeof number, compare_numbers));
}

int master_state_put_sources(
	const struct saved_master *state, struct master *master, uint64_t now)
{
	struct numbers numbers;
	int r = list_numbers(master, &numbers);

	if (r < 0)
		return r;
	sources_add_forgotten(master->sources, state->forgotten);
	for (size_t i = 0; i < state->n_memories; i++) {
		struct source_memory memory = state->memories[i];

		if (!is_known(&numbers, memory.service))
			continue;
		memory.bucket.at = codec_not_after(memory.bucket.at, now);
		sources_remember(master->sources, &memory, now);
	}
	free(numbers.items);
	return 0;
}
