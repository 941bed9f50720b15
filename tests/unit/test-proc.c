/* proc: this very process, and names that are none. */
#include "hatchctl/measure/proc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cmocka.h>

static void test_parse(void **ctx)
{
	const uint64_t tick = UINT64_C(1000000) / (uint64_t)sysconf(_SC_CLK_TCK);
	struct proc proc;

	(void)ctx;
	assert_int_equal(proc_parse("4711 (sh) S 1 2 2 0 -1 4194560 9 8 7 6 100 40 30 20 20 0 "
				    "1 0 12345 1048576 300 18446744073709551615 1 1 0 0\n",
				 &proc),
		0);
	assert_string_equal(proc.name, "sh");
	assert_int_equal(proc.cpu, 140 * tick);
	assert_int_equal(proc.started, 12345 * tick);
	assert_int_equal(proc.memory, 300 * sysconf(_SC_PAGESIZE));
}

static void test_names(void **ctx)
{
	static const char rest[] = " R 1 2 2 0 -1 0 0 0 0 0 1 0 0 0 0 0 0 1 5 0 7 0\n";
	static const struct {
		const char *written, *name;
	} names[] = {
		{"7 ()", ""},
		{"7 (a) S 1 2 3)", "a) S 1 2 3"},
	};
	char text[256];
	struct proc proc;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(text, sizeof text, "%s%s", names[i].written, rest);
		assert_int_equal(proc_parse(text, &proc), 0);
		assert_string_equal(proc.name, names[i].name);
		assert_int_equal(proc.memory, 7 * sysconf(_SC_PAGESIZE));
	}
}

static void test_nonsense(void **ctx)
{
	static const char *const texts[] = {"", "7", "7 (", "7 )(", "7 (a)",
		"7 (a) S 1 2 2 0 -1 0 0 0 0 0 1 0 0 0 0 0 0 1 5 0"};
	struct proc proc = {.cpu = 77};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(proc_parse(texts[i], &proc), -EBADMSG);
	assert_int_equal(proc.cpu, 77);
}

static void test_this_process(void **ctx)
{
	struct proc before, after;

	(void)ctx;
	assert_int_equal(prctl(PR_SET_NAME, "proc ) 1", 0, 0, 0), 0);
	assert_int_equal(proc_read(getpid(), &before), 0);
	assert_string_equal(before.name, "proc ) 1");
	assert_true(before.memory > 0 && before.started > 0);
	do {
		assert_int_equal(proc_read(getpid(), &after), 0);
	} while (after.cpu == before.cpu);
	assert_true(after.cpu > before.cpu);
	assert_int_equal(after.started, before.started);
}

static void test_nobody(void **ctx)
{
	struct proc proc;
	pid_t pid = fork();

	(void)ctx;
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(proc_read(pid, &proc), -ENOENT);
	assert_int_equal(proc_read(0, &proc), -ENOENT);
	assert_int_equal(proc_read(-1, &proc), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_this_process),
		cmocka_unit_test(test_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
