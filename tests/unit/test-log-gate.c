/* log-gate: the first line of a window passes, and none is forgotten. */
#include "base/log-gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define START UINT64_C(5)
#define END   (START + LOG_GATE_WINDOW)

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_window),
		cmocka_unit_test(test_timer_is_late),
		cmocka_unit_test(test_time_zero),
	};

	return cmocka_run_group_tests_name("log-gate", tests, NULL, NULL);
}
