/*
 * spawn_clone: the clone itself, in both ways the kernel offers.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_SPAWN_CLONE_H
#define HATCHD_OS_SPAWN_CLONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct spawn_clone {
	bool shared;      /* CLONE_VM */
	bool share_table; /* CLONE_FILES */
	bool use_clone3;  /* else glibc's clone(), for filters that hide clone3 */
	void *stack;      /* lowest address */
	size_t stack_size;
	uint32_t *tid; /* set before the clone, cleared by the kernel when the memory is left */
	void (*run)(void *arg);
	void *arg;
};

/*
 * Clone; the child calls run(arg) on its own stack and must not return.
 * Returns the pid and sets *ret_pidfd, or a negative errno.  On failure the
 * word at `tid` is zero again.
 */
pid_t spawn_clone(const struct spawn_clone *how, int *ret_pidfd);

/* May clone3 be called here?  Container and service managers often hide it. */
bool spawn_clone3_works(void);

#endif
