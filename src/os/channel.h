/*
 * channel: between the master and a worker.
 *
 * Workers are small programs without rights that touch the bytes of strangers in the
 * master's place, so the master takes what they say as it takes what strangers say.
 * Descriptors travel from the master to the worker and never back: whoever closes one that a
 * stranger had can be made to wait.  So there are two ways:
 *
 *	requests  a SOCK_SEQPACKET pair, one packet each; the master's end is shut down for
 *	          reading, so the kernel refuses whatever a worker sends on it
 *	answers   a pipe, which cannot carry descriptors; records of one length, several in
 *	          one write of PIPE_BUF at most, so that an honest worker never tears one
 *
 * Neither side waits for the other: the master sends without blocking, and a worker that
 * has all it can do does not read.  That a worker's end is closed says that it has ended;
 * that the master's is says the same as CHANNEL_DRAIN.
 *
 * Master and worker are of one build; the version says so when they are not.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_CHANNEL_H
#define HATCHD_OS_CHANNEL_H

#include "base/addr.h"
#include "os/records.h"

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#define CHANNEL_VERSION 4

/* Where a worker finds its ends; 0 and 1 are /dev/null, 2 is for messages. */
#define CHANNEL_REQUESTS_FD 3
#define CHANNEL_ANSWERS_FD  4

/* Its own program, which it is executed by: folders above that need not be open to it. */
#define CHANNEL_PROGRAM_FD 5

/* Descriptors with one request. */
#define CHANNEL_FDS_MAX RECORDS_FDS_MAX

enum channel_request_kind {
	/* A connection that has been admitted, its descriptor first: the worker's from now on.
	 * With `has_text` a second one, whose content the worker needs for it. */
	CHANNEL_SERVE = 1,
	/* End that connection: its time is over.  It is answered as always; if it has ended
	 * meanwhile, the answer is on its way. */
	CHANNEL_END,
	/* Finish what there is, and end: nothing more will come. */
	CHANNEL_DRAIN,
	/* Answer, to show that it goes on. */
	CHANNEL_PING,
	/* What has become of what it has offered.  Once for each OFFER, unless the connection
	 * is over or to end by then.  If a program of its own was started for it, with a
	 * descriptor: the other end of what that program has.  If it is for the worker to
	 * serve, with `client`: a connection like others from then on, with a DONE of its own,
	 * also if the worker cannot serve it or has nothing of it any more. */
	CHANNEL_VERDICT,
	/* The target of that connection that is started on demand will not come: who waits for
	 * it is to try others, or is over. */
	CHANNEL_GIVE_UP,
	_CHANNEL_REQUEST_MAX,
};

enum channel_verdict {
	CHANNEL_ADMITTED = 1, /* he may come in */
	CHANNEL_NOT_ALLOWED,  /* he may not, and need not try again soon */
	CHANNEL_BUSY,         /* not now */
	CHANNEL_NO_SERVICE,   /* there is none of that name */
	_CHANNEL_VERDICT_MAX,
};

/* A connection at a worker. */
struct channel_session {
	uint64_t connection; /* its number, never reused */
	uint32_t place;      /* in the tables of both; free again when the connection is over */
};

struct channel_request {
	uint16_t version;
	uint16_t kind;    /* enum channel_request_kind */
	uint16_t what;    /* SERVE: what is to be done with it, as that worker understands it */
	uint16_t verdict; /* VERDICT: enum channel_verdict */
	struct channel_session session; /* SERVE, END, VERDICT, GIVE_UP */
	uint32_t ticket;                /* VERDICT: of the OFFER */
	uint16_t has_text;              /* SERVE */
	uint16_t is_socket;             /* SERVE: no connection, but a socket of datagrams */
	uint32_t rules_len;             /* so many bytes of the text, its first, are a table of
	                                   policy/access: who may come in */
	uint64_t patience;              /* SERVE: usec that its client may take to say what he
	                                   has to say first; for which one who sends datagrams
	                                   may be silent */
	uint64_t text_at, text_len;     /* SERVE: where in the text its content is; 0 and 0: all
	                                   of it */
	uint64_t text_number;           /* of that content: the same number is the same content,
	                                   and never another; 0: it has none */
	struct addr peer, local;        /* SERVE; len 0 where unknown */
	struct channel_session client;  /* VERDICT: who is admitted; connection 0: nobody whom
	                                   the worker serves */
};

enum channel_answer_kind {
	/* The worker has set itself up and serves.  Once, first of all. */
	CHANNEL_READY = 1,
	/* The connection is over, and closed.  Once for each SERVE, and for each VERDICT with a
	 * client. */
	CHANNEL_DONE,
	/* To each PING. */
	CHANNEL_PONG,
	/* Who it really is, and what he wants: may he?  Of a connection once at most; of a
	 * socket of datagrams once for each of those who send to it, with `ticket`. */
	CHANNEL_OFFER,
	/* The target of that connection that is started on demand has taken it; or was not
	 * there in time.  One of them, and once at most. */
	CHANNEL_REACHED,
	CHANNEL_MISSED,
	/*
	 * A piece, of 1 byte at least, of what is known of a client besides: `authority` of
	 * `facts`, and nothing else there.  The pieces come in their order, before the OFFER of
	 * that connection, and are one block of NAME=VALUE, each with a NUL behind it, of
	 * CHANNEL_FACTS_BYTES_MAX bytes at most.
	 *
	 * Values have no control characters.  Who a client is by his certificate is told only
	 * if it is certified, and whole or not at all: what has had no room, or cannot be read,
	 * is named by SSL_CLIENT_OMITTED ("S_DN", "SAN", "S_DN SAN"), which a rule about names
	 * has to look at.  In SSL_CLIENT_SAN names are divided by ", ", and none has a blank or
	 * a comma in it (workers/tls/facts).
	 */
	CHANNEL_FACT,
	/* The client of that connection, which was admitted with CHANNEL_OF_PAIR, has been cut
	 * off.  Nothing more is done with it before an END: that it was no end has to be known
	 * to who serves him first.  Once at most. */
	CHANNEL_CUT,
	_CHANNEL_ANSWER_MAX,
};

/* All pieces of one connection. */
#define CHANNEL_FACTS_BYTES_MAX 4096

/* Offers for one socket of datagrams that may be without their verdict at a time.  Their
 * tickets are numbered from 0 on, and the verdicts come in that order. */
#define CHANNEL_OFFERS_MAX 32

/* `what` of a SERVE: a socket of datagrams of which each is somebody else's. */
#define CHANNEL_PER_DATAGRAM 1

/* `what` of a SERVE to hatchd-relay: no connection, but one end of a stream pair with
 * hatchd-tls, of which the master keeps a copy.  A pair knows no reset: what is broken off must
 * not be ended there, and the DONE says what it was.  And of the VERDICT with the other end:
 * the same there, and CHANNEL_CUT says it. */
#define CHANNEL_OF_PAIR 1

/* How a connection ended, as far as a worker can see. */
enum channel_result {
	CHANNEL_FINISHED,     /* everything was said, or the client left in order */
	CHANNEL_RESET,        /* the client, or the network, broke it off */
	CHANNEL_ENDED,        /* by us: CHANNEL_END, or because hatchd stops */
	CHANNEL_REFUSED,      /* the worker lacks memory or descriptors for it */
	CHANNEL_UNREACHABLE,  /* no target took it */
	CHANNEL_TARGET_RESET, /* the target that took it broke it off, or its program */
	/* The worker's part is done: now it is for whoever serves the client that `facts` are
	 * about.  The worker has nothing of it any more. */
	CHANNEL_PASSED,
	CHANNEL_BAD_HEADER, /* what the client has said first is not what it should be */
	CHANNEL_SILENT,     /* he has not said it in time */
	_CHANNEL_RESULT_MAX,
};

/* As it is on the wire, so that nothing has to be parsed. */
struct channel_address {
	uint16_t family; /* 0: nothing is said, the socket knows; AF_INET, AF_INET6; of who
	                    sends a datagram also AF_UNIX */
	uint16_t port;   /* in host order */
	uint8_t ip[16];  /* in network order; of AF_INET the first 4, of AF_UNIX no address but
	                    his user, a struct ucred */
};

/* Longest name of a service, and of a host (RFC 1035). */
#define CHANNEL_NAME_MAX      64
#define CHANNEL_AUTHORITY_MAX 255

/* What a worker has learned of a client: a stranger's word. */
struct channel_facts {
	struct channel_address peer, local;
	uint16_t authority_len;                   /* 0: not said */
	uint8_t authority[CHANNEL_AUTHORITY_MAX]; /* host that he asked his proxy for, or
	                                             the piece of a FACT; any bytes */
	char service[CHANNEL_NAME_MAX + 1]; /* that he wants, in small letters; "": the one
	                                       whose socket he came to */
};

struct channel_answer {
	uint16_t version;
	uint16_t kind;   /* enum channel_answer_kind */
	uint32_t result; /* enum channel_result */
	struct channel_session session;
	uint64_t bytes_in, bytes_out; /* from and to the client; OFFER: that were taken */
	uint32_t ticket;              /* OFFER of who sends datagrams: the worker's number for
	                                 him, which comes back with the VERDICT */
	struct channel_facts facts;   /* OFFER, and DONE with CHANNEL_PASSED */
};

/* Of that kind, and all zero besides; `session` (borrowed) is NULL where it is about none. */
void channel_request_init(struct channel_request *ret, enum channel_request_kind kind,
	const struct channel_session *session);

/* ---------------------------------------------------------------- the master */

struct channel {
	int requests; /* owned; -EBADF: there is no channel, here and below */
	int answers;  /* owned; readable when there are answers */
};

#define CHANNEL_NONE ((struct channel){.requests = -EBADF, .answers = -EBADF})

/* A new one, and the ends that the worker gets at the two numbers above: all four are
 * close-on-exec and the caller's.  0 or a negative errno. */
int channel_new(struct channel *ret, int ret_theirs[2]);

/* Copies of `fds` go along, the caller keeps his.  0; -EAGAIN: the worker has not read
 * what was sent before; -EPIPE: it has ended; other negative errno: no memory, or too many
 * descriptors are on their way. */
int channel_send(const struct channel *channel, const struct channel_request *request,
	const int *fds, size_t n_fds);

/*
 * Up to `max` answers; how many.  0: there are none now; -EPIPE: there will be no more;
 * -EBADMSG: the worker breaks the rules.  What is in an answer has not been looked at, but
 * version, kind and result.
 */
int channel_receive(const struct channel *channel, struct channel_answer *ret, size_t max);

/* ---------------------------------------------------------------- the worker */

/*
 * The next request, with its descriptors, which are the caller's and close-on-exec; how many
 * there are in *ret_n, on failure too.  0; -EAGAIN: there is none now; -EMFILE: there is no
 * room for all of them, while *ret is as it was sent; -EPIPE: the master is gone; -EBADMSG:
 * it is of another version.
 */
int channel_take(
	int fd, struct channel_request *ret, int ret_fds[CHANNEL_FDS_MAX], size_t *ret_n);

/* As many as go into a pipe whole, whoever else writes there. */
#define CHANNEL_ANSWERS_MAX RECORDS_ANSWERS_MAX(struct channel_answer)

/* So many answers, 1 to CHANNEL_ANSWERS_MAX, all or none.  0; -EAGAIN: later, the master has
 * not read; -EPIPE: it is gone. */
int channel_answer(int fd, const struct channel_answer *answers, size_t n);

#endif
