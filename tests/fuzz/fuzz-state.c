/*
 * What one image of hatchd hands over to the next of what it knows: of a service, or of all.
 * Whatever it is, it is read or refused; what was read can be gone on with, leaves every limit
 * able to recover, and is what the next image is told.
 *
 * The first byte says which: even: of a service; odd: of all.
 */
#include "base/own.h"
#include "master/handover/master-state.h"
#include "master/handover/service-state.h"
#include "master/master.h"
#include "master/refusals.h"
#include "master/service.h"

#include <stdlib.h>
#include <string.h>

#define SECOND UINT64_C(1000000)
#define NOW    (UINT64_C(1000000000) * SECOND) /* later than the clock of any machine */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* A master that has not begun, with one service. */
struct world {
	struct master master;
	struct cmdline cmdline;
	struct service *service;
};

static void fill(struct world *w)
{
	static const uint8_t key[16] = {1};

	memset(w, 0, sizeof *w);
	w->master.cmdline = &w->cmdline;
	w->master.paused_due = UINT64_MAX;
	w->master.sources = sources_new(10, 20, key);
	w->service = service_new(&w->master, "a");
	check(w->master.sources && w->service);
	w->master.services = &w->service;
	w->master.n_services = 1;
}

static void finish(struct world *w)
{
	struct service *service = w->service;

	if (service->told)
		free(service->told->last_failure);
	free(service->told);
	free(service->stats);
	steer_drop(service);
	pace_free(&w->master, service->pace);
	free(service);
	heap_done(&w->master.pacing);
	sources_free(w->master.sources);
	bans_done(&w->master.banned);
	refusals_free(w->master.refusals);
	refusals_free(w->master.bans);
	free(w->master.told.last_failure);
}

/* ------------------------------------------------------------------------ of a service */

static void check_service(const struct service *service)
{
	const struct pace *pace = service->pace;

	check(service->paused_until <= NOW + 31 * SECOND);
	check(!service->told || service->told->failures.window_ends <= NOW + LOG_GATE_WINDOW);
	if (pace && pace->limit.count > 0)
		check(bucket_has(&pace->bucket, &pace->limit, UINT64_MAX));
}

static bool put_service(struct world *w, const void *data, size_t len)
{
	struct saved_service state;
	int r = service_state_read(data, len, &state);

	check(r == 0 || r == -EBADMSG || r == -ENOMEM);
	if (r == 0)
		check(service_state_put(&state, w->service, NOW) == 0);
	service_state_done(&state);
	return r == 0;
}

/* What the second image tells the third is what the first has told it. */
static void try_service(const uint8_t *data, size_t size)
{
	struct wire_writer told, again;
	struct world first, second;

	fill(&first);
	fill(&second);
	wire_writer_init(&told);
	wire_writer_init(&again);
	if (put_service(&first, data, size)) {
		check_service(first.service);
		check(service_state_save(first.service, &told) == 0);
		check(put_service(&second, told.data, told.len));
		check(service_state_save(second.service, &again) == 0);
		check(told.len == again.len && memcmp(told.data, again.data, told.len) == 0);
	}
	wire_writer_done(&told);
	wire_writer_done(&again);
	finish(&first);
	finish(&second);
}

/* ------------------------------------------------------------------------------ of all */

static void check_all(const struct master *master)
{
	check(master->started <= NOW && master->full_told <= NOW);
	check(master->other_refusals.window_ends <= NOW + LOG_GATE_WINDOW);
	check(sources_remembered(master->sources) <= 20);
	check(master->banned.n <= BANS_MAX);
	check(refusals_report(master->refusals, NOW + LOG_GATE_WINDOW) == UINT64_MAX);
	check(refusals_report(master->bans, NOW + LOG_GATE_WINDOW) == UINT64_MAX);
}

static bool put_all(struct world *w, const void *data, size_t len)
{
	struct saved_master state;
	int r = master_state_read(data, len, &state);

	check(r == 0 || r == -EBADMSG || r == -ENOMEM);
	if (r == 0) {
		master_state_put(&state, &w->master, NOW);
		check(master_state_put_sources(&state, &w->master, NOW) == 0);
	}
	master_state_done(&state);
	return r == 0;
}

static void try_all(const uint8_t *data, size_t size)
{
	struct wire_writer told;
	struct world first, second;

	fill(&first);
	fill(&second);
	wire_writer_init(&told);
	if (put_all(&first, data, size)) {
		check(master_state_save(&first.master, NOW, &told) == 0);
		check(put_all(&second, told.data, told.len));
		check(second.master.banned.n == first.master.banned.n);
		check(sources_remembered(second.master.sources) ==
			sources_remembered(first.master.sources));
		check_all(&first.master);
	}
	wire_writer_done(&told);
	finish(&first);
	finish(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] % 2 == 0)
		try_service(data + 1, size - 1);
	else
		try_all(data + 1, size - 1);
	return 0;
}
