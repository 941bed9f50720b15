/* lifetime: when a child is asked after, told to end, and killed; on a clock of ours. */
#include "policy/lifetime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SEC   UINT64_C(1000000)
#define START (1000 * SEC)

static const struct lifetime_limits unlimited = {
	LIFETIME_NEVER, LIFETIME_NEVER, LIFETIME_NEVER, 10 * SEC};

static struct lifetime_facts talking(uint64_t silent)
{
	return (struct lifetime_facts){LIFETIME_OPEN, true, silent};
}

static struct lifetime_facts mute(uint64_t silent)
{
	return (struct lifetime_facts){LIFETIME_OPEN, false, silent};
}

static void test_without_limits(void **ctx)
{
	struct lifetime life;

	(void)ctx;
	lifetime_begin(&life, &unlimited, true, START);
	assert_int_equal(lifetime_due(&life, &unlimited), LIFETIME_NEVER);
	assert_int_equal(lifetime_act(&life, &unlimited, START + 1000000 * SEC), LIFETIME_REST);
	assert_int_equal(lifetime_act(&life, &unlimited, LIFETIME_NEVER - 1), LIFETIME_REST);
}

static void test_time_limit(void **ctx)
{
	struct lifetime_limits limits = unlimited;
	struct lifetime life;

	(void)ctx;
	limits.time_limit = 60 * SEC;
	lifetime_begin(&life, &limits, false, START);
	assert_int_equal(lifetime_due(&life, &limits), START + 60 * SEC);
	assert_int_equal(lifetime_act(&life, &limits, START + 60 * SEC - 1), LIFETIME_REST);
	assert_int_equal(lifetime_act(&life, &limits, START + 60 * SEC), LIFETIME_TERM);
	assert_int_equal(life.reason, LIFETIME_TIME_LIMIT);

	/* Told late, as by a master that was busy: it gets its time all the same. */
	assert_int_equal(lifetime_due(&life, &limits), START + 70 * SEC);
	assert_int_equal(lifetime_act(&life, &limits, START + 70 * SEC - 1), LIFETIME_REST);
	assert_int_equal(lifetime_act(&life, &limits, START + 70 * SEC), LIFETIME_KILL);
	assert_int_equal(life.reason, LIFETIME_TIME_LIMIT);

	/* Once. */
	assert_int_equal(lifetime_due(&life, &limits), LIFETIME_NEVER);
	assert_int_equal(lifetime_act(&life, &limits, START + 99 * SEC), LIFETIME_REST);
	assert_int_equal(lifetime_act(&life, &limits, LIFETIME_NEVER), LIFETIME_REST);
}

static void test_never_killed(void **ctx)
{
	struct lifetime_limits limits = unlimited;
	struct lifetime life;

	(void)ctx;
	limits.time_limit = SEC;
	limits.kill_after = LIFETIME_NEVER;
	lifetime_begin(&life, &limits, false, START);
	assert_int_equal(lifetime_act(&life, &limits, START + 5 * SEC), LIFETIME_TERM);
	assert_int_equal(lifetime_due(&life, &limits), LIFETIME_NEVER);
	assert_int_equal(lifetime_act(&life, &limits, START + 500 * SEC), LIFETIME_REST);
}

/* A limit that reaches beyond the end of time is none. */
static void test_no_overflow(void **ctx)
{
	struct lifetime_limits limits = unlimited;
	struct lifetime life;

	(void)ctx;
	limits.time_limit = LIFETIME_NEVER - 1;
	lifetime_begin(&life, &limits, false, START);
	assert_int_equal(lifetime_due(&life, &limits), LIFETIME_NEVER);
}

static void test_first_byte(void **ctx)
{
	struct lifetime_limits limits = unlimited;
	struct lifetime_facts facts = mute(5 * SEC);
	struct lifetime life;

	(void)ctx;
	limits.first_byte_timeout = 5 * SEC;
	lifetime_begin(&life, &limits, true, START);
	assert_int_equal(lifetime_due(&life, &limits), START + 5 * SEC);
	assert_int_equal(lifetime_act(&life, &limits, START + 5 * SEC), LIFETIME_ASK);
	assert_int_equal(
		lifetime_answer(&life, &limits, &facts, START + 5 * SEC), LIFETIME_TERM);
	assert_int_equal(life.reason, LIFETIME_FIRST_BYTE);
	assert_int_equal(lifetime_due(&life, &limits), START + 15 * SEC);
}

/* Who has said something is not asked after any more. */
static void test_first_byte_came(void **ctx)
{
	struct lifetime_limits limits = unlimited;
	struct lifetime_facts facts = talking(4 * SEC);
	struct lifetime life;

	(void)ctx;
	limits.first_byte_timeout = 5 * SEC;
	lifetime_begin(&life, &limits, true, START);
	assert_int_equal(lifetime_act(&life, &limits, START + 5 * SEC), LIFETIME_ASK);
	assert_int_equal(
		lifetime_answer(&life, &limits, &facts, START + 5 * SEC), LIFETIME_REST);
	assert_int_equal(lifetime_due(&life, &limits), LIFETIME_NEVER);
}

static void test_idle(void **ctx)
{
	struct lifetime_limits limits = unlimited;
	struct lifetime_facts facts = talking(20 * SEC);
	struct lifetime life;

	(void)ctx;
	limits.idle_timeout = 60 * SEC;
	lifetime_begin(&life, &limits, true, START);
	assert_int_equal(lifetime_due(&life, &limits), START + 60 * SEC);
	assert_int_equal(lifetime_act(&life, &limits, START + 60 * SEC), LIFETIME_ASK);
	assert_int_equal(
		lifetime_answer(&life, &limits, &facts, START + 60 * SEC), LIFETIME_REST);
	/* Something was said 20 seconds ago: not before it is 60. */
	assert_int_equal(lifetime_due(&life, &limits), START + 100 * SEC);
	assert_int_equal(lifetime_act(&life, &limits, START + 100 * SEC), LIFETIME_ASK);
	facts = talking(60 * SEC);
	assert_int_equal(
		lifetime_answer(&life, &limits, &facts, START + 100 * SEC), LIFETIME_TERM);
	assert_int_equal(life.reason, LIFETIME_IDLE);
}

/* Both: the shorter one first, then the other; the first byte counts for both. */
static void test_first_byte_and_idle(void **ctx)
{
	struct lifetime_limits limits = unlimited;
	struct lifetime_facts facts = talking(2 * SEC);
	struct lifetime life;

	(void)ctx;
	limits.first_byte_timeout = 5 * SEC;
	limits.idle_timeout = 60 * SEC;
	lifetime_begin(&life, &limits, true, START);
	assert_int_equal(lifetime_due(&life, &limits), START + 5 * SEC);
	assert_int_equal(lifetime_act(&life, &limits, START + 5 * SEC), LIFETIME_ASK);
	assert_int_equal(
		lifetime_answer(&life, &limits, &facts, START + 5 * SEC), LIFETIME_REST);
	assert_int_equal(lifetime_due(&life, &limits), START + 63 * SEC);
}

/* The service speaks, its client does not: only its own silence ends it. */
static void test_idle_before_the_first_byte(void **ctx)
{
	struct lifetime_limits limits = unlimited;
	struct lifetime_facts facts = mute(SEC);
	struct lifetime life;

	(void)ctx;
	limits.first_byte_timeout = 30 * SEC;
	limits.idle_timeout = 5 * SEC;
	lifetime_begin(&life, &limits, true, START);
	assert_int_equal(lifetime_act(&life, &limits, START + 5 * SEC), LIFETIME_ASK);
	assert_int_equal(
		lifetime_answer(&life, &limits, &facts, START + 5 * SEC), LIFETIME_REST);
	assert_int_equal(lifetime_due(&life, &limits), START + 9 * SEC);
	assert_int_equal(
		lifetime_answer(&life, &limits, &facts, START + 28 * SEC), LIFETIME_REST);
	assert_int_equal(lifetime_due(&life, &limits), START + 30 * SEC);
	assert_int_equal(
		lifetime_answer(&life, &limits, &facts, START + 30 * SEC), LIFETIME_TERM);
	assert_int_equal(life.reason, LIFETIME_FIRST_BYTE);
}

/* What a client waited in the queue is nobody's silence. */
static void test_queue_does_not_count(void **ctx)
{
	struct lifetime_limits limits = unlimited;
	struct lifetime_facts facts = talking(300 * SEC);
	struct lifetime life;

	(void)ctx;
	limits.first_byte_timeout = 5 * SEC;
	limits.idle_timeout = 60 * SEC;
	lifetime_begin(&life, &limits, true, START);
	assert_int_equal(
		lifetime_answer(&life, &limits, &facts, START + 5 * SEC), LIFETIME_REST);
	assert_int_equal(lifetime_due(&life, &limits), START + 60 * SEC);
}

/* The kernel's clock is coarser than ours: a nearly silent one is not asked in a loop. */
static void test_not_asked_again_at_once(void **ctx)
{
	struct lifetime_limits limits = unlimited;
	struct lifetime_facts facts = talking(60 * SEC - 1);
	struct lifetime life;

	(void)ctx;
	limits.idle_timeout = 60 * SEC;
	lifetime_begin(&life, &limits, true, START);
	assert_int_equal(
		lifetime_answer(&life, &limits, &facts, START + 60 * SEC), LIFETIME_REST);
	assert_int_equal(lifetime_due(&life, &limits), START + 60 * SEC + 20000);
}

static void test_closed_is_not_silent(void **ctx)
{
	const struct lifetime_facts facts = {.state = LIFETIME_CLOSED};
	struct lifetime_limits limits = unlimited;
	struct lifetime life;

	(void)ctx;
	limits.idle_timeout = SEC;
	limits.time_limit = 60 * SEC;
	lifetime_begin(&life, &limits, true, START);
	assert_int_equal(lifetime_act(&life, &limits, START + SEC), LIFETIME_ASK);
	assert_int_equal(lifetime_answer(&life, &limits, &facts, START + SEC), LIFETIME_REST);
	assert_int_equal(lifetime_due(&life, &limits), START + 60 * SEC);
}

static void test_unknown_is_asked_again(void **ctx)
{
	const struct lifetime_facts facts = {.state = LIFETIME_UNKNOWN};
	struct lifetime_limits limits = unlimited;
	struct lifetime life;

	(void)ctx;
	limits.idle_timeout = SEC;
	lifetime_begin(&life, &limits, true, START);
	assert_int_equal(lifetime_answer(&life, &limits, &facts, START + SEC), LIFETIME_REST);
	assert_int_equal(lifetime_due(&life, &limits), START + 2 * SEC);
}

/* It was told to end meanwhile. */
static void test_answer_that_comes_too_late(void **ctx)
{
	struct lifetime_limits limits = unlimited;
	struct lifetime_facts facts = mute(60 * SEC);
	struct lifetime life;

	(void)ctx;
	limits.idle_timeout = 59 * SEC;
	limits.time_limit = 60 * SEC;
	lifetime_begin(&life, &limits, true, START);
	assert_int_equal(lifetime_act(&life, &limits, START + 59 * SEC), LIFETIME_ASK);
	assert_int_equal(lifetime_act(&life, &limits, START + 60 * SEC), LIFETIME_TERM);
	assert_int_equal(
		lifetime_answer(&life, &limits, &facts, START + 61 * SEC), LIFETIME_REST);
	assert_int_equal(life.reason, LIFETIME_TIME_LIMIT);
	assert_int_equal(lifetime_due(&life, &limits), START + 70 * SEC);
}

/* However much is said. */
static void test_time_limit_comes_first(void **ctx)
{
	struct lifetime_limits limits = unlimited;
	struct lifetime life;

	(void)ctx;
	limits.idle_timeout = 60 * SEC;
	limits.time_limit = 60 * SEC;
	lifetime_begin(&life, &limits, true, START);
	assert_int_equal(lifetime_act(&life, &limits, START + 60 * SEC), LIFETIME_TERM);
	assert_int_equal(life.reason, LIFETIME_TIME_LIMIT);
}

/* A program that is to say when it is ready has its time for that, and more if it asks. */
static void test_ready(void **ctx)
{
	struct lifetime life;

	(void)ctx;
	lifetime_begin(&life, &unlimited, false, START);
	lifetime_await_ready(&life, 90 * SEC, START);
	assert_int_equal(lifetime_due(&life, &unlimited), START + 90 * SEC);
	assert_int_equal(lifetime_act(&life, &unlimited, START + 90 * SEC - 1), LIFETIME_REST);
	lifetime_extend(&life, START + 60 * SEC);
	assert_int_equal(lifetime_due(&life, &unlimited), START + 90 * SEC);
	lifetime_extend(&life, START + 100 * SEC);
	assert_int_equal(lifetime_act(&life, &unlimited, START + 99 * SEC), LIFETIME_REST);
	assert_int_equal(lifetime_act(&life, &unlimited, START + 100 * SEC), LIFETIME_TERM);
	assert_int_equal(life.reason, LIFETIME_READY);
	assert_int_equal(lifetime_act(&life, &unlimited, START + 110 * SEC), LIFETIME_KILL);

	lifetime_begin(&life, &unlimited, false, START);
	lifetime_await_ready(&life, 90 * SEC, START);
	lifetime_ready(&life);
	lifetime_extend(&life, START + 1);
	assert_int_equal(lifetime_due(&life, &unlimited), LIFETIME_NEVER);

	lifetime_await_ready(&life, LIFETIME_NEVER, START);
	assert_int_equal(lifetime_due(&life, &unlimited), LIFETIME_NEVER);
}

/* It is ended for whichever comes first. */
static void test_ready_and_time_limit(void **ctx)
{
	struct lifetime_limits limits = unlimited;
	struct lifetime life;

	(void)ctx;
	limits.time_limit = 5 * SEC;
	lifetime_begin(&life, &limits, false, START);
	lifetime_await_ready(&life, 9 * SEC, START);
	assert_int_equal(lifetime_due(&life, &limits), START + 5 * SEC);
	assert_int_equal(lifetime_act(&life, &limits, START + 5 * SEC), LIFETIME_TERM);
	assert_int_equal(life.reason, LIFETIME_TIME_LIMIT);

	lifetime_begin(&life, &limits, false, START);
	lifetime_await_ready(&life, 3 * SEC, START);
	assert_int_equal(lifetime_act(&life, &limits, START + 3 * SEC), LIFETIME_TERM);
	assert_int_equal(life.reason, LIFETIME_READY);
}

static void test_unwatched(void **ctx)
{
	struct lifetime_limits limits = unlimited;
	struct lifetime life;

	(void)ctx;
	limits.idle_timeout = limits.first_byte_timeout = SEC;
	lifetime_begin(&life, &limits, false, START);
	assert_int_equal(lifetime_due(&life, &limits), LIFETIME_NEVER);
}

static void test_ended_for_no_limit(void **ctx)
{
	struct lifetime_limits limits = unlimited;
	struct lifetime life;

	(void)ctx;
	limits.time_limit = 10 * SEC;
	limits.kill_after = SEC;
	lifetime_begin(&life, &limits, false, START);
	assert_true(lifetime_end(&life, LIFETIME_KILLED, START + SEC));
	assert_int_equal(lifetime_due(&life, &limits), START + 2 * SEC);
	assert_false(lifetime_end(&life, LIFETIME_KILLED, START + SEC + 1));
	assert_int_equal(lifetime_due(&life, &limits), START + 2 * SEC);
	assert_int_equal(lifetime_act(&life, &limits, START + 2 * SEC), LIFETIME_KILL);
	assert_int_equal(life.reason, LIFETIME_KILLED);
}

static void test_words(void **ctx)
{
	(void)ctx;
	assert_null(lifetime_reason(LIFETIME_UNLIMITED));
	assert_string_equal(lifetime_reason(LIFETIME_TIME_LIMIT), "time_limit");
	assert_string_equal(lifetime_reason(LIFETIME_FIRST_BYTE), "first_byte_timeout");
	assert_string_equal(lifetime_reason(LIFETIME_IDLE), "idle_timeout");
	assert_string_equal(lifetime_reason(LIFETIME_KILLED), "killed");
	assert_string_equal(lifetime_reason(LIFETIME_READY), "ready_timeout");
	assert_null(lifetime_reason(_LIFETIME_REASON_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_limits),
		cmocka_unit_test(test_time_limit),
		cmocka_unit_test(test_never_killed),
		cmocka_unit_test(test_no_overflow),
		cmocka_unit_test(test_first_byte),
		cmocka_unit_test(test_first_byte_came),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_first_byte_and_idle),
		cmocka_unit_test(test_idle_before_the_first_byte),
		cmocka_unit_test(test_queue_does_not_count),
		cmocka_unit_test(test_not_asked_again_at_once),
		cmocka_unit_test(test_closed_is_not_silent),
		cmocka_unit_test(test_unknown_is_asked_again),
		cmocka_unit_test(test_answer_that_comes_too_late),
		cmocka_unit_test(test_time_limit_comes_first),
		cmocka_unit_test(test_ready),
		cmocka_unit_test(test_ready_and_time_limit),
		cmocka_unit_test(test_unwatched),
		cmocka_unit_test(test_ended_for_no_limit),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
