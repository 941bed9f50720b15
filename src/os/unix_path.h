/*
 * unix_path: where a UNIX socket shows in the file system.
 *
 * A stale socket, one that nobody listens on, is replaced.  A live one, a
 * symbolic link and any other file are refused and left alone.  Symbolic links
 * elsewhere may lead to the socket, and are treated with the same care.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_UNIX_PATH_H
#define HATCHD_OS_UNIX_PATH_H

#include "base/addr.h"

#include <sys/types.h>

/*
 * Make way for a bind: 0 if the path is free now; -EADDRINUSE, -EEXIST or
 * -ELOOP as listen_open() says; other negative errno as they come.
 */
int unix_path_clear(const struct addr *addr);

/*
 * Bind `fd` there so that the socket appears with `mode` at most, then give
 * it to the owner and the exact mode.  (uid_t)-1 and (gid_t)-1 leave the owner
 * as it is.  On failure after the bind the path is removed again.
 */
int unix_path_bind(int fd, const struct addr *addr, uid_t uid, gid_t gid, mode_t mode,
	dev_t *ret_dev, ino_t *ret_ino);

/*
 * The inode of a socket that is bound to that path.  -ESTALE: the path leads to it no longer,
 * but to another one or nowhere; other negative errno as of socket_file_is(): nobody knows.
 */
int unix_path_find(int fd, const struct addr *addr, dev_t *ret_dev, ino_t *ret_ino);

/*
 * Give the socket that was bound with that inode another owner and mode; those
 * of (uid_t)-1 and (gid_t)-1 are ours.  Nobody has more rights meanwhile than
 * before or afterwards.  -ESTALE: another file has taken the path.
 */
int unix_path_adjust(
	const struct addr *addr, uid_t uid, gid_t gid, mode_t mode, dev_t dev, ino_t ino);

/* Make the directories of the path that are not there, with exactly that mode.
 * Negative errno as of parent_open(). */
int unix_path_make_parents(const struct addr *addr, mode_t mode);

/*
 * Whether unix_path_link() would find its place free or the link made, as far as
 * can be seen beforehand: 0, or what it would return.  Nothing is made.
 */
int unix_path_check_link(const struct addr *addr, const char *link, mode_t mode);

/*
 * Make a symbolic link to the path, and the directories of the link that are not
 * there if `mode` is not 0.  One that says the same already will do.  -EBUSY:
 * something else is in its place, and is left alone; other negative errno as they
 * come.
 */
int unix_path_link(const struct addr *addr, const char *link, mode_t mode);

/* Remove the link if it is one of ours and still leads to the path. */
void unix_path_unlink(const struct addr *addr, const char *link);

/* Unlink if the path is still the socket with that inode. */
void unix_path_remove(const struct addr *addr, dev_t dev, ino_t ino);

#endif
