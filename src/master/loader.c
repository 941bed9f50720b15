#include "master/loader.h"

#include "base/fd.h"
#include "base/own.h"
#include "conf/image.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/*
 * In a build directory the loader lies beside us, installed under libexec.
 * Whoever may write beside our own binary could replace that as well.
 */
static int find_loader(char path[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	if (len > 0) {
		self[len] = '\0';
		slash = strrchr(self, '/');
		if (slash &&
			snprintf(path, PATH_MAX, "%.*s/hatchd-load", (int)(slash - self),
				self) < PATH_MAX &&
			access(path, X_OK) == 0)
			return 0;
	}
	if (snprintf(path, PATH_MAX, "%s/hatchd-load", LIBEXECDIR) >= PATH_MAX)
		return -ENAMETOOLONG;
	return access(path, X_OK) < 0 ? -errno : 0;
}

/* Our arguments, with one more in front if there is a place for the image. */
static char **arguments(char **argv, char *image_option)
{
	size_t n = 0, at = 0;
	char **args;

	while (argv[n])
		n++;
	args = calloc(n + 2, sizeof *args);
	if (!args)
		return NULL;
	args[at++] = argv[0];
	if (image_option)
		args[at++] = image_option;
	for (size_t i = 1; i < n; i++)
		args[at++] = argv[i];
	return args;
}

int loader_exec(char **argv)
{
	char path[PATH_MAX];
	int r = find_loader(path);

	if (r < 0)
		return r;
	execv(path, argv);
	return -errno;
}

/* As an ordinary program: nothing blocked, nothing ignored. */
static _Noreturn void run_child(const char *path, char **args, int memfd)
{
	sigset_t none;

	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	fcntl(memfd, F_SETFD, 0);
	execv(path, args);
	fprintf(stderr, "hatchd: unable to run %s: %s\n", path, strerror(errno));
	_exit(LOADER_NOT_RUN);
}

static int wait_for(pid_t pid)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	int status, r;

	if (pidfd < 0)
		return -errno;
	do
		r = poll(&p, 1, LOADER_TIMEOUT_MS);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	if (r <= 0)
		return -ETIME;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}

int loader_run(char **argv, struct conf *ret)
{
	_cleanup_close_ int memfd =
		memfd_create("hatchd-conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	_cleanup_free_ char **args = NULL;
	char path[PATH_MAX], option[32];
	pid_t pid;
	int r;

	if (memfd < 0)
		return -errno;
	r = find_loader(path);
	if (r < 0)
		return r;
	snprintf(option, sizeof option, "--image-fd=%d", memfd);
	args = arguments(argv, option);
	if (!args)
		return -ENOMEM;

	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		run_child(path, args, memfd);

	r = wait_for(pid);
	return r != 0 ? r : image_read(memfd, ret);
}
