/*
 * listener: one address of a service, and the socket that waits there.
 *
 * A listener is there from the moment its address is configured; its socket
 * may not be: an address can be taken by somebody else, or its interface be
 * down.  It keeps its descriptor for as long as its address is configured,
 * whatever else changes (I3), and moves with it to another service.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_LISTENER_H
#define HATCHD_MASTER_LISTENER_H

#include "conf/conf.h"
#include "master/arrival.h"

#include <sys/types.h>

struct behind;
struct child;
struct handed_socket;
struct service;
struct stored;

/* What most listeners need not remember. */
struct bound {
	struct addr addr; /* that it is bound to, be it another than is configured */
	struct handed_socket *handed_over; /* whose it is, to be given back; NULL: ours */
	dev_t dev; /* UNIX path: ours to unlink while this is its inode */
	ino_t ino;
	char **links; /* owned: symbolic links to that path, ours too; NULL: none */
	bool stays;   /* the path, and links to it, are not removed */
};

/* There may be ten thousand: without holes. */
struct listener {
	struct service *service;
	uint32_t index;      /* of its address in the service's configuration */
	uint32_t look;       /* the last of master->looks that reported it; 0: none */
	struct bound *bound; /* owned: NULL: as configured, and nothing but the descriptor */
	int fd;              /* owned, a high number; -EBADF: cannot be had now */
	bool is_ip : 1;      /* and not UNIX or vsock, where a close may wait */
	bool is_datagram : 1;
	bool lent : 1;          /* programs have had it, and may have kept it */
	bool polled : 1;        /* in master->listeners_fd */
	bool quiet : 1;         /* within listener_try() */
	bool given : 1;         /* its socket, to another hatchd (master/successor) */
	bool told_just_now : 1; /* `told` is, since waiting_begin() */
	bool told_theirs : 1;   /* `told` is about a socket of the service manager */
	bool claimed : 1;       /* scratch of apply(), false outside */
	char *told_step; /* where it failed as `told` says, "bind"; owned; NULL: unknown */
	int told;        /* negative errno of the failure that the log has told of; 0: none */
	int held;        /* owned: a client that no child could be started for yet, accepted,
	                    a low number; -EBADF: none */
	uint64_t held_number;    /* his connection's */
	uint64_t held_since;     /* when he was accepted: usec, monotonic */
	struct behind *behind;   /* owned: those held behind him, where the socket is closed */
	struct child *child;     /* wait = yes: who has the socket now */
	struct arrival *arrival; /* wait = yes: what woke that child; owned, NULL: unknown */
	struct stored *stored; /* as what the service manager keeps the socket, owned; NULL: it
	                          does not (master/store) */
};

/* A listener without a socket; NULL without memory. */
struct listener *listener_new(struct service *service, uint32_t index);

/* What is configured: its port may be 0, its family still open.  NULL where the
 * configuration cannot be read now. */
const struct addr *listener_asked(const struct listener *listener);

/* Is its socket one that the service manager has handed over? */
bool listener_is_handed_over(const struct listener *listener);

/* What it is bound to, as far as it is; NULL as above. */
const struct addr *listener_addr(const struct listener *listener);

/* The same as text, for messages. */
const char *listener_text(const struct addr *addr, char buf[ADDR_TEXT_MAX]);

/* Close and free; NULL is fine. */
struct listener *listener_free(struct listener *listener);

/*
 * Have a socket, as `conf` says, that is not polled yet: the one that a former life has left
 * (master/kept), or else a new one.  0, also if it has one; else a
 * negative errno.  A failure is logged, unless it is the same as the last time, and so
 * is the success that comes after one.
 */
int listener_open(struct listener *listener, const struct service_conf *conf);

/* The same, without a word when it fails: it will be tried again. */
int listener_try(struct listener *listener, const struct service_conf *conf);

/* Can it stay as it is and be that service's?  What was handed over shows only then what it
 * is; no system call. */
bool listener_suits(const struct listener *listener, const struct service_conf *conf);

/* Remove the links to it that `conf` does not have.  To all listeners before any is
 * adjusted, because a link may go over to another one. */
void listener_drop_links(struct listener *listener, const struct service_conf *conf);

/*
 * Tell its open socket what is different in `conf`.  A failure is logged.  `links` is a
 * copy of its symlinks, and becomes the listener's: there need be no memory for one.
 */
void listener_adjust(struct listener *listener, const struct service_conf *conf, char **links);

/* Why it could not be opened the last time, in words; NULL: it could. */
const char *listener_reason(const struct listener *listener);

/* Log why it could not be opened the last time. */
void listener_tell(const struct listener *listener);

/* Close the socket, or give it back to those that were handed over; the listener may
 * be opened again. */
void listener_close(struct listener *listener);

/* The same of the socket alone: who was accepted from it, and could not be served yet, stays.
 */
void listener_let_nobody_in(struct listener *listener);

/* Look at it or look away.  False: no memory for it now. */
bool listener_poll(struct listener *listener, bool poll);

#endif
