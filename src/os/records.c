#include "os/records.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Room for exactly as many descriptors as there may be: CMSG_SPACE() rounds up, and the
 * kernel fills what it finds. */
union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(RECORDS_FDS_MAX * sizeof(int))];
};

/* ------------------------------------------------------------------- requests */

static void put_fds(struct msghdr *message, union control *control, const int *fds, size_t n)
{
	struct cmsghdr *header;

	if (n == 0)
		return;
	memset(control, 0, sizeof *control);
	message->msg_control = control->bytes;
	message->msg_controllen = CMSG_SPACE(n * sizeof *fds);
	header = CMSG_FIRSTHDR(message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(n * sizeof *fds);
	memcpy(CMSG_DATA(header), fds, n * sizeof *fds);
}

int records_send(int fd, const void *request, size_t size, const int *fds, size_t n_fds)
{
	struct iovec iov = {.iov_base = (void *)request, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;

	put_fds(&message, &control, fds, n_fds);
	if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	return errno == ECONNRESET ? -EPIPE : -errno;
}

static size_t take_fds(struct msghdr *message, int *fds, size_t max)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	size_t n;

	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
		return 0;
	n = (header->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
	if (n > max)
		n = max;
	memcpy(fds, CMSG_DATA(header), n * sizeof *fds);
	return n;
}

int records_take(int fd, void *ret, size_t size, int *ret_fds, size_t max_fds, size_t *ret_n)
{
	struct iovec iov = {.iov_base = ret, .iov_len = size};
	union control control;
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = max_fds > 0 ? control.bytes : NULL,
		.msg_controllen = max_fds > 0 ? sizeof control.bytes : 0,
	};
	ssize_t len = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*ret_n = 0;
	if (len < 0)
		return errno == ECONNRESET ? -EPIPE : errno == EINTR ? -EAGAIN : -errno;
	/* Also of an empty one, which looks as if the other side was gone. */
	*ret_n = take_fds(&message, ret_fds, max_fds);
	if (len == 0)
		return -EPIPE;
	if ((size_t)len != size || (message.msg_flags & MSG_TRUNC))
		return -EBADMSG;
	return message.msg_flags & MSG_CTRUNC ? -EMFILE : 0;
}

/* -------------------------------------------------------------------- answers */

int records_answer(int fd, const void *answers, size_t size, size_t n)
{
	ssize_t len = write(fd, answers, n * size);

	if (len == (ssize_t)(n * size))
		return 0;
	return len < 0 ? -errno : -EIO;
}

int records_receive(int fd, void *ret, size_t size, size_t max)
{
	ssize_t len = read(fd, ret, max * size);

	if (len == 0)
		return -EPIPE;
	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if ((size_t)len % size != 0)
		return -EBADMSG;
	return (int)((size_t)len / size);
}
