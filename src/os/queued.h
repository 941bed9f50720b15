/*
 * queued: how long a client has waited in the kernel's queue before he was accepted.
 *
 * Of TCP the kernel notes when it last sent data on a connection, and of one on which nothing
 * was sent yet when it came about: at the end of the handshake, or with the first data where
 * the listener waits for these (TCP_DEFER_ACCEPT).  It counts in its own ticks, of one to ten
 * milliseconds.  To ask costs half a microsecond and looks at no byte (I1).
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_QUEUED_H
#define HATCHD_OS_QUEUED_H

#include <stdint.h>

#define QUEUED_UNKNOWN UINT64_MAX

/* usec, of a connection that was just accepted, and that nobody shares yet; QUEUED_UNKNOWN: it
 * is no TCP. */
uint64_t queued_for(int fd);

#endif
