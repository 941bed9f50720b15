/*
 * notify: tell the service manager how we are, without waiting for it.
 *
 * The protocol of sd_notify(3): assignments in one datagram to the socket named
 * by NOTIFY_SOCKET.  libsystemd's own sd_notify() sleeps while the manager's
 * queue is full, which a hanging manager, or a storm of reloads, can bring about
 * (I2).  Here what cannot be sent now waits in a short queue.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_NOTIFY_H
#define HATCHD_OS_NOTIFY_H

#include "base/own.h"

#include <stdbool.h>

struct notify;

/*
 * A sender to the manager's socket, "/path" or "@abstract"; with NULL nobody
 * listens and nothing is sent.  -EINVAL: a name of another kind, -ENOMEM.
 */
int notify_new(const char *name, struct notify **ret);
struct notify *notify_free(struct notify *notify);

/* Send, or queue behind what waits already; a queue of 4 is full and loses its oldest.
 * A message has at most 255 bytes, the rest is cut off. */
void notify_send(struct notify *notify, const char *format, ...) _printf_(2, 3);

/*
 * Send that now, with a copy of `fd` unless that is negative, or not at all: what carries a
 * descriptor never waits here, so that none is held for it.  False: something waits already,
 * the manager's queue is full, or nobody is there (notify_error()).
 */
bool notify_pass(struct notify *notify, const char *message, int fd);

/* Why the last message was lost: a negative errno such as -ECONNREFUSED if the manager is gone,
 * -ENOTCONN if there never was one.  0: it was not. */
int notify_error(const struct notify *notify);

/* Try again what waits.  True if something still does. */
bool notify_flush(struct notify *notify);

/* Whether something waits. */
bool notify_pending(const struct notify *notify);

#endif
