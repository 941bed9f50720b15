/*
 * tcp-diag: what the kernel knows of a TCP connection that somebody else holds.
 *
 * A connection is learnt while its descriptor is at hand, and asked after by its
 * addresses and the number that the kernel gave it for good (SO_COOKIE), through
 * sock_diag(7): no descriptor of it is kept, which would delay its end, and no byte
 * of it is looked at.  An answer takes about a microsecond, or as long as somebody holds
 * the lock of that socket; everybody may ask, without rights.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_TCP_DIAG_H
#define HATCHD_BASE_TCP_DIAG_H

#include "base/addr.h"
#include "base/tcp-end.h"

/* What it is known by, besides its addresses; all zero: not known. */
struct tcp_handle {
	uint64_t cookie;
	uint32_t interface; /* that it is bound to; 0: to none */
	uint32_t token;     /* of one over several paths (MPTCP); 0: over one */
};

struct tcp_facts {
	uint32_t held; /* 1: by somebody; 0: it is only there for what is still to be sent */
	uint64_t received;      /* bytes; of TCP one more for the client's end of input */
	uint64_t silent;        /* usec since something was last sent or received */
	struct tcp_bytes bytes; /* so far; zero of one over several paths */
};

/*
 * -EPROTONOSUPPORT: this is no TCP connection, or one over several paths and the kernel
 * tells too little about those (before Linux 6.10); another negative errno: not to be
 * had.  Takes no lock of a socket that is TCP.
 */
int tcp_diag_learn(int fd, struct tcp_handle *ret);

/* A descriptor to ask with, close-on-exec, or a negative errno. */
int tcp_diag_open(void);

/*
 * Ask after one.  -ENOENT: it is gone, or the kernel tells about none, see
 * tcp_diag_probe(); another negative errno: it cannot be told, -EAGAIN now.  Needs no
 * memory.
 */
int tcp_diag_ask(int diag_fd, const struct addr *local, const struct addr *peer,
	const struct tcp_handle *handle, struct tcp_facts *ret);

/*
 * Whether this kernel tells about connections: asks after a socket of our own.  0, also
 * if that cannot be found out for want of a loopback address, or a negative errno,
 * -EPROTONOSUPPORT: it has no tcp_diag.  The first to ask may wait for a module of the kernel
 * to be loaded, and so may every other one where there is none: this is to be asked by somebody
 * who can wait.
 */
int tcp_diag_probe(void);

#endif
