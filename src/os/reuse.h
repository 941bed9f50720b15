/*
 * reuse: go on with a socket that is open already, instead of opening one.
 *
 * What somebody has kept for us is said to be the socket of an address, and may be
 * anything.  It is looked at until nothing is left in which it could differ from what
 * listen_open() makes; what it is to be told then is that module's affair (listen_adjust()).
 *
 * These questions wait for nobody, but for those after an address (getsockname(2) and
 * getpeername(2) take the lock of a socket).  They are for a start, when nobody is served yet.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_REUSE_H
#define HATCHD_OS_REUSE_H

#include "os/listen.h"

/*
 * 0 with what listen_open() would have returned for that service and address, the descriptor
 * among it, which stays the caller's.  Port 0 is any port; what that function may fall back to
 * will do.  -EINVAL: a socket of another kind; -EADDRNOTAVAIL: it is bound to another address;
 * -ENODEV: to another interface, or to one that is gone, be there one of its name again or not;
 * -EXDEV: it is of another network name space, as far as this kernel says (Linux 5.14, or
 * CAP_NET_ADMIN); -ENOTCONN: it does not listen; -ESTALE: the path leads to it no longer; other
 * negative errno as they come, -ENOTSOCK for what is no socket.
 */
int reuse_socket(int fd, const struct service_conf *service, const struct addr *asked,
	struct listen_result *ret);

/*
 * The same of a socket whose own address is known to be that one.  To ask it for that takes its
 * lock, which a program that shares it can hold for as long as it likes.
 */
int reuse_known_socket(int fd, const struct service_conf *service, const struct addr *asked,
	const struct addr *own, struct listen_result *ret);

/*
 * Would a socket of the address that is asked for be in the way of one that is bound to `own`,
 * so that the two mean the same place?  The kinds of UNIX sockets share their names, MPTCP and
 * TCP their ports, and the IPv4 wildcard is a part of what `tcp:80` asks for.  Port 0 is no
 * place.  No system call.
 */
bool reuse_is_place(const struct addr *asked, const struct addr *own);

/*
 * Can the service go on with a socket of that place which somebody else has opened, and goes on
 * to own?  In which network that is, and what leads there, is his affair.  0; -EPROTOTYPE: it
 * is of another kind; -EADDRNOTAVAIL: it is for other versions of IP; -ENODEV: it is bound to
 * an interface that was not asked for, or not to the one that was.  Takes no lock of it.
 */
int reuse_handed_over(int fd, const struct service_conf *service, const struct addr *asked,
	const struct addr *own);

/*
 * Whether a socket for datagrams hears everybody: 0, or -EISCONN: a program that had it has
 * made it hear one peer alone, which it may still be in the middle of.  Takes its lock.
 */
int reuse_check_peer(int fd, const struct addr *addr);

/* The same in words, for "unable to go on with ...: <words>". */
const char *reuse_explain(int error);

#endif
