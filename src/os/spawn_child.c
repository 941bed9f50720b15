/*
 * What a child does between clone and exec (invariant I5).
 *
 * The child usually runs beside the master, in the master's memory and with
 * the master's thread pointer.  Therefore: only raw system calls, no libc, no
 * errno, no allocation, no lock, and nothing that changes a property of the
 * memory itself (oom_score_adj, PR_SET_MDWE ... would hit the master; the
 * dumpable flag is only ever put back to the 0 that the master wants).  It writes to its own
 * slot and its own stack and nowhere else.
 *
 * tests/lint/async-safety checks with nm that this file refers to nothing
 * outside itself; it is compiled without sanitizers, profiling and builtins.
 *
 * The order of the steps matters:
 * - signals are blocked before the identity changes, or the new identity could
 *   have the master's memory dumped to a core file;
 * - descriptors are given back before anything that can hang or be stopped,
 *   or one service's hung exec would keep another's client from seeing EOF;
 * - groups before gid before uid, since only root may change them;
 * - the file for standard error is opened by the new identity, so that no
 *   configuration can make root write through somebody's link.
 */
#include "os/spawn_plan.h"

#include "os/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <linux/prctl.h>
#include <linux/time_types.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#define ALL_SIGNALS UINT64_MAX

struct rlimit_pair {
	uint64_t soft, hard;
};

static long block_signals(void)
{
	static const uint64_t all = ALL_SIGNALS;

	return raw_syscall4(SYS_rt_sigprocmask, SIG_BLOCK, &all, 0, sizeof all);
}

/* Where a filter hides close_range: every number below the table's end, one by one. */
static long close_from(int first, int end)
{
	long r = raw_syscall3(SYS_close_range, first, ~0U, 0);

	if (r >= 0)
		return r;
	for (int fd = first; fd < end; fd++)
		raw_syscall1(SYS_close, fd);
	return 0;
}

/*
 * A table of our own, without the master's high descriptors: what lies above
 * the plan is not even copied.
 */
static long unshare_table(struct spawn_shared *slot)
{
	long r;

	if (slot->plan.own_table)
		return 0;
	r = raw_syscall3(SYS_close_range, slot->plan.highest + 1, ~0U, CLOSE_RANGE_UNSHARE);

	if (r == -ENOSYS || r == -EPERM)
		r = raw_syscall1(SYS_unshare, CLONE_FILES);
	if (r >= 0)
		__atomic_store_n(&slot->result.unshared, 1, __ATOMIC_RELEASE);
	return r;
}

/* Out of the way of 0 .. n-1, so that the second pass overwrites no source. */
static long lift_sources(struct spawn_plan *plan)
{
	for (unsigned i = 0; i < plan->n_fds; i++) {
		long r;

		if (plan->fds[i] >= (int)plan->n_fds || plan->fds[i] == (int)i)
			continue;
		r = raw_syscall3(SYS_fcntl, plan->fds[i], F_DUPFD, plan->n_fds);
		if (r < 0)
			return r;
		plan->fds[i] = (int)r;
	}
	return 0;
}

static long place(int from, int to)
{
	if (from == to)
		return raw_syscall3(SYS_fcntl, from, F_SETFD, 0);
	return raw_syscall3(SYS_dup3, from, to, 0);
}

/* The exec pipe goes right behind the planned ones, where closing starts after it. */
static long keep_exec_pipe(struct spawn_plan *plan, int *keep)
{
	long r;

	if (plan->exec_pipe < 0)
		return 0;
	if (plan->exec_pipe != *keep) {
		r = raw_syscall3(SYS_dup3, plan->exec_pipe, *keep, O_CLOEXEC);
		if (r < 0)
			return r;
	}
	(*keep)++;
	return 0;
}

/* The pipe may lie where a descriptor is to go, or where a source lies: lift it first. */
static long lift_exec_pipe(struct spawn_plan *plan)
{
	long r;

	if (plan->exec_pipe < 0)
		return 0;
	r = raw_syscall3(SYS_fcntl, plan->exec_pipe, F_DUPFD_CLOEXEC, plan->highest + 1);
	if (r < 0)
		return r;
	plan->exec_pipe = (int)r;
	return 0;
}

static long arrange_descriptors(struct spawn_plan *plan)
{
	int keep = (int)plan->n_fds;
	long r;

	r = lift_exec_pipe(plan);
	if (r < 0)
		return r;

	r = lift_sources(plan);
	if (r < 0)
		return r;

	for (unsigned i = 0; i < plan->n_fds; i++) {
		r = place(plan->fds[i], (int)i);
		if (r < 0)
			return r;
	}

	r = keep_exec_pipe(plan, &keep);
	if (r < 0)
		return r;
	return close_from(keep, plan->fd_limit);
}

/* The kernel's own shape of struct sigaction; all zero is SIG_DFL. */
struct kernel_sigaction {
	void (*handler)(int sig);
	unsigned long flags;
#if !defined(__riscv) && !defined(__loongarch__)
	void (*restorer)(void);
#endif
	uint64_t mask;
};

/* The one signal that the master ignores; it has no handlers. */
static long default_signals(void)
{
	static const struct kernel_sigaction by_default;

	return raw_syscall4(SYS_rt_sigaction, SIGPIPE, &by_default, 0, sizeof by_default.mask);
}

/*
 * A kernel without keyrings has none to inherit; a filter that refuses the
 * call (container profiles do) refuses it to the program as well.
 */
static long own_keyring(const struct spawn_recipe *recipe)
{
	long r;

	if (!recipe->own_keyring)
		return 0;
	r = raw_syscall2(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0);
	return r == -ENOSYS || r == -EPERM ? 0 : r;
}

/*
 * In memory of its own (private spawns), so the master's score stays what it
 * is.  Whoever set the score may be the only one to take it back: then it stays.
 */
static void reset_oom_score(void)
{
	static const char path[] = "/proc/self/oom_score_adj";
	long fd = raw_syscall4(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return;
	raw_syscall3(SYS_write, fd, "0", 1);
	raw_syscall1(SYS_close, fd);
}

static long use_every_cpu(void)
{
	uint64_t cpus[128];

	for (unsigned i = 0; i < sizeof cpus / sizeof cpus[0]; i++)
		cpus[i] = UINT64_MAX;
	return raw_syscall3(SYS_sched_setaffinity, 0, sizeof cpus, cpus);
}

/* Leaving SCHED_IDLE takes a right that not every master has: then it stays as well. */
static long reset_scheduling(const struct spawn_plan *plan)
{
	static const int no_priority;
	unsigned reset = plan->recipe->reset;
	long r = 0;

	if (reset & SPAWN_RESET_POLICY)
		raw_syscall3(SYS_sched_setscheduler, 0, SCHED_OTHER, &no_priority);
	if (reset & SPAWN_RESET_OOM && !plan->shared)
		reset_oom_score();
	if (reset & SPAWN_RESET_AFFINITY)
		r = use_every_cpu();
	if (r >= 0 && reset & SPAWN_RESET_IOPRIO)
		r = raw_syscall3(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, 0);
	if (r >= 0 && reset & SPAWN_RESET_SLACK)
		r = raw_syscall2(SYS_prctl, PR_SET_TIMERSLACK, 50000);
	return r;
}

static long set_limit(const struct spawn_limit *limit)
{
	struct rlimit_pair pair = {limit->soft, limit->hard};

	return raw_syscall4(SYS_prlimit64, 0, limit->resource, &pair, 0);
}

static long set_limits(const struct spawn_recipe *recipe)
{
	for (unsigned i = 0; i < recipe->n_limits; i++) {
		long r = set_limit(&recipe->limits[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

static long set_nice(const struct spawn_recipe *recipe)
{
	if (!recipe->set_nice)
		return 0;
	return raw_syscall3(SYS_setpriority, PRIO_PROCESS, 0, recipe->nice);
}

static long change_root(const struct spawn_recipe *recipe)
{
	return recipe->root ? raw_syscall1(SYS_chroot, recipe->root) : 0;
}

static long change_directory(const struct spawn_recipe *recipe)
{
	raw_syscall1(SYS_umask, recipe->umask);
	return recipe->directory ? raw_syscall1(SYS_chdir, recipe->directory) : 0;
}

/*
 * Neither ambient nor inheritable capabilities of the master survive; the
 * effective ones end with the change of user.  Kernels before 4.3 have no
 * ambient set.
 */
static long clear_capabilities(const struct spawn_recipe *recipe)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	long r;

	if (!recipe->clear_capabilities)
		return 0;
	raw_syscall5(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);

	r = raw_syscall2(SYS_capget, &header, data);
	if (r < 0)
		return r;
	if (data[0].inheritable == 0 && data[1].inheritable == 0)
		return 0;
	data[0].inheritable = 0;
	data[1].inheritable = 0;
	return raw_syscall2(SYS_capset, &header, data);
}

/*
 * The permitted capabilities stay until the exec, which takes them: a process
 * that has some its tracer lacks cannot be traced, so the new identity has no
 * hold on us even while the dumpable flag is not what it should be.  The
 * effective ones, with which things are done, end with the change.  A master
 * whose securebits forbid this has the flag alone.
 */
static long set_user(const struct spawn_recipe *recipe)
{
	raw_syscall2(SYS_prctl, PR_SET_KEEPCAPS, 1);
	return raw_syscall3(SYS_setresuid, recipe->uid, recipe->uid, recipe->uid);
}

/*
 * Changing the identity has set the memory's dumpable flag to fs.suid_dumpable.
 * Put it back to 0, where the master had it: with 1 the new identity could
 * trace this child, and with it the master, and with 2 a core file could be
 * written.  Where it was 1, memory must not be shared: say so.
 */
static long protect_memory(const struct spawn_plan *plan)
{
	long was = raw_syscall2(SYS_prctl, PR_GET_DUMPABLE, 0);

	raw_syscall2(SYS_prctl, PR_SET_DUMPABLE, 0);
	return plan->shared && was == 1 ? -EPERM : 0;
}

/* A user that could become root again, or a group that stayed, is a failure. */
static long verify_identity(const struct spawn_recipe *recipe)
{
	uint32_t real, effective, saved;
	long r;

	r = raw_syscall3(SYS_getresgid, &real, &effective, &saved);
	if (r < 0)
		return r;
	if (real != recipe->gid || effective != recipe->gid || saved != recipe->gid)
		return -EPERM;

	r = raw_syscall3(SYS_getresuid, &real, &effective, &saved);
	if (r < 0)
		return r;
	if (real != recipe->uid || effective != recipe->uid || saved != recipe->uid)
		return -EPERM;

	if (recipe->uid != 0 && raw_syscall3(SYS_setresuid, 0, 0, 0) >= 0)
		return -EPERM;
	return 0;
}

static long open_stderr(const struct spawn_recipe *recipe)
{
	long fd, r;

	if (!recipe->stderr_path)
		return 0;
	/* Its number first, so that a limit of three descriptors is enough. */
	raw_syscall1(SYS_close, 2);
	fd = raw_syscall4(SYS_openat, AT_FDCWD, recipe->stderr_path,
		O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY, 0640);
	if (fd < 0)
		return fd;
	r = fd == 2 ? 0 : raw_syscall3(SYS_dup3, fd, 2, 0);
	if (fd != 2)
		raw_syscall1(SYS_close, fd);
	if (r >= 0 && recipe->output_to_stderr)
		r = raw_syscall3(SYS_dup3, 2, 1, 0);
	return r;
}

static void end_without_core(int sig)
{
	(void)sig;
	for (;;)
		raw_syscall1(SYS_exit_group, 127);
}

static void never_returned_to(void)
{
}

/*
 * From unblocking to the exec, which may hang, a signal that dumps core would
 * dump the master's memory, whatever the limit: the new identity may change
 * that.  A handler prevents it, and exec forgets handlers by itself.
 */
static long catch_core_signals(const struct spawn_recipe *recipe)
{
	static const uint8_t signals[] = {SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE,
		SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS};
	struct kernel_sigaction action = {
		.handler = end_without_core,
#if !defined(__riscv) && !defined(__loongarch__)
		.flags = 0x04000000, /* SA_RESTORER: x86 delivers nothing without */
		.restorer = never_returned_to,
#endif
		.mask = ALL_SIGNALS,
	};

	if (!recipe->change_identity)
		return 0;
	for (unsigned i = 0; i < sizeof signals; i++) {
		long r = raw_syscall4(
			SYS_rt_sigaction, signals[i], &action, 0, sizeof action.mask);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Blocked is not gone: what came in meanwhile would strike on unblocking. */
static long unblock_signals(const struct spawn_recipe *recipe)
{
	static const uint64_t all = ALL_SIGNALS, none;
	static const struct __kernel_timespec now;
	long r = catch_core_signals(recipe);

	if (r < 0)
		return r;

	while (raw_syscall4(SYS_rt_sigtimedwait, &all, 0, &now, sizeof all) > 0)
		;
	return raw_syscall4(SYS_rt_sigprocmask, SIG_SETMASK, &none, 0, sizeof none);
}

/* For sd_listen_fds(3), and for its mark: only the child knows its own number. */
static void write_own_pid(char *out)
{
	char digits[OWN_PID_ROOM];
	int n = 0;
	long pid;

	if (!out)
		return;
	pid = raw_syscall0(SYS_getpid);
	do
		digits[n++] = (char)('0' + pid % 10);
	while ((pid /= 10) > 0 && n < OWN_PID_ROOM - 1);
	while (n > 0)
		*out++ = digits[--n];
	*out = '\0';
}

/* Announce the step before taking it: the master turns it into words. */
#define STEP(name, call)                                                              \
	do {                                                                          \
		__atomic_store_n(&slot->result.step, SPAWN_##name, __ATOMIC_RELEASE); \
		r = (call);                                                           \
		if (r < 0)                                                            \
			goto fail;                                                    \
	} while (0)

static long execute(const struct spawn_recipe *recipe, const struct spawn_plan *plan)
{
	if (!recipe->by_descriptor)
		return raw_syscall3(SYS_execve, recipe->path, recipe->argv, plan->envp);
	return raw_syscall5(
		SYS_execveat, recipe->program_fd, "", recipe->argv, plan->envp, AT_EMPTY_PATH);
}

void spawn_child(void *shared)
{
	struct spawn_shared *slot = shared;
	struct spawn_plan *plan = &slot->plan;
	const struct spawn_recipe *recipe = plan->recipe;
	long r;

	STEP(BLOCK, block_signals());
	STEP(UNSHARE, unshare_table(slot));
	STEP(DESCRIPTORS, arrange_descriptors(plan));
	STEP(SESSION, raw_syscall0(SYS_setsid));
	STEP(SIGNALS, default_signals());
	STEP(KEYRING, own_keyring(recipe));
	STEP(SCHEDULING, reset_scheduling(plan));
	STEP(LIMITS, set_limits(recipe));
	STEP(NICE, set_nice(recipe));
	STEP(CHROOT, change_root(recipe));
	STEP(DIRECTORY, change_directory(recipe));
	STEP(CAPABILITIES, clear_capabilities(recipe));
	if (recipe->change_identity) {
		STEP(GROUPS, raw_syscall2(SYS_setgroups, recipe->n_groups, recipe->groups));
		STEP(GID, raw_syscall3(SYS_setresgid, recipe->gid, recipe->gid, recipe->gid));
		STEP(UID, set_user(recipe));
		STEP(PROTECT, protect_memory(plan));
		STEP(VERIFY, verify_identity(recipe));
	}
	STEP(STDERR, open_stderr(recipe));
	write_own_pid(plan->listen_pid);
	write_own_pid(plan->mark_pid);
	STEP(CORE, set_limit(&recipe->core));
	STEP(UNBLOCK, unblock_signals(recipe));
	STEP(EXEC, execute(recipe, plan));
fail:
	__atomic_store_n(&slot->result.error, (int32_t)-r, __ATOMIC_RELEASE);
	for (;;)
		raw_syscall1(SYS_exit_group, 127);
}
