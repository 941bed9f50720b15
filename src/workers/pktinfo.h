/*
 * pktinfo: where a datagram of IP comes from and where it went, as the kernel tells with
 * each, and an answer that leaves from there (IP_PKTINFO, RFC 3542).
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_PKTINFO_H
#define HATCHD_WORKERS_PKTINFO_H

#include "workers/endpoint.h"

#include <stdbool.h>
#include <sys/socket.h>

/* For what the kernel is asked to say of a datagram, and for what else a socket may be told
 * to; and for what an answer says. */
#define PKTINFO_IN  256
#define PKTINFO_OUT (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)))

union pktinfo_in {
	uint8_t bytes[PKTINFO_IN];
	struct cmsghdr align;
};

union pktinfo_out {
	uint8_t bytes[PKTINFO_OUT];
	struct cmsghdr align;
};

/* What the kernel says of a datagram. */
struct pktinfo {
	struct endpoint from, to;
	sa_family_t family; /* of the socket */
	bool known;         /* the kernel has said where it went */
	bool broadcast;
	int hops; /* left; 0: the kernel has not said it */
};

/*
 * Have the kernel say where each datagram was sent, and how many hops it has left
 * (setsockopt(2): IP_PKTINFO and IP_RECVTTL; for a socket of IPv6 also IPV6_RECVPKTINFO and
 * IPV6_RECVHOPLIMIT).  The port that the socket is bound to, and its family.  0, or a
 * negative errno; -EPROTONOSUPPORT for a socket of another family.
 */
int pktinfo_begin(int fd, uint16_t *ret_port, sa_family_t *ret_family);

/* Of a datagram to that port that was received whole.  False if the kernel did not say where
 * it comes from or where it went. */
bool pktinfo_learn(struct msghdr *message, uint16_t port, struct pktinfo *ret);

/*
 * An answer leaves from that address; by which interface is for the routes to say, unless
 * the address has a meaning on that one only.  It has so many hops to go; 0: as many as the
 * socket was told.  Into message->msg_control, which has PKTINFO_OUT bytes.
 */
void pktinfo_answer_from(struct msghdr *message, const struct endpoint *from, int hops);

/* So many hops alone, from a socket of that family, AF_INET or AF_INET6; the same room. */
void pktinfo_put_hops(struct msghdr *message, sa_family_t family, int hops);

#endif
