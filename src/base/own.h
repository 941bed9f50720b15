/*
 * own: ownership of memory and descriptors, said in the type of a local.
 *
 * A local marked `_cleanup_free_` or `_cleanup_close_` is released when its
 * scope ends; `take_ptr()` and `take_fd()` give it away at the one place
 * where ownership leaves.  So an early return can never leak and a late one
 * can never release twice.
 *
 * Layer: base.  Includes nothing of ours.
 */
#ifndef HATCHD_BASE_OWN_H
#define HATCHD_BASE_OWN_H

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f)    __attribute__((cleanup(f)))
#define _cleanup_free_  _cleanup_(own_free)
#define _cleanup_close_ _cleanup_(own_close)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Format and argument numbers as for printf. */
#define _printf_(f, a) __attribute__((format(printf, f, a)))

static inline void own_free(void *p)
{
	free(*(void **)p);
}

/* Negative numbers are "no descriptor"; errno survives. */
static inline void own_close(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

/* Hand the descriptor to the caller; the local no longer owns one. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -EBADF;
	return taken;
}

/* Hand the pointer to the caller; the local no longer owns it. */
#define take_ptr(p)                         \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})

#endif
