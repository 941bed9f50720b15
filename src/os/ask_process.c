#include "os/ask_process.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "os/ask_wire.h"
#include "os/pass_rights.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NAME "hatchd-ask"

/* Those that were killed and have not ended are looked for so often, but at first sooner:
 * they are on their way. */
#define REAP_AGAIN USEC_PER_SEC
#define REAP_FIRST (100 * USEC_PER_MSEC)

/* Exit status of one that could not be run. */
#define CHILD_FAILED 120

static int move_up(const struct ask_process *process, int fd)
{
	int high = fd_move_up(fd, process->lowest);

	return high < 0 ? fd : high;
}

int ask_process_init(struct ask_process *process, int program, int null, int lowest)
{
	*process = (struct ask_process){
		.null = null,
		.lowest = lowest,
		.socket = -EBADF,
		.pid = -1,
		.reap_at = USEC_INFINITY,
	};
	process->program = program < 0 ? program : move_up(process, program);
	process->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (process->epoll_fd < 0) {
		int r = -errno;

		fd_close(process->program);
		return r;
	}
	process->epoll_fd = move_up(process, process->epoll_fd);
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
static _Noreturn void run_child(const struct ask_process *process, int socket, char *envp[])
{
	static char name[] = NAME;
	char *argv[] = {name, NULL};

	if (dup2(socket, ASK_SOCKET_FD) < 0 || dup2(process->null, STDOUT_FILENO) < 0 ||
		dup2(process->null, STDERR_FILENO) < 0)
		_exit(CHILD_FAILED);
	syscall(SYS_close_range, STDERR_FILENO + 1, process->program - 1, 0);
	syscall(SYS_close_range, process->program + 1, ~0U, 0);
	fexecve(process->program, argv, envp);
	_exit(CHILD_FAILED);
}

/* It is never seen under another name: lists of processes are read by people. */
static pid_t fork_named(const struct ask_process *process, int socket)
{
	char ours[16] = "", *envp[8];
	pid_t pid;

	choose_environment(envp);
	prctl(PR_GET_NAME, ours);
	prctl(PR_SET_NAME, NAME);
	pid = fork();
	if (pid == 0)
		run_child(process, socket, envp);
	prctl(PR_SET_NAME, ours);
	return pid < 0 ? -errno : pid;
}

/* No descriptor comes back: closing a stranger's could make us wait.  Older kernels than
 * 6.16 do not refuse them, but the process has none that are worth it. */
static int watch(struct ask_process *process)
{
	struct epoll_event event = {.events = EPOLLIN};

	pass_rights(process->socket, false);
	return epoll_ctl(process->epoll_fd, EPOLL_CTL_ADD, process->socket, &event) < 0 ? -errno
	                                                                                : 0;
}

int ask_process_start(struct ask_process *process)
{
	_cleanup_close_ int theirs = -EBADF;
	int ends[2], r;

	if (process->program < 0)
		return process->program;
	if (process->n_corpses >= ASK_CORPSES_MAX)
		return -EBUSY;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	theirs = ends[1];
	process->socket = move_up(process, ends[0]);
	r = watch(process);
	if (r == 0)
		r = fork_named(process, theirs);
	if (r < 0) {
		process->socket = fd_close(process->socket);
		return r;
	}
	process->pid = r;
	return 0;
}

void ask_process_reap(struct ask_process *process, uint64_t now)
{
	for (size_t i = process->n_corpses; i-- > 0;)
		if (waitpid(process->corpses[i], NULL, WNOHANG) != 0)
			process->corpses[i] = process->corpses[--process->n_corpses];
	process->reap_at = process->n_corpses > 0 ? now + REAP_AGAIN : USEC_INFINITY;
}

void ask_process_end(struct ask_process *process, uint64_t now)
{
	if (process->socket < 0)
		return;
	epoll_ctl(process->epoll_fd, EPOLL_CTL_DEL, process->socket, NULL);
	process->socket = fd_close(process->socket);
	kill(process->pid, SIGKILL);
	process->corpses[process->n_corpses++] = process->pid;
	process->pid = -1;
	ask_process_reap(process, now);
	if (process->n_corpses > 0)
		process->reap_at = now + REAP_FIRST;
}

void ask_process_done(struct ask_process *process)
{
	ask_process_end(process, 0);
	fd_close(process->program);
	fd_close(process->epoll_fd);
}
