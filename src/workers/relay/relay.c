#include "workers/relay/relay.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SPLICE_FLAGS (SPLICE_F_NONBLOCK | SPLICE_F_MOVE)

#define NO_PIPE                           \
	{                                 \
		.fds = { -EBADF, -EBADF } \
	}

/* One direction, named by the side that its bytes come from. */
struct half {
	uint64_t in, out;
	struct relay_pipe pipe; /* owned; of -EBADF: it has none now */
	uint8_t *buffer;        /* owned; NULL: none now */
	uint32_t at;            /* in the buffer */
	uint32_t held;          /* bytes in the pipe or the buffer */
	bool busy;              /* what came last was much */
	bool plain;             /* splice(2) cannot be used */
	bool ended;             /* nothing more comes */
	bool passed_on;         /* and the other side knows, or cannot be told anything */
};

struct relay {
	struct relay_pipes *pipes;
	struct half halves[2]; /* by the side that bytes come from */
	int fds[2];            /* owned; by side */
	bool is_tcp[2];
	bool spares_client;     /* who hears from somebody else that it was broken off */
	bool nonblocking;       /* both sockets */
	bool deaf[2];           /* nothing more can go there: it is thrown away */
	bool broken[2];         /* deaf, and what came from there is not everything */
	enum relay_end outcome; /* what it will have been, when it is over */
	enum relay_end end;
	uint64_t wasted;   /* bytes thrown away since one was taken */
	uint64_t due;      /* usec; USEC_INFINITY: nothing is waited for that is not reported */
	uint64_t pause;    /* before it is looked again, usec */
	uint64_t leave_at; /* who is deaf is not waited for any more; USEC_INFINITY: not yet */
};

static enum relay_side other(enum relay_side side)
{
	return side == RELAY_CLIENT ? RELAY_TARGET : RELAY_CLIENT;
}

/* -------------------------------------------------------------------- the ends */

void relay_reset_socket(int fd)
{
	const struct sockaddr nothing = {.sa_family = AF_UNSPEC};

	/* SO_LINGER would do it as well, and is not for workers (os/sandbox).  Where there is
	 * no such thing it is an end, also while the master still has its copy. */
	if (connect(fd, &nothing, sizeof nothing) < 0)
		(void)!shutdown(fd, SHUT_RDWR);
}

static void reset_side(const struct relay *relay, enum relay_side side)
{
	if (side == RELAY_CLIENT && relay->spares_client)
		(void)!shutdown(relay->fds[side], SHUT_RD);
	else
		relay_reset_socket(relay->fds[side]);
}

static void finish(struct relay *relay, enum relay_end end)
{
	if (relay->end == RELAY_OPEN)
		relay->end = end;
}

/* Nobody is to take what he has got for everything. */
static void reset_both(struct relay *relay, enum relay_end end)
{
	if (relay->end != RELAY_OPEN)
		return;
	reset_side(relay, RELAY_CLIENT);
	reset_side(relay, RELAY_TARGET);
	finish(relay, end);
}

static enum relay_end reset_by(enum relay_side side)
{
	return side == RELAY_CLIENT ? RELAY_CLIENT_RESET : RELAY_TARGET_RESET;
}

/* ------------------------------------------------------------------- the pipes */

static void close_pipe(struct relay_pipes *pipes, struct relay_pipe *pipe)
{
	if (pipe->is_large)
		pipes->n_large--;
	pipe->is_large = false;
	pipe->fds[0] = fd_close(pipe->fds[0]);
	pipe->fds[1] = fd_close(pipe->fds[1]);
}

void relay_pipes_done(struct relay_pipes *pipes)
{
	while (pipes->n > 0)
		close_pipe(pipes, &pipes->spare[--pipes->n]);
}

/* A user's pipes may be large until they are too many for the kernel (pipe(7)): then this one
 * is as they usually are, and nothing is lost but time. */
static bool make_pipe(struct relay_pipes *pipes, struct relay_pipe *ret)
{
	if (pipe2(ret->fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	ret->is_large = pipes->n_large < RELAY_LARGE_MAX;
	if (ret->is_large) {
		pipes->n_large++;
		(void)!fcntl(ret->fds[0], F_SETPIPE_SZ, RELAY_PIPE);
	}
	return true;
}

/* False: there is none to be had. */
static bool take_pipe(struct relay_pipes *pipes, struct half *half)
{
	if (half->pipe.fds[0] >= 0)
		return true;
	if (pipes->refused)
		return false;
	if (pipes->n == 0)
		return make_pipe(pipes, &half->pipe);
	half->pipe = pipes->spare[--pipes->n];
	return true;
}

/* There is room for all that are large. */
static void give_pipe_back(struct relay_pipes *pipes, struct half *half)
{
	if (!half->pipe.is_large) {
		close_pipe(pipes, &half->pipe);
		return;
	}
	pipes->spare[pipes->n++] = half->pipe;
	half->pipe = (struct relay_pipe)NO_PIPE;
}

static void free_buffer(struct half *half)
{
	free(half->buffer);
	half->buffer = NULL;
	half->at = 0;
}

/* Nothing is in it: what it had is for others. */
static void empty(struct relay *relay, struct half *half)
{
	give_pipe_back(relay->pipes, half);
	free_buffer(half);
}

/* What it holds is for nobody. */
static void throw_away(struct relay *relay, struct half *half)
{
	if (half->held > 0)
		close_pipe(relay->pipes, &half->pipe);
	free_buffer(half);
	half->held = 0;
}

/* What does not fit a pipe goes on through a buffer.  False: there is no memory. */
static bool leave_pipe(struct relay *relay, struct half *half)
{
	ssize_t n = 0;

	half->plain = true;
	half->at = 0;
	if (half->held > 0) {
		half->buffer = malloc(half->held);
		if (!half->buffer)
			return false;
		n = read(half->pipe.fds[0], half->buffer, half->held);
	}
	close_pipe(relay->pipes, &half->pipe);
	return n == (ssize_t)half->held;
}

/* ------------------------------------------------------- who cannot be told anything */

/* It may have said something that is still to be read, and goes on to the other side. */
static void make_deaf(struct relay *relay, enum relay_side side)
{
	relay->deaf[side] = true;
	throw_away(relay, &relay->halves[other(side)]);
}

/* The first one is whose doing it is. */
static void note_broken(struct relay *relay, enum relay_side side)
{
	if (relay->outcome == RELAY_DONE)
		relay->outcome = reset_by(side);
	relay->broken[side] = true;
	make_deaf(relay, side);
}

/* Who does not stop talking to somebody who is not there is told so. */
static void note_wasted(struct relay *relay, enum relay_side from, uint64_t n)
{
	relay->wasted += n;
	if (relay->wasted > RELAY_WASTE_MAX)
		reset_both(relay, reset_by(other(from)));
}

/* --------------------------------------------------------------------- reading */

static bool is_later(int error)
{
	return error == EAGAIN || error == EINTR;
}

/* Nobody's but this machine's. */
static bool is_ours(int error)
{
	return error == ENOMEM || error == ENOBUFS;
}

static void note_error(struct relay *relay, enum relay_side side, int error)
{
	if (is_ours(error))
		reset_both(relay, RELAY_ERROR);
	else if (error == EPIPE)
		make_deaf(relay, side);
	else
		note_broken(relay, side);
}

/* What read(2) and splice(2) have said.  True if there are bytes now. */
static bool note_read(struct relay *relay, enum relay_side from, ssize_t n)
{
	struct half *half = &relay->halves[from];

	if (n < 0 && is_later(errno))
		return false;
	if (n < 0)
		note_error(relay, from, errno);
	if (n <= 0) {
		half->ended = true;
		return false;
	}
	half->in += (uint64_t)n;
	half->held = (uint32_t)n;
	half->busy = n >= RELAY_CHUNK;
	return true;
}

/* What write(2) and splice(2) have said.  True if it went on: bytes are gone, or there is
 * nobody to get them. */
static bool note_written(struct relay *relay, enum relay_side from, ssize_t n)
{
	struct half *half = &relay->halves[from];

	if (n == 0 || (n < 0 && is_later(errno)))
		return false;
	if (n < 0) {
		note_error(relay, other(from), errno);
		return relay->end == RELAY_OPEN;
	}
	half->out += (uint64_t)n;
	half->at += (uint32_t)n;
	half->held -= (uint32_t)n;
	relay->wasted = 0;
	return true;
}

/* What was not written at once. */
static bool keep(struct relay *relay, struct half *half, const uint8_t *end)
{
	half->at = 0;
	half->buffer = malloc(half->held);
	if (!half->buffer) {
		reset_both(relay, RELAY_ERROR);
		return false;
	}
	memcpy(half->buffer, end - half->held, half->held);
	return true;
}

/* Most reads are written at once, and need no memory. */
static bool read_plain(struct relay *relay, enum relay_side from)
{
	struct half *half = &relay->halves[from];
	uint8_t bytes[RELAY_CHUNK];
	ssize_t n = recv(relay->fds[from], bytes, sizeof bytes, MSG_DONTWAIT);

	if (!note_read(relay, from, n))
		return false;
	note_written(relay, from,
		send(relay->fds[other(from)], bytes, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL));
	if (relay->end != RELAY_OPEN)
		return false;
	return half->held == 0 || keep(relay, half, bytes + n);
}

static bool read_wasted(struct relay *relay, enum relay_side from)
{
	struct half *half = &relay->halves[from];
	uint8_t bytes[RELAY_CHUNK];

	if (!note_read(relay, from, recv(relay->fds[from], bytes, sizeof bytes, MSG_DONTWAIT)))
		return false;
	note_wasted(relay, from, half->held);
	half->held = 0;
	return relay->end == RELAY_OPEN;
}

static bool read_spliced(struct relay *relay, enum relay_side from)
{
	struct half *half = &relay->halves[from];
	ssize_t n = splice(
		relay->fds[from], NULL, half->pipe.fds[1], NULL, RELAY_PIPE, SPLICE_FLAGS);

	if (n < 0 && errno == EINVAL) {
		leave_pipe(relay, half);
		return read_plain(relay, from);
	}
	/* It stops before an urgent byte, and says that there is nothing, or the end; what is
	 * true recv(2) says. */
	if (n == 0 || (n < 0 && is_later(errno)))
		return read_plain(relay, from);
	return note_read(relay, from, n);
}

/* Whether splice(2) waits is for the files to say that it is given. */
static bool is_nonblocking(struct relay *relay)
{
	if (!relay->nonblocking)
		relay->nonblocking = fd_set_nonblock(relay->fds[RELAY_CLIENT], true) == 0 &&
		                     fd_set_nonblock(relay->fds[RELAY_TARGET], true) == 0;
	return relay->nonblocking;
}

/* A pipe is for those who have much to say: few bytes are copied sooner than their pages are
 * moved, and what recv(2) says of them needs no second question. */
static bool may_splice(struct relay *relay, struct half *half)
{
	return half->busy && !half->plain && is_nonblocking(relay) &&
	       take_pipe(relay->pipes, half);
}

/* True: bytes came, and may have been passed on already. */
static bool fill(struct relay *relay, enum relay_side from)
{
	struct half *half = &relay->halves[from];

	if (half->ended)
		return false;
	if (relay->deaf[other(from)])
		return read_wasted(relay, from);
	return may_splice(relay, half) ? read_spliced(relay, from) : read_plain(relay, from);
}

/* --------------------------------------------------------------------- writing */

static ssize_t write_some(const struct half *half, int to)
{
	if (half->buffer)
		return send(
			to, half->buffer + half->at, half->held, MSG_DONTWAIT | MSG_NOSIGNAL);
	return splice(half->pipe.fds[0], NULL, to, NULL, half->held, SPLICE_FLAGS);
}

/* True: nothing is held any more. */
static bool drain(struct relay *relay, enum relay_side from)
{
	struct half *half = &relay->halves[from];

	while (half->held > 0) {
		ssize_t n = write_some(half, relay->fds[other(from)]);

		if (n < 0 && errno == EINVAL && !half->buffer) {
			if (leave_pipe(relay, half))
				continue;
			reset_both(relay, RELAY_ERROR);
			return false;
		}
		if (!note_written(relay, from, n))
			return false;
	}
	free_buffer(half);
	return true;
}

/* ------------------------------------------------------------------ directions */

static void pass_end_on(struct relay *relay, enum relay_side from)
{
	struct half *half = &relay->halves[from];

	/* What is broken off is no end: settle(). */
	if (half->passed_on || relay->broken[from])
		return;
	/* It fails where the connection is gone, which is found out by reading. */
	if (!relay->deaf[other(from)])
		(void)!shutdown(relay->fds[other(from)], SHUT_WR);
	half->passed_on = true;
}

/* True if there is probably more: what came was no small piece.  Else it is reported. */
static bool go_round(struct relay *relay, enum relay_side from)
{
	return fill(relay, from) && drain(relay, from) && relay->halves[from].busy;
}

/* Until nothing comes, nothing can go, or it has had its share. */
static void move(struct relay *relay, enum relay_side from)
{
	struct half *half = &relay->halves[from];
	uint64_t enough = half->in + RELAY_SHARE;

	if (relay->end != RELAY_OPEN || !drain(relay, from))
		return;
	while (half->in < enough && go_round(relay, from))
		;
	if (relay->end != RELAY_OPEN || half->held > 0)
		return;
	empty(relay, half);
	if (half->ended)
		pass_end_on(relay, from);
}

/* An error that nobody has met by reading or writing, because there is nothing to do; or a
 * UNIX socket whose other end is closed, while what it said waits for the other side. */
static void look_at(struct relay *relay, enum relay_side side, uint32_t events)
{
	socklen_t len = sizeof(int);
	int error = 0;

	/* Without EPOLLERR it is what an ICMP message has said some time (ip(7)). */
	if (events & EPOLLERR &&
		(getsockopt(relay->fds[side], SOL_SOCKET, SO_ERROR, &error, &len) < 0 ||
			error != 0))
		note_broken(relay, side);
	else if (events & EPOLLHUP)
		make_deaf(relay, side);
}

/* -------------------------------------------------------------- when it is over */

/* A reset overtakes what the other end has not acknowledged.  UNIX sockets have delivered
 * what they took. */
static bool has_got_all(const struct relay *relay, enum relay_side side)
{
	int unsent = 0;

	if (relay->deaf[side] || !relay->is_tcp[side])
		return true;
	return ioctl(relay->fds[side], SIOCOUTQ, &unsent) < 0 || unsent == 0;
}

/* Nobody reports it. */
static void look_again(struct relay *relay, uint64_t now)
{
	relay->pause = relay->pause == 0 ? RELAY_PAUSE_MIN : 2 * relay->pause;
	if (relay->pause > RELAY_PAUSE_MAX)
		relay->pause = RELAY_PAUSE_MAX;
	relay->due = now + relay->pause;
}

/* The other side has been told, and may still have to do something with it. */
static void wait_for_end(struct relay *relay, uint64_t now)
{
	if (relay->leave_at == USEC_INFINITY)
		relay->leave_at = now + RELAY_LEAVE_TIME;
	if (now >= relay->leave_at)
		finish(relay, relay->outcome);
	relay->due = relay->leave_at;
}

/* Who is deaf, and has said everything, has no other business. */
static void settle_side(struct relay *relay, enum relay_side side, uint64_t now)
{
	const struct half *half = &relay->halves[side];

	if (relay->end != RELAY_OPEN || !relay->deaf[side] || !half->ended || half->held > 0)
		return;
	if (!relay->broken[side]) {
		wait_for_end(relay, now);
	} else if (has_got_all(relay, other(side))) {
		reset_side(relay, other(side));
		finish(relay, relay->outcome);
	} else {
		look_again(relay, now);
	}
}

static void settle(struct relay *relay, uint64_t now)
{
	relay->due = USEC_INFINITY;
	if (relay->halves[RELAY_CLIENT].passed_on && relay->halves[RELAY_TARGET].passed_on)
		finish(relay, relay->outcome);
	settle_side(relay, RELAY_CLIENT, now);
	settle_side(relay, RELAY_TARGET, now);
}

bool relay_go(struct relay *relay, enum relay_side side, uint32_t events, uint64_t now)
{
	if (relay->end != RELAY_OPEN)
		return true;
	look_at(relay, side, events);
	if (events != EPOLLOUT)
		move(relay, side);
	if (events != EPOLLIN)
		move(relay, other(side));
	settle(relay, now);
	return relay->end != RELAY_OPEN;
}

uint64_t relay_due(const struct relay *relay)
{
	return relay->end == RELAY_OPEN ? relay->due : USEC_INFINITY;
}

uint32_t relay_events(const struct relay *relay, enum relay_side side)
{
	const struct half *from = &relay->halves[side], *to = &relay->halves[other(side)];
	uint32_t events = 0;

	if (relay->end != RELAY_OPEN)
		return 0;
	if (!from->ended && from->held == 0)
		events |= EPOLLIN;
	if (to->held > 0)
		events |= EPOLLOUT;
	if (events != 0)
		return events;
	return relay->deaf[side] || (from->ended && to->passed_on) ? 0 : EPOLLERR;
}

/* -------------------------------------------------------------- begin and end */

/* Bytes are passed on when they come: whether to wait for more is for those who speak.
 * Urgent ones (RFC 9293, 3.8.5) are bytes like others: a mark cannot be spliced, and a byte
 * that is left out is one that somebody waits for. */
static void prepare(struct relay *relay, enum relay_side side)
{
	static const int on = 1;
	int fd = relay->fds[side];

	relay->is_tcp[side] = setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
	(void)!setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
}

int relay_new(struct relay_pipes *pipes, int client, int target, struct relay **ret)
{
	struct relay *relay = malloc(sizeof *relay);

	if (!relay)
		return -ENOMEM;
	*relay = (struct relay){
		.pipes = pipes,
		.fds = {[RELAY_CLIENT] = client, [RELAY_TARGET] = target},
		.halves = {{.pipe = NO_PIPE}, {.pipe = NO_PIPE}},
		.outcome = RELAY_DONE,
		.due = USEC_INFINITY,
		.leave_at = USEC_INFINITY,
	};
	prepare(relay, RELAY_CLIENT);
	prepare(relay, RELAY_TARGET);
	*ret = relay;
	return 0;
}

void relay_spare_client(struct relay *relay)
{
	relay->spares_client = true;
}

void relay_greet(struct relay *relay, enum relay_side side, uint8_t *bytes, uint32_t len)
{
	struct half *half = &relay->halves[other(side)];

	half->buffer = bytes;
	half->held = len;
}

static void half_done(struct relay *relay, struct half *half)
{
	throw_away(relay, half);
	empty(relay, half);
}

struct relay *relay_free(struct relay *relay)
{
	if (!relay)
		return NULL;
	half_done(relay, &relay->halves[RELAY_CLIENT]);
	half_done(relay, &relay->halves[RELAY_TARGET]);
	fd_close(relay->fds[RELAY_CLIENT]);
	fd_close(relay->fds[RELAY_TARGET]);
	free(relay);
	return NULL;
}

void relay_abort(struct relay *relay)
{
	if (relay->end != RELAY_OPEN)
		return;
	for (unsigned side = 0; side < 2; side++)
		if (!relay->halves[other(side)].passed_on)
			reset_side(relay, (enum relay_side)side);
	finish(relay, RELAY_ABORTED);
}

enum relay_end relay_end(const struct relay *relay)
{
	return relay->end;
}

int relay_fd(const struct relay *relay, enum relay_side side)
{
	return relay->fds[side];
}

uint64_t relay_bytes_from(const struct relay *relay, enum relay_side side)
{
	return relay->halves[side].in;
}

uint64_t relay_bytes_to(const struct relay *relay, enum relay_side side)
{
	return relay->halves[other(side)].out;
}

size_t relay_held(const struct relay *relay)
{
	return (size_t)relay->halves[RELAY_CLIENT].held + relay->halves[RELAY_TARGET].held;
}
