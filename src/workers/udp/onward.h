/*
 * onward: the way from a socket of datagrams to somebody else's, for one sender after the
 * other.
 *
 * Each sender has a socket of his own, connected to one of the targets: the kernel lets in
 * what that one sends and nothing else, and tells when there is nobody (ECONNREFUSED).  Which
 * one it is, and which is skipped for a while, is for workers/relay/target to say.
 *
 * What is passed on has one hop less to go than it had, as with a router: if it comes back
 * here, by mistakes in several configurations, it ends some time.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_UDP_ONWARD_H
#define HATCHD_WORKERS_UDP_ONWARD_H

#include "workers/endpoint.h"
#include "workers/relay/target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct onward;

/* `targets` is borrowed, what is in `redirect` copied.  0 or -ENOMEM. */
int onward_new(struct targets *targets, const struct redirect *redirect, struct onward **ret);
struct onward *onward_free(struct onward *onward);

/* Is that one of the targets?  Whoever forges it would have a target answer itself. */
bool onward_is_target(const struct onward *onward, const struct endpoint *endpoint);

/* One sender's; all zero at first, but fd. */
struct onward_way {
	int fd;             /* owned by the caller; -EBADF: none */
	struct addr target; /* that it is connected to */
	bool heard;         /* that one has answered */
};

/* A way to a target.  0, -EHOSTUNREACH: there is none to be had, or another negative errno:
 * we lack something. */
int onward_open(struct onward *onward, struct onward_way *ret, uint64_t now);

/* One datagram, which had `hops` to go.  0; -EAGAIN, -ENOBUFS: it is lost; -EMSGSIZE: it is
 * too long for that way; another negative errno: the way is at its end. */
int onward_send(const struct onward_way *way, const void *bytes, size_t len, int hops);

/* One of the target's: how many bytes, 0 as well.  -EAGAIN: there is none now; -EMSGSIZE: one
 * was too long, there or here; another negative errno: the way is at its end. */
ssize_t onward_receive(struct onward *onward, struct onward_way *way, void *bytes, size_t size);

/* It was at its end for that: later senders go elsewhere, for a while. */
void onward_failed(
	struct onward *onward, const struct onward_way *way, int error, uint64_t now);

#endif
