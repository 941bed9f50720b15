/*
 * parent: the directory that a path lies in, held open.
 *
 * For what root makes or removes at a path whose directories may belong to
 * others.  The way is walked one name after the other, each looked at before it
 * is entered, so that nobody who swaps one of them meanwhile leads elsewhere.  A
 * symbolic link on the way is followed if it is root's or our own: /var/run is
 * one.  That of another user is refused.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_PARENT_H
#define HATCHD_OS_PARENT_H

#include <sys/types.h>

/*
 * Open the directory of an absolute path (O_PATH, close-on-exec, owned by the
 * caller).  *ret_name points at the last name in `path`.  Directories that are
 * not there are made with exactly that mode, whatever the umask, if it is not 0;
 * they stay, also on failure.
 *
 * Negative errno as they come, beside -EINVAL: `path` is not absolute or has no
 * last name; -ELOOP: another user's link, or too many.
 */
int parent_open(const char *path, mode_t mode, const char **ret_name);

#endif
