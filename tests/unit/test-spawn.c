/* spawn: slots, states, and what a child is given. */
#include "spawn-run.h"

#include <limits.h>

static char folder[] = "/tmp/test-spawn-XXXXXX";

static int make_folder(void **ctx)
{
	(void)ctx;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **ctx)
{
	static const char *const names[] = {"leased", "fifo", "stderr", "core"};
	char path[64];

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		unlink(path);
	}
	return rmdir(folder);
}

/* One reporting child; its report, to be freed. */
static char *report_of(
	struct spawner *spawner, const struct spawn_recipe *recipe, struct run *run)
{
	_cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	_cleanup_close_ int out = report_file();
	int fds[] = {null_fd, out, 2};

	assert_true(null_fd >= 0 && out >= 0);
	assert_int_equal(run_start(spawner, recipe, fds, 3, own_env, run), 0);
	assert_int_equal(run_finish(run), 0);
	return report_text(out);
}

/* -------------------------------------------------------------------- modes */

static void test_describes_itself(void **ctx)
{
	struct spawner *spawner = new_spawner();
	const char *memory = spawn_way->mode == SPAWN_SHARED ? "shared memory (as asked), "
	                                                     : "private memory (as asked), ";
	const char *text;

	(void)ctx;
	assert_non_null(spawner);
	text = spawner_describe(spawner);
	assert_memory_equal(text, memory, strlen(memory));
	if (spawn_way->hide_clone3)
		assert_string_equal(text + strlen(memory), "clone (clone3 is not available)");
	else
		assert_string_equal(text + strlen(memory), "clone3");
	assert_int_equal(spawner_is_shared(spawner), spawn_way->mode == SPAWN_SHARED);
	spawner_free(spawner);
}

static void test_goes_private(void **ctx)
{
	struct spawn_recipe recipe = reporting_recipe();
	_cleanup_free_ char *first = NULL;
	_cleanup_free_ char *second = NULL;
	struct spawner *spawner = new_spawner();
	struct run run;

	(void)ctx;
	first = report_of(spawner, &recipe, &run);
	assert_true(run_executed(&run));
	spawner_go_private(spawner, "for a reason");
	assert_false(spawner_is_shared(spawner));
	assert_non_null(strstr(spawner_describe(spawner), "private memory (for a reason), "));
	second = report_of(spawner, &recipe, &run);
	assert_true(run_executed(&run));
	assert_true(report_says(second, "end"));
	spawner_free(spawner);
}

static void test_every_step_has_a_name(void **ctx)
{
	(void)ctx;
	for (int i = 0; i < _SPAWN_STEP_MAX; i++) {
		assert_non_null(spawn_step_name((enum spawn_step)i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(spawn_step_name((enum spawn_step)i),
				spawn_step_name((enum spawn_step)j));
	}
	assert_string_equal(spawn_step_name(SPAWN_EXEC), "exec");
	assert_string_equal(spawn_step_name(_SPAWN_STEP_MAX), "unknown step");
}

/* ----------------------------------------------------- what a child is given */

static void test_child_gets_what_is_planned(void **ctx)
{
	struct spawn_recipe recipe = reporting_recipe();
	struct spawner *spawner = new_spawner();
	_cleanup_free_ char *text = NULL;
	struct run run;

	(void)ctx;
	recipe.directory = folder;
	recipe.umask = 027;
	recipe.limits[0] = (struct spawn_limit){RLIMIT_NOFILE, 100, 200};
	recipe.n_limits = 1;
	recipe.set_nice = true;
	recipe.nice = getpriority(PRIO_PROCESS, 0) + 1;

	text = report_of(spawner, &recipe, &run);
	assert_non_null(text);
	assert_true(run_executed(&run));
	assert_true(run_exited(&run, 0));
	assert_true(report_says(text, "pid %d", run.pid));
	assert_true(report_says(text, "sid %d", run.pid));
	assert_true(report_says(text, "cwd %s", folder));
	assert_true(report_says(text, "umask 027"));
	assert_true(report_says(text, "nofile 100 200"));
	assert_true(report_says(text, "nice %d", recipe.nice));
	assert_true(report_says(text, "env %s", REPORT));
	assert_true(report_says(text, "end"));
	spawner_free(spawner);
}

/* Told by a shell, in its blocks of 512: sanitizers change the limit in their own programs. */
static void test_core_limit_is_the_configured_one(void **ctx)
{
	static char *const argv[] = {"sh", "-c", "ulimit -Sc; ulimit -Hc", NULL};
	struct spawn_recipe recipe = {
		.path = "/bin/sh",
		.argv = argv,
		.directory = "/",
		.core = {.resource = RLIMIT_CORE, .soft = 3 * 512, .hard = 4 * 512},
	};
	struct spawner *spawner = new_spawner();
	_cleanup_free_ char *text = NULL;
	struct run run;

	(void)ctx;
	text = report_of(spawner, &recipe, &run);
	assert_non_null(text);
	if (run.report.step == SPAWN_CORE)
		skip();
	assert_true(strcmp(text, "3\n4\n") == 0 || strcmp(text, "1\n2\n") == 0);
	spawner_free(spawner);
}

static void nothing(int sig)
{
	(void)sig;
}

/* Handlers, an ignored SIGPIPE and a mask: nothing of it comes through. */
static void test_signals_are_clean(void **ctx)
{
	struct sigaction handled = {.sa_handler = nothing}, saved;
	struct spawn_recipe recipe = reporting_recipe();
	struct spawner *spawner = new_spawner();
	_cleanup_free_ char *text = NULL;
	sigset_t all, before;
	struct run run;

	(void)ctx;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGUSR1, &handled, &saved);

	text = report_of(spawner, &recipe, &run);

	sigaction(SIGUSR1, &saved, NULL);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_non_null(text);
	assert_true(report_says(text, "SigBlk:\t0000000000000000"));
	assert_true(report_says(text, "SigIgn:\t0000000000000000"));
	assert_true(report_says(text, "SigPnd:\t0000000000000000"));
	assert_true(report_says(text, "ShdPnd:\t0000000000000000"));
	spawner_free(spawner);
}

static void test_listen_pid_is_the_childs_own(void **ctx)
{
	struct spawn_recipe recipe = reporting_recipe();
	struct spawner *spawner = new_spawner();
	_cleanup_close_ int out = report_file();
	_cleanup_free_ char *text = NULL;
	struct run run = {.spawner = spawner, .slot = spawner_take(spawner)};
	struct spawn_plan *plan = spawn_slot_plan(run.slot);

	(void)ctx;
	plan->recipe = &recipe;
	plan->fds[0] = plan->fds[1] = plan->fds[2] = out;
	plan->n_fds = 3;
	snprintf(plan->text, sizeof plan->text, "LISTEN_PID=00000000000");
	plan->listen_pid = plan->text + strlen("LISTEN_PID=");
	plan->envp[0] = plan->text;
	plan->envp[1] = own_env[0];
	plan->n_env = 2;
	assert_int_equal(spawn_slot_start(spawner, run.slot, &run, &run.pid, &run.pidfd), 0);
	assert_int_equal(run_finish(&run), 0);
	text = report_text(out);
	assert_true(report_says(text, "env LISTEN_PID=%d", run.pid));
	spawner_free(spawner);
}

static void test_stderr_file_is_appended_to(void **ctx)
{
	static char *const argv[] = {"sh", "-c", "echo word >&2", NULL};
	struct spawn_recipe recipe = {
		.path = "/bin/sh",
		.argv = argv,
		.directory = "/",
		.umask = 077,
		.core = {.resource = RLIMIT_CORE, .soft = 0, .hard = RLIM_INFINITY},
	};
	struct spawner *spawner = new_spawner();
	_cleanup_close_ int file = -EBADF;
	_cleanup_free_ char *text = NULL;
	char path[64];
	size_t len;

	(void)ctx;
	snprintf(path, sizeof path, "%s/stderr", folder);
	recipe.stderr_path = path;
	for (int i = 0; i < 2; i++) {
		struct run run;

		free(report_of(spawner, &recipe, &run));
		assert_true(run_exited(&run, 0));
	}
	file = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd_read_all(file, 100, &text, &len), 0);
	assert_string_equal(text, "word\nword\n");
	spawner_free(spawner);
}

/* ------------------------------------------------------------------ slots */

static void test_slots_are_bounded(void **ctx)
{
	struct spawner *spawner = new_spawner();
	struct spawn_slot *slots[SPAWN_SLOTS];

	(void)ctx;
	for (unsigned i = 0; i < SPAWN_SLOTS; i++) {
		slots[i] = spawner_take(spawner);
		assert_non_null(slots[i]);
		for (unsigned j = 0; j < i; j++)
			assert_ptr_not_equal(slots[i], slots[j]);
	}
	assert_null(spawner_take(spawner));
	assert_int_equal(spawner_in_flight(spawner), 0);

	spawn_slot_cancel(spawner, slots[7]);
	assert_ptr_equal(spawner_take(spawner), slots[7]);
	for (unsigned i = 0; i < SPAWN_SLOTS; i++)
		spawn_slot_cancel(spawner, slots[i]);
	spawner_free(spawner);
}

static void test_visits_those_in_flight(void **ctx)
{
	struct spawn_recipe recipe = reporting_recipe();
	struct spawner *spawner = new_spawner();
	_cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int fds[] = {null_fd, null_fd, null_fd};
	struct run runs[5];
	unsigned seen = 0;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(runs); i++)
		assert_int_equal(run_start(spawner, &recipe, fds, 3, own_env, &runs[i]), 0);
	assert_int_equal(spawner_in_flight(spawner), ARRAY_SIZE(runs));

	for (struct spawn_slot *slot = spawner_first(spawner); slot;
		slot = spawn_slot_next(slot)) {
		struct run *run = spawn_slot_owner(slot);

		assert_true(run >= runs && run < runs + ARRAY_SIZE(runs));
		assert_ptr_equal(run->slot, slot);
		seen |= 1u << (run - runs);
	}
	assert_int_equal(seen, 0x1f);

	/* Out of the middle, the head and the tail of the list. */
	static const int order[] = {2, 4, 0, 1, 3};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		assert_int_equal(run_finish(&runs[order[i]]), 0);
		assert_int_equal(spawner_in_flight(spawner), ARRAY_SIZE(runs) - 1 - i);
	}
	assert_null(spawner_first(spawner));
	spawner_free(spawner);
}

/* The slot is taken for the next child before the first is reaped. */
static void test_result_survives_reuse_of_the_slot(void **ctx)
{
	struct spawn_recipe good = reporting_recipe(), bad = good;
	struct spawner *spawner = new_spawner();
	_cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int fds[] = {null_fd, null_fd, null_fd};
	struct spawn_slot *slot;
	struct run first, second;

	(void)ctx;
	bad.path = "/nonexistent/program";
	assert_int_equal(run_start(spawner, &bad, fds, 3, own_env, &first), 0);
	assert_int_equal(run_wait(&first, SPAWN_DONE), SPAWN_DONE);
	slot = first.slot;
	first.report = spawn_slot_reclaim(spawner, slot);

	assert_int_equal(run_start(spawner, &good, fds, 3, own_env, &second), 0);
	assert_ptr_equal(second.slot, slot);
	assert_int_equal(run_finish(&second), 0);
	assert_true(run_executed(&second));
	assert_true(run_exited(&second, 0));

	assert_int_equal(run_reap(&first), 0);
	assert_true(run_exited(&first, 127));
	assert_int_equal(first.report.step, SPAWN_EXEC);
	assert_int_equal(first.report.error, ENOENT);
	spawner_free(spawner);
}

/* Good and bad ones by turns, through the same slot: no report is another's. */
static void test_reports_are_never_mixed_up(void **ctx)
{
	struct spawn_recipe recipes[3] = {
		reporting_recipe(), reporting_recipe(), reporting_recipe()};
	static const int steps[] = {SPAWN_EXEC, SPAWN_EXEC, SPAWN_DIRECTORY};
	static const int errors[] = {0, EACCES, ENOENT};
	struct spawner *spawner = new_spawner();
	_cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int fds[] = {null_fd, null_fd, null_fd};

	(void)ctx;
	recipes[1].path = "/etc/passwd";
	recipes[2].directory = "/nonexistent";
	for (int i = 0; i < 60; i++) {
		struct run run;

		assert_int_equal(run_start(spawner, &recipes[i % 3], fds, 3, own_env, &run), 0);
		assert_int_equal(run_finish(&run), 0);
		assert_int_equal(run.report.step, steps[i % 3]);
		assert_int_equal(run.report.error, errors[i % 3]);
	}
	spawner_free(spawner);
}

static int n_open(void)
{
	int n = 0;

	for (int fd = 0; fd < REPORT_FDS; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* In a process of its own, where no clone works any more. */
static int clone_refused(void)
{
	struct fault fault = {
		.nr = spawn_way->hide_clone3 ? SYS_clone : SYS_clone3,
		.error = EAGAIN,
		.any = true,
	};
	struct spawn_recipe recipe = reporting_recipe();
	struct spawner *spawner = new_spawner();
	int high = fcntl(0, F_DUPFD_CLOEXEC, LOW_LIMIT + 3);
	const int fds[] = {high, high, high};
	struct run run;
	int before, r;

	if (fault_install(&fault) < 0)
		return 77;
	before = n_open();
	r = run_start(spawner, &recipe, fds, 3, own_env, &run);
	if (r != -EAGAIN)
		return 1;
	if (n_open() != before || spawner_in_flight(spawner) != 0)
		return 2;
	return spawner_take(spawner) == run.slot ? 0 : 3;
}

static void test_clone_fails(void **ctx)
{
	int status;
	pid_t pid;

	(void)ctx;
	pid = fork();
	if (pid == 0)
		_exit(clone_refused());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ------------------------------------------------------------------ states */

static void start_held(struct spawner *spawner, struct leased *leased,
	struct spawn_recipe *recipe, struct run *run)
{
	int high = fcntl(2, F_DUPFD_CLOEXEC, LOW_LIMIT + 10);
	_cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int fds[] = {null_fd, null_fd, high};

	assert_int_equal(lease_take(leased, folder), 0);
	recipe->path = leased->path;
	assert_int_equal(run_start(spawner, recipe, fds, 3, own_env, run), 0);
	assert_int_equal(run_wait(run, SPAWN_DETACHED), SPAWN_DETACHED);
	fd_close(high);
}

static void end_held(struct leased *leased)
{
	if (leased->fd >= 0)
		lease_give_up(leased);
	unlink(leased->path);
}

static bool read_waits_for_break(const struct leased *leased)
{
	/* F_GETLEASE tells what is to become of the lease: none once somebody waits. */
	return fcntl(leased->fd, F_GETLEASE) != F_WRLCK;
}

/* The child is in its exec: the lease is being broken.  True once it is so. */
static bool wait_in_exec(const struct leased *leased)
{
	for (int i = 0; i < PATIENCE; i++) {
		if (read_waits_for_break(leased))
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

/* Our copies may be closed while the exec hangs; the slot stays busy. */
static void test_states_of_a_hung_exec(void **ctx)
{
	struct spawn_recipe recipe = reporting_recipe();
	struct spawner *spawner = new_spawner();
	struct leased leased;
	struct run run;
	int before = n_open();

	(void)ctx;
	start_held(spawner, &leased, &recipe, &run);
	assert_true(wait_in_exec(&leased));
	assert_int_equal(spawn_slot_poll(run.slot), SPAWN_DETACHED);
	/* What was lent is back: the lease, the pidfd and the pipe's read end are left. */
	assert_int_equal(n_open(), before + (spawn_way->mode == SPAWN_PRIVATE ? 3 : 2));

	lease_give_up(&leased);
	assert_int_equal(run_finish(&run), 0);
	assert_true(run_executed(&run));
	assert_true(run_exited(&run, 0));
	assert_int_equal(n_open(), before);
	end_held(&leased);
	spawner_free(spawner);
}

static void test_killed_in_a_hung_exec(void **ctx)
{
	struct spawn_recipe recipe = reporting_recipe();
	struct spawner *spawner = new_spawner();
	struct leased leased;
	struct run run;

	(void)ctx;
	start_held(spawner, &leased, &recipe, &run);
	assert_true(wait_in_exec(&leased));
	kill(run.pid, SIGKILL);
	assert_int_equal(run_finish(&run), 0);
	assert_int_equal(run.report.step, SPAWN_EXEC);
	assert_int_equal(run.end.si_code, CLD_KILLED);
	assert_int_equal(run.end.si_status, SIGKILL);
	assert_int_equal(spawner_in_flight(spawner), 0);
	end_held(&leased);
	spawner_free(spawner);
}

#define NOBODY 65534

/* Until the exec the memory is that of the parent: no signal of the new
 * identity may have it written to a file. */
static void test_no_core_in_a_hung_exec(void **ctx)
{
	static const int signals[] = {SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE,
		SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS};
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY}, saved;

	(void)ctx;
	if (geteuid() != 0)
		skip();
	getrlimit(RLIMIT_CORE, &saved);
	if (saved.rlim_max < RLIM_INFINITY)
		skip();
	chmod(folder, 0755);
	setrlimit(RLIMIT_CORE, &unlimited);
	prctl(PR_SET_DUMPABLE, 0);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct spawn_recipe recipe = reporting_recipe();
		struct spawner *spawner = new_spawner();
		struct leased leased;
		struct run run;

		recipe.change_identity = true;
		recipe.uid = recipe.gid = NOBODY;
		recipe.core.soft = RLIM_INFINITY;
		start_held(spawner, &leased, &recipe, &run);
		assert_true(wait_in_exec(&leased));
		kill(run.pid, signals[i]);
		assert_int_equal(run_finish(&run), 0);
		assert_true(run_exited(&run, 127));
		end_held(&leased);
		spawner_free(spawner);
	}
	prctl(PR_SET_DUMPABLE, 1);
	setrlimit(RLIMIT_CORE, &saved);
}

/* Held where it opens a FIFO for standard error, with signals blocked: what
 * came meanwhile is forgotten, or the program would die of another's signals. */
static void test_signals_before_the_exec_are_forgotten(void **ctx)
{
	const int signals[] = {SIGTERM, SIGQUIT, SIGUSR1, SIGSEGV, SIGRTMIN, SIGRTMIN, SIGHUP};
	struct spawn_recipe recipe = reporting_recipe();
	struct spawner *spawner = new_spawner();
	_cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int fds[] = {null_fd, null_fd, null_fd};
	_cleanup_close_ int reader = -EBADF;
	char path[64];
	struct run run;

	(void)ctx;
	snprintf(path, sizeof path, "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	recipe.stderr_path = path;
	assert_int_equal(run_start(spawner, &recipe, fds, 3, own_env, &run), 0);
	assert_int_equal(run_wait(&run, SPAWN_DETACHED), SPAWN_DETACHED);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		kill(run.pid, signals[i]);
	assert_int_equal(spawn_slot_poll(run.slot), SPAWN_DETACHED);

	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(run_finish(&run), 0);
	assert_true(run_executed(&run));
	assert_true(run_exited(&run, 0));
	unlink(path);
	spawner_free(spawner);
}

/* Stopped and killed at a place where it may be anywhere: the slot always comes back. */
static void test_killed_anywhere(void **ctx)
{
	struct spawn_recipe recipe = reporting_recipe();
	struct spawner *spawner = new_spawner();
	_cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int fds[] = {null_fd, null_fd, null_fd};
	int before = n_open();

	(void)ctx;
	for (unsigned i = 0; i < 100; i++) {
		struct run run;

		assert_int_equal(run_start(spawner, &recipe, fds, 3, own_env, &run), 0);
		for (volatile unsigned spin = 0; spin < i * 200; spin++)
			;
		if (i % 2)
			kill(run.pid, SIGSTOP);
		kill(run.pid, SIGKILL);
		assert_int_equal(run_finish(&run), 0);
		assert_int_equal(n_open(), before);
	}
	assert_int_equal(spawner_in_flight(spawner), 0);
	spawner_free(spawner);
}

static int tests_of(const char *name)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_describes_itself),
		cmocka_unit_test(test_goes_private),
		cmocka_unit_test(test_every_step_has_a_name),
		cmocka_unit_test(test_child_gets_what_is_planned),
		cmocka_unit_test(test_core_limit_is_the_configured_one),
		cmocka_unit_test(test_signals_are_clean),
		cmocka_unit_test(test_listen_pid_is_the_childs_own),
		cmocka_unit_test(test_stderr_file_is_appended_to),
		cmocka_unit_test(test_slots_are_bounded),
		cmocka_unit_test(test_visits_those_in_flight),
		cmocka_unit_test(test_result_survives_reuse_of_the_slot),
		cmocka_unit_test(test_reports_are_never_mixed_up),
		cmocka_unit_test(test_clone_fails),
		cmocka_unit_test(test_states_of_a_hung_exec),
		cmocka_unit_test(test_killed_in_a_hung_exec),
		cmocka_unit_test(test_no_core_in_a_hung_exec),
		cmocka_unit_test(test_signals_before_the_exec_are_forgotten),
		cmocka_unit_test(test_killed_anywhere),
	};

	return cmocka_run_group_tests_name(name, tests, make_folder, remove_folder);
}

int main(void)
{
	report_if_asked();
	own_path();
	return run_every_way(tests_of);
}
