#include "master/inherited.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/own.h"
#include "base/strv.h"
#include "base/text.h"
#include "master/resume.h"
#include "os/spawn_plan.h"
#include "os/spawn_probe.h"

#include <limits.h>
#include <linux/capability.h>
#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-login.h>

#define DEFAULT_SLACK 50000 /* nanoseconds, what the kernel gives every process */

/*
 * Everything is blocked: what we care for arrives through sd-event, and a
 * child is born with nothing that could strike before its first instruction.
 * Faults of our own still kill us, the kernel sees to that.
 */
static int clean_signals(void)
{
	/* Zero is the default in the kernel's structure, whatever its shape; the
	 * raw call, because libc keeps two signals to itself. */
	static const uint64_t by_default[8];
	struct sigaction ignored = {.sa_handler = SIG_IGN};
	sigset_t all;

	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			syscall(SYS_rt_sigaction, sig, by_default, NULL, sizeof(uint64_t));
	/* The log may be a pipe that nobody reads; its blocking would not help
	 * children, so they get the default back. */
	sigaction(SIGPIPE, &ignored, NULL);

	sigfillset(&all);
	sigdelset(&all, SIGTSTP);
	return sigprocmask(SIG_SETMASK, &all, NULL) < 0 ? -errno : 0;
}

/* A number that is none is not ours: sd_listen_fds(3) would call it an error. */
static bool sockets_are_ours(void)
{
	const char *text = getenv("LISTEN_PID");
	int32_t pid;

	return text && text_parse_i32(text, &pid) == 0 && pid == getpid();
}

/* How many there are, or a negative errno. */
static int take_sockets(struct inherited *inherited)
{
	_cleanup_strv_ char **names = NULL;
	int n = sockets_are_ours() ? sd_listen_fds_with_names(1, &names) : 0;
	int r = 0;

	for (int i = 0; i < n && r == 0; i++)
		r = handed_over_add(
			&inherited->handed_over, names[i], INHERITED_FIRST + i, NULL);
	return r < 0 ? r : n;
}

/* Nothing else of our parent's stays open; the log is ours. */
static void close_strays(int first)
{
	int spared = log_fd() >= first ? log_fd() : first - 1;

	fd_close_range(first, spared - 1);
	fd_close_range(spared + 1, INT_MAX);
}

/*
 * 1 is the one soft limit that stops core files and core pipes alike, which
 * a child that shares our memory must never feed.
 */
static void limit_core(const struct rlimit *was)
{
	struct rlimit one = {.rlim_cur = 1, .rlim_max = was->rlim_max};

	if (one.rlim_max < 1)
		one.rlim_max = 1;
	setrlimit(RLIMIT_CORE, &one);
}

static unsigned own_scheduling(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned reset = 0;
	cpu_set_t set;
	int policy, oom = spawn_probe_oom_score();
	long ioprio;

	policy = sched_getscheduler(0);
	if (policy > 0 && policy != SCHED_OTHER)
		reset |= SPAWN_RESET_POLICY;
	if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) < cpus)
		reset |= SPAWN_RESET_AFFINITY;
	ioprio = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
	if (ioprio > 0 && IOPRIO_PRIO_CLASS(ioprio) != IOPRIO_CLASS_NONE)
		reset |= SPAWN_RESET_IOPRIO;
	if (prctl(PR_GET_TIMERSLACK) != DEFAULT_SLACK)
		reset |= SPAWN_RESET_SLACK;
	/* Lowering takes root, as spawn_probe_private_reason() knows. */
	if (oom < 0 || (oom != 0 && geteuid() == 0))
		reset |= SPAWN_RESET_OOM;
	return reset;
}

/* Is there anything in the sets that survive an exec? */
static bool own_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	/* The ambient set is a part of the inheritable one. */
	if (syscall(SYS_capget, &header, data) < 0)
		return true;
	return data[0].inheritable != 0 || data[1].inheritable != 0;
}

static int note_identity(struct inherited *inherited)
{
	uid_t uid[3];
	gid_t gid[3];
	int n = getgroups(0, NULL);

	if (n < 0 || getresuid(&uid[0], &uid[1], &uid[2]) < 0 ||
		getresgid(&gid[0], &gid[1], &gid[2]) < 0)
		return -errno;
	inherited->uid = uid[1];
	inherited->gid = gid[1];
	inherited->one_identity =
		uid[0] == uid[1] && uid[1] == uid[2] && gid[0] == gid[1] && gid[1] == gid[2];
	inherited->groups = calloc((size_t)n + 1, sizeof *inherited->groups);
	if (!inherited->groups)
		return -ENOMEM;
	n = getgroups(n, inherited->groups);
	inherited->n_groups = n < 0 ? 0 : (size_t)n;
	return n < 0 ? -errno : 0;
}

/* What we were started with first. */
static void note_limits(struct inherited *inherited, const struct handover_process *process)
{
	inherited->nofile = (struct rlimit){
		.rlim_cur = process->nofile_soft, .rlim_max = process->nofile_hard};
	inherited->core =
		(struct rlimit){.rlim_cur = process->core_soft, .rlim_max = process->core_hard};
}

int inherited_take(struct inherited *inherited, struct resume *resume)
{
	int r, n_sockets;

	memset(inherited, 0, sizeof *inherited);
	inherited->pid = getpid();
	r = note_identity(inherited);
	if (r < 0)
		return r;
	r = fd_fill_stdio();
	if (r < 0)
		return r;
	r = clean_signals();
	if (r < 0)
		return r;
	n_sockets = take_sockets(inherited);
	if (n_sockets < 0)
		return n_sockets;
	if (resume_is_wanted(resume))
		resume_clean_up(resume);
	else
		close_strays(INHERITED_FIRST + n_sockets);

	if (getrlimit(RLIMIT_NOFILE, &inherited->nofile) < 0 ||
		getrlimit(RLIMIT_CORE, &inherited->core) < 0)
		return -errno;
	if (resume_is_wanted(resume))
		note_limits(inherited, &resume->handover.process);
	limit_core(&inherited->core);
	inherited->spawn_reset = own_scheduling();
	inherited->hands_down_capabilities = own_capabilities();
	if (sd_pid_get_unit(0, &inherited->unit) < 0)
		inherited->unit = NULL;
	/* Not the one of whoever started us; where there are none, fine. */
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);

	/* A child's change of identity must not open our memory to it; never
	 * set back to 1 (I5). */
	return prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : 0;
}

void inherited_done(struct inherited *inherited)
{
	handed_over_done(&inherited->handed_over);
	free(inherited->unit);
	inherited->unit = NULL;
	free(inherited->groups);
	inherited->groups = NULL;
}
