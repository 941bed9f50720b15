/*
 * bytes_wire: what the master and hatchd-bytes say to each other.
 *
 * One message is one packet of a SOCK_SEQPACKET socket of its own, always of the same
 * length.  The master holds the program open from its start, so both are of one version
 * also while a package is upgraded.
 *
 * The master speaks of a connection while it holds a descriptor of it, so that the order
 * is there before the news that the kernel has of its end.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_BYTES_WIRE_H
#define HATCHD_OS_BYTES_WIRE_H

#include "base/clock.h"
#include "base/tcp-end.h"

#include <stdint.h>

/* Connections that may be waited for; of others nothing is said. */
#define BYTES_WATCHED_MAX (1U << 20)

enum bytes_order_kind {
	BYTES_WATCH = 1, /* say so when that one is over */
	BYTES_FORGET,    /* nobody wants to know it any more */
};

struct bytes_order {
	uint64_t kind;   /* enum bytes_order_kind */
	uint64_t cookie; /* what the kernel knows it by */
	uint64_t ticket; /* for the master to know it again */
};

enum bytes_news_kind {
	BYTES_READY = 1, /* first of all; `result` says whether the kernel will tell */
	BYTES_ENDED,     /* that one is over, and is forgotten here */
	BYTES_LOST,      /* the kernel had no room for some of what it wanted to tell */
};

/* BYTES_LOST is said once in so long, in usec: the kernel can lose some at any time. */
#define BYTES_LOST_PAUSE USEC_PER_SEC

struct bytes_news {
	uint32_t kind; /* enum bytes_news_kind */
	int32_t result;
	uint64_t ticket;
	struct tcp_bytes bytes;
};

#endif
