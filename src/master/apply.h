/*
 * apply: put a configuration in force, in the place of the one that is.
 *
 * In two halves.  The first makes all that is needed and opens what is new; it
 * may fail, and then nothing has changed.  The second switches, and cannot fail:
 * sockets go to whoever has them now and keep their descriptors (I3), what is
 * no longer wanted is closed, children live on with what they were started with.
 * An address that cannot be had concerns its service alone, which waits for it.
 *
 * The loader has found out what becomes of each service and socket; its word is
 * checked, since it comes from another process.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_APPLY_H
#define HATCHD_MASTER_APPLY_H

#include "conf/conf.h"

struct master;

/* What a switch has done, in numbers. */
struct applied {
	size_t added, changed, removed, unchanged; /* services */
};

/*
 * Take over `conf`, which is empty afterwards, also where this fails: -EBADMSG if
 * it says about the one in force what cannot be, -ENOMEM.
 */
int apply(struct master *master, struct conf *conf, struct applied *ret);

#endif
