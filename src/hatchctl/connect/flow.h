/*
 * flow: one direction of a stream: bytes that have been read and not been delivered yet.
 *
 * Its buffer is bounded.  A source is read only while there is room, so a slow receiver slows
 * its sender down and nobody else.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_CONNECT_FLOW_H
#define HATCHD_HATCHCTL_CONNECT_FLOW_H

#include "hatchctl/connect/output.h"

#include <stdbool.h>
#include <stddef.h>

#define FLOW_BUFFER (64 * 1024)

struct flow {
	bool ended;   /* its source has said its last byte */
	bool closed;  /* and so has been said to its receiver */
	size_t start; /* the bytes from here ... */
	size_t end;   /* ... to here wait for the receiver */
	char data[FLOW_BUFFER];
};

bool flow_has_bytes(const struct flow *flow);
bool flow_wants_bytes(const struct flow *flow);

/* All bytes are delivered, and that they were all is still to be said. */
bool flow_is_to_close(const struct flow *flow);

/* Where the next bytes go, and how many may; who puts some there adds them to `end`. */
char *flow_room(struct flow *flow, size_t *ret_len);

/* The first `n` of those that wait are delivered. */
void flow_drop(struct flow *flow, size_t n);

/* Nothing more can be delivered: what waits is lost, and nothing is wanted. */
void flow_abandon(struct flow *flow);

/* read(2) into it, or note the end.  0, also where nothing could be read for now; or a
 * negative errno. */
int flow_read(struct flow *flow, int fd);

/* Write some of the bytes, of which there are, after poll(2) has said POLLOUT.  0, also where
 * nothing could be written for now; or a negative errno. */
int flow_write(struct flow *flow, const struct output *output);

#endif
