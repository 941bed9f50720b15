/*
 * outbox: answers to datagrams, collected and sent together.
 *
 * Answers to the same client that have the same size go to the kernel as one message with
 * the size of its pieces (udp(7), UDP_SEGMENT); it makes the datagrams of it as late as it
 * can.  Who asks much is answered for half the cost.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_BUILTIN_OUTBOX_H
#define HATCHD_WORKERS_BUILTIN_OUTBOX_H

#include "workers/pktinfo.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Answers that are collected at most. */
#define OUTBOX_MAX 64

struct outbox_letter {
	struct sockaddr *to; /* borrowed until it was sent, as is what it says */
	socklen_t to_len;
	const struct endpoint *from; /* our address */
	int hops;                    /* that it has to go, more than 0 */
	struct iovec said;
};

/* What became of them. */
struct outbox_counts {
	unsigned sent, failed; /* answers */
	uint64_t bytes;        /* of those that were sent */
};

struct outbox;

struct outbox *outbox_new(void); /* NULL: no memory */
struct outbox *outbox_free(struct outbox *outbox);

/* Does the kernel take many datagrams as one message, at this socket of UDP? */
bool outbox_can_join(int fd);

/* Begin anew, with nothing in it. */
void outbox_clear(struct outbox *outbox, bool joins);

/* One more, behind the others: of OUTBOX_MAX at most after outbox_clear(). */
void outbox_put(struct outbox *outbox, const struct outbox_letter *letter);

/*
 * Send them all, without waiting.  One that cannot be sent does not keep the others back,
 * unless none can be now; nothing is sent again later.
 */
void outbox_send(struct outbox *outbox, int fd, struct outbox_counts *ret);

#endif
