#include "workers/lookup/talk.h"

#include "base/fd.h"
#include "base/own.h"
#include "workers/lookup/ident.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Reads in one go. */
#define READS_MAX 4

_Static_assert(IDENT_USER_MAX == LOOKUP_USER_MAX, "a name fits into an answer");

struct talk {
	int fd; /* owned */
	bool asked;
	int error; /* negative errno: the connection could not be had, or was lost */
	char question[IDENT_QUESTION_MAX];
	size_t len, written;
	struct ident_parser parser;
};

/* From the address that the client came to: an identd answers for the two addresses that
 * it is asked between.  The port is the kernel's choice, when it knows where to. */
static int bind_to(int fd, const struct lookup_address *local)
{
	static const int on = 1;
	struct lookup_address from = *local;
	struct addr addr;

	from.port = 0;
	lookup_address_to(&from, &addr);
	/* Linux 4.2; without it ports are taken one by one. */
	(void)!setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	return bind(fd, &addr.sa, addr.len) < 0 ? -errno : 0;
}

static int connect_to(int fd, const struct lookup_address *peer, uint16_t port)
{
	struct lookup_address to = *peer;
	struct addr addr;

	to.port = port;
	lookup_address_to(&to, &addr);
	if (connect(fd, &addr.sa, addr.len) < 0 && errno != EINPROGRESS)
		return -errno;
	return 0;
}

static int open_connection(const struct lookup_question *question, uint16_t port, int *ret_fd)
{
	_cleanup_close_ int fd =
		socket(question->peer.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = bind_to(fd, &question->local);
	if (r == 0)
		r = connect_to(fd, &question->peer, port);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}

int talk_new(const struct lookup_question *question, uint16_t port, struct talk **ret)
{
	_cleanup_free_ struct talk *talk = calloc(1, sizeof *talk);
	int r;

	if (!talk)
		return -ENOMEM;
	r = open_connection(question, port, &talk->fd);
	if (r < 0)
		return r;
	talk->len = ident_write(question->peer.port, question->local.port, talk->question);
	ident_init(&talk->parser, question->peer.port, question->local.port);
	*ret = take_ptr(talk);
	return 0;
}

struct talk *talk_free(struct talk *talk)
{
	if (!talk)
		return NULL;
	fd_close(talk->fd);
	free(talk);
	return NULL;
}

static bool fail(struct talk *talk, int error)
{
	talk->error = error;
	return false;
}

/* Writing finds out whether there is a connection; not yet is EAGAIN as well. */
static bool ask(struct talk *talk)
{
	ssize_t n = send(talk->fd, talk->question + talk->written, talk->len - talk->written,
		MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? true : fail(talk, -errno);
	talk->written += (size_t)n;
	talk->asked = talk->written == talk->len;
	return true;
}

static bool listen_on(struct talk *talk)
{
	char buf[512];

	for (int i = 0; i < READS_MAX; i++) {
		ssize_t n = recv(talk->fd, buf, sizeof buf, MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? true : fail(talk, -errno);
		if (n == 0)
			return ident_end(&talk->parser) == IDENT_MORE;
		if (ident_feed(&talk->parser, buf, (size_t)n) != IDENT_MORE)
			return false;
	}
	return true;
}

bool talk_go(struct talk *talk)
{
	return talk->asked ? listen_on(talk) : ask(talk);
}

uint32_t talk_events(const struct talk *talk)
{
	return talk->asked ? EPOLLIN : EPOLLOUT;
}

int talk_fd(const struct talk *talk)
{
	return talk->fd;
}

void talk_facts_of(int error, struct lookup_facts *ret)
{
	memset(ret, 0, sizeof *ret);
	ret->result = error == -ECONNREFUSED ? LOOKUP_NONE : LOOKUP_FAILED;
}

void talk_facts(const struct talk *talk, struct lookup_facts *ret)
{
	talk_facts_of(talk->error, ret);
	if (talk->error < 0)
		return;
	if (talk->parser.state == IDENT_UNKNOWN)
		ret->result = LOOKUP_NONE;
	if (talk->parser.state != IDENT_NAMED)
		return;
	ret->result = LOOKUP_FOUND;
	memcpy(ret->text, talk->parser.user, talk->parser.user_len);
}
