/*
 * handed-over: sockets that the service manager has opened itself, and hands over when it
 * starts us (sd_listen_fds(3)).
 *
 * A listener takes the one that its address asks for: by its name (fd:NAME), or because it is
 * the socket of that address, where nobody else could open one.  None can be had again, so
 * whoever is closed gives his back, and what nobody has asked for yet stays open.
 *
 * What each is bound to is found out when it comes: later programs may have had it, and to ask
 * takes its lock (os/reuse).
 *
 * There are never more of them than we were started with.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_HANDED_OVER_H
#define HATCHD_MASTER_HANDED_OVER_H

#include "base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum handed_kind {
	HANDED_SOCKET,     /* one of ours, be it fit to be served or not */
	HANDED_CONNECTION, /* a client, whom somebody else has taken in */
	HANDED_OTHER,      /* a FIFO, a file, or a socket of a family that we do not have */
	HANDED_TWICE,      /* the same socket as one before it: two listeners would share it */
};

/* It stays where it is until the end. */
struct handed_socket {
	char *name; /* owned */
	int fd;     /* owned; -EBADF: a listener has it, or it is closed */
	enum handed_kind kind;
	dev_t dev; /* which socket it is, if it was asked; 0: unknown */
	ino_t ino;
	struct addr addr;  /* of HANDED_SOCKET */
	struct addr asked; /* as the listener is configured that has it, or had it last; zeroed:
	                      none has */
	bool lent;         /* programs have had it, and may have kept it */
	bool told;         /* the log knows that no service asks for it */
};

struct handed_over {
	struct handed_socket **sockets; /* owned */
	size_t n;
};

/*
 * One more: 0, and the descriptor is ours; or -ENOMEM.  `addr` is what it is bound to, where
 * that is known; NULL, or an address without a length: it is asked.
 */
int handed_over_add(
	struct handed_over *handed_over, const char *name, int fd, const struct addr *addr);

/* The last one that was added. */
struct handed_socket *handed_over_last(const struct handed_over *handed_over);

/* Is it what that address asks for? */
bool handed_over_is_for(const struct handed_socket *socket, const struct addr *asked);

/*
 * The one that a listener of just that address has had and given back; NULL: there is none.
 * Several may be for it, by one name or by SO_REUSEPORT, and those who wait in the queue of one
 * are served by nobody who comes back with another (I3).
 */
struct handed_socket *handed_over_find_again(
	const struct handed_over *handed_over, const struct addr *asked);

/* The next one that is, and that no listener has; NULL: there is none.  *at is where to look, 0
 * for the first, and moves on. */
struct handed_socket *handed_over_find(
	const struct handed_over *handed_over, const struct addr *asked, size_t *at);

/* Has a listener one that is what that address asks for? */
bool handed_over_is_taken(const struct handed_over *handed_over, const struct addr *asked);

/* Forget those that were taken for good, by somebody who will not give them back; before any
 * listener has one. */
void handed_over_forget_taken(struct handed_over *handed_over);

/* The descriptors are left to the end of the process. */
void handed_over_done(struct handed_over *handed_over);

#endif
