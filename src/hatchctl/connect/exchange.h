/*
 * exchange: standard input to a socket that keeps messages apart, and its
 * answers to standard output.
 *
 *	what one read of the input gives is one message;
 *	each answer is written whole before the next is received;
 *	after the end of the input it waits for answers, for a bounded time.
 *
 * A datagram socket has no end: there it is over when there are as many
 * answers as messages.  A seqpacket socket has one, and is waited for.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_CONNECT_EXCHANGE_H
#define HATCHD_HATCHCTL_CONNECT_EXCHANGE_H

#include "hatchctl/connect/output.h"
#include "hatchctl/connect/pump.h"

#include <stdint.h>

/* Longest message that can be sent over UDP, and over UNIX sockets. */
#define EXCHANGE_UDP_MAX  65507
#define EXCHANGE_UNIX_MAX (64 * 1024)

/* Longest answer; UNIX peers may send more than they can be sent. */
#define EXCHANGE_ANSWER_MAX (256 * 1024)

struct exchange {
	/* To be set before the first turn.  Descriptors are borrowed. */
	int input;
	int peer; /* non-blocking */
	struct output output;
	bool has_end;       /* seqpacket: the peer can end it, and so can we */
	size_t message_max; /* bytes, at most EXCHANGE_UNIX_MAX */
	uint64_t wait;      /* usec to wait for answers after the end of the input */
	void (*narrate)(const char *event);

	/* Result */
	enum pump_place broken;
	int error; /* positive; ETIMEDOUT: there was no answer at all */
	uint64_t n_sent;
	uint64_t n_answers;

	/* Private */
	bool over;
	bool input_ended;
	bool pending; /* the message waits to be sent */
	bool peer_ended;
	bool shut;
	uint64_t last; /* usec, monotonic: when something last went either way */
	size_t message_len;
	size_t answer_start;
	size_t answer_end;
	char message[EXCHANGE_UNIX_MAX];
	char answer[EXCHANGE_ANSWER_MAX];
};

/* All of it zero but the output.  NULL: no memory. */
struct exchange *exchange_new(int output);
struct exchange *exchange_free(struct exchange *exchange);

/* Wait until something can be moved, and move it; false when it is over. */
bool exchange_turn(struct exchange *exchange);

/* Turn until it is over.  0, or a negative errno and exchange->broken. */
int exchange_run(struct exchange *exchange);

/*
 * After -ECONNREFUSED: may the same be tried with another peer?  Only as long
 * as nothing has been answered and the only message is still at hand; it is
 * then sent again.
 */
bool exchange_restart(struct exchange *exchange, int peer);

static inline void own_exchange(struct exchange **exchange)
{
	exchange_free(*exchange);
}
#define _cleanup_exchange_ _cleanup_(own_exchange)

#endif
