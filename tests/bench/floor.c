/*
 * floor: the least that a program must do to serve connections with programs:
 * accept, clone in the manner of vfork, dup2, exec, close.  No configuration,
 * no policy, no log, no table of children: they are reaped by the kernel.
 * What a super-server costs is measured against it.
 *
 *	floor PORT PROGRAM [ARGUMENT...]
 *
 * listens on 127.0.0.1.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BACKLOG    4096
#define STACK_SIZE 16384

struct job {
	int connection;
	const char *path;
	char **argv;
	char **envp;
};

/* On the child's stack, in the parent's memory: raw enough, and it never returns. */
static int child(void *arg)
{
	const struct job *job = arg;

	dup2(job->connection, STDIN_FILENO);
	dup2(job->connection, STDOUT_FILENO);
	execve(job->path, job->argv, job->envp);
	_exit(127);
}

static _Alignas(16) char stack[STACK_SIZE];

#if defined(__x86_64__)
/* The child finds its function and argument in registers that clone3 keeps. */
static long spawn(struct job *job)
{
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof stack,
	};
	register long result __asm__("rax") = SYS_clone3;
	register struct clone_args *a __asm__("rdi") = &args;
	register size_t size __asm__("rsi") = sizeof args;
	register int (*function)(void *) __asm__("r8") = child;
	register void *argument __asm__("r9") = job;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r9, %%rdi\n\t"
			 "call *%%r8\n\t"
			 "hlt\n"
			 "1:"
			 : "+r"(result)
			 : "r"(a), "r"(size), "r"(function), "r"(argument)
			 : "rcx", "r11", "memory", "cc");
	return result;
}
#elif defined(__aarch64__)
static long spawn(struct job *job)
{
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof stack,
	};
	register long number __asm__("x8") = SYS_clone3;
	register long result __asm__("x0") = (long)&args;
	register size_t size __asm__("x1") = sizeof args;
	register int (*function)(void *) __asm__("x9") = child;
	register void *argument __asm__("x10") = job;

	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"
			 "mov x0, x10\n\t"
			 "blr x9\n\t"
			 "brk #1\n"
			 "1:"
			 : "+r"(result)
			 : "r"(number), "r"(size), "r"(function), "r"(argument)
			 : "x30", "memory", "cc");
	return result;
}
#else
static long spawn(struct job *job)
{
	long pid;

	pid = clone(child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, job);
	return pid < 0 ? -errno : pid;
}
#endif

static int fail(const char *what)
{
	fprintf(stderr, "floor: unable to %s: %s\n", what, strerror(errno));
	return 1;
}

static int listen_on(uint16_t port)
{
	static const int on = 1;
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
		bind(fd, (struct sockaddr *)&sin, sizeof sin) < 0 || listen(fd, BACKLOG) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int serve(int listener, struct job *job)
{
	long r;

	for (;;) {
		job->connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (job->connection < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (job->connection < 0)
			return fail("accept");

		r = spawn(job);
		if (r < 0) {
			errno = (int)-r;
			return fail("spawn");
		}
		close(job->connection);
	}
}

int main(int argc, char **argv)
{
	/* Default, so that programs inherit nothing unusual, and no zombies. */
	static const struct sigaction no_wait = {
		.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
	char *no_env[] = {NULL};
	struct job job = {0};
	int listener;

	if (argc < 3) {
		fprintf(stderr, "Usage: floor PORT PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	listener = listen_on((uint16_t)strtoul(argv[1], NULL, 10));
	if (listener < 0)
		return fail("listen");
	if (sigaction(SIGCHLD, &no_wait, NULL) < 0)
		return fail("set SIGCHLD");

	job.path = argv[2];
	job.argv = argv + 2;
	job.envp = no_env;
	return serve(listener, &job);
}
