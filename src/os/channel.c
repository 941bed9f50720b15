#include "os/channel.h"

#include "base/fd.h"
#include "base/own.h"
#include "os/pass_rights.h"

#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>

_Static_assert(sizeof(struct channel_answer) <= PIPE_BUF, "answers are never torn");

/* Room for exactly as many descriptors as there may be: CMSG_SPACE() rounds up, and the
 * kernel fills what it finds. */
union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(CHANNEL_FDS_MAX * sizeof(int))];
};

void channel_request_init(struct channel_request *ret, enum channel_request_kind kind,
	const struct channel_session *session)
{
	memset(ret, 0, sizeof *ret);
	ret->version = CHANNEL_VERSION;
	ret->kind = (uint16_t)kind;
	if (session)
		ret->session = *session;
}

/* ---------------------------------------------------------------- the master */

static int make_requests(int *ret_ours, int *ret_theirs)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	*ret_ours = ends[0];
	*ret_theirs = ends[1];
	if (shutdown(ends[0], SHUT_RD) < 0)
		return -errno;
	/* Where that is not known the shutdown is enough. */
	pass_rights(ends[0], false);
	return 0;
}

int channel_new(struct channel *ret, int ret_theirs[2])
{
	_cleanup_close_ int requests = -EBADF, answers = -EBADF;
	_cleanup_close_ int their_requests = -EBADF, their_answers = -EBADF;
	int ends[2], r;

	r = make_requests(&requests, &their_requests);
	if (r < 0)
		return r;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	answers = ends[0];
	their_answers = ends[1];

	*ret = (struct channel){.requests = take_fd(&requests), .answers = take_fd(&answers)};
	ret_theirs[0] = take_fd(&their_requests);
	ret_theirs[1] = take_fd(&their_answers);
	return 0;
}

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

int channel_send(const struct channel *channel, const struct channel_request *request,
	const int *fds, size_t n_fds)
{
	struct iovec iov = {.iov_base = (void *)request, .iov_len = sizeof *request};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;

	put_fds(&message, &control, fds, n_fds);
	if (sendmsg(channel->requests, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	return errno == ECONNRESET ? -EPIPE : -errno;
}

static bool is_sound_address(const struct channel_address *address)
{
	return address->family == 0 || address->family == AF_INET ||
	       address->family == AF_INET6;
}

static bool is_sound_facts(const struct channel_facts *facts)
{
	return (is_sound_address(&facts->peer) || facts->peer.family == AF_UNIX) &&
	       is_sound_address(&facts->local) &&
	       memchr(facts->service, '\0', sizeof facts->service) &&
	       facts->authority_len <= sizeof facts->authority;
}

static bool is_sound(const struct channel_answer *answer)
{
	return answer->version == CHANNEL_VERSION && answer->kind > 0 &&
	       answer->kind < _CHANNEL_ANSWER_MAX && answer->result < _CHANNEL_RESULT_MAX &&
	       is_sound_facts(&answer->facts);
}

int channel_receive(const struct channel *channel, struct channel_answer *ret, size_t max)
{
	ssize_t len = read(channel->answers, ret, max * sizeof *ret);

	if (len == 0)
		return -EPIPE;
	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if ((size_t)len % sizeof *ret != 0)
		return -EBADMSG;
	for (size_t i = 0; i < (size_t)len / sizeof *ret; i++)
		if (!is_sound(&ret[i]))
			return -EBADMSG;
	return (int)((size_t)len / sizeof *ret);
}

/* ---------------------------------------------------------------- the worker */

static size_t take_fds(struct msghdr *message, int fds[CHANNEL_FDS_MAX])
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	size_t n;

	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
		return 0;
	n = (header->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
	if (n > CHANNEL_FDS_MAX)
		n = CHANNEL_FDS_MAX;
	memcpy(fds, CMSG_DATA(header), n * sizeof *fds);
	return n;
}

int channel_take(
	int fd, struct channel_request *ret, int ret_fds[CHANNEL_FDS_MAX], size_t *ret_n)
{
	struct iovec iov = {.iov_base = ret, .iov_len = sizeof *ret};
	union control control;
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes,
	};
	ssize_t len = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*ret_n = 0;
	if (len < 0)
		return errno == ECONNRESET ? -EPIPE : errno == EINTR ? -EAGAIN : -errno;
	/* Also of an empty one, which looks as if the master was gone. */
	*ret_n = take_fds(&message, ret_fds);
	if (len == 0)
		return -EPIPE;
	if (len != sizeof *ret || ret->version != CHANNEL_VERSION || ret->kind == 0 ||
		ret->kind >= _CHANNEL_REQUEST_MAX || (message.msg_flags & MSG_TRUNC))
		return -EBADMSG;
	return message.msg_flags & MSG_CTRUNC ? -EMFILE : 0;
}

int channel_answer(int fd, const struct channel_answer *answers, size_t n)
{
	ssize_t len = write(fd, answers, n * sizeof *answers);

	if (len == (ssize_t)(n * sizeof *answers))
		return 0;
	return len < 0 ? -errno : -EIO;
}
