#include "master/loader.h"

#include "base/fd.h"
#include "base/memfd.h"
#include "base/own.h"
#include "base/sibling.h"
#include "conf/image.h"
#include "conf/manager-environ.h"
#include "conf/secrets.h"
#include "master/prove.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

int loader_open_other(const char *name)
{
	char path[PATH_MAX];
	int r = sibling_find(name, LIBEXECDIR, path), fd;

	if (r < 0)
		return r;
	fd = open(path, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int loader_find(char **ret_path)
{
	char path[PATH_MAX];
	int r = sibling_find("hatchd-load", LIBEXECDIR, path);

	if (r < 0)
		return r;
	*ret_path = strdup(path);
	return *ret_path ? 0 : -ENOMEM;
}

static bool is_ourselves(const char *path)
{
	struct stat us, it;

	return stat("/proc/self/exe", &us) == 0 && stat(path, &it) == 0 &&
	       us.st_dev == it.st_dev && us.st_ino == it.st_ino && access(path, X_OK) == 0;
}

/* By which we were executed; as a link it may lead to something else next time. */
static bool find_called(const char *cwd, char path[PATH_MAX])
{
	const char *called = (const char *)getauxval(AT_EXECFN);
	int len;

	if (!called || !called[0])
		return false;
	if (called[0] == '/')
		len = snprintf(path, PATH_MAX, "%s", called);
	else
		len = snprintf(path, PATH_MAX, "%s/%s", cwd, called);
	return len < PATH_MAX && is_ourselves(path);
}

char *loader_find_self(const char *cwd)
{
	char self[PATH_MAX];
	ssize_t len;

	if (find_called(cwd, self))
		return strdup(self);
	len = readlink("/proc/self/exe", self, sizeof self - 1);
	if (len <= 0)
		return NULL;
	self[len] = '\0';
	return is_ourselves(self) ? strdup(self) : NULL;
}

int loader_exec(char **argv)
{
	char path[PATH_MAX];
	int r = sibling_find("hatchd-load", LIBEXECDIR, path);

	if (r < 0)
		return r;
	execv(path, argv);
	return -errno;
}

/* The loader finds its descriptors from this number on: its image and its secrets to be, then
 * those in force, as far as there are any; who has to prove something, what that is about
 * (master/prove). */
#define FIRST_FD 3

/* Where there is certainly none of them. */
#define OUT_OF_THE_WAY 16

/* Our arguments behind what concerns the loader alone. */
static char **arguments(const struct loading_request *request)
{
	static char image[] = "--image-fd=3", secrets[] = "--secrets-fd=4",
		    in_force[] = "--in-force-fd=5", old_secrets[] = "--old-secrets-fd=6",
		    strict[] = "--strict", conditions[] = "--conditions", to_log[] = "--to-log",
		    prove[] = PROVE_OPTION;
	size_t n = 0, at = 0;
	char **args;

	while (request->argv[n])
		n++;
	args = calloc(n + 9, sizeof *args);
	if (!args)
		return NULL;
	args[at++] = request->argv[0];
	if (request->proof)
		args[at++] = prove;
	args[at++] = image;
	args[at++] = secrets;
	if (request->in_force)
		args[at++] = in_force;
	if (request->in_force && image_secrets(request->in_force) >= 0)
		args[at++] = old_secrets;
	if (request->strict)
		args[at++] = strict;
	if (request->conditions)
		args[at++] = conditions;
	if (request->to_log)
		args[at++] = to_log;
	for (size_t i = 1; i < n; i++)
		args[at++] = request->argv[i];
	return args;
}

#define FDS_MAX 4

/* In the order of their numbers; how many there are. */
static int list_descriptors(
	const struct loading_request *request, const struct loading *loading, int ret[FDS_MAX])
{
	const struct loading_proof *proof = request->proof;
	int n = 0;

	ret[n++] = loading->image;
	ret[n++] = loading->secrets;
	if (proof) {
		ret[n++] = proof->handover;
		ret[n++] = proof->answer;
	} else if (request->in_force) {
		ret[n++] = image_fd(request->in_force);
		if (image_secrets(request->in_force) >= 0)
			ret[n++] = image_secrets(request->in_force);
	}
	return n;
}

/*
 * First of all every descriptor of ours goes: an exec that hangs on a dead file
 * server must not keep a client waiting for the end of its connection.
 */
static bool take_descriptors(const struct loading_request *request, const struct loading *l)
{
	int fds[FDS_MAX], n = list_descriptors(request, l, fds);

	for (int i = 0; i < n; i++) {
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
		if (fds[i] < 0)
			return false;
	}
	for (int i = 0; i < n; i++)
		if (dup2(fds[i], FIRST_FD + i) < 0)
			return false;
	return syscall(SYS_close_range, FIRST_FD + n, ~0U, 0) == 0 || errno == ENOSYS ||
	       errno == EPERM;
}

/* As an ordinary program: nothing blocked, nothing ignored.  Between fork and
 * exec of a process with threads: system calls only. */
static _Noreturn void run_child(char **args, char **env, const struct loading_request *request,
	const struct loading *loading)
{
	sigset_t none;

	if (!take_descriptors(request, loading))
		_exit(LOADER_NOT_RUN);
	/* Its diagnostics have been told when these files were loaded. */
	if (request->conditions)
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (chdir(request->cwd) < 0 && chdir("/") < 0)
		_exit(LOADER_NOT_RUN);
	execve(request->path, args, env);
	_exit(LOADER_NOT_RUN);
}

static int open_memfds(struct loading *loading)
{
	loading->image = memfd_new(IMAGE_NAME);
	if (loading->image < 0)
		return loading->image;
	loading->secrets = memfd_new(SECRETS_NAME);
	return loading->secrets < 0 ? loading->secrets : 0;
}

static int start(const struct loading_request *request, struct loading *loading)
{
	_cleanup_free_ char **args = arguments(request);
	/* What pass_env names is in there. */
	_cleanup_free_ char **env = manager_environ_without(environ);
	int r;

	if (!args || !env)
		return -ENOMEM;
	r = open_memfds(loading);
	if (r < 0)
		return r;

	loading->pid = fork();
	if (loading->pid < 0)
		return -errno;
	if (loading->pid == 0)
		run_child(args, env, request, loading);
	loading->pidfd = (int)syscall(SYS_pidfd_open, loading->pid, 0);
	if (loading->pidfd >= 0)
		return 0;
	r = -errno;
	kill(loading->pid, SIGKILL);
	return r;
}

int loading_start(const struct loading_request *request, struct loading *ret)
{
	struct loading loading = LOADING_NONE;
	int r = start(request, &loading);

	*ret = loading;
	if (r < 0) {
		loading_done(ret);
		ret->pid = loading.pid;
	}
	return r;
}

int loading_wait(const struct loading *loading, int timeout_ms)
{
	struct pollfd p = {.fd = loading->pidfd, .events = POLLIN};
	int r;

	do
		r = poll(&p, 1, timeout_ms);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r == 0 ? -ETIME : 0;
}

static int reap(const struct loading *loading)
{
	siginfo_t info = {0};

	if (waitid(P_PIDFD, (id_t)loading->pidfd, &info, WEXITED | WNOHANG) < 0)
		return -errno;
	if (info.si_pid == 0)
		return -ETIME;
	return info.si_code == CLD_EXITED ? info.si_status : -ECHILD;
}

/* Both, or neither. */
static int open_answer(struct loading *loading, struct image **ret)
{
	_cleanup_image_ struct image *image = NULL;
	int r = image_open(loading->image, &image);

	if (r < 0)
		return r;
	loading->image = -EBADF;
	r = image_take_secrets(image, loading->secrets);
	if (r < 0)
		return r;
	loading->secrets = -EBADF;
	*ret = take_ptr(image);
	return 0;
}

int loading_finish(struct loading *loading, struct image **ret)
{
	int r = reap(loading);

	if (r == 0)
		r = open_answer(loading, ret);
	loading_done(loading);
	return r;
}

static int check_sealed(int memfd, bool needed)
{
	size_t size;
	int r = memfd_check(memfd, SIZE_MAX, &size);

	if (r < 0)
		return r;
	return needed && size == 0 ? -EBADMSG : 0;
}

int loading_finish_proof(struct loading *loading, int *ret_image, int *ret_secrets)
{
	int r = reap(loading);

	if (r == 0)
		r = check_sealed(loading->image, true);
	if (r == 0)
		r = check_sealed(loading->secrets, false);
	if (r == 0) {
		*ret_image = take_fd(&loading->image);
		*ret_secrets = take_fd(&loading->secrets);
	}
	loading_done(loading);
	return r;
}

void loading_kill(const struct loading *loading)
{
	syscall(SYS_pidfd_send_signal, loading->pidfd, SIGKILL, NULL, 0);
}

void loading_done(struct loading *loading)
{
	fd_close(loading->pidfd);
	fd_close(loading->image);
	fd_close(loading->secrets);
	*loading = LOADING_NONE;
}

const char *loading_explain(int result)
{
	switch (result) {
	case -ETIME:
		return "the loader did not answer in time";
	case -ECHILD:
		return "the loader was killed";
	case -EBADMSG:
		return "the loader is of another version or wrote nonsense";
	default:
		return result > 0 ? "the loader could not be run" : strerror(-result);
	}
}
