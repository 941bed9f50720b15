/*
 * lookup: what the master asks hatchd-lookup, and what that answers.
 *
 * The ways are those of a channel (os/channel), and so are the rules: requests over one half,
 * answers over a pipe, records of one length below PIPE_BUF, of one build, one that shows
 * whether it goes on.  The records are others, because a question is no connection: it has
 * no descriptor, and its answer has no bytes; in those of the channel names and addresses
 * would cost every worker.
 *
 * A place is taken by ASK, and free again with the DONE that comes once for each; the
 * number in `session` is never reused.  Who is behind an address is a stranger's word, and
 * what a worker says is one too: lookup_receive() lets through only what has a sound form,
 * and whether `what` is what that place was asked for is the master's to see.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_LOOKUP_H
#define HATCHD_OS_LOOKUP_H

#include "base/addr.h"
#include "base/hostname.h"
#include "os/channel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOOKUP_VERSION 2

/* Most of each in one answer. */
#define LOOKUP_ADDRESSES_MAX 8
#define LOOKUP_USER_MAX      512

/* Descriptors that the worker has at most. */
#define LOOKUP_FDS_MAX 528

enum lookup_what {
	/* The name of the host at `peer` that has that address itself: what the address
	 * leads to (PTR) is a name only if the name leads back to the address (A, AAAA). */
	LOOKUP_NAME_OF = 1,
	/* The addresses of the host `name`, in the order in which they were given. */
	LOOKUP_ADDRESSES_OF,
	/* Who has the connection from `peer` to `local`, as the machine at `peer` says (RFC
	 * 1413). */
	LOOKUP_IDENT,
	_LOOKUP_WHAT_MAX,
};

/* As it is on the wire, so that nothing has to be parsed.  All zero: none. */
struct lookup_address {
	uint16_t family; /* AF_INET or AF_INET6 */
	uint16_t port;   /* in host order */
	uint32_t scope;  /* number of the interface of a link-local one */
	uint8_t ip[16];  /* in network order; of AF_INET the first 4 */
};

/* Equal questions are equal byte for byte: what a kind does not need is zero, and names are
 * as in base/hostname.  lookup_question_init() makes them so. */
struct lookup_question {
	uint32_t what;                     /* enum lookup_what */
	struct lookup_address peer, local; /* NAME_OF: peer without port; IDENT: both */
	char name[HOSTNAME_ROOM + 2];      /* ADDRESSES_OF */
};

enum lookup_request_kind {
	LOOKUP_ASK = 1,
	/* Nobody wants to know any more.  DONE comes as always. */
	LOOKUP_FORGET,
	/* Answer what there is, and end: nothing more will come. */
	LOOKUP_DRAIN,
	/* Answer, to show that it goes on. */
	LOOKUP_PING,
	_LOOKUP_REQUEST_MAX,
};

struct lookup_request {
	uint16_t version;
	uint16_t kind; /* enum lookup_request_kind */
	uint32_t unused;
	struct channel_session session;  /* ASK, FORGET */
	uint64_t patience;               /* ASK: usec until DONE has to come; the worker may
	                                    have less */
	struct lookup_question question; /* ASK */
};

enum lookup_answer_kind {
	/* The worker has set itself up.  Once, first of all. */
	LOOKUP_READY = 1,
	/* Once for each ASK. */
	LOOKUP_DONE,
	/* To each PING. */
	LOOKUP_PONG,
	_LOOKUP_ANSWER_MAX,
};

enum lookup_result {
	LOOKUP_FOUND,
	/* There is none: no such name, nobody who answers questions about connections, or
	 * one who does not tell. */
	LOOKUP_NONE,
	LOOKUP_MISMATCH,  /* NAME_OF: what there is does not lead back to the address */
	LOOKUP_FAILED,    /* who was asked failed, or answers nonsense; perhaps later */
	LOOKUP_LATE,      /* nobody has answered in time */
	LOOKUP_CROWDED,   /* there are too many questions, most of them of that source */
	LOOKUP_FORGOTTEN, /* FORGET, or hatchd stops */
	_LOOKUP_RESULT_MAX,
};

/* "found", "there is none", "it failed"...: for messages; never NULL. */
const char *lookup_result_text(enum lookup_result result);

/* What has been found; all zero but for the result where nothing has. */
struct lookup_facts {
	uint16_t result;                                       /* enum lookup_result */
	uint16_t n_addresses;                                  /* ADDRESSES_OF */
	struct lookup_address addresses[LOOKUP_ADDRESSES_MAX]; /* without ports */
	char text[LOOKUP_USER_MAX + 4]; /* NAME_OF: as in base/hostname; IDENT: a user, any
	                                   bytes but NUL and control characters of ASCII */
};

struct lookup_answer {
	uint16_t version;
	uint16_t kind; /* enum lookup_answer_kind */
	uint32_t what; /* DONE: that of the question */
	struct channel_session session;
	struct lookup_facts facts; /* DONE */
};

/* -------------------------------------------------------------------- questions */

/* All of it; what that kind does not need may be NULL, and is not looked at.  0; -EINVAL: no
 * address of IPv4 or IPv6, no port where one is needed, or no name of a host. */
int lookup_question_init(struct lookup_question *ret, enum lookup_what what,
	const struct addr *peer, const struct addr *local, const char *name);

/* All zero where it is no address of IPv4 or IPv6. */
void lookup_address_from(struct lookup_address *ret, const struct addr *addr);

/* A TCP address with that port. */
void lookup_address_to(const struct lookup_address *address, struct addr *ret);

/* ---------------------------------------------------------------- the master */

/* As channel_send(): 0; -EAGAIN: not now; -EPIPE: it has ended; other negative errno. */
int lookup_send(const struct channel *channel, const struct lookup_request *request);

/* As channel_receive(): up to `max` answers; 0: none now; -EPIPE: there will be no more;
 * -EBADMSG: the worker breaks the rules. */
int lookup_receive(const struct channel *channel, struct lookup_answer *ret, size_t max);

/* ---------------------------------------------------------------- the worker */

/* The next request.  0; -EAGAIN: there is none now; -EPIPE: the master is gone; -EBADMSG: it
 * is of another version, or makes no sense. */
int lookup_take(int fd, struct lookup_request *ret);

/* As many as go into a pipe whole, whoever else writes there. */
#define LOOKUP_ANSWERS_MAX RECORDS_ANSWERS_MAX(struct lookup_answer)

/* So many answers, 1 to LOOKUP_ANSWERS_MAX, all or none.  0; -EAGAIN: later, the master has
 * not read; -EPIPE: it is gone. */
int lookup_answer(int fd, const struct lookup_answer *answers, size_t n);

#endif
