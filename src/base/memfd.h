/*
 * memfd: files in memory that nobody can change any more, by which one process gives another
 * something to read.
 *
 * Whoever writes one seals it when it is whole; whoever is given one looks at the seals before
 * he maps it: without them it could shrink under him, or say something else the next moment.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_MEMFD_H
#define HATCHD_BASE_MEMFD_H

#include <stddef.h>
#include <stdint.h>

/* An empty one of that name that can be sealed, close-on-exec.  The caller's; negative errno on
 * failure. */
int memfd_new(const char *name);

/* It is whole: from now on it neither changes nor grows nor shrinks.  0 or a negative errno,
 * -EBUSY where it is mapped for writing. */
int memfd_seal(int memfd);

/* Can it neither change nor shrink any more?  0, and its size in *ret_size, of at most `max`
 * bytes; -EINVAL: no such file, -EPERM: it has not all of the seals, -EFBIG: there is more. */
int memfd_check(int memfd, uint64_t max, size_t *ret_size);

#endif
