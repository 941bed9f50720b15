/* outcome: wait statuses in words. */
#include "policy/outcome.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_words(void **ctx)
{
	static const struct {
		int code, status;
		const char *text, *result;
		int shell;
	} cases[] = {
		{CLD_EXITED, 0, "exit 0", "exit", 0},
		{CLD_EXITED, 1, "exit 1", "exit", 1},
		{CLD_EXITED, 255, "exit 255", "exit", 255},
		{CLD_KILLED, SIGKILL, "signal 9 (KILL)", "signal", 137},
		{CLD_KILLED, SIGTERM, "signal 15 (TERM)", "signal", 143},
		{CLD_KILLED, SIGPIPE, "signal 13 (PIPE)", "signal", 141},
		{CLD_DUMPED, SIGSEGV, "signal 11 (SEGV), core dumped", "core", 139},
		{CLD_DUMPED, SIGABRT, "signal 6 (ABRT), core dumped", "core", 134},
		/* Without a name of its own. */
		{CLD_KILLED, 63, "signal 63 (real-time)", "signal", 191},
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct outcome outcome = outcome_from_wait(cases[i].code, cases[i].status);
		char buf[OUTCOME_TEXT_MAX];

		assert_ptr_equal(outcome_format(&outcome, buf), buf);
		assert_string_equal(buf, cases[i].text);
		assert_string_equal(outcome_result(&outcome), cases[i].result);
		assert_int_equal(outcome_shell_status(&outcome), cases[i].shell);
	}
}

static void test_every_signal_fits(void **ctx)
{
	(void)ctx;
	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		struct outcome outcome = outcome_from_wait(CLD_DUMPED, sig);
		char buf[OUTCOME_TEXT_MAX];

		outcome_format(&outcome, buf);
		assert_non_null(strstr(buf, "), core dumped"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_every_signal_fits),
	};

	return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
