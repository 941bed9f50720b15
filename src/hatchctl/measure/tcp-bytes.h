/*
 * tcp-bytes: how much every TCP connection of this machine has carried so far.
 *
 * The kernel counts, and tells everybody (sock_diag(7)): all connections are read at once,
 * and one is found by its two addresses.  Those of another network namespace are not seen.
 * Of a connection over several paths (MPTCP) these are the bytes of one path.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_MEASURE_TCP_BYTES_H
#define HATCHD_HATCHCTL_MEASURE_TCP_BYTES_H

#include "base/own.h"

#include <stdint.h>

/* The most connections that are read; what the machine has beyond that is not known. */
#define TCP_BYTES_MAX (UINT32_C(1) << 20)

struct tcp_bytes_key {
	uint8_t local[16], peer[16];    /* IPv4 addresses as ::ffff:a.b.c.d */
	uint16_t local_port, peer_port; /* in network order */
};

struct tcp_bytes_entry {
	struct tcp_bytes_key key;
	uint64_t received; /* bytes that came, read or not */
	uint64_t sent;     /* bytes that the peer has confirmed */
};

struct tcp_bytes {
	struct tcp_bytes_entry *entries; /* in the order of their keys; owned */
	size_t n_entries;
};

/* Read all there are now.  0 with *ret, which tcp_bytes_done() frees, or a negative errno;
 * -ENOENT: this kernel does not tell. */
int tcp_bytes_read(struct tcp_bytes *ret);
void tcp_bytes_done(struct tcp_bytes *bytes);

#define _cleanup_tcp_bytes_ _cleanup_(tcp_bytes_done)

/*
 * The connection between these two, as its server writes them: "192.0.2.1:7777",
 * "[2001:db8::1]:7777".  NULL if there is none, or several on different links, or if these are
 * no addresses of TCP.
 */
const struct tcp_bytes_entry *tcp_bytes_find(
	const struct tcp_bytes *bytes, const char *local, const char *peer);

#endif
