#include "base/log-relay.h"

#include "base/fd.h"
#include "base/own.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Enough for a busy turn of the master, in bytes. */
#define PIPE_SIZE 16384

/* Longest wait at the end, in milliseconds. */
#define LAST_WORDS 1000

/* Whoever gave us standard error may have made it non-blocking. */
static bool wait_until_writable(void)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

	return errno == EINTR || (errno == EAGAIN && poll(&p, 1, -1) >= 0);
}

/* What standard error has not taken, and where it stands. */
struct losses {
	const char *prefix;
	uint64_t lines;
	bool torn; /* in the middle of a line */
};

/* How much was taken. */
static size_t write_most(struct losses *losses, const char *data, size_t len)
{
	size_t at = 0;

	while (at < len) {
		ssize_t n = write(STDERR_FILENO, data + at, len - at);

		if (n < 0 && !wait_until_writable())
			break;
		if (n > 0)
			at += (size_t)n;
	}
	if (at > 0)
		losses->torn = data[at - 1] != '\n';
	return at;
}

/* False: it takes nothing yet. */
static bool report(struct losses *losses)
{
	char text[160];
	int len;

	if (losses->lines == 0)
		return true;
	len = snprintf(text, sizeof text,
		"%s%s%swarning: %" PRIu64 " message%s lost: standard error did not take %s\n",
		losses->torn ? "\n" : "", losses->prefix ? losses->prefix : "",
		losses->prefix ? ": " : "", losses->lines, losses->lines == 1 ? "" : "s",
		losses->lines == 1 ? "it" : "them");
	if (write_most(losses, text, (size_t)len) < (size_t)len)
		return false;
	losses->lines = 0;
	return true;
}

static void write_all(struct losses *losses, const char *data, size_t len)
{
	size_t at = report(losses) ? write_most(losses, data, len) : 0;

	for (; at < len; at++)
		losses->lines += data[at] == '\n';
}

/* Nothing of the master but its lines: it ends when they do. */
static _Noreturn void relay(int from, const char *prefix)
{
	struct losses losses = {.prefix = prefix};
	char buffer[4096];
	sigset_t all;
	ssize_t n;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (dup2(from, STDIN_FILENO) < 0)
		_exit(1);
	fd_close_range(STDERR_FILENO + 1, INT_MAX);

	while ((n = read(STDIN_FILENO, buffer, sizeof buffer)) > 0)
		write_all(&losses, buffer, (size_t)n);
	_exit(0);
}

/* It is never seen under another name: lists of processes are read by people. */
static pid_t fork_named(const char *name)
{
	char ours[16] = "";
	pid_t pid;

	prctl(PR_GET_NAME, ours);
	prctl(PR_SET_NAME, name);
	pid = fork();
	if (pid != 0)
		prctl(PR_SET_NAME, ours);
	return pid;
}

int log_relay_start(const char *prefix, pid_t *ret_pid)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	/* What is in here when the target stalls is late, not lost. */
	fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE);
	pid = fork_named("hatchd-log");
	if (pid == 0)
		relay(ends[0], prefix);
	fd_close(ends[0]);
	if (pid < 0 || fd_set_nonblock(ends[1], true) < 0) {
		fd_close(ends[1]);
		return -EAGAIN;
	}
	*ret_pid = pid;
	return ends[1];
}

void log_relay_wait(pid_t pid)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	if (pidfd >= 0)
		poll(&p, 1, LAST_WORDS);
	waitpid(pid, NULL, WNOHANG);
}
