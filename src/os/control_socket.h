/*
 * control_socket: the UNIX socket at which operators ask, and who may.
 *
 * Root and the user that we are may ask for everything, and the members of one group for what
 * changes nothing.  The mode of the socket
 * says so, and whoever has connected is looked at once more, since a mode is soon
 * changed.  The folder is made if it is not there; in one where others may write,
 * anybody could put another socket in the place of ours.
 *
 * A stale socket is replaced, one that somebody answers at never is.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_CONTROL_SOCKET_H
#define HATCHD_OS_CONTROL_SOCKET_H

#include "base/addr.h"

#include <stdbool.h>
#include <sys/types.h>

struct control_socket {
	int fd;           /* listens; owned; -EBADF: there is none */
	struct addr addr; /* its path */
	dev_t dev;        /* its inode, to be removed only while it is ours */
	ino_t ino;
	gid_t gid;     /* whose members may ask; (gid_t)-1: nobody's */
	bool replaced; /* one was there at which nobody answered */
};

enum control_right {
	CONTROL_MAY_NOTHING,
	CONTROL_MAY_LOOK,   /* in the group */
	CONTROL_MAY_CHANGE, /* root, or who we are */
};

#define CONTROL_SOCKET_NONE ((struct control_socket){.fd = -EBADF})

struct control_place {
	const char *path;    /* absolute */
	gid_t gid;           /* as above */
	bool folder_is_ours; /* give it to that group even if it was there */
};

/*
 * Open it: non-blocking and close-on-exec.  On failure *ret is untouched.  Beyond
 * what the system calls say:
 *
 *	-EADDRINUSE  somebody answers there
 *	-EEXIST      something that is no socket is there
 *	-ELOOP       it is a symbolic link, or one of another user is on the way
 *	-EPERM       others than root and we may write in the folder
 */
int control_socket_open(const struct control_place *place, struct control_socket *ret);

/* One that is open, and listens there (master/resume): taken over.  -ENAMETOOLONG; then it
 * stays the caller's. */
int control_socket_resume(
	const char *path, int fd, dev_t dev, ino_t ino, struct control_socket *ret);

/* What such an error means, in words. */
const char *control_socket_strerror(int error);

/* Is the path still ours?  Somebody may have removed it. */
bool control_socket_is_in_place(const struct control_socket *socket);

/* Remove the path if it still is ours, and forget the socket, whose descriptor becomes the
 * caller's: what lies in its queue may take its time to close.  -EBADF: there was none. */
int control_socket_leave(struct control_socket *socket);

/* What whoever is at the other end of this connection may do. */
enum control_right control_socket_right(const struct control_socket *socket, int fd);

#endif
