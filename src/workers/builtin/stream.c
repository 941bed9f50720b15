#include "workers/builtin/stream.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "workers/builtin/answers.h"

#include <assert.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define READ_EVENTS (EPOLLIN | EPOLLRDHUP)

/* The most periods of chargen that fit into a share, and one that is cut. */
#define CHARGEN_PIECES (STREAM_SHARE / ANSWER_CHARGEN_PERIOD + 2)

struct stream {
	uint64_t in, out;
	uint64_t due;
	uint8_t *unsent; /* owned; NULL: nothing */
	size_t unsent_len, unsent_at;
	int fd; /* owned */
	int error;
	enum service_builtin kind;
	enum stream_end end;
	bool client_ended; /* he sends nothing any more */
	bool ended;        /* nor do we */
};

static bool is_over(const struct stream *s)
{
	return s->end != STREAM_OPEN;
}

static bool finish(struct stream *s, enum stream_end end)
{
	s->end = end;
	s->due = USEC_INFINITY;
	return true;
}

/* What the kernel says when the connection is no more. */
static bool fail(struct stream *s, int error)
{
	if (error == ECONNRESET || error == EPIPE)
		return finish(s, STREAM_RESET);
	s->error = error;
	return finish(s, STREAM_ERROR);
}

/*
 * Read once.  How many bytes that were; 0 if there are none now, or no more for ever, which
 * is s->client_ended, or if it is over now.
 */
static size_t receive(struct stream *s, uint8_t *buf, size_t size, int flags)
{
	ssize_t n;

	do
		n = recv(s->fd, buf, size, flags | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		if (errno != EAGAIN)
			fail(s, errno);
		return 0;
	}
	if (n == 0)
		s->client_ended = true;
	s->in += (uint64_t)n;
	return (size_t)n;
}

/* Send what the socket takes.  How many bytes that were; 0 also if it is over now. */
static size_t transmit(struct stream *s, struct iovec *pieces, size_t n_pieces, int flags)
{
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = n_pieces};
	ssize_t n;

	do
		n = sendmsg(s->fd, &message, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		if (errno != EAGAIN)
			fail(s, errno);
		return 0;
	}
	s->out += (uint64_t)n;
	return (size_t)n;
}

/* Closing would say it as well, but only if nobody else has the descriptor any more.  What
 * fails here fails because the connection is gone, which is found out by reading. */
static void end_our_side(struct stream *s)
{
	shutdown(s->fd, SHUT_WR);
	s->ended = true;
}

static void forget_unsent(struct stream *s)
{
	free(s->unsent);
	s->unsent = NULL;
}

/* Send these bytes, and keep a copy of those that the socket does not take. */
static void send_or_keep(struct stream *s, const uint8_t *bytes, size_t len, int flags)
{
	struct iovec piece = {.iov_base = (void *)bytes, .iov_len = len};
	size_t n = transmit(s, &piece, 1, flags);

	if (n == len || is_over(s))
		return;
	s->unsent = malloc(len - n);
	if (!s->unsent) {
		fail(s, ENOMEM);
		return;
	}
	memcpy(s->unsent, bytes + n, len - n);
	s->unsent_len = len - n;
	s->unsent_at = 0;
}

/* The client has ended, and has got everything. */
static void finish_both(struct stream *s)
{
	end_our_side(s);
	finish(s, STREAM_DONE);
}

/* Send what was kept.  True if nothing of that is left. */
static bool flush(struct stream *s)
{
	struct iovec piece;

	if (!s->unsent)
		return true;
	piece.iov_base = s->unsent + s->unsent_at;
	piece.iov_len = s->unsent_len - s->unsent_at;
	s->unsent_at += transmit(s, &piece, 1, 0);
	if (s->unsent_at < s->unsent_len)
		return false;
	forget_unsent(s);
	return true;
}

/* Read and forget.  TCP need not even copy for that; others do not know the flag. */
static void throw_away(struct stream *s, size_t max)
{
	uint8_t buf[STREAM_CHUNK];
	size_t n = sizeof buf;

	for (size_t sum = 0; sum < max && n == sizeof buf; sum += n)
		n = receive(s, buf, sizeof buf, MSG_TRUNC);
}

/* `look_again`: there may be more, or an end, behind what does not fill the buffer. */
static void go_echo(struct stream *s, bool look_again)
{
	uint8_t buf[STREAM_CHUNK];
	size_t n;

	for (size_t sum = 0; sum < STREAM_SHARE; sum += n) {
		if (!flush(s))
			return;
		n = receive(s, buf, sizeof buf, 0);
		if (n == 0)
			break;
		send_or_keep(s, buf, n, 0);
		if (is_over(s) || s->unsent || (n < sizeof buf && !look_again))
			return;
	}
	if (s->client_ended)
		finish_both(s);
}

static void go_discard(struct stream *s)
{
	throw_away(s, STREAM_SHARE);
	if (s->client_ended)
		finish_both(s);
}

/* From where the last byte was that has gone out, as much as one call may. */
static void send_lines(struct stream *s)
{
	uint8_t lines[ANSWER_CHARGEN_PERIOD];
	struct iovec pieces[CHARGEN_PIECES];
	size_t n = 0, at = s->out % sizeof lines;

	answer_chargen(lines);
	for (size_t left = STREAM_SHARE; left > 0; left -= pieces[n++].iov_len) {
		size_t len = sizeof lines - at;

		pieces[n].iov_base = lines + at;
		pieces[n].iov_len = len < left ? len : left;
		at = 0;
	}
	assert(n <= ARRAY_SIZE(pieces));
	transmit(s, pieces, n, 0);
}

/* A client who has only ended his side still reads. */
static void go_chargen(struct stream *s)
{
	if (!s->client_ended)
		throw_away(s, STREAM_SHARE);
	if (!is_over(s))
		send_lines(s);
	if (s->end == STREAM_RESET && s->client_ended)
		s->end = STREAM_DONE;
}

static bool may_throw_more(const struct stream *s)
{
	return !s->client_ended && s->in < STREAM_LINGER_BYTES;
}

/* All is sent: tell the client, and from now on wait for him only for a while. */
static void end_answer(struct stream *s, uint64_t now)
{
	end_our_side(s);
	if (s->due > now + STREAM_LINGER_TIME)
		s->due = now + STREAM_LINGER_TIME;
}

static void go_answer(struct stream *s, uint64_t now)
{
	if (flush(s) && !is_over(s) && !s->ended)
		end_answer(s, now);
	if (!is_over(s) && may_throw_more(s))
		throw_away(s, STREAM_SHARE);
	if (is_over(s))
		return;
	if (s->ended && !may_throw_more(s))
		finish(s, STREAM_DONE);
	else if (now >= s->due && s->ended)
		finish(s, STREAM_DONE);
	else if (now >= s->due)
		fail(s, ETIMEDOUT);
}

/*
 * In most cases this is all: the answer, our end, and a look whether something was sent.
 * The kernel waits with the bytes for the end (MSG_MORE): one segment for both.
 */
static void begin_answer(struct stream *s, const struct stream_setup *setup)
{
	uint8_t buf[ANSWER_MAX];
	const uint8_t *answer = NULL;
	size_t len = answer_make(setup->kind, setup->text, setup->text_len, setup->wall,
		setup->random, buf, &answer);

	s->due = setup->now + STREAM_ANSWER_TIME;
	if (len > 0)
		send_or_keep(s, answer, len, MSG_MORE);
	if (!is_over(s))
		go_answer(s, setup->now);
	if (!is_over(s) && s->ended && s->in == 0 && s->kind != BUILTIN_TEXT)
		finish(s, STREAM_DONE);
}

static void begin(struct stream *s, const struct stream_setup *setup)
{
	switch (s->kind) {
	case BUILTIN_ECHO:
		go_echo(s, true);
		return;
	case BUILTIN_DISCARD:
		go_discard(s);
		return;
	case BUILTIN_CHARGEN:
		go_chargen(s);
		return;
	default:
		begin_answer(s, setup);
	}
}

int stream_new(const struct stream_setup *setup, int fd, struct stream **ret)
{
	struct stream *s;

	if (setup->kind == BUILTIN_NONE || setup->kind >= BUILTIN_TCPMUX)
		return -EINVAL;
	s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	s->kind = setup->kind;
	s->fd = fd;
	s->due = USEC_INFINITY;
	begin(s, setup);
	*ret = s;
	return is_over(s);
}

struct stream *stream_free(struct stream *s)
{
	if (!s)
		return NULL;
	fd_close(s->fd);
	forget_unsent(s);
	free(s);
	return NULL;
}

bool stream_go(struct stream *s, uint32_t events, uint64_t now)
{
	if (is_over(s))
		return true;
	switch (s->kind) {
	case BUILTIN_ECHO:
		go_echo(s, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
		break;
	case BUILTIN_DISCARD:
		go_discard(s);
		break;
	case BUILTIN_CHARGEN:
		go_chargen(s);
		break;
	default:
		go_answer(s, now);
	}
	return is_over(s);
}

uint32_t stream_events(const struct stream *s)
{
	if (is_over(s))
		return 0;
	switch (s->kind) {
	case BUILTIN_ECHO:
		return s->unsent ? EPOLLOUT : READ_EVENTS;
	case BUILTIN_DISCARD:
		return READ_EVENTS;
	case BUILTIN_CHARGEN:
		return EPOLLOUT | (s->client_ended ? 0 : READ_EVENTS);
	default:
		return (s->unsent ? EPOLLOUT : 0) | (may_throw_more(s) ? READ_EVENTS : 0);
	}
}

uint64_t stream_due(const struct stream *s)
{
	return s->due;
}

void stream_abort(struct stream *s)
{
	if (!is_over(s))
		finish(s, STREAM_ABORTED);
}

enum stream_end stream_end(const struct stream *s)
{
	return s->end;
}

int stream_error(const struct stream *s)
{
	return s->error;
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}

uint64_t stream_bytes_in(const struct stream *s)
{
	return s->in;
}

uint64_t stream_bytes_out(const struct stream *s)
{
	return s->out;
}
