/*
 * arrival: what lies at the head of a wait service's socket.
 *
 * A child that got the socket and ends without taking what woke it would be
 * started again at once, for ever.  A datagram at the head is known by its
 * sender, its length and the time it came in, looked at with a buffer of no
 * bytes (I1).  One that several children have left, each of which ran, is dropped in
 * the same way, so that those behind it are served.  Of streams and UNIX sockets
 * nothing is known but that somebody waits: there one arrival cannot be told from the
 * next, and nothing is ever dropped; nor of the datagrams that came in before the
 * socket was ours, or in its first milliseconds: the kernel gave those no time.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_ARRIVAL_H
#define HATCHD_MASTER_ARRIVAL_H

#include "base/addr.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>

struct listener;
struct service;

struct arrival {
	bool known;
	bool stamped; /* `stamp` tells it from every other */
	struct timespec stamp;
	ssize_t length;
	struct sockaddr_storage sender;
	socklen_t sender_len;
	unsigned refused; /* children that ran and left it */
};

/* So many of them, and the datagram is dropped. */
#define ARRIVAL_REFUSED_MAX 3

/* To be called once for each listener of a wait service, before the first client. */
void arrival_prepare(struct listener *listener);

/* Remember the head of the listener's socket, right before a child gets it. */
void arrival_note(struct listener *listener);

/* Is what woke the child still there?  For streams: is anybody waiting? */
bool arrival_untouched(const struct listener *listener);

/*
 * A child that ran has left what arrival_untouched() has just seen.  True: it was the
 * last that could, the datagram is gone and *ret is who sent it.
 */
bool arrival_refused(struct listener *listener, struct addr *ret);

/* Can it be seen who sent what lies at the head?  Of UDP only. */
bool arrival_has_sender(const struct listener *listener);

/* Who it was.  False: nothing lies there after all. */
bool arrival_sender(const struct listener *listener, struct addr *ret);

/* Take it out of the queue unseen. */
void arrival_drop(const struct listener *listener);

/* Take errors that a program has left in the socket, so that they do not wake us for ever.
 * False: there were none. */
bool arrival_clear(const struct listener *listener);

/* Can one arrival be told from the next for certain? */
bool arrival_is_exact(const struct listener *listener);

#endif
