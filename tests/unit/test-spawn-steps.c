/*
 * spawn: every step of a child fails once, and is named.
 *
 * Where a step fails by itself, it does; else a filter refuses its system call.
 * Both happen in a process of its own, because neither can be taken back.
 */
#include "spawn-run.h"

#include <linux/capability.h>

#define NOBODY   65534
#define STRANGER 12345

static char folder[] = "/tmp/test-spawn-steps-XXXXXX";

/* What came of one child; told by the process that started it. */
struct told {
	int problem; /* negative errno, 77: cannot be tried here, 0: see the rest */
	struct spawn_report report;
	int code, status;
};

enum circumstances {
	USUAL,
	AS_NOBODY,
	OPEN_MEMORY, /* it may be traced, unlike that of the master */
};

/* One case: what is wrong, and what is to be said about it. */
struct wrong {
	void (*shape)(struct spawn_recipe *recipe); /* NULL: as it is */
	enum circumstances how;
	struct fault faults[6]; /* until nr < 0 */
};

static struct told try_one(const struct wrong *wrong)
{
	struct spawn_recipe recipe = reporting_recipe();
	struct spawner *spawner = new_spawner();
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int fds[] = {null_fd, null_fd, null_fd};
	struct told told = {0};
	struct run run;

	if (!spawner || null_fd < 0)
		return (struct told){.problem = -EIO};
	if (wrong->shape)
		wrong->shape(&recipe);
	if (wrong->how == AS_NOBODY && geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return (struct told){.problem = 77};
	prctl(PR_SET_DUMPABLE, wrong->how == OPEN_MEMORY);
	for (const struct fault *fault = wrong->faults; fault->nr >= 0; fault++)
		if (fault_install(fault) < 0)
			return (struct told){.problem = 77};

	told.problem = run_start(spawner, &recipe, fds, 3, own_env, &run);
	if (told.problem == 0)
		told.problem = run_finish(&run);
	told.report = run.report;
	told.code = run.end.si_code;
	told.status = run.end.si_status;
	return told;
}

static struct told tell(const struct wrong *wrong)
{
	struct told told = {.problem = -EPIPE};
	int ends[2], status;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		told = try_one(wrong);
		_exit(write(ends[1], &told, sizeof told) == sizeof told ? 0 : 1);
	}
	assert_true(pid > 0);
	close(ends[1]);
	assert_int_equal(read(ends[0], &told, sizeof told), sizeof told);
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (told.problem == 77)
		skip();
	assert_int_equal(told.problem, 0);
	return told;
}

static void assert_fails(const struct wrong *wrong, enum spawn_step step, int error)
{
	struct told told = tell(wrong);

	assert_string_equal(spawn_step_name(told.report.step), spawn_step_name(step));
	assert_int_equal(told.report.error, error);
	assert_int_equal(told.code, CLD_EXITED);
	assert_int_equal(told.status, 127);
}

static void assert_works(const struct wrong *wrong)
{
	struct told told = tell(wrong);

	assert_string_equal(spawn_step_name(told.report.step), "exec");
	assert_int_equal(told.report.error, 0);
	assert_int_equal(told.code, CLD_EXITED);
	assert_int_equal(told.status, 0);
}

/* Failures of one system call, whatever its arguments. */
#define REFUSE(call, why)                                     \
	{                                                     \
		.nr = SYS_##call, .error = (why), .any = true \
	}
#define PRETEND(call) REFUSE(call, 0)

/* ------------------------------------------------------- by themselves */

static void no_such_root(struct spawn_recipe *recipe)
{
	recipe->root = "/nonexistent";
}

static void no_such_directory(struct spawn_recipe *recipe)
{
	recipe->directory = "/nonexistent";
}

static void a_file_as_directory(struct spawn_recipe *recipe)
{
	recipe->directory = "/etc/passwd";
}

static void no_such_program(struct spawn_recipe *recipe)
{
	recipe->path = "/nonexistent";
}

static void a_program_that_is_none(struct spawn_recipe *recipe)
{
	static char path[64];

	snprintf(path, sizeof path, "%s/text", folder);
	recipe->path = path;
}

static void a_program_without_the_right(struct spawn_recipe *recipe)
{
	recipe->path = "/etc/passwd";
}

static void a_program_that_is_a_directory(struct spawn_recipe *recipe)
{
	recipe->path = "/etc";
}

static void stderr_nowhere(struct spawn_recipe *recipe)
{
	recipe->stderr_path = "/nonexistent/log";
}

static void stderr_directory(struct spawn_recipe *recipe)
{
	recipe->stderr_path = "/etc";
}

static void limit_over_the_hard_one(struct spawn_recipe *recipe)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	recipe->limits[0] =
		(struct spawn_limit){RLIMIT_NOFILE, limit.rlim_max + 1, limit.rlim_max + 1};
	recipe->n_limits = 1;
}

static void core_limit_upside_down(struct spawn_recipe *recipe)
{
	recipe->core = (struct spawn_limit){RLIMIT_CORE, 2, 1};
}

static void lower_niceness(struct spawn_recipe *recipe)
{
	recipe->set_nice = true;
	recipe->nice = -20;
}

static void become_a_stranger(struct spawn_recipe *recipe)
{
	static const gid_t groups[] = {STRANGER, STRANGER + 1};

	recipe->change_identity = true;
	recipe->uid = STRANGER;
	recipe->gid = STRANGER;
	recipe->groups = groups;
	recipe->n_groups = ARRAY_SIZE(groups);
}

static void become_a_stranger_in_our_group(struct spawn_recipe *recipe)
{
	become_a_stranger(recipe);
	recipe->gid = getegid();
}

static void test_natural_failures(void **ctx)
{
	static const struct {
		struct wrong wrong;
		enum spawn_step step;
		int error;
	} cases[] = {
		{{no_such_root, USUAL, {NO_FAULT}}, SPAWN_CHROOT, ENOENT},
		{{no_such_directory, USUAL, {NO_FAULT}}, SPAWN_DIRECTORY, ENOENT},
		{{a_file_as_directory, USUAL, {NO_FAULT}}, SPAWN_DIRECTORY, ENOTDIR},
		{{no_such_program, USUAL, {NO_FAULT}}, SPAWN_EXEC, ENOENT},
		{{a_program_that_is_none, USUAL, {NO_FAULT}}, SPAWN_EXEC, ENOEXEC},
		{{a_program_without_the_right, USUAL, {NO_FAULT}}, SPAWN_EXEC, EACCES},
		{{a_program_that_is_a_directory, USUAL, {NO_FAULT}}, SPAWN_EXEC, EACCES},
		{{stderr_nowhere, USUAL, {NO_FAULT}}, SPAWN_STDERR, ENOENT},
		{{stderr_directory, USUAL, {NO_FAULT}}, SPAWN_STDERR, EISDIR},
		{{limit_over_the_hard_one, AS_NOBODY, {NO_FAULT}}, SPAWN_LIMITS, EPERM},
		{{core_limit_upside_down, USUAL, {NO_FAULT}}, SPAWN_CORE, EINVAL},
		{{lower_niceness, AS_NOBODY, {NO_FAULT}}, SPAWN_NICE, EACCES},
		{{become_a_stranger, AS_NOBODY, {NO_FAULT}}, SPAWN_GROUPS, EPERM},
		{{become_a_stranger, AS_NOBODY, {PRETEND(setgroups), NO_FAULT}}, SPAWN_GID,
			EPERM},
		{{become_a_stranger, AS_NOBODY,
			 {PRETEND(setgroups), PRETEND(setresgid), NO_FAULT}},
			SPAWN_UID, EPERM},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_fails(&cases[i].wrong, cases[i].step, cases[i].error);
}

/* --------------------------------------------------------- by a filter */

static void own_keyring(struct spawn_recipe *recipe)
{
	recipe->own_keyring = true;
}

static void own_scheduling(struct spawn_recipe *recipe)
{
	recipe->reset = SPAWN_RESET_POLICY | SPAWN_RESET_AFFINITY | SPAWN_RESET_IOPRIO |
	                SPAWN_RESET_SLACK;
}

static void a_limit(struct spawn_recipe *recipe)
{
	recipe->limits[0] = (struct spawn_limit){RLIMIT_FSIZE, 1 << 20, 1 << 20};
	recipe->n_limits = 1;
}

static void a_root(struct spawn_recipe *recipe)
{
	recipe->root = "/";
}

/* Calls that change nothing, so that nobody really is who he should be. */
#define PRETEND_IDENTITY PRETEND(setgroups), PRETEND(setresgid), PRETEND(setresuid)

static void test_refused_calls(void **ctx)
{
	static const struct {
		struct wrong wrong;
		enum spawn_step step;
		int error;
	} cases[] = {
		{{NULL, USUAL,
			 {{.nr = SYS_rt_sigprocmask, .error = EIO, .first = SIG_BLOCK},
				 NO_FAULT}},
			SPAWN_BLOCK, EIO},
		{{NULL, USUAL, {REFUSE(close_range, ENOSYS), REFUSE(unshare, EPERM), NO_FAULT}},
			SPAWN_UNSHARE, EPERM},
		{{NULL, USUAL, {REFUSE(close_range, ENOMEM), NO_FAULT}}, SPAWN_UNSHARE, ENOMEM},
		{{NULL, USUAL, {REFUSE(dup3, EMFILE), NO_FAULT}}, SPAWN_DESCRIPTORS, EMFILE},
		{{NULL, USUAL, {REFUSE(setsid, EPERM), NO_FAULT}}, SPAWN_SESSION, EPERM},
		{{NULL, USUAL, {REFUSE(rt_sigaction, EINVAL), NO_FAULT}}, SPAWN_SIGNALS,
			EINVAL},
		{{own_keyring, USUAL, {REFUSE(keyctl, EDQUOT), NO_FAULT}}, SPAWN_KEYRING,
			EDQUOT},
		{{own_scheduling, USUAL, {REFUSE(sched_setaffinity, EIO), NO_FAULT}},
			SPAWN_SCHEDULING, EIO},
		{{own_scheduling, USUAL, {REFUSE(ioprio_set, EIO), NO_FAULT}}, SPAWN_SCHEDULING,
			EIO},
		{{a_limit, USUAL, {REFUSE(prlimit64, EIO), NO_FAULT}}, SPAWN_LIMITS, EIO},
		{{NULL, USUAL, {REFUSE(prlimit64, EIO), NO_FAULT}}, SPAWN_CORE, EIO},
		{{lower_niceness, USUAL, {REFUSE(setpriority, EIO), NO_FAULT}}, SPAWN_NICE,
			EIO},
		{{a_root, USUAL, {REFUSE(chroot, EIO), NO_FAULT}}, SPAWN_CHROOT, EIO},
		{{NULL, USUAL, {REFUSE(chdir, EIO), NO_FAULT}}, SPAWN_DIRECTORY, EIO},
		{{NULL, USUAL, {REFUSE(capget, EIO), NO_FAULT}}, SPAWN_CAPABILITIES, EIO},
		{{become_a_stranger, USUAL, {REFUSE(setgroups, EIO), NO_FAULT}}, SPAWN_GROUPS,
			EIO},
		{{become_a_stranger, USUAL,
			 {PRETEND(setgroups), REFUSE(setresgid, EIO), NO_FAULT}},
			SPAWN_GID, EIO},
		{{become_a_stranger, USUAL,
			 {PRETEND(setgroups), PRETEND(setresgid), REFUSE(setresuid, EAGAIN),
				 NO_FAULT}},
			SPAWN_UID, EAGAIN},
		{{become_a_stranger, USUAL,
			 {PRETEND_IDENTITY, REFUSE(getresgid, EIO), NO_FAULT}},
			SPAWN_VERIFY, EIO},
		{{become_a_stranger_in_our_group, USUAL,
			 {PRETEND_IDENTITY, REFUSE(getresuid, EIO), NO_FAULT}},
			SPAWN_VERIFY, EIO},
		{{NULL, USUAL,
			 {{.nr = SYS_rt_sigprocmask, .error = EIO, .first = SIG_SETMASK},
				 NO_FAULT}},
			SPAWN_UNBLOCK, EIO},
		{{NULL, USUAL, {REFUSE(execve, ELOOP), NO_FAULT}}, SPAWN_EXEC, ELOOP},
		{{NULL, USUAL, {REFUSE(execve, EAGAIN), NO_FAULT}}, SPAWN_EXEC, EAGAIN},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_fails(&cases[i].wrong, cases[i].step, cases[i].error);
}

/* ---------------------------------------------------- what must not matter */

static void with_keyring_and_descriptors(struct spawn_recipe *recipe)
{
	recipe->own_keyring = true;
}

static void test_goes_on_without(void **ctx)
{
	static const struct wrong cases[] = {
		/* No fault at all: the cases above fail for the reason that they give. */
		{NULL, USUAL, {NO_FAULT}},
		/* A kernel without keyrings; a container that hides them. */
		{with_keyring_and_descriptors, USUAL, {REFUSE(keyctl, ENOSYS), NO_FAULT}},
		{with_keyring_and_descriptors, USUAL, {REFUSE(keyctl, EPERM), NO_FAULT}},
		/* close_range hidden: unshare(2) and closing one by one. */
		{NULL, USUAL, {REFUSE(close_range, ENOSYS), NO_FAULT}},
		{NULL, USUAL, {REFUSE(close_range, EPERM), NO_FAULT}},
		{NULL, USUAL, {REFUSE(rt_sigtimedwait, ENOSYS), NO_FAULT}},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_works(&cases[i]);
}

/* ------------------------------------------------------------- as root */

/* A change that did not happen, or only half, is found out. */
static void test_identity_is_verified(void **ctx)
{
	static const struct wrong nobody = {
		become_a_stranger, AS_NOBODY, {PRETEND_IDENTITY, NO_FAULT}};
	static const struct wrong uid = {
		become_a_stranger_in_our_group, USUAL, {PRETEND(setresuid), NO_FAULT}};
	static const struct wrong gid = {
		become_a_stranger, USUAL, {PRETEND(setresgid), NO_FAULT}};

	(void)ctx;
	assert_fails(&nobody, SPAWN_VERIFY, EPERM);
	if (geteuid() != 0)
		skip();
	assert_fails(&uid, SPAWN_VERIFY, EPERM);
	assert_fails(&gid, SPAWN_VERIFY, EPERM);
}

/* What the kernel does to the flag with fs.suid_dumpable 1 has happened here
 * already: shared memory is given up, private memory is closed. */
static void test_open_memory_is_noticed(void **ctx)
{
	static const struct wrong open_memory = {
		become_a_stranger, OPEN_MEMORY, {PRETEND_IDENTITY, NO_FAULT}};

	(void)ctx;
	if (spawn_way->mode == SPAWN_SHARED)
		assert_fails(&open_memory, SPAWN_PROTECT, EPERM);
	else
		assert_fails(&open_memory, SPAWN_VERIFY, EPERM);
}

static int hold_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	data[0].inheritable = data[0].permitted;
	data[1].inheritable = data[1].permitted;
	if (syscall(SYS_capset, &header, data) < 0)
		return -errno;
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) < 0
	               ? -errno
	               : 0;
}

/* Run by fork: the report of a child of somebody with capabilities to hand down. */
static int report_capabilities(int out, bool refuse)
{
	static const struct fault fault = REFUSE(capset, EIO);
	struct spawn_recipe recipe = reporting_recipe();
	struct spawner *spawner = new_spawner();
	const int fds[] = {out, out, out};
	struct run run;

	become_a_stranger(&recipe);
	recipe.n_groups = 0;
	recipe.groups = NULL;
	if (hold_capabilities() < 0 || (refuse && fault_install(&fault) < 0))
		return 77;
	if (run_start(spawner, &recipe, fds, 3, own_env, &run) < 0 || run_finish(&run) < 0)
		return 1;
	if (refuse)
		return run.report.step == SPAWN_CAPABILITIES && run.report.error == EIO ? 0 : 2;
	return run_executed(&run) && run_exited(&run, 0) ? 0 : 3;
}

static void test_no_capability_is_handed_down(void **ctx)
{
	static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapAmb"};
	_cleanup_close_ int out = report_file();
	_cleanup_free_ char *text = NULL;
	int status;

	(void)ctx;
	if (geteuid() != 0)
		skip();
	for (int refuse = 0; refuse < 2; refuse++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(report_capabilities(out, refuse));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 77)
			skip();
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	text = report_text(out);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		assert_true(report_says(text, "%s:\t0000000000000000", sets[i]));
}

/* ------------------------------------------------------------------------ */

static int make_folder(void **ctx)
{
	char path[64];
	int fd;

	(void)ctx;
	if (!mkdtemp(folder) || chmod(folder, 0755) < 0)
		return -1;
	snprintf(path, sizeof path, "%s/text", folder);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	if (fd < 0 || write(fd, "no program\n", 11) != 11)
		return -1;
	return close(fd);
}

static int remove_folder(void **ctx)
{
	char path[64];

	(void)ctx;
	snprintf(path, sizeof path, "%s/text", folder);
	unlink(path);
	return rmdir(folder);
}

static int tests_of(const char *name)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_natural_failures),
		cmocka_unit_test(test_refused_calls),
		cmocka_unit_test(test_goes_on_without),
		cmocka_unit_test(test_identity_is_verified),
		cmocka_unit_test(test_open_memory_is_noticed),
		cmocka_unit_test(test_no_capability_is_handed_down),
	};

	return cmocka_run_group_tests_name(name, tests, make_folder, remove_folder);
}

int main(void)
{
	report_if_asked();
	own_path();
	return run_every_way(tests_of);
}
