/*
 * floor: the least that a program must do to serve connections with programs:
 * accept, clone in the manner of vfork, dup2, exec, close.  No configuration,
 * no policy, no log, no table of children: they are reaped by the kernel.
 * What a super-server costs is measured against it.
 *
 *	floor [-p PORTS] [-o OTHER] PORT PROGRAM
 *
 * listens on 127.0.0.1, on PORTS ports from PORT on.  With -o one more port,
 * the next, is served by the program OTHER.  Where there is more than one port
 * it finds out by epoll which of them has a client.
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
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BACKLOG    4096
#define STACK_SIZE 16384
#define EVENTS_MAX 64

struct job {
	int connection;
	char *argv[2]; /* the program, and nothing else */
	char *envp[1];
};

struct listener {
	int fd;
	char *program;
};

struct options {
	char *program;
	char *other; /* NULL: none */
	unsigned long port;
	unsigned long ports;
};

/* On the child's stack, in the parent's memory: raw enough, and it never returns. */
static int child(void *arg)
{
	const struct job *job = arg;

	dup2(job->connection, STDIN_FILENO);
	dup2(job->connection, STDOUT_FILENO);
	execve(job->argv[0], job->argv, job->envp);
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

static int listen_on(unsigned long port, int flags)
{
	static const int on = 1;
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
		bind(fd, (struct sockaddr *)&sin, sizeof sin) < 0 || listen(fd, BACKLOG) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* One connection.  0 also if there is none any more. */
static int serve(const struct listener *listener)
{
	struct job job = {.argv = {listener->program}};
	long r;

	job.connection = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
	if (job.connection < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EAGAIN))
		return 0;
	if (job.connection < 0)
		return fail("accept");

	r = spawn(&job);
	if (r < 0) {
		errno = (int)-r;
		return fail("spawn");
	}
	close(job.connection);
	return 0;
}

static int serve_one(const struct options *options)
{
	struct listener listener = {.program = options->program};
	int r = 0;

	listener.fd = listen_on(options->port, 0);
	if (listener.fd < 0)
		return fail("listen");
	while (r == 0)
		r = serve(&listener);
	return r;
}

static int open_listeners(const struct options *options, struct listener *listeners, size_t n)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct listener *listener = &listeners[i];
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = listener};

		listener->program = i < options->ports ? options->program : options->other;
		listener->fd = listen_on(options->port + i, SOCK_NONBLOCK);
		if (listener->fd < 0)
			return -1;
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener->fd, &event) < 0)
			return -1;
	}
	return epoll;
}

static int serve_many(const struct options *options)
{
	size_t n = options->ports + (options->other ? 1 : 0);
	struct listener *listeners = calloc(n, sizeof *listeners);
	struct epoll_event events[EVENTS_MAX];
	int epoll, n_events, r = 0;

	if (!listeners)
		return fail("allocate");
	epoll = open_listeners(options, listeners, n);
	if (epoll < 0)
		return fail("listen");

	while (r == 0) {
		n_events = epoll_wait(epoll, events, EVENTS_MAX, -1);
		for (int i = 0; i < n_events && r == 0; i++)
			r = serve(events[i].data.ptr);
	}
	return r;
}

static int usage(void)
{
	fprintf(stderr, "Usage: floor [-p PORTS] [-o OTHER] PORT PROGRAM\n");
	return 2;
}

int main(int argc, char **argv)
{
	/* Default, so that programs inherit nothing unusual, and no zombies. */
	static const struct sigaction no_wait = {
		.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
	struct options options = {.ports = 1};
	int option;

	while ((option = getopt(argc, argv, "p:o:")) != -1) {
		if (option == 'p')
			options.ports = strtoul(optarg, NULL, 10);
		else if (option == 'o')
			options.other = optarg;
		else
			return usage();
	}
	if (argc - optind != 2 || options.ports == 0)
		return usage();
	options.port = strtoul(argv[optind], NULL, 10);
	options.program = argv[optind + 1];

	if (sigaction(SIGCHLD, &no_wait, NULL) < 0)
		return fail("set SIGCHLD");
	if (options.ports == 1 && !options.other)
		return serve_one(&options);
	return serve_many(&options);
}
