/*
 * backlog: how many clients wait in the queues of listening sockets, and how many may.
 *
 * Everybody may ask the kernel (sock_diag(7)) after all sockets of his network namespace that
 * listen, so hatchd need not: sockets are found by their addresses.  TCP, of one path or
 * several, and UNIX streams; of others the kernel does not tell.  Where another program shares
 * the address of a socket (SO_REUSEPORT), one of the two is found.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_METRICS_BACKLOG_H
#define HATCHD_HATCHCTL_METRICS_BACKLOG_H

#include "base/addr.h"
#include "base/own.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backlog_entry;

struct backlogs {
	struct backlog_entry *entries; /* owned; in an order */
	size_t n, room;
};

/* Ask for all; what cannot be had is not there.  0 or -ENOMEM. */
int backlogs_get(struct backlogs *ret);
void backlogs_done(struct backlogs *backlogs);

#define _cleanup_backlogs_ _cleanup_(backlogs_done)

struct backlog {
	uint32_t waiting, limit;
};

/* Of the socket that listens there; false: there is none, or it is not known. */
bool backlogs_find(
	const struct backlogs *backlogs, const struct addr *addr, struct backlog *ret);

#endif
