/*
 * endpoint: where a datagram comes from and where it went, and who is never answered.
 *
 * Addresses here are those of IPv6; one of IPv4 is the mapped one that stands for it, so
 * that every rule is written once.  base/addr would look up the name of a link-local
 * address's interface, for which a worker has no rights, and the time is short: this is
 * done for each datagram.  Pure.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_ENDPOINT_H
#define HATCHD_WORKERS_ENDPOINT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct endpoint {
	struct in6_addr ip;
	uint32_t interface; /* of a link-local address; else 0 */
	uint16_t port;      /* in host order */
};

/* The mapped address. */
struct in6_addr endpoint_ipv4(struct in_addr ip);

/* False, and *ret untouched, if that is no address of IP. */
bool endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct endpoint *ret);

/* Is it one machine's, as far as an address says that by itself: neither of many nor nobody's?
 */
bool endpoint_is_single(const struct in6_addr *ip);

/* As a socket of that family has it, AF_INET or AF_INET6.  Returns the length. */
socklen_t endpoint_to_sockaddr(
	const struct endpoint *endpoint, sa_family_t family, struct sockaddr_in6 *ret);

/*
 * May somebody at `from` be answered who has sent to `to`, which is ours?  A datagram's
 * sender is easily forged, so this keeps two services from answering each other for ever,
 * and one datagram from having many answers (CVE-1999-0103, CVE-2024-2169).  Not
 *
 *	ports 7, 9, 13, 17, 19 and 37, where services like these are
 *	the port of `to` itself: this very socket, or the same service on another machine
 *	port 0, which is nobody's
 *	multicast, broadcast, and the address of nobody, as sender
 *	who has sent to multicast or broadcast
 *
 * Which addresses of IPv4 are for broadcast depends on the networks that the machine is
 * in: of those `to` may be, the kernel is asked (IP_PKTINFO); it drops senders that are.
 */
bool endpoint_may_answer(const struct endpoint *from, const struct endpoint *to);

#endif
