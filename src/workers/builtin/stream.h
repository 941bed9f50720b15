/*
 * stream: one connection of a built-in service over TCP, UNIX or vsock: bytes, not packets
 * (SOCK_SEQPACKET), whose borders would be lost.
 *
 * A machine that never waits: it goes on when its socket is ready, says what it waits for
 * next, and does a bounded amount of work each time, so that one client who takes all he
 * can get holds up nobody.  It knows no epoll and no clock; both are the caller's.
 *
 *	echo                    sends back what it reads, and reads nothing while it has
 *	                        something to send; ends when the client has ended
 *	discard                 reads until the client has ended
 *	chargen                 sends lines until the client is gone, and reads what comes
 *	daytime time qotd text  send their answer, end their side, and are over when nothing
 *	                        is left that a close would turn into a reset
 *
 * A socket that is closed with bytes in it that nobody has read sends a reset, and many a
 * system then throws away what its program has not read yet (RFC 1122, 4.2.2.13).  So when
 * a client of the third kind has sent anything, that is read too: STREAM_LINGER_BYTES at
 * most, for STREAM_LINGER_TIME at most.  For `text` this is done always, because it
 * answers protocols in which the client speaks first, and he may be about to.
 *
 * Memory: sizeof(struct stream); and what is not sent yet, only as long as it is not.
 * That is at most STREAM_CHUNK bytes, or the rest of a text.
 *
 * Layer: worker.
 */
#ifndef HATCHD_WORKERS_BUILTIN_STREAM_H
#define HATCHD_WORKERS_BUILTIN_STREAM_H

#include "base/builtin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Read at once, in bytes. */
#define STREAM_CHUNK (16 * 1024)

/* Read, and written, in one call at most. */
#define STREAM_SHARE (64 * 1024)

/* How long an answer that is sent waits for the client's end, and how many bytes of the
 * client's are thrown away before an answer is given up. */
#define STREAM_LINGER_TIME  (UINT64_C(5) * 1000 * 1000)
#define STREAM_LINGER_BYTES (256 * 1024)

/* How long a client may take to fetch an answer. */
#define STREAM_ANSWER_TIME (UINT64_C(60) * 1000 * 1000)

enum stream_end {
	STREAM_OPEN,    /* it is not over */
	STREAM_DONE,    /* as it should be */
	STREAM_RESET,   /* the client went while something was under way */
	STREAM_ERROR,   /* stream_error() says what: ETIMEDOUT: he did not fetch his answer */
	STREAM_ABORTED, /* stream_abort() */
};

struct stream;

struct stream_setup {
	enum service_builtin kind;
	/* Quotations of qotd, bytes of text.  Read by stream_new() only: what the socket
	 * does not take at once is copied. */
	const uint8_t *text;
	size_t text_len;
	uint64_t now;    /* usec, monotonic */
	int64_t wall;    /* seconds since 1970; for daytime and time */
	uint64_t random; /* any number; for qotd */
};

/*
 * Begin to serve, and go as far as that goes at once: daytime, time and qotd are over then
 * as a rule, and there is nothing to wait for.
 *
 * 1 if it is over, 0 if it goes on when its socket is ready; in both cases *ret is the
 * caller's, who frees it, and it owns `fd`.  Negative errno if nothing was begun: -ENOMEM,
 * or -EINVAL for BUILTIN_NONE; then `fd` is still the caller's.  `fd` need not be
 * non-blocking.
 */
int stream_new(const struct stream_setup *setup, int fd, struct stream **ret);

/* Closes the socket.  Returns NULL. */
struct stream *stream_free(struct stream *stream);

/*
 * Go on.  `events` are those that epoll(7) has reported, or 0 because it is due; `now` is
 * monotonic, in usec.  True if it is over: the caller looks how it ended, and frees it.
 */
bool stream_go(struct stream *stream, uint32_t events, uint64_t now);

/* What it waits for, level-triggered: EPOLLIN with EPOLLRDHUP, EPOLLOUT, or all.  It may be
 * other events after each stream_go(); 0 when it is over. */
uint32_t stream_events(const struct stream *stream);

/* When stream_go() is to be called if nothing happens before: monotonic, in usec.
 * USEC_INFINITY: never.  It is set by stream_new(), and may come nearer in stream_go(). */
uint64_t stream_due(const struct stream *stream);

/* It is over now, whatever is under way.  The socket is closed by stream_free(). */
void stream_abort(struct stream *stream);

enum stream_end stream_end(const struct stream *stream);
int stream_error(const struct stream *stream); /* errno of STREAM_ERROR; else 0 */
int stream_fd(const struct stream *stream);

/* Bytes read from the client, also those thrown away; and those the kernel has taken. */
uint64_t stream_bytes_in(const struct stream *stream);
uint64_t stream_bytes_out(const struct stream *stream);

#endif
