#include "os/channel.h"

#include "base/fd.h"
#include "base/own.h"
#include "os/pass_rights.h"

#include <fcntl.h>
#include <string.h>

_Static_assert(sizeof(struct channel_answer) <= PIPE_BUF, "answers are never torn");

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

int channel_send(const struct channel *channel, const struct channel_request *request,
	const int *fds, size_t n_fds)
{
	return records_send(channel->requests, request, sizeof *request, fds, n_fds);
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
	       is_sound_facts(&answer->facts) &&
	       (answer->kind != CHANNEL_FACT || answer->facts.authority_len > 0);
}

int channel_receive(const struct channel *channel, struct channel_answer *ret, size_t max)
{
	int n = records_receive(channel->answers, ret, sizeof *ret, max);

	for (int i = 0; i < n; i++)
		if (!is_sound(&ret[i]))
			return -EBADMSG;
	return n;
}

/* ---------------------------------------------------------------- the worker */

int channel_take(
	int fd, struct channel_request *ret, int ret_fds[CHANNEL_FDS_MAX], size_t *ret_n)
{
	int r = records_take(fd, ret, sizeof *ret, ret_fds, CHANNEL_FDS_MAX, ret_n);

	if (r < 0 && r != -EMFILE)
		return r;
	if (ret->version != CHANNEL_VERSION || ret->kind == 0 ||
		ret->kind >= _CHANNEL_REQUEST_MAX)
		return -EBADMSG;
	return r;
}

int channel_answer(int fd, const struct channel_answer *answers, size_t n)
{
	return records_answer(fd, answers, sizeof *answers, n);
}
