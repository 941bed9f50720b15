#include "os/records.h"

#include "os/rights.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

/* ------------------------------------------------------------------- requests */

int records_send(int fd, const void *request, size_t size, const int *fds, size_t n_fds)
{
	struct iovec iov = {.iov_base = (void *)request, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	union rights_room room;

	rights_put(&message, &room, fds, n_fds);
	if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	return errno == ECONNRESET ? -EPIPE : -errno;
}

int records_take(int fd, void *ret, size_t size, int *ret_fds, size_t max_fds, size_t *ret_n)
{
	struct iovec iov = {.iov_base = ret, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	union rights_room room;
	ssize_t len;

	*ret_n = 0;
	rights_expect(&message, &room, max_fds);
	len = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (len < 0)
		return errno == ECONNRESET ? -EPIPE : errno == EINTR ? -EAGAIN : -errno;
	/* Also of an empty one, which looks as if the other side was gone. */
	*ret_n = rights_take(&message, ret_fds);
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
