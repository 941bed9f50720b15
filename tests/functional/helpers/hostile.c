/*
 * hostile: a program that means harm to whoever serves it.
 *
 *	hostile FIFO lock-socket	sleeps in a send, with the lock of the connection
 *	hostile FIFO lock-datagrams	leaves a process that sleeps in a receive, with
 *					the lock of the UNIX datagram socket
 *	hostile FIFO lock-stderr	sleeps in a write to standard error, with the lock
 *					of the pipe or file
 *	hostile FIFO zombie		ends while it is traced, so that nobody can reap it
 *	hostile FIFO accept		not hostile: accepts one client, says "hi", exits
 *	hostile FIFO accept-and-fail	the same, with status 1
 *
 * The sleep is a page fault that nobody answers (userfaultfd).  When the harm is
 * done, the FIFO gets "done PID", and that process is to be killed to end it;
 * or else "unable to REASON".
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* No attack lasts longer, in seconds, if the test cannot end it. */
#define LONGEST 15

#define PAGE 4096

static const char *fifo;

static void tell(const char *what, long number)
{
	int fd = open(fifo, O_WRONLY | O_CLOEXEC);

	dprintf(fd, "%s%ld\n", what, number);
	close(fd);
}

static _Noreturn void unable(const char *what)
{
	int fd = open(fifo, O_WRONLY | O_CLOEXEC);

	dprintf(fd, "unable to %s: %s\n", what, strerror(errno));
	_exit(1);
}

/* A page whose first use sleeps until we are killed. */
static char *sleeping_page(int *ret_faults)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register area = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	char *page =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int faults = (int)syscall(SYS_userfaultfd, O_NONBLOCK);

	if (page == MAP_FAILED || faults < 0)
		unable("use userfaultfd");
	area.range.start = (uintptr_t)page;
	area.range.len = PAGE;
	if (ioctl(faults, UFFDIO_API, &api) < 0 || ioctl(faults, UFFDIO_REGISTER, &area) < 0)
		unable("use userfaultfd");
	*ret_faults = faults;
	return page;
}

/* Tells when the page has been used: by then its user has the lock.  `keep` is
 * closed after that. */
static void watch(int faults, int keep)
{
	struct pollfd p = {.fd = faults, .events = POLLIN};
	pid_t sleeper = getpid();

	if (fork() != 0)
		return;
	/* Whatever the lock is of, the sleeper has it alone. */
	for (int fd = 0; fd < 64; fd++)
		if (fd != faults && fd != keep)
			close(fd);
	if (poll(&p, 1, LONGEST * 1000) == 1)
		tell("done ", sleeper);
	_exit(0);
}

static void lock_socket(void)
{
	int faults;
	char *page = sleeping_page(&faults);

	watch(faults, -1);
	send(0, page, PAGE, 0);
}

static void lock_datagrams(void)
{
	int faults, ready[2];
	char *page, byte;

	if (pipe(ready) < 0)
		unable("make a pipe");
	if (fork() == 0) {
		alarm(LONGEST);
		page = sleeping_page(&faults);
		watch(faults, ready[1]);
		close(ready[1]);
		recv(0, page, PAGE, 0);
		_exit(0);
	}
	close(ready[1]);
	(void)!read(ready[0], &byte, 1);
}

static void lock_stderr(void)
{
	int faults;
	char *page = sleeping_page(&faults);

	watch(faults, -1);
	(void)!write(2, page, PAGE);
}

static void become_zombie(void)
{
	pid_t served = getpid();
	int ready[2];
	char byte;

	if (pipe(ready) < 0)
		unable("make a pipe");
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	if (fork() == 0) {
		if (ptrace(PTRACE_SEIZE, served, 0, 0) < 0)
			unable("trace");
		tell("done ", getpid());
		syscall(SYS_close_range, 0, ~0U, 0);
		alarm(2 * LONGEST);
		for (;;)
			pause();
	}
	close(ready[1]);
	(void)!read(ready[0], &byte, 1);
}

static void accept_one(void)
{
	(void)!write(accept(0, NULL, NULL), "hi", 2);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	fifo = argv[1];
	alarm(LONGEST);
	if (strcmp(argv[2], "lock-socket") == 0)
		lock_socket();
	else if (strcmp(argv[2], "lock-datagrams") == 0)
		lock_datagrams();
	else if (strcmp(argv[2], "lock-stderr") == 0)
		lock_stderr();
	else if (strcmp(argv[2], "zombie") == 0)
		become_zombie();
	else if (strncmp(argv[2], "accept", 6) == 0)
		accept_one();
	return strcmp(argv[2], "accept-and-fail") == 0;
}
