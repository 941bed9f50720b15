#include "os/sandbox.h"

#include "base/own.h"
#include "os/sandbox_calls.h"
#include "os/sandbox_landlock.h"

#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE              65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

/* A name for what a step does, as it stands behind "unable to". */
struct step {
	const char *name;
	int (*take)(const struct sandbox *sandbox, struct sandbox_report *report);
};

static int negative_errno(int r)
{
	return r < 0 ? -errno : 0;
}

/* Also refuses a second time, which would otherwise end in the first step that the
 * filter does not know. */
static int find_seccomp(const struct sandbox *sandbox, struct sandbox_report *report)
{
	int r;

	if (sandbox->max_fds == 0 || (sandbox->groups & ~(unsigned)SANDBOX_GROUPS) != 0)
		return -EINVAL;
	r = sandbox_calls_prepare();
	if (r == -EOPNOTSUPP && sandbox->seccomp_optional)
		return 0;
	report->seccomp = r == 0;
	return r;
}

/*
 * Capabilities and Landlock belong to the thread, and a thread that is left outside could
 * do everything in the name of this one.  Unsharing memory that nobody shares does
 * nothing, and cannot be done by one thread of several; where a container forbids the
 * call it tells nothing.  qemu-user, which has threads of its own, has no seccomp.
 */
static int be_alone(const struct sandbox *sandbox, struct sandbox_report *report)
{
	(void)sandbox;
	if (report->seccomp && unshare(CLONE_VM) < 0 && errno == EINVAL)
		return -EBUSY;
	return 0;
}

static int keep_rights_out(const struct sandbox *sandbox, struct sandbox_report *report)
{
	(void)sandbox;
	(void)report;
	return negative_errno(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

/* No core file of any kind either, also not through a pipe, where a limit of 0 is none. */
static int close_memory(const struct sandbox *sandbox, struct sandbox_report *report)
{
	(void)sandbox;
	report->mdwe = prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0;
	return negative_errno(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
}

static int limit_fds(unsigned wanted, unsigned *ret)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_max > wanted)
		limit.rlim_max = wanted;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	*ret = (unsigned)limit.rlim_max;
	return 0;
}

static int lower_limits(const struct sandbox *sandbox, struct sandbox_report *report)
{
	static const struct rlimit none;
	static const __rlimit_resource_t emptied[] = {
		RLIMIT_CORE,
		RLIMIT_FSIZE,
		RLIMIT_MEMLOCK,
		RLIMIT_MSGQUEUE,
		RLIMIT_NICE,
		RLIMIT_NPROC,
		RLIMIT_RTPRIO,
	};

	for (size_t i = 0; i < ARRAY_SIZE(emptied); i++) {
		if (emptied[i] == RLIMIT_FSIZE && sandbox->groups & SANDBOX_FOLDER)
			continue;
		if (setrlimit(emptied[i], &none) < 0)
			return -errno;
	}
	if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		return -errno;
	return limit_fds(sandbox->max_fds, &report->max_fds);
}

/* Who may not touch the bounding set gets nothing out of it either: there is no exec, and
 * no_new_privs. */
static void empty_bounding_set(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

/* A kernel without ambient capabilities has none to clear. */
static int drop_capabilities(const struct sandbox *sandbox, struct sandbox_report *report)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};

	(void)sandbox;
	(void)report;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	empty_bounding_set();
	return negative_errno((int)syscall(SYS_capset, &header, none));
}

static int leave_files(const struct sandbox *sandbox, struct sandbox_report *report)
{
	int version = sandbox_landlock_version(), r;

	if (version == 0)
		return 0;
	r = sandbox_landlock_enter(version, sandbox->groups, sandbox->folder);
	if (r < 0)
		return r;
	report->landlock = version;
	return 0;
}

static int filter_calls(const struct sandbox *sandbox, struct sandbox_report *report)
{
	return report->seccomp ? sandbox_calls_filter(sandbox->groups, sandbox->leaves_sockets)
	                       : 0;
}

/* Landlock wants no_new_privs of who has no capabilities.  The limits come late, so that
 * what has failed can still be told to a file, and the filter last: it knows none of the
 * calls that the others take. */
static const struct step steps[] = {
	{"use the sandbox", find_seccomp},
	{"enter the sandbox with one thread of several", be_alone},
	{"refuse new privileges", keep_rights_out},
	{"protect the memory", close_memory},
	{"drop capabilities", drop_capabilities},
	{"leave the file system", leave_files},
	{"lower the limits", lower_limits},
	{"filter system calls", filter_calls},
};

int sandbox_enter(const struct sandbox *sandbox, struct sandbox_report *report)
{
	int r;

	memset(report, 0, sizeof *report);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		r = steps[i].take(sandbox, report);
		if (r < 0) {
			report->failed = steps[i].name;
			return r;
		}
	}
	return 0;
}

void sandbox_describe(const struct sandbox_report *report, char ret_text[SANDBOX_TEXT_MAX])
{
	char landlock[24] = "no landlock";

	if (report->landlock > 0)
		snprintf(landlock, sizeof landlock, "landlock %d", report->landlock);
	snprintf(ret_text, SANDBOX_TEXT_MAX, "%sseccomp, %s, %smdwe",
		report->seccomp ? "" : "no ", landlock, report->mdwe ? "" : "no ");
}
