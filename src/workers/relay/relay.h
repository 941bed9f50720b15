/*
 * relay: two connected stream sockets, and the bytes between them, in both directions.
 *
 * A machine that never waits: it goes on when one of its sockets is ready, says what it
 * waits for next, and does a bounded amount of work each time, so that a fast pair holds up
 * nobody.  It knows no epoll and no clock; both are the caller's.
 *
 *	bytes    go through a buffer.  Who fills it has much to say: what he says then goes
 *	         through a pipe, with splice(2), and is not copied where the kernel can do
 *	         without; unless there is no pipe, or a socket that cannot do that
 *	urgent   bytes of TCP (MSG_OOB) keep their place among the others, and lose their mark
 *	ends     a side that has said everything is ended on the other one as well (half-close,
 *	         RFC 9293, 3.6), which may go on for as long as it likes; when both have, it is
 *	         over
 *	resets   what breaks one side off breaks the other off, when that has got what was said
 *	         before: over TCP it gets a reset too.  UNIX sockets know no reset but that of
 *	         unread bytes, and just end
 *	deaf     a side that nothing more can go to may have spoken before, and that goes on;
 *	         what it is told is thrown away, so that the other one can speak, read and end
 *	         in peace.  One that does not is left after RELAY_WASTE_MAX bytes, or
 *	         RELAY_LEAVE_TIME after it has got everything
 *	pressure a direction reads when it has nothing to write.  So it holds what a pipe holds
 *	         at most, and who sends to somebody who does not read is not read any more
 *
 * Memory: sizeof(struct relay); and in each direction a pipe, or a buffer of RELAY_CHUNK
 * bytes, only as long as bytes are in it.  Few pipes are large.  One that is held by somebody
 * who does not read is not there for others, who go on with one of the usual size.
 *
 * SIGPIPE has to be ignored: splice(2) has no flag against it.
 *
 * Layer: worker.
 */
#ifndef HATCHD_WORKERS_RELAY_RELAY_H
#define HATCHD_WORKERS_RELAY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Read at once through a buffer, in bytes. */
#define RELAY_CHUNK (16 * 1024)

/* Most bytes in a pipe: of a large one.  Others have as many as the kernel gives them. */
#define RELAY_PIPE (256 * 1024)

/* Moved in one call at most, in each direction. */
#define RELAY_SHARE (256 * 1024)

/* Thrown away at most, in bytes, while nobody takes any; more than kernels hold. */
#define RELAY_WASTE_MAX (64 * 1024 * 1024)

/* For so long somebody may do what he has to with the last words of somebody who is gone. */
#define RELAY_LEAVE_TIME (UINT64_C(60) * 1000 * 1000)

/* How often it is looked whether the other end has got what was sent. */
#define RELAY_PAUSE_MIN (UINT64_C(5) * 1000)
#define RELAY_PAUSE_MAX (UINT64_C(1000) * 1000)

/* Large pipes, in use or kept for the next bytes: 4 MB of the 64 that a user's pipes may have
 * in all (pipe(7), pipe-user-pages-soft). */
#define RELAY_LARGE_MAX 16

struct relay_pipe {
	int fds[2];    /* as of pipe(2) */
	bool is_large; /* if the kernel lets it be */
};

/* Pipes, shared by all relays: those that are empty, and how many there are. */
struct relay_pipes {
	bool refused;   /* never any pipes: for tests */
	size_t n_large; /* also those that are in use */
	size_t n;
	struct relay_pipe spare[RELAY_LARGE_MAX]; /* owned */
};

void relay_pipes_done(struct relay_pipes *pipes);

enum relay_side {
	RELAY_CLIENT,
	RELAY_TARGET,
};

enum relay_end {
	RELAY_OPEN,         /* it is not over */
	RELAY_DONE,         /* both have ended; who stayed until the end has got everything */
	RELAY_CLIENT_RESET, /* the client broke it off first, or the network did */
	RELAY_TARGET_RESET, /* the target did */
	RELAY_ERROR,        /* there is no memory for what a pipe did not take */
	RELAY_ABORTED,      /* relay_abort() */
};

struct relay;

/* Both sockets are the relay's from now on, and may become non-blocking; `pipes` is borrowed
 * until it is freed.  0; -ENOMEM: then they are still the caller's. */
int relay_new(struct relay_pipes *pipes, int client, int target, struct relay **ret);

/* The client's socket is one end of a stream pair (CHANNEL_OF_PAIR): he is not reset, but has
 * to hear it from somebody else.  Before the first relay_go(). */
void relay_spare_client(struct relay *relay);

/* Bytes that go to that side before anything else: before the first relay_go(), and once at
 * most.  `bytes` come from malloc(3), and are the relay's from now on.  They are counted as
 * written there, and come from nobody. */
void relay_greet(struct relay *relay, enum relay_side side, uint8_t *bytes, uint32_t len);

/* Closes the sockets.  Returns NULL. */
struct relay *relay_free(struct relay *relay);

/* Go on; at the beginning as well.  `events` are those that epoll(7) has reported for that
 * side, or 0: it is due; `now` is monotonic, in usec.  True if it is over: both sides have been
 * told, and are closed by relay_free(). */
bool relay_go(struct relay *relay, enum relay_side side, uint32_t events, uint64_t now);

/* When it wants to go on without an event, for whatever side; USEC_INFINITY: never. */
uint64_t relay_due(const struct relay *relay);

/* What it waits for at that side, level-triggered.  0: nothing, and the socket must not be
 * in the set: what is known of it would be reported for ever.  EPOLLERR: only that it
 * breaks off. */
uint32_t relay_events(const struct relay *relay, enum relay_side side);

int relay_fd(const struct relay *relay, enum relay_side side);

/* It is over now.  A side that has not been told an end is reset: it would take what it got
 * for everything. */
void relay_abort(struct relay *relay);

enum relay_end relay_end(const struct relay *relay);

/* Read from that side, and written to it, in bytes.  What was thrown away was read. */
uint64_t relay_bytes_from(const struct relay *relay, enum relay_side side);
uint64_t relay_bytes_to(const struct relay *relay, enum relay_side side);

/* Bytes that are neither here nor there. */
size_t relay_held(const struct relay *relay);

/* Break a connection off that is about to be closed: a reset, where there is one, else an end.
 * At once, whoever else has a copy of it. */
void relay_reset_socket(int fd);

#endif
