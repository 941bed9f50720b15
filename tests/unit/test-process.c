/* process: what /proc says is understood, whatever a process calls itself; and a folder is of
 * one process only. */
#include "os/process.h"

#include "base/clock.h"
#include "base/own.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define REST " 1 27 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 "

static void test_stat(void **ctx)
{
	static const struct {
		const char *text, *name;
	} cases[] = {
		{"4711 (cat) S 42" REST "9876 100 200\n", "cat"},
		{"4711 () S 42" REST "9876 1 2", ""},
		{"4711 (a) R 1 (b)) S 42" REST "9876 1 2", "a) R 1 (b)"},
		{"4711 (0123456789abcdefghi) S 42" REST "9876 1 2", "0123456789abcde"},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct process_stat stat;

		assert_int_equal(process_parse_stat(cases[i].text, &stat), 0);
		assert_string_equal(stat.name, cases[i].name);
		assert_int_equal(stat.state, 'S');
		assert_int_equal(stat.parent, 42);
		assert_int_equal(stat.session, 27);
		assert_int_equal(stat.start, 9876);
	}
}

static void test_no_stat(void **ctx)
{
	static const char *const texts[] = {
		"",
		"4711",
		"4711 (cat",
		"4711 cat) S 42" REST "9876 1 2",
		"4711 (cat) S 42 1 2 3",
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct process_stat stat = {.parent = 17};

		assert_int_equal(process_parse_stat(texts[i], &stat), -EBADMSG);
		assert_int_equal(stat.parent, 17);
	}
}

static void test_user(void **ctx)
{
	uid_t uid = 17;

	(void)ctx;
	assert_int_equal(
		process_parse_user("Name:\tUid:\t7\nUid:\t1\t2\t3\t4\nGid:\t5\n", &uid), 0);
	assert_int_equal(uid, 2);
	assert_int_equal(process_parse_user("Name:\tcat\nGid:\t5\n", &uid), -EBADMSG);
	assert_int_equal(process_parse_user("Name:\tcat\nUid:\n", &uid), -EBADMSG);
	assert_int_equal(process_parse_user("", &uid), -EBADMSG);
	assert_int_equal(uid, 2);
}

static void test_environment(void **ctx)
{
	static const char env[] =
		"PATH=/bin\0NAMES=7\0xNAME=8\0NAME\0\0NAME=1\0NAME=2\0EMPTY=\0END";

	(void)ctx;
	assert_string_equal(process_find_env(env, sizeof env - 1, "NAME"), "1");
	assert_string_equal(process_find_env(env, sizeof env - 1, "PATH"), "/bin");
	assert_string_equal(process_find_env(env, sizeof env - 1, "EMPTY"), "");
	assert_null(process_find_env(env, sizeof env - 1, "END"));
	assert_null(process_find_env(env, sizeof env - 1, "NAM"));
	assert_null(process_find_env("", 0, "NAME"));
	/* Cut in the middle of an entry. */
	assert_null(process_find_env("PATH=1\0NA", 9, "NAME"));
}

static void test_age(void **ctx)
{
	uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
	struct process_stat stat = {.start = 10 * ticks + ticks / 2};

	(void)ctx;
	assert_int_equal(process_age(&stat, 12 * USEC_PER_SEC), 3 * USEC_PER_SEC / 2);
	assert_int_equal(process_age(&stat, 10 * USEC_PER_SEC), 0);
	assert_int_equal(process_age(&stat, 11 * USEC_PER_SEC - 1), USEC_PER_SEC / 2 - 1);
	stat.start = UINT64_MAX;
	assert_int_equal(process_age(&stat, 10 * USEC_PER_SEC), 0);
}

static pid_t start_child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	return pid;
}

static void test_one_that_lives(void **ctx)
{
	pid_t pid = start_child();
	_cleanup_close_ int folder = process_open(pid);
	uint64_t boot = clock_boot();
	struct process_stat stat;
	int status;
	uid_t uid;

	(void)ctx;
	assert_true(folder >= 0);
	assert_int_equal(process_look(folder, &stat), 0);
	assert_int_equal(stat.parent, getpid());
	assert_true(process_age(&stat, boot) < 600 * USEC_PER_SEC);
	assert_int_equal(process_user(folder, &uid), 0);
	assert_int_equal(uid, geteuid());
	assert_int_equal(process_signal(folder, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	/* The number may be anybody's now; the folder is nobody's. */
	assert_int_equal(process_signal(folder, SIGTERM), -ESRCH);
	assert_true(process_look(folder, &stat) < 0);
	assert_int_equal(process_open(pid), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_no_stat),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_one_that_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
