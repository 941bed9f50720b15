/* handover-master: hatchd goes on with what it knew, and believes nothing else. */
#include "master/handover/master-state.h"

#include "base/log.h"
#include "master/master.h"
#include "master/refusals.h"
#include "master/service.h"

#include "handover-try.h"

#include <stdio.h>

static const uint8_t key[16] = {1, 2, 3};
static const struct limit hourly = {.count = 2, .burst = 2, .period = 3600 * SECOND};

/* A master with two services. */
struct world {
	struct master master;
	struct cmdline cmdline;
	struct service *services[2];
	struct setup setup;
	struct service_conf conf;
};

static void add_services(struct world *w)
{
	for (size_t i = 0; i < ARRAY_SIZE(w->services); i++) {
		w->services[i] = service_new(&w->master, i == 0 ? "a" : "b");
		assert_non_null(w->services[i]);
		w->services[i]->setup = &w->setup;
	}
	w->master.services = w->services;
	w->master.n_services = ARRAY_SIZE(w->services);
}

static void fill(struct world *w, size_t remembered)
{
	memset(w, 0, sizeof *w);
	w->setup.conf = &w->conf;
	w->conf.log_on_failure = RECORD_HOST;
	w->conf.source_prefix4 = 32;
	w->conf.source_prefix6 = 64;
	w->master.cmdline = &w->cmdline;
	w->master.next_connection = 1;
	w->master.gates_due = UINT64_MAX;
	w->master.sources = sources_new(100, remembered, key);
	assert_non_null(w->master.sources);
}

static void finish(struct world *w)
{
	sources_free(w->master.sources);
	bans_done(&w->master.banned);
	refusals_free(w->master.refusals);
	refusals_free(w->master.bans);
	free(w->master.told.last_failure);
	for (size_t i = 0; i < w->master.n_services; i++)
		free(w->services[i]);
}

static struct addr_source source_of(uint32_t number)
{
	struct addr_source source = {.family = ADDR_SOURCE_IPV4};

	memcpy(source.bytes, &number, sizeof number);
	return source;
}

static void ban(struct world *w, uint64_t service, uint32_t number, uint64_t until)
{
	struct addr_source source = source_of(number);
	struct addr_net who;

	addr_net_of(&source, 32, 64, &who);
	sources_ban(w->master.sources, service, &who, until, NOW);
}

static void charge(struct world *w, uint64_t service, uint32_t number)
{
	struct addr_source source = source_of(number);

	sources_charge(w->master.sources, service, &source, &hourly, NOW);
}

static void refuse(struct world *w, struct refusals **refusals, uint32_t number, int times)
{
	struct addr_source source = source_of(number);

	if (!*refusals)
		*refusals = refusals_new();
	assert_non_null(*refusals);
	while (times-- > 0)
		log_gate_pass(refusals_gate(*refusals, w->services[0], &source,
				      ADMIT_PER_SOURCE, NOW),
			NOW);
}

/* All that there can be to it. */
static void live(struct world *w)
{
	struct master *master = &w->master;
	struct ban banned = {.until = UINT64_MAX, .service = "a"};

	master->last_service = 40;
	add_services(w);
	master->started = 5;
	master->next_connection = 1234567890123;
	memcpy(master->address_key, "0123456789abcdef", sizeof master->address_key);
	master->refused[ADMIT_TIMES] = 3;
	master->n_bans = 4;
	master->stats.accepted = 6;
	master->reload = (struct reload){.n_done = 7,
		.n_failed = 8,
		.finished = NOW - 9,
		.failed = true,
		.hindered = true,
		.reason = "the files are wrong"};
	master->full_told = NOW - 10;
	master->shortage_told = NOW - 11;
	master->forgot_told = NOW - 12;
	master->forgot_before = 13;
	master->control.refused_told = NOW - 14;
	master->overdue.told = NOW - 15;
	master->overdue.full_told = NOW - 16;
	master->tally.told = NOW - 17;
	master->accounting.lost_told = NOW - 18;
	master->accounting.lost = 19;
	master->accounting.untold = 20;
	master->told.last_failure = strdup("x");
	log_gate_pass(&master->other_refusals, NOW);
	log_gate_pass(&master->other_refusals, NOW);
	assert_int_equal(addr_net_parse("192.0.2.0/24", &banned.who), 0);
	assert_int_equal(bans_put(&master->banned, &banned, NOW), 0);
	refuse(w, &master->refusals, 1, 5);
	refuse(w, &master->bans, 2, 1);
	charge(w, 41, 1);
	ban(w, 42, 2, NOW + 60 * SECOND);
	ban(w, SOURCES_EVERYWHERE, 3, NOW + 90 * SECOND);
}

static void save(const struct world *w, struct wire_writer *out)
{
	wire_writer_init(out);
	assert_int_equal(master_state_save(&w->master, NOW, out), 0);
}

/* As when hatchd is executed anew. */
static void restore(struct world *w, const struct wire_writer *out, uint64_t now)
{
	struct saved_master state;

	assert_int_equal(master_state_read(out->data, out->len, &state), 0);
	master_state_put(&state, &w->master, now);
	add_services(w);
	w->services[0]->number = 41;
	assert_int_equal(master_state_put_sources(&state, &w->master, now), 0);
	master_state_done(&state);
}

static int read_only(const void *data, size_t len)
{
	struct saved_master state;
	int r = master_state_read(data, len, &state);

	master_state_done(&state);
	return r;
}

/* ----------------------------------------------------------------- what is handed over */

static void check_counts(const struct master *a, const struct master *b)
{
	assert_true(a->started == b->started);
	assert_true(a->next_connection == b->next_connection);
	assert_memory_equal(a->address_key, b->address_key, sizeof a->address_key);
	assert_memory_equal(a->refused, b->refused, sizeof a->refused);
	assert_true(a->n_bans == b->n_bans);
	assert_memory_equal(&a->stats, &b->stats, sizeof a->stats);
	assert_true(a->reload.n_done == b->reload.n_done);
	assert_true(a->reload.n_failed == b->reload.n_failed);
	assert_true(a->reload.finished == b->reload.finished);
	assert_true(b->reload.failed && b->reload.hindered);
	assert_string_equal(a->reload.reason, b->reload.reason);
	assert_true(a->accounting.lost == b->accounting.lost);
	assert_true(a->accounting.untold == b->accounting.untold);
}

static void check_told(const struct master *a, const struct master *b)
{
	assert_true(a->full_told == b->full_told);
	assert_true(a->shortage_told == b->shortage_told);
	assert_true(a->forgot_told == b->forgot_told);
	assert_true(a->forgot_before == b->forgot_before);
	assert_true(a->control.refused_told == b->control.refused_told);
	assert_true(a->overdue.told == b->overdue.told);
	assert_true(a->overdue.full_told == b->overdue.full_told);
	assert_true(a->tally.told == b->tally.told);
	assert_true(a->accounting.lost_told == b->accounting.lost_told);
	assert_string_equal(b->told.last_failure, "x");
	assert_int_equal(b->other_refusals.held_back, 1);
}

/* Lines that were held back are told when they were to be told. */
static void check_refusals(struct world *w)
{
	struct master *master = &w->master;
	struct addr_source one = source_of(1);
	struct log_gate *gate;

	assert_true(master->gates_due <= NOW);
	gate = refusals_gate(
		master->refusals, w->services[0], &one, ADMIT_PER_SOURCE, NOW + SECOND);
	assert_int_equal(gate->held_back, 4);
	assert_false(log_gate_pass(gate, NOW + SECOND));
	assert_true(refusals_report(master->refusals, NOW + SECOND) == NOW + LOG_GATE_WINDOW);
	assert_true(refusals_report(master->refusals, NOW + LOG_GATE_WINDOW) == UINT64_MAX);
	assert_non_null(master->bans);
}

static void test_goes_on(void **ctx)
{
	struct world before, after;
	struct wire_writer out;
	struct addr_net who;

	(void)ctx;
	fill(&before, 10);
	live(&before);
	save(&before, &out);
	fill(&after, 10);
	restore(&after, &out, NOW);
	check_counts(&before.master, &after.master);
	check_told(&before.master, &after.master);
	check_refusals(&after);
	assert_int_equal(addr_net_parse("192.0.2.77", &who), 0);
	assert_true(bans_until(&after.master.banned, &who.source, "a", NOW) == UINT64_MAX);
	assert_true(bans_until(&after.master.banned, &who.source, "b", NOW) == 0);
	wire_writer_done(&out);
	finish(&before);
	finish(&after);
}

/* Whoever comes later is numbered above all that were there. */
static void test_numbers_are_never_given_twice(void **ctx)
{
	struct world before, after;
	struct wire_writer out;

	(void)ctx;
	fill(&before, 10);
	live(&before);
	save(&before, &out);
	fill(&after, 10);
	restore(&after, &out, NOW);
	assert_int_equal(after.services[1]->number, 44);
	assert_int_equal(after.master.last_service, 44);
	wire_writer_done(&out);
	finish(&before);
	finish(&after);
}

static struct source_facts look(const struct world *w, uint64_t service, uint32_t number)
{
	struct addr_source source = source_of(number);

	return sources_look(w->master.sources, service, &source);
}

/* Services that stay have theirs, and so have all services; those of one that is gone are
 * nobody's. */
static void test_sources(void **ctx)
{
	struct world before, after;
	struct wire_writer out;

	(void)ctx;
	fill(&before, 10);
	live(&before);
	save(&before, &out);
	fill(&after, 10);
	restore(&after, &out, NOW + SECOND);
	assert_int_equal(sources_remembered(after.master.sources), 2);
	assert_true(look(&after, 41, 1).bucket.missing == LIMIT_PARTS);
	assert_true(look(&after, SOURCES_EVERYWHERE, 3).banned_until == NOW + 90 * SECOND);
	assert_true(look(&after, 42, 2).banned_until == 0);
	wire_writer_done(&out);
	finish(&before);
	finish(&after);
}

/* A service that was removed is remembered as long as it has children. */
static void test_sources_of_retired(void **ctx)
{
	struct world before, after;
	struct saved_master state;
	struct wire_writer out;

	(void)ctx;
	fill(&before, 10);
	live(&before);
	save(&before, &out);
	fill(&after, 10);
	assert_int_equal(master_state_read(out.data, out.len, &state), 0);
	master_state_put(&state, &after.master, NOW);
	add_services(&after);
	after.services[0]->number = 42;
	after.master.n_services = 0;
	after.master.retired = after.services[0];
	assert_int_equal(master_state_put_sources(&state, &after.master, NOW), 0);
	assert_true(look(&after, 42, 2).banned_until == NOW + 60 * SECOND);
	assert_int_equal(sources_remembered(after.master.sources), 2);
	after.master.n_services = 2;
	master_state_done(&state);
	wire_writer_done(&out);
	finish(&before);
	finish(&after);
}

/* Of what there is no room for, somebody goes as always, and is counted. */
static void test_smaller_table(void **ctx)
{
	struct world before, after;
	struct wire_writer out;

	(void)ctx;
	fill(&before, 2);
	live(&before);
	for (uint32_t i = 0; i < 10; i++)
		ban(&before, 41, 256 * i, NOW + (100 + i) * SECOND);
	assert_true(sources_forgotten(before.master.sources) == 11);
	save(&before, &out);
	fill(&after, 1);
	restore(&after, &out, NOW);
	assert_int_equal(sources_remembered(after.master.sources), 1);
	assert_true(sources_forgotten(after.master.sources) == 12);
	wire_writer_done(&out);
	finish(&before);
	finish(&after);
}

/* What is said to have been told later than now was told now. */
static void test_recovers(void **ctx)
{
	struct world before, after;
	struct addr_source one = source_of(1);
	struct wire_writer out;

	(void)ctx;
	fill(&before, 10);
	live(&before);
	before.master.started = before.master.full_told = before.master.shortage_told =
		before.master.forgot_told = before.master.control.refused_told =
			before.master.overdue.told = before.master.overdue.full_told =
				before.master.tally.told = before.master.accounting.lost_told =
					before.master.reload.finished = UINT64_MAX;
	before.master.other_refusals.window_ends = UINT64_MAX;
	refusals_gate(before.master.refusals, before.services[0], &one, ADMIT_PER_SOURCE, NOW)
		->window_ends = UINT64_MAX;
	save(&before, &out);
	fill(&after, 10);
	restore(&after, &out, NOW);
	assert_true(refusals_report(after.master.refusals, NOW) == NOW + LOG_GATE_WINDOW);
	assert_true(after.master.started == NOW && after.master.full_told == NOW);
	assert_true(after.master.shortage_told == NOW && after.master.forgot_told == NOW);
	assert_true(after.master.control.refused_told == NOW);
	assert_true(after.master.overdue.told == NOW && after.master.overdue.full_told == NOW);
	assert_true(after.master.tally.told == NOW);
	assert_true(after.master.accounting.lost_told == NOW);
	assert_true(after.master.reload.finished == NOW);
	assert_true(after.master.other_refusals.window_ends == NOW + LOG_GATE_WINDOW);
	wire_writer_done(&out);
	finish(&before);
	finish(&after);
}

/* The same of a bucket: its tokens come back from now on. */
static void test_bucket_recovers(void **ctx)
{
	struct addr_source source = source_of(1);
	struct world before, after;
	struct wire_writer out;
	struct bucket bucket;

	(void)ctx;
	fill(&before, 10);
	live(&before);
	sources_remember(before.master.sources,
		&(struct source_memory){
			.service = 41,
			.source = source,
			.until = NOW + 3600 * SECOND,
			.bucket = {UINT64_MAX, 2 * LIMIT_PARTS},
		},
		NOW);
	save(&before, &out);
	wire_put_u8(&out, 0);
	assert_int_equal(read_only(out.data, out.len), -EBADMSG);
	out.len--;
	fill(&after, 10);
	restore(&after, &out, NOW);
	bucket = look(&after, 41, 1).bucket;
	assert_true(bucket_full_at(&bucket, &hourly, NOW) == NOW + 3600 * SECOND);
	wire_writer_done(&out);
	finish(&before);
	finish(&after);
}

static void test_log_level(void **ctx)
{
	int level = log_max_priority();
	struct world before, after;
	struct wire_writer out;

	(void)ctx;
	fill(&before, 10);
	live(&before);
	log_set_max_priority(LOG_WARNING);
	save(&before, &out);
	log_set_max_priority(LOG_DEBUG);
	fill(&after, 10);
	restore(&after, &out, NOW);
	assert_int_equal(log_max_priority(), LOG_WARNING);
	log_set_max_priority(level);
	wire_writer_done(&out);
	finish(&before);
	finish(&after);
}

/* ------------------------------------------------------------------- what is refused */

static void test_damaged(void **ctx)
{
	struct world before;
	struct wire_writer out;

	(void)ctx;
	fill(&before, 10);
	live(&before);
	save(&before, &out);
	assert_true(handover_try_damaged(read_only, &out) >= 18);
	wire_writer_done(&out);
	finish(&before);
}

/* What an older version did not know is as if it had never been. */
static void test_older(void **ctx)
{
	static const uint8_t record[] = {8, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0};
	struct wire_writer w = {.data = (uint8_t *)record, .len = sizeof record};
	struct world after;

	(void)ctx;
	fill(&after, 10);
	after.master.address_key[3] = 7;
	restore(&after, &w, NOW);
	assert_int_equal(after.master.address_key[3], 7);
	assert_true(after.master.started == 5);
	assert_int_equal(after.master.next_connection, 1);
	assert_int_equal(after.services[1]->number, 2);
	assert_null(after.master.refusals);
	assert_false(bans_any(&after.master.banned));
	finish(&after);
}

static void test_without_memory(void **ctx)
{
	struct saved_master state;
	struct wire_writer out;
	struct world before;

	(void)ctx;
	fill(&before, 10);
	live(&before);
	wire_writer_init(&out);
	allocations_left = 0;
	assert_int_equal(master_state_save(&before.master, NOW, &out), -ENOMEM);
	allocations_left = -1;
	wire_writer_done(&out);
	save(&before, &out);
	assert_true(handover_try_without_memory(read_only, &out) > 5);
	assert_int_equal(master_state_read(out.data, out.len, &state), 0);
	allocations_left = 0;
	assert_int_equal(master_state_put_sources(&state, &before.master, NOW), -ENOMEM);
	allocations_left = -1;
	master_state_done(&state);
	wire_writer_done(&out);
	finish(&before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goes_on),
		cmocka_unit_test(test_numbers_are_never_given_twice),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_sources_of_retired),
		cmocka_unit_test(test_smaller_table),
		cmocka_unit_test(test_recovers),
		cmocka_unit_test(test_bucket_recovers),
		cmocka_unit_test(test_log_level),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_older),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests_name("handover-master", tests, NULL, NULL);
}
