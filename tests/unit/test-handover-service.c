/* handover-service: a service goes on with what it knew, and believes nothing else. */
#include "master/handover/service-state.h"

#include "base/heap.h"
#include "master/master.h"
#include "master/service.h"

#include "handover-try.h"

/* A master with one service, whose sockets are nobody's. */
struct world {
	struct master master;
	struct cmdline cmdline;
	struct service *service;
};

static void fill(struct world *w)
{
	memset(w, 0, sizeof *w);
	w->master.cmdline = &w->cmdline;
	w->master.paused_due = UINT64_MAX;
	w->service = service_new(&w->master, "a");
	assert_non_null(w->service);
}

/* Not by service_free(), which needs a master that serves. */
static void finish(struct world *w)
{
	struct service *service = w->service;

	if (service->told)
		free(service->told->last_failure);
	free(service->told);
	free(service->stats);
	steer_drop(service);
	pace_free(&w->master, service->pace);
	heap_done(&w->master.pacing);
	free(service);
}

static void set_rate(struct world *w, uint32_t burst)
{
	const struct limit rate = {.count = 1, .burst = burst, .period = 60 * SECOND};

	service_set_rate(w->service, &rate, pace_new(&w->master));
}

/* All that there can be to it. */
static void live(struct world *w)
{
	struct service *service = w->service;
	struct told *told = service_told(service);

	w->master.last_service = 40;
	service->number = 17;
	service->n_started = 1234567890123;
	service->deaths = 3;
	service->deaths_since = NOW - 5;
	service->fruitless = 19;
	service->pauses = 9;
	service->pause_why = PAUSE_BROKEN;
	service_pause_again(service, NOW + 20 * SECOND, NOW);
	set_rate(w, 5);
	for (uint64_t i = 0; i < 5; i++)
		service_count_client(service, NOW - SECOND + i);
	service->pace->told = NOW - 3;
	assert_int_equal(steer_set_instances(service, 7), 0);
	assert_int_equal(steer_set_per_source(service, 3), 0);
	assert_int_equal(
		steer_set_per_source_rate(service, &(struct limit){2, 4, 9 * SECOND}), 0);
	for (int i = 0; i < 4; i++)
		log_gate_pass(&told->failures, NOW - SECOND);
	told->last_failure = strdup("/bin/x: exec: No such file");
	told->n_news = 2;
	told->full = NOW - 4;
	told->pause = NOW - 5;
	told->lookup = NOW - 6;
	told->refused[ADMIT_BANNED] = 99;
	service->stats = calloc(1, sizeof *service->stats);
	assert_non_null(service->stats);
	service->stats->accepted = 12;
	histogram_add(&service->stats->spawn, 700);
}

static void save(const struct world *w, struct wire_writer *out)
{
	wire_writer_init(out);
	assert_int_equal(service_state_save(w->service, out), 0);
}

static void restore(struct world *w, const struct wire_writer *out, uint64_t now)
{
	struct saved_service state;

	assert_int_equal(service_state_read(out->data, out->len, &state), 0);
	assert_int_equal(service_state_put(&state, w->service, now), 0);
	service_state_done(&state);
}

static int read_only(const void *data, size_t len)
{
	struct saved_service state;
	int r = service_state_read(data, len, &state);

	service_state_done(&state);
	return r;
}

/* ----------------------------------------------------------------- what is handed over */

static void check_counts(const struct service *a, const struct service *b)
{
	assert_int_equal(a->number, b->number);
	assert_true(a->n_started == b->n_started);
	assert_int_equal(a->deaths, b->deaths);
	assert_true(a->deaths_since == b->deaths_since);
	assert_int_equal(a->fruitless, b->fruitless);
	assert_int_equal(a->pauses, b->pauses);
	assert_int_equal(a->pause_why, b->pause_why);
	assert_true(a->paused_until == b->paused_until);
	assert_memory_equal(a->stats, b->stats, sizeof *a->stats);
}

static void check_told(struct told *a, struct told *b)
{
	assert_string_equal(a->last_failure, b->last_failure);
	assert_int_equal(a->n_news, b->n_news);
	assert_true(a->full == b->full && a->pause == b->pause && a->lookup == b->lookup);
	assert_memory_equal(a->refused, b->refused, sizeof a->refused);
	assert_true(log_gate_take(&a->failures, NOW + LOG_GATE_WINDOW) == 3);
	assert_true(log_gate_take(&b->failures, NOW + LOG_GATE_WINDOW) == 3);
}

/* It has its next token at the same moment, to the microsecond. */
static void check_pace(const struct pace *a, const struct pace *b)
{
	assert_true(a->told == b->told);
	assert_memory_equal(&a->limit, &b->limit, sizeof a->limit);
	for (uint64_t now = NOW; now < NOW + 400 * SECOND; now += 7 * SECOND / 3)
		assert_true(bucket_has_at(&a->bucket, &a->limit, now) ==
			    bucket_has_at(&b->bucket, &b->limit, now));
}

static void test_goes_on(void **ctx)
{
	struct world before, after;
	struct wire_writer out;

	(void)ctx;
	fill(&before);
	live(&before);
	save(&before, &out);
	fill(&after);
	set_rate(&after, 5);
	after.service->instances = 512;
	after.master.gates_due = UINT64_MAX;
	restore(&after, &out, NOW);
	/* Its held back lines are looked after, and nobody else gets its number. */
	assert_true(after.master.gates_due == NOW - SECOND + LOG_GATE_WINDOW);
	assert_int_equal(after.master.last_service, 17);

	check_counts(before.service, after.service);
	check_pace(before.service->pace, after.service->pace);
	check_told(before.service->told, after.service->told);
	assert_true(after.master.paused == after.service);
	assert_true(after.master.paused_due == after.service->paused_until);
	assert_int_equal(after.service->instances, 7);
	assert_int_equal(steer_per_source(after.service), 3);
	assert_int_equal(steer_per_source_rate(after.service)->burst, 4);
	/* What is configured is that of today. */
	assert_int_equal(after.service->steered->old_instances, 512);
	wire_writer_done(&out);
	finish(&before);
	finish(&after);
}

/* One that has nothing to tell changes nothing, and is short: there may be ten thousand. */
static void test_nothing(void **ctx)
{
	struct world before, after;
	struct wire_writer out;

	(void)ctx;
	fill(&before);
	save(&before, &out);
	assert_true(out.len < 200);
	fill(&after);
	restore(&after, &out, NOW);
	assert_int_equal(after.service->number, 1);
	assert_null(after.service->told);
	assert_null(after.service->stats);
	assert_null(after.service->pace);
	assert_null(after.service->steered);
	assert_null(after.master.paused);
	wire_writer_done(&out);
	finish(&before);
	finish(&after);
}

static void test_rate_that_was_set(void **ctx)
{
	const struct limit set = {.count = 3, .burst = 3, .period = 50 * SECOND};
	struct world before, after;
	struct wire_writer out;

	(void)ctx;
	fill(&before);
	set_rate(&before, 5);
	assert_int_equal(steer_set_rate(before.service, &set), 0);
	for (int i = 0; i < 3; i++)
		service_count_client(before.service, NOW);
	save(&before, &out);

	/* Nothing is configured now. */
	fill(&after);
	restore(&after, &out, NOW + SECOND);
	check_pace(before.service->pace, after.service->pace);
	assert_false(limit_is_set(&after.service->steered->old_rate));
	finish(&after);

	/* That there is no rate was set. */
	assert_int_equal(steer_set_rate(before.service, &(struct limit){0}), 0);
	wire_writer_done(&out);
	save(&before, &out);
	fill(&after);
	set_rate(&after, 5);
	restore(&after, &out, NOW);
	assert_null(after.service->pace);
	assert_int_equal(after.service->steered->old_rate.burst, 5);
	wire_writer_done(&out);
	finish(&after);
	finish(&before);
}

/* The rate is configured otherwise, or no more: what was taken stays taken, or is forgotten. */
static void test_rate_that_is_another(void **ctx)
{
	struct world before, after;
	struct wire_writer out;

	(void)ctx;
	fill(&before);
	set_rate(&before, 5);
	for (int i = 0; i < 5; i++)
		service_count_client(before.service, NOW);
	save(&before, &out);
	fill(&after);
	set_rate(&after, 6);
	restore(&after, &out, NOW);
	assert_true(bucket_has(&after.service->pace->bucket, &after.service->pace->limit, NOW));
	service_count_client(after.service, NOW);
	assert_false(
		bucket_has(&after.service->pace->bucket, &after.service->pace->limit, NOW));
	finish(&after);
	fill(&after);
	restore(&after, &out, NOW);
	assert_null(after.service->pace);
	finish(&after);
	wire_writer_done(&out);
	finish(&before);
}

static void test_disabled(void **ctx)
{
	struct world before, after;
	struct saved_service state;
	struct wire_writer out;

	(void)ctx;
	fill(&before);
	before.service->state = SERVICE_DISABLED;
	save(&before, &out);
	/* To be known before sockets are opened. */
	assert_int_equal(service_state_read(out.data, out.len, &state), 0);
	assert_true(state.disabled);
	service_state_done(&state);
	fill(&after);
	restore(&after, &out, NOW);
	assert_int_equal(after.service->state, SERVICE_DISABLED);
	/* One that waits for a condition serves nobody anyway. */
	after.service->state = SERVICE_WAITING;
	restore(&after, &out, NOW);
	assert_int_equal(after.service->state, SERVICE_WAITING);
	wire_writer_done(&out);
	finish(&before);
	finish(&after);
}

/* Children who live are counted again when they are added; those of workers never are. */
static void test_children_are_counted_once(void **ctx)
{
	struct child children[3] = {0}, session = {0};
	struct worker worker = {0};
	struct world before, after;
	struct wire_writer out;

	(void)ctx;
	fill(&before);
	before.service->n_started = 10;
	for (size_t i = 0; i < ARRAY_SIZE(children); i++)
		service_add_child(before.service, &children[i]);
	session.worker = &worker;
	service_add_child(before.service, &session);
	save(&before, &out);
	fill(&after);
	restore(&after, &out, NOW);
	memset(children, 0, sizeof children);
	for (size_t i = 0; i < ARRAY_SIZE(children); i++)
		service_add_child(after.service, &children[i]);
	assert_int_equal(after.service->n_started, 14);
	wire_writer_done(&out);
	finish(&before);
	finish(&after);
}

/* A pause, a bucket and a gate end in time, whatever is said of them. */
static void test_recovers(void **ctx)
{
	struct world before, after;
	struct wire_writer out;

	(void)ctx;
	fill(&before);
	set_rate(&before, 1);
	before.service->paused_until = NOW + 3600 * SECOND;
	before.service->pace->bucket = (struct bucket){UINT64_MAX, LIMIT_PARTS};
	before.service->pace->told = UINT64_MAX;
	before.service->deaths_since = UINT64_MAX;
	*service_told(before.service) = (struct told){
		.failures.window_ends = UINT64_MAX,
		.full = UINT64_MAX,
		.pause = UINT64_MAX,
		.lookup = UINT64_MAX,
	};
	save(&before, &out);
	fill(&after);
	set_rate(&after, 1);
	restore(&after, &out, NOW);
	assert_true(after.service->paused_until == NOW + 30 * SECOND);
	assert_true(after.service->deaths_since == NOW);
	assert_true(bucket_has(
		&after.service->pace->bucket, &after.service->pace->limit, NOW + 60 * SECOND));
	assert_true(after.service->pace->told == NOW);
	assert_true(after.service->told->failures.window_ends == NOW + LOG_GATE_WINDOW);
	assert_true(after.service->told->full == NOW);
	assert_true(after.service->told->pause == NOW);
	assert_true(after.service->told->lookup == NOW);
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
	fill(&before);
	live(&before);
	save(&before, &out);
	/* All fields but those of the two records within are a place to end. */
	assert_true(handover_try_damaged(read_only, &out) >= 22);
	wire_writer_done(&out);
	finish(&before);
}

static void refuse_state(const struct world *w)
{
	struct wire_writer out;

	save(w, &out);
	assert_int_equal(read_only(out.data, out.len), -EBADMSG);
	wire_writer_done(&out);
}

/* Numbers that mean nothing, and what nobody has written. */
static void test_cannot_be(void **ctx)
{
	struct world before;
	struct wire_writer out;

	(void)ctx;
	fill(&before);
	before.service->pause_why = _PAUSE_WHY_MAX;
	refuse_state(&before);
	before.service->pause_why = PAUSE_SUSPECT;
	set_rate(&before, 5);
	assert_int_equal(steer_set_rate(before.service, &(struct limit){1, 1, SECOND}), 0);
	before.service->pace->limit.burst = 0;
	refuse_state(&before);
	before.service->pace->limit.burst = 1;
	save(&before, &out);
	wire_put_u8(&out, 0);
	assert_int_equal(read_only(out.data, out.len), -EBADMSG);
	wire_writer_done(&out);
	finish(&before);
}

/* What an older version did not know is as if it had never been. */
static void test_older(void **ctx)
{
	static const uint8_t record[] = {5, 0, 0, 0, 17, 0, 0, 0, 1};
	struct saved_service state;

	(void)ctx;
	assert_int_equal(service_state_read(record, sizeof record, &state), 0);
	assert_int_equal(state.number, 17);
	assert_true(state.disabled);
	assert_true(state.n_started == 0 && state.paused_until == 0 && !state.has_pace);
	assert_null(state.told);
	assert_null(state.stats);
	service_state_done(&state);
}

static void test_without_memory(void **ctx)
{
	struct world before;
	struct wire_writer out;

	(void)ctx;
	fill(&before);
	live(&before);
	save(&before, &out);
	assert_true(handover_try_without_memory(read_only, &out) > 3);
	wire_writer_done(&out);
	finish(&before);
}

/* It is as it was, and there may be memory the next time. */
static void test_without_memory_to_go_on(void **ctx)
{
	const struct limit set = {.count = 3, .burst = 3, .period = 50 * SECOND};
	struct world before, after;
	struct saved_service state;
	struct wire_writer out;
	int n = 0, r;

	(void)ctx;
	fill(&before);
	live(&before);
	assert_int_equal(steer_set_rate(before.service, &set), 0);
	save(&before, &out);
	fill(&after);
	after.service->instances = 512;
	assert_int_equal(service_state_read(out.data, out.len, &state), 0);
	do {
		assert_int_equal(after.service->instances, 512);
		assert_int_equal(after.service->number, 1);
		assert_null(after.service->told);
		allocations_left = ++n;
		r = service_state_put(&state, after.service, NOW);
		allocations_left = -1;
		assert_true(r == 0 || r == -ENOMEM);
	} while (r < 0);
	assert_int_equal(n, 3);
	assert_int_equal(after.service->instances, 7);
	assert_int_equal(after.service->number, 17);
	service_state_done(&state);
	wire_writer_done(&out);
	finish(&before);
	finish(&after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goes_on),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_rate_that_was_set),
		cmocka_unit_test(test_rate_that_is_another),
		cmocka_unit_test(test_disabled),
		cmocka_unit_test(test_children_are_counted_once),
		cmocka_unit_test(test_recovers),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_cannot_be),
		cmocka_unit_test(test_older),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_without_memory_to_go_on),
	};

	return cmocka_run_group_tests_name("handover-service", tests, NULL, NULL);
}
