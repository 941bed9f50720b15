/*
 * dial: from a written address to a connected socket.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_CONNECT_DIAL_H
#define HATCHD_HATCHCTL_CONNECT_DIAL_H

#include "base/addr.h"
#include "base/own.h"

#include <stddef.h>

/* The places that one written address stands for, in the order to try them. */
struct dial_list {
	struct addr *addrs; /* owned */
	size_t n_addrs;
};

/*
 * Look up what has to be: names of hosts and services; an address without a
 * host is this machine, over IPv6 and then IPv4, or over vsock.  May wait for a name server.
 * 0, or a negative errno with *reterr_why pointing at the resolver's constant
 * phrase.
 */
int dial_look_up(const struct addr_spec *spec, struct dial_list *ret, const char **reterr_why);
void dial_list_done(struct dial_list *list);

/*
 * A new socket for that address, not yet connected.  A datagram socket for
 * UNIX addresses gets a name of its own, so that it can be answered.  An address
 * of mptcp becomes one of tcp where the kernel has no MPTCP.  0 with
 * *ret_fd, close-on-exec and blocking, owned by the caller; or a negative
 * errno.
 */
int dial_socket(struct addr *addr, int *ret_fd);

/* Connect, waiting for as long as the kernel does.  0 or a negative errno. */
int dial_connect(int fd, const struct addr *addr);

#define _cleanup_dial_list_ _cleanup_(dial_list_done)

#endif
