/*
 * redirect: where connections go that hatchd passes on, in which order that is tried, and
 * what a target is told first; and where datagrams go, of which a target is told nothing.
 *
 * What the loader, the master and the worker that relays have to agree about.  The master
 * hands it to the worker with each connection, or socket of datagrams, as bytes that the
 * worker checks.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_REDIRECT_H
#define HATCHD_BASE_REDIRECT_H

#include "base/addr.h"
#include "base/wire.h"

#include <stddef.h>

/* Most targets of one service. */
#define REDIRECT_TARGETS_MAX 64

/* Most bytes of what redirect_put() writes. */
#define REDIRECT_BYTES_MAX (64 + REDIRECT_TARGETS_MAX * (ADDR_TEXT_MAX + 8))

/* Descriptors that one relayed connection needs at most: the client, the target, and a pipe
 * in each direction. */
#define REDIRECT_FDS 6

enum redirect_order {
	REDIRECT_FIRST,       /* the first one that can be reached */
	REDIRECT_ROUND_ROBIN, /* the one after that of the last connection */
	_REDIRECT_ORDER_MAX,
};

/* Their names, in that order; NULL-terminated. */
extern const char *const redirect_order_names[];

/* The header of the PROXY protocol, by which a target learns who the client is. */
enum redirect_proxy {
	REDIRECT_PROXY_NONE,
	REDIRECT_PROXY_1, /* a line of text */
	REDIRECT_PROXY_2, /* binary */
	_REDIRECT_PROXY_MAX,
};

/* Their names, in that order; NULL-terminated. */
extern const char *const redirect_proxy_names[];

struct redirect {
	uint32_t service; /* whose targets these are: connections of one service take turns */
	enum redirect_order order;
	enum redirect_proxy proxy;
	uint64_t connect_timeout;   /* usec, for each target */
	uint32_t awaited;           /* index of the one that is started on demand, */
	uint64_t await_timeout;     /* and how long it may be absent, usec; 0: none is */
	uint32_t n_targets;         /* 1 to REDIRECT_TARGETS_MAX */
	const struct addr *targets; /* borrowed */
};

/* Whether such an address can be a target: a stream of TCP or UNIX, or UDP; one machine, with
 * one port.  NULL, or what is wrong with it, as a phrase that follows "redirect: ". */
const char *redirect_refuses(const struct addr *addr);

/* Interfaces of link-local addresses are looked up (an ioctl each): a worker cannot. */
void redirect_put(struct wire_writer *wire, const struct redirect *redirect);

/* The targets go into `targets`.  0; -EBADMSG: that is nothing which redirect_put() writes. */
int redirect_get(const void *data, size_t len, struct addr targets[REDIRECT_TARGETS_MAX],
	struct redirect *ret);

#endif
