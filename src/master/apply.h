/*
 * apply: put a configuration in force, in the place of the one that is.
 *
 * In two halves.  The first reads what is new or different, and makes all that is
 * needed for it; it may fail, and then nothing has changed, and no socket was opened,
 * taken or closed.  The second opens what is new and switches, and cannot fail: sockets
 * go to whoever has them now and keep their descriptors (I3), what is no longer wanted
 * is closed, children live on with what they were started with.  An address that cannot
 * be had concerns its service alone, which waits for it.
 *
 * The loader has found out what becomes of each service and socket; its word is
 * checked, since it comes from another process.  Of a service that stays as it is
 * nothing is even read.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_APPLY_H
#define HATCHD_MASTER_APPLY_H

#include "conf/image.h"

struct apply;
struct master;

/* What a switch has done, in numbers. */
struct applied {
	size_t added, changed, removed, unchanged; /* services */
	bool whole; /* something is different that is for no service alone */
};

/*
 * Put `image` in force, which master->image is afterwards.  On failure it stays the
 * caller's: -EBADMSG if it is damaged or says what cannot be, -ENOMEM.
 */
int apply(struct master *master, struct image *image, struct applied *ret);

/*
 * The same in its halves, for whoever has something to do where there is no way back.  What was
 * prepared has to be finished, and nothing else may be put in force before that.
 */
int apply_prepare(struct master *master, struct image *image, struct apply **ret);
void apply_finish(struct apply *apply, struct applied *ret);

#endif
