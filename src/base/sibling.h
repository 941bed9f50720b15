/*
 * sibling: where the other programs of this hatchd lie.
 *
 * In a build directory they are beside us, installed they are where configure was told.
 * Whoever may write beside our own binary could replace that as well.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_SIBLING_H
#define HATCHD_BASE_SIBLING_H

#include <limits.h>

/*
 * Where that program is, which is installed in the folder `installed`.  0; or a negative errno
 * and the path by which it would be installed: -ENOENT, it is not there, -EACCES, we may not
 * execute it, -ENAMETOOLONG, and others as of access(2).
 */
int sibling_find(const char *name, const char *installed, char path[PATH_MAX]);

#endif
