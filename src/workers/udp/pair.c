#include "workers/udp/pair.h"

#include "base/own.h"

#include <poll.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int pair_send(int fd, const void *bytes, size_t len)
{
	if (send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	switch (errno) {
	case EAGAIN:
	case EMSGSIZE:
		return -errno;
	case EINTR:
	case ENOMEM:
	case ENOBUFS:
		return -ENOBUFS;
	default:
		return -EPIPE;
	}
}

/* Has the program let go of its end, and is nothing left of what it has said? */
static bool is_over(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};
	int left = 0;

	if (poll(&p, 1, 0) <= 0)
		return false;
	return ioctl(fd, FIONREAD, &left) < 0 || left == 0;
}

ssize_t pair_receive(int fd, void *bytes, size_t size)
{
	ssize_t n = recv(fd, bytes, size, MSG_DONTWAIT | MSG_TRUNC);

	/* It has ended without reading all: that is told first, before what it has said. */
	if (n < 0 && errno == ECONNRESET)
		n = recv(fd, bytes, size, MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -EPIPE;
	if (n == 0 && is_over(fd))
		return -EPIPE;
	return (size_t)n > size ? -EMSGSIZE : n;
}

void pair_shut(int fd)
{
	shutdown(fd, SHUT_WR);
}
