/*
 * datagrams: one UDP socket of a built-in service.
 *
 * Whoever asks by UDP may be somebody else, whose address was forged.  So
 *
 *	an answer never has more bytes than what it answers; a longer one is not sent
 *	who must not be answered is in endpoint.h; who may not, the caller says
 *	an answer has one hop less to go than what it answers had left, and 64 at most
 *
 * The first takes the use out of asking in somebody else's name.  The last ends a
 * conversation of services that answer each other, on whatever ports, after 64 rounds if
 * both are of hatchd: a client more than 31 routers away has to live without an answer.
 *
 * What that means for each:
 *
 *	echo     the same bytes (RFC 862)
 *	discard  nothing (RFC 863)
 *	chargen  as many characters as chance will have it, between none and what was sent,
 *	         512 at most (RFC 864)
 *	daytime  26 bytes (RFC 867), time 4 (RFC 868), qotd a quotation (RFC 865), text all
 *	         of it: for those who send so much.  The usual empty datagram gets nothing;
 *	         its sender finds the same service by TCP.
 *
 * Answers come from the address that was asked.  Datagrams are read and answered many at
 * a time; what the socket cannot send at once is lost, as datagrams may be.
 *
 * Layer: worker.
 */
#ifndef HATCHD_WORKERS_BUILTIN_DATAGRAMS_H
#define HATCHD_WORKERS_BUILTIN_DATAGRAMS_H

#include "base/builtin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Read in one call at most. */
#define DATAGRAMS_BATCH 64

/* What an answer may have to go at most; a usual value for a machine's own datagrams. */
#define DATAGRAMS_HOPS 64

/*
 * May that one be answered?  Asked for each datagram that could be, also of discard.  Both
 * addresses are of the socket's family, IPv4-mapped ones included; `to` is the one of ours
 * that was asked.  In a sandbox, addr_from_sockaddr() is not for this: for a link-local
 * address it opens a socket.
 */
typedef bool datagrams_admit(void *userdata, const struct sockaddr *from, socklen_t from_len,
	const struct sockaddr *to, socklen_t to_len);

struct datagrams_setup {
	enum service_builtin kind;
	/* Quotations of qotd, bytes of text: copied. */
	const uint8_t *text;
	size_t text_len;
	datagrams_admit *admit; /* NULL: everybody */
	void *userdata;
};

/* Each datagram that was read is in one of answered, discarded, and those behind them. */
struct datagrams_counts {
	uint64_t received, bytes_in;
	uint64_t answered, bytes_out;
	uint64_t discarded; /* by discard: that is its service */
	uint64_t forbidden; /* by the rules of endpoint.h, or without a hop left */
	uint64_t refused;   /* by admit */
	uint64_t too_short; /* for an answer; or there is none */
	uint64_t failed;    /* the kernel did not send it, or did not say where it came from */
};

/* What time it is, and any number. */
struct datagrams_moment {
	int64_t wall; /* seconds since 1970 */
	uint64_t random;
};

/* Where datagrams are read to: for one socket after the other.  Some 4 MB, of which the
 * kernel gives what is used: a page for each datagram of a batch, if they are short. */
struct datagrams_room;
struct datagrams_room *datagrams_room_new(void); /* NULL: no memory */
struct datagrams_room *datagrams_room_free(struct datagrams_room *room);

struct datagrams;

/*
 * Begin to serve a bound socket of UDP or UDP-Lite; `fd` need not be non-blocking.  The
 * kernel is told to say where each datagram was sent (setsockopt(2), IP_PKTINFO and IP_RECVTTL;
 * for a socket of IPv6 also IPV6_RECVPKTINFO and IPV6_RECVHOPLIMIT).
 *
 * 0, and *ret owns `fd`; or a negative errno, and `fd` is still the caller's: -EINVAL for
 * BUILTIN_NONE, -EPROTONOSUPPORT for a socket of another family, -ENOMEM, or what
 * getsockname(2) and setsockopt(2) say.
 */
int datagrams_new(const struct datagrams_setup *setup, int fd, struct datagrams **ret);

/* Closes the socket.  Returns NULL. */
struct datagrams *datagrams_free(struct datagrams *datagrams);

/*
 * Answer what is there, DATAGRAMS_BATCH at most.  How many were read: as many as that if
 * there may be more, 0 if there were none.  -EBADF or -ENOTSOCK: there is no such socket.
 */
int datagrams_go(struct datagrams *datagrams, struct datagrams_room *room,
	const struct datagrams_moment *moment);

int datagrams_fd(const struct datagrams *datagrams);
const struct datagrams_counts *datagrams_counts(const struct datagrams *datagrams);

#endif
