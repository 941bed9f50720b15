/*
 * rights: descriptors that go with what is sent through a UNIX socket (SCM_RIGHTS).
 *
 * Only how they are put into a message and taken out of it; who sends, and what else a message
 * says, is elsewhere.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_RIGHTS_H
#define HATCHD_OS_RIGHTS_H

#include <stddef.h>
#include <sys/socket.h>

/* With one message; the kernel takes 253. */
#define RIGHTS_MAX 64

/* Where they are on their way into a message, or out of it: to be there for as long as that. */
union rights_room {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(RIGHTS_MAX * sizeof(int))];
};

/* Copies of these go with the message, which is to be sent; up to RIGHTS_MAX, and 0 is none. */
void rights_put(struct msghdr *message, union rights_room *room, const int *fds, size_t n);

/* The message, which is to be received, has room for exactly so many, up to RIGHTS_MAX.  What
 * comes beyond that is closed by the kernel, which says MSG_CTRUNC. */
void rights_expect(struct msghdr *message, union rights_room *room, size_t max);

/* Those that came with it, as many as were expected at most: the caller's, in *ret_fds, which
 * has room for them.  How many. */
size_t rights_take(struct msghdr *message, int *ret_fds);

#endif
