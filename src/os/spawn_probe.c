#include "os/spawn_probe.h"

#include "base/fd.h"
#include "base/own.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

/* The number in a one-line file of /proc; `otherwise` where there is none. */
static int read_number(const char *path, int otherwise)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t len;
	int number;

	if (fd < 0 || fd_read_all(fd, 64, &text, &len) < 0)
		return otherwise;
	return sscanf(text, "%d", &number) == 1 ? number : otherwise;
}

static bool kernel_before(int major, int minor)
{
	struct utsname name;
	int have_major, have_minor;

	if (uname(&name) < 0 || sscanf(name.release, "%d.%d", &have_major, &have_minor) != 2)
		return false;
	return have_major < major || (have_major == major && have_minor < minor);
}

/* The master sets its soft limit to 1 at start, where the hard one allows it. */
static bool core_limit_can_be_one(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max >= 1;
}

int spawn_probe_oom_score(void)
{
	return read_number("/proc/self/oom_score_adj", 0);
}

const char *spawn_probe_private_reason(void)
{
	bool root = geteuid() == 0;
	int oom = spawn_probe_oom_score();

	if (kernel_before(5, 16))
		return "Linux before 5.16";
	if (root && read_number("/proc/sys/fs/suid_dumpable", 0) == 1)
		return "fs.suid_dumpable is 1";
	if (root && !core_limit_can_be_one())
		return "the core limit cannot be set to 1";
	/* Only root may lower a score; whoever cannot has nothing to reset. */
	if (oom < 0 || (root && oom != 0))
		return "oom_score_adj is not 0";
	return NULL;
}

bool spawn_probe_can_unshare(void)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return true;
	if (pid == 0)
		_exit(syscall(SYS_close_range, ~0U, ~0U, CLOSE_RANGE_UNSHARE) < 0 &&
			unshare(CLONE_FILES) < 0);
	return waitpid(pid, &status, 0) < 0 || status == 0;
}
