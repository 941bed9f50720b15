/* log-gate: the first line of a window passes, and none is forgotten; once a minute. */
#include "base/log-gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define START UINT64_C(5)
#define END   (START + LOG_GATE_WINDOW)

#define MINUTE (UINT64_C(60) * 1000 * 1000)

static void test_one_window(void **ctx)
{
	struct log_gate gate = {0};

	(void)ctx;
	assert_true(log_gate_take(&gate, START) == 0);
	assert_true(log_gate_pass(&gate, START));
	assert_true(gate.window_ends == END);
	assert_false(log_gate_pass(&gate, START));
	assert_false(log_gate_pass(&gate, END - 1));
	assert_true(log_gate_take(&gate, END - 1) == 0);
	assert_true(log_gate_take(&gate, END) == 2);
	assert_true(gate.window_ends == 0);
	assert_true(log_gate_take(&gate, END) == 0);
	assert_true(log_gate_pass(&gate, END));
}

static void test_timer_is_late(void **ctx)
{
	struct log_gate gate = {0};

	(void)ctx;
	assert_true(log_gate_pass(&gate, START));
	assert_false(log_gate_pass(&gate, START));
	assert_true(log_gate_pass(&gate, END));
	assert_true(log_gate_take(&gate, END) == 0);
	assert_false(log_gate_pass(&gate, END + 1));
	assert_true(log_gate_take(&gate, END + LOG_GATE_WINDOW) == 2);
}

/* It is a time like any other. */
static void test_time_zero(void **ctx)
{
	struct log_gate gate = {0};

	(void)ctx;
	assert_true(log_gate_pass(&gate, 0));
	assert_false(log_gate_pass(&gate, 0));
}

static void test_once_a_minute(void **ctx)
{
	uint64_t told = 0;

	(void)ctx;
	assert_true(log_once_a_minute(&told, START));
	assert_true(told == START);
	assert_false(log_once_a_minute(&told, START));
	assert_false(log_once_a_minute(&told, START - 1));
	assert_false(log_once_a_minute(&told, START + MINUTE - 1));
	/* The minute is that of the line that was written, whoever asked meanwhile. */
	assert_true(told == START);
	assert_true(log_once_a_minute(&told, START + MINUTE));
	assert_false(log_once_a_minute(&told, START + 2 * MINUTE - 1));
	assert_true(log_once_a_minute(&told, START + 9 * MINUTE));
	assert_true(told == START + 9 * MINUTE);
}

/* A new owner of the thing wants to know at once. */
static void test_once_a_minute_afresh(void **ctx)
{
	uint64_t told = START;

	(void)ctx;
	assert_false(log_once_a_minute(&told, START + 1));
	told = 0;
	assert_true(log_once_a_minute(&told, START + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_window),
		cmocka_unit_test(test_timer_is_late),
		cmocka_unit_test(test_time_zero),
		cmocka_unit_test(test_once_a_minute),
		cmocka_unit_test(test_once_a_minute_afresh),
	};

	return cmocka_run_group_tests_name("log-gate", tests, NULL, NULL);
}
