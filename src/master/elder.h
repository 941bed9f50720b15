/*
 * elder: workers that an image of hatchd before this one has started.
 *
 * After an upgrade (master/upgrade) new clients go to workers that the new image starts, of the
 * program that lies there now.  Those that the image before it had go on with the clients they
 * have, who are spoken of as ever: they count, are shown, can be ended, and get their record.
 * When it has nobody any more an elder's channel is closed, and it ends.
 *
 * That is for workers that have connections.  Of the others hatchd-lookup's questions are asked
 * anew, and hatchd-udp has sockets that the new image has to read from: those are left, and end
 * by themselves.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_ELDER_H
#define HATCHD_MASTER_ELDER_H

#include "os/channel.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct child;
struct master;
struct worker;

/* One that was found; whoever takes a descriptor puts -EBADF in its place. */
struct elder {
	const char *name; /* of its kind */
	pid_t pid;
	int pidfd;
	uint64_t born;       /* usec, monotonic */
	uint64_t connection; /* its number */
	struct channel channel;
	int unread, theirs; /* as a worker has them */
	uint32_t places;
	bool pinged; /* it was asked whether it goes on, and has not answered */
};

/* Is that worker to become one, when there is another image? */
bool elder_is_wanted(const struct worker *worker);

/* Note that one, which has taken nobody's place yet.  NULL: there is no room or memory for it,
 * or no such kind any more, and what it has is not looked after. */
struct worker *elder_add(struct master *master, struct elder *from, uint64_t now);

/* That connection is there; the child is no one's session before.  False: it cannot be, or
 * somebody else is at that place. */
bool elder_add_session(struct worker *worker, struct child *child, uint32_t place);

/* All that they have is at its place: hear them. */
void elders_begin(struct master *master, uint64_t now);

#endif
