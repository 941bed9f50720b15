/*
 * LD_PRELOAD=note-strangers.so: signals that go to nobody, or to a process that is not a
 * child of ours, are noted in the file that STRANGERS names.
 *
 * A child that has not been reaped keeps its number, and so does its process group as
 * long as it leads it.  A signal to another one hits nobody, or a stranger; one by
 * pidfd_send_signal(2) nobody, and is noted as well.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int is_child(int type, int number)
{
	siginfo_t info;

	return waitid((idtype_t)type, (id_t)number, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void look(int type, int whom, int number)
{
	const char *path = getenv("STRANGERS");
	int fd;

	if (!path || is_child(type, whom))
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	dprintf(fd, "signal %d to %d\n", number, whom);
	close(fd);
}

/* libc has no function of its own for it. */
long syscall(long call, ...)
{
	long (*next)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	long args[6];
	va_list ap;

	va_start(ap, call);
	for (int i = 0; i < 6; i++)
		args[i] = va_arg(ap, long);
	va_end(ap);
	if (call == SYS_pidfd_send_signal)
		look(P_PIDFD, (int)args[0], (int)args[1]);
	return next(call, args[0], args[1], args[2], args[3], args[4], args[5]);
}

int kill(pid_t pid, int number)
{
	int (*next)(pid_t, int) = (int (*)(pid_t, int))dlsym(RTLD_NEXT, "kill");

	look(P_PID, pid < 0 ? -pid : pid, number);
	return next(pid, number);
}
