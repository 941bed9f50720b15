/*
 * kept: sockets that a former life of hatchd has left, until their services take them.
 *
 * They come from the service manager (master/store), or from whoever else hands them on,
 * each under a name (master/kept-name).  A service that opens an address looks here first.
 * What no service wants is closed before any address is opened, because it may be in the way
 * of one; and what is left when all are open is closed then, so that nobody waits in the queue
 * of a socket from which nobody takes him.
 *
 * At most KEPT_MAX of them, which are as many as a process can have (fs.nr_open): what comes
 * beyond that is not kept, and closed.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_KEPT_H
#define HATCHD_MASTER_KEPT_H

#include "conf/image.h"
#include "conf/textmap.h"
#include "master/kept-name.h"

struct master;
struct stored;

#define KEPT_MAX (1 << 20)

struct kept_socket {
	int fd; /* owned */
	struct kept_name name;
	struct stored *stored; /* as the service manager knows it, owned; NULL: it does not */
	struct addr *known;    /* its address, owned, so that nobody has to ask it, which may
	                          wait for a program; NULL: it has to be asked */
};

struct kept {
	struct kept_socket **sockets; /* owned; a place is NULL when its socket was taken */
	size_t n, room;
	struct textmap by_key; /* of names, to the elements of `sockets` */
	size_t n_used;         /* that services have gone on with */
	bool shared; /* another hatchd still serves on them: what is dropped is only closed */
	bool own;    /* they were ours all along, of the image before an upgrade */
};

/*
 * A socket that was left under that name: 0, and it is ours.  -EEXIST: one with such a name is
 * there; -EINVAL: that is no such name; -ENOSPC: there are too many; -ENOMEM.  Then it stays
 * the caller's, and `stored` as well (NULL: the service manager does not have it).
 */
int kept_add(struct kept *kept, const char *name, int fd, struct stored *stored);

/* What an error of kept_add() means, in words. */
const char *kept_strerror(int error);

/* The address of the one that was added last, for which it need not be asked if programs have
 * had it.  0 or -ENOMEM. */
int kept_know(struct kept *kept, const struct addr *addr);

/*
 * Take the socket that a service wishes for.  True with *ret the caller's; it may still turn
 * out to be anything (os/reuse).  Who goes on with it counts it in n_used.
 */
bool kept_take(struct kept *kept, const struct kept_wish *wish, struct kept_socket *ret);

/* Take it out of the store and close it, so that nobody finds anything there any more.  What
 * a program may have its hands on is closed by somebody who may wait. */
void kept_drop(struct master *master, struct kept_socket *socket);

/* Move them out of the part of the table that children copy.  0 or a negative errno. */
int kept_move_up(struct kept *kept, int floor);

/* Drop what that configuration has no use for, before it is put in force. */
void kept_sweep(struct master *master, const struct image *image);

/* It is in force: drop what was not taken all the same, and log how many are gone on with,
 * unless they were ours all along. */
void kept_close_rest(struct master *master);

/* At the end; what the service manager has, it keeps. */
void kept_done(struct kept *kept);

#endif
