/*
 * LD_PRELOAD=break-out.so: whoever receives several messages with one call starts a process
 * first, as a stranger would who has taken him over.
 */
#include <dlfcn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout)
{
	int (*next)(int, struct mmsghdr *, unsigned, int, struct timespec *) =
		(int (*)(int, struct mmsghdr *, unsigned, int, struct timespec *))dlsym(
			RTLD_NEXT, "recvmmsg");
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return next(fd, messages, n, flags, timeout);
}
