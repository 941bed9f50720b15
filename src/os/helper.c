#include "os/helper.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "os/pass_rights.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Those that were killed and have not ended are looked for so often, but at first sooner:
 * they are on their way. */
#define REAP_AGAIN USEC_PER_SEC
#define REAP_FIRST (100 * USEC_PER_MSEC)

/* Exit status of one that could not be run. */
#define CHILD_FAILED 120

static int move_up(const struct helper *helper, int fd)
{
	int high = fd_move_up(fd, helper->lowest);

	return high < 0 ? fd : high;
}

int helper_init(struct helper *helper, const char *name, int program, int null, int lowest)
{
	*helper = (struct helper){
		.name = name,
		.null = null,
		.lowest = lowest,
		.socket = -EBADF,
		.pid = -1,
		.reap_at = USEC_INFINITY,
	};
	helper->program = program < 0 ? program : move_up(helper, program);
	helper->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (helper->epoll_fd < 0) {
		int r = -errno;

		fd_close(helper->program);
		return r;
	}
	helper->epoll_fd = move_up(helper, helper->epoll_fd);
	return 0;
}

/* What concerns how any program is linked and checked; whatever else there is in our
 * environment is not for a process of another user. */
static void choose_environment(char *chosen[])
{
	static const char *const names[] = {
		"ASAN_OPTIONS=",
		"LD_LIBRARY_PATH=",
		"LD_PRELOAD=",
		"UBSAN_OPTIONS=",
	};
	size_t n = 0;

	for (char **e = environ; e && *e; e++)
		for (size_t i = 0; i < ARRAY_SIZE(names) && n < ARRAY_SIZE(names); i++)
			if (strncmp(*e, names[i], strlen(names[i])) == 0)
				chosen[n++] = *e;
	chosen[n] = NULL;
}

/* Between fork and exec of a process with threads: system calls only.  First of all every
 * descriptor of ours goes: an exec may hang. */
static _Noreturn void run_child(const struct helper *helper, int socket, char *envp[])
{
	char *argv[] = {(char *)helper->name, NULL};

	if (dup2(socket, HELPER_SOCKET_FD) < 0 || dup2(helper->null, STDOUT_FILENO) < 0 ||
		dup2(helper->null, STDERR_FILENO) < 0)
		_exit(CHILD_FAILED);
	syscall(SYS_close_range, STDERR_FILENO + 1, helper->program - 1, 0);
	syscall(SYS_close_range, helper->program + 1, ~0U, 0);
	fexecve(helper->program, argv, envp);
	_exit(CHILD_FAILED);
}

/* It is never seen under another name: lists of processes are read by people. */
static pid_t fork_named(const struct helper *helper, int socket)
{
	char ours[16] = "", *envp[8];
	pid_t pid;

	choose_environment(envp);
	prctl(PR_GET_NAME, ours);
	prctl(PR_SET_NAME, helper->name);
	pid = fork();
	if (pid == 0)
		run_child(helper, socket, envp);
	prctl(PR_SET_NAME, ours);
	return pid < 0 ? -errno : pid;
}

/* No descriptor comes back: closing a stranger's could make us wait.  Older kernels than
 * 6.16 do not refuse them, but the process has none that are worth it. */
static int watch(struct helper *helper)
{
	struct epoll_event event = {.events = EPOLLIN};

	pass_rights(helper->socket, false);
	return epoll_ctl(helper->epoll_fd, EPOLL_CTL_ADD, helper->socket, &event) < 0 ? -errno
	                                                                              : 0;
}

int helper_start(struct helper *helper)
{
	_cleanup_close_ int theirs = -EBADF;
	int ends[2], r;

	if (helper->program < 0)
		return helper->program;
	if (helper->n_corpses >= HELPER_CORPSES_MAX)
		return -EBUSY;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	theirs = ends[1];
	helper->socket = move_up(helper, ends[0]);
	r = watch(helper);
	if (r == 0)
		r = fork_named(helper, theirs);
	if (r < 0) {
		helper->socket = fd_close(helper->socket);
		return r;
	}
	helper->pid = r;
	helper->starts++;
	return 0;
}

void helper_reap(struct helper *helper, uint64_t now)
{
	for (size_t i = helper->n_corpses; i-- > 0;)
		if (waitpid(helper->corpses[i], NULL, WNOHANG) != 0)
			helper->corpses[i] = helper->corpses[--helper->n_corpses];
	helper->reap_at = helper->n_corpses > 0 ? now + REAP_AGAIN : USEC_INFINITY;
}

void helper_end(struct helper *helper, uint64_t now)
{
	if (helper->socket < 0)
		return;
	epoll_ctl(helper->epoll_fd, EPOLL_CTL_DEL, helper->socket, NULL);
	helper->socket = fd_close(helper->socket);
	kill(helper->pid, SIGKILL);
	helper->corpses[helper->n_corpses++] = helper->pid;
	helper->pid = -1;
	helper_reap(helper, now);
	if (helper->n_corpses > 0)
		helper->reap_at = now + REAP_FIRST;
}

void helper_done(struct helper *helper)
{
	helper_end(helper, 0);
	fd_close(helper->program);
	fd_close(helper->epoll_fd);
}

size_t helper_pids(const struct helper *helper, pid_t ret[HELPER_PIDS_MAX])
{
	size_t n = 0;

	if (helper->pid > 0)
		ret[n++] = helper->pid;
	for (size_t i = 0; i < helper->n_corpses; i++)
		ret[n++] = helper->corpses[i];
	return n;
}

const char *helper_explain(const char *name, int trouble, char buf[HELPER_WHY_MAX])
{
	const char *before = "", *behind;

	switch (trouble) {
	case -ENOENT:
		behind = " is not there";
		break;
	case -ECHILD:
		behind = " has ended";
		break;
	case -EBADMSG:
		behind = " has said nonsense";
		break;
	case -ETIME:
		behind = " does not answer";
		break;
	case -EBUSY:
		before = "several ";
		behind = " hang in the kernel";
		break;
	default:
		return strerror(-trouble);
	}
	snprintf(buf, HELPER_WHY_MAX, "%s%s%s", before, name, behind);
	return buf;
}
