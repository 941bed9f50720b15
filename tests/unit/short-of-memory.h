/*
 * short-of-memory: calloc() and reallocarray() that fail when a test says so.  It links with
 * -Wl,--wrap=calloc -Wl,--wrap=reallocarray, see Makefile.am.
 */
#ifndef HATCHD_TESTS_SHORT_OF_MEMORY_H
#define HATCHD_TESTS_SHORT_OF_MEMORY_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

/* So many succeed, and then none does, with ENOMEM; negative: as many as there are. */
static int allocations_left = -1;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);

static inline bool may_allocate(void)
{
	if (allocations_left > 0)
		allocations_left--;
	else if (allocations_left == 0)
		errno = ENOMEM;
	return allocations_left != 0;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return may_allocate() ? __real_calloc(n, size) : NULL;
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
	return may_allocate() ? __real_reallocarray(old, n, size) : NULL;
}

#endif
