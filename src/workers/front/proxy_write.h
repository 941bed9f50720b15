/*
 * proxy_write: the header of the PROXY protocol for a connection that we make on behalf
 * of a client.  workers/front/proxy reads it back.
 *
 * The specification is haproxy's doc/proxy-protocol.txt, sections 2.1 and 2.2.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_FRONT_PROXY_WRITE_H
#define HATCHD_WORKERS_FRONT_PROXY_WRITE_H

#include "base/addr.h"

#include <stddef.h>
#include <stdint.h>

/* The longest header of each version, which fits one segment: "PROXY TCP6 ..." and the
 * paths of two UNIX sockets. */
#define PROXY_WRITE_V1_MAX 104
#define PROXY_WRITE_MAX    (16 + 2 * 108)

/*
 * The header of that version, PROXY_V1 or PROXY_V2 of workers/front/proxy.h, into `buf`,
 * without a NUL.  It has to be sent at once and before anything else.
 *
 * `source` is the client and `destination` is where it connected to; NULL for both if the
 * connection is our own, as in a check whether the target lives.  Returns the length.
 *
 *	                        version 1       version 2
 *	TCP, MPTCP              TCP4, TCP6      INET, INET6 and STREAM
 *	UDP                     UNKNOWN         INET, INET6 and DGRAM
 *	unix, unix-dgram        UNKNOWN         UNIX and STREAM, DGRAM
 *	all others              UNKNOWN         UNSPEC
 *	NULL                    UNKNOWN         LOCAL
 *
 * If one is IPv4 and the other IPv6, both are written as IPv6, the former as the mapped
 * address that stands for it.  Addresses of two kinds that have nothing in common are
 * among "all others".  The interface of a link-local address cannot be said.
 */
size_t proxy_write(unsigned version, const struct addr *source, const struct addr *destination,
	uint8_t buf[PROXY_WRITE_MAX]);

#endif
