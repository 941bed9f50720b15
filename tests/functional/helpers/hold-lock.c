/*
 * A program whose standard input is a socket for datagrams, and which holds the lock of that
 * until it is ended: it sends from memory that never comes (userfaultfd(2)).  It says so on
 * standard error, or that it is not possible.
 */
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIZE 4096

static int watch(void *memory)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {
		.range = {.start = (unsigned long)memory, .len = SIZE},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = (int)syscall(SYS_userfaultfd, 0);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &range) < 0)
		return -1;
	return fd;
}

/* Whoever is told that memory is wanted knows that the other one sends. */
static void tell(int fd)
{
	struct uffd_msg event;

	if (read(fd, &event, sizeof event) == sizeof event)
		fprintf(stderr, "the lock is held\n");
	_exit(0);
}

int main(void)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = 9,
		.sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
	};
	void *memory =
		mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char byte;
	int fd = memory == MAP_FAILED ? -1 : watch(memory);

	if (fd < 0) {
		fprintf(stderr, "the lock is impossible to hold\n");
		return 1;
	}
	recv(0, &byte, sizeof byte, 0);
	if (fork() == 0)
		tell(fd);
	sendto(0, memory, SIZE / 4, MSG_MORE, (const struct sockaddr *)&to, sizeof to);
	return 0;
}
