/*
 * unread: connections that a worker had not taken when it died.
 *
 * They were sent to it, but it has never seen them, so they need not share its end: the
 * master, who keeps the worker's end of the channel open, takes them back, and sends them
 * to the next worker.  Only what the master has sent itself can be there.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_UNREAD_H
#define HATCHD_MASTER_UNREAD_H

#include "master/worker.h"

/* Who has been sent to so many workers, each of which died before it took him, is lost: there
 * may be something wrong with all of them. */
#define WORKERS_TRIED_MAX 3

/* More than the kernel lets wait in a channel of the usual size; what is beyond is lost. */
#define UNREAD_MAX 1024

struct unread;

/*
 * Take them out of the channel of a worker that has ended: they are in no place of its
 * table any more, though those are not free.  NULL: there are none, or there is no memory.
 */
struct unread *unread_take(struct worker *worker, uint64_t now);

/* To the worker, which has been started anew; those that it does not take are lost.  Frees
 * them. */
void unread_send(struct unread *unread, struct worker *worker, uint64_t now);

/* There will be no other worker.  Frees them. */
void unread_lose(struct unread *unread, struct worker *worker, uint64_t now);

/* At the end of all: only their descriptors are let go.  NULL is fine. */
void unread_free(struct unread *unread, struct master *master, uint64_t now);

#endif
