/*
 * session: one client who speaks TLS, from his first byte to his last.
 *
 *	handshake -> told (facts) -> offered -> admitted -> pump (-> cut) -> over
 *	         \                          \-> refused -> leaves -> over
 *	          \-> failed -> leaves -> over
 *
 * A machine that never waits, as workers/front/front: it goes on when one of its sockets is
 * ready, says what it waits for next, and does a bounded amount of work each time.
 *
 * Who has failed or is refused is told by an alert; then what he still sends is read and
 * thrown away until he ends, for SESSION_LEAVE_TIME and SESSION_LEAVE_BYTES at most: a close
 * with bytes that nobody has read is a reset, which may overtake the alert.
 *
 * Memory: sizeof(struct session) while he is silent; from his first byte on what OpenSSL
 * needs, and besides it the facts until they are told.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_TLS_SESSION_H
#define HATCHD_WORKERS_TLS_SESSION_H

#include "os/channel.h"
#include "workers/tls/context.h"
#include "workers/tls/pump.h"

#include <stdbool.h>
#include <stdint.h>

/* Usec, and bytes. */
#define SESSION_LEAVE_TIME  (UINT64_C(2) * 1000 * 1000)
#define SESSION_LEAVE_BYTES (64 * 1024)

/* More than any handshake has, bytes: of who has said so much, in whatever pieces, nothing more
 * is wanted. */
#define SESSION_HANDSHAKE_BYTES (256 * 1024)

/* Room for the reason of a failed handshake. */
#define SESSION_REASON_MAX 96

struct session;

struct session_setup {
	struct context *context;  /* its user's share becomes the session's */
	struct tube_works *works; /* borrowed */
	uint64_t patience;        /* usec for the handshake; 0: as long as he likes */
	uint64_t now;             /* usec, monotonic, here and below */
};

/* 0, and `fd` is the session's; -ENOMEM, and fd and context are still the caller's. */
int session_new(const struct session_setup *setup, int fd, struct session **ret);

/* Closes its sockets.  Returns NULL. */
struct session *session_free(struct session *session, uint64_t now);

/* Go on; `events` are those that epoll(7) has reported of that socket, or 0: it is due, or
 * has just begun.  False: it is over. */
bool session_go(struct session *session, enum pump_side side, uint32_t events, uint64_t now);

/* What it has to tell: the facts, piece by piece, and then that he is to be offered, with how
 * many bytes his handshake has taken.  `kind`, `facts` and `bytes_in` of *ret, which is all
 * zero, are filled in.  False: nothing now. */
bool session_tell(struct session *session, struct channel_answer *ret);

/* Who will serve him has to be told by the master that he was cut off (CHANNEL_CUT).  Before
 * the verdict. */
void session_tell_cuts(struct session *session);

/* What became of the offer.  Without one it is ignored.  Who is admitted needs a descriptor,
 * his program's: it is taken by making *fd -EBADF.  False: it is over. */
bool session_verdict(
	struct session *session, enum channel_verdict verdict, int *fd, uint64_t now);

/* Is it for somebody else to say how it goes on, or that it ends? */
bool session_waits_for_verdict(const struct session *session);

/* Does it compute keys and signatures when he speaks? */
bool session_shakes_hands(const struct session *session);

/* It is to end now, and he is not told that it was an end: CHANNEL_ENDED, unless it is
 * over. */
void session_abort(struct session *session);

/* As of pump.h; -EBADF: there is none. */
int session_fd(const struct session *session, enum pump_side side);
uint32_t session_events(const struct session *session, enum pump_side side);
uint64_t session_due(const struct session *session);

/*
 * How it has ended.  CHANNEL_FINISHED: everything was said, or the client came without saying
 * anything, or was refused; BAD_HEADER: there was no handshake; SILENT: not in time; RESET: he
 * broke it off; TARGET_RESET: his program did; ENDED; REFUSED: no memory, or no descriptor.
 */
enum channel_result session_result(const struct session *session);

/* Of the program: from the client, and to him.  Before there is one, what was read from his
 * socket at all, and 0: who has said nothing yet may be served by somebody else. */
uint64_t session_bytes_in(const struct session *session);
uint64_t session_bytes_out(const struct session *session);

/* Why there was no handshake, in OpenSSL's words, which have nothing of the client's in them;
 * "": that is not so. */
const char *session_reason(const struct session *session);

#endif
