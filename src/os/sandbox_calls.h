/*
 * sandbox_calls: the part of the sandbox that seccomp is: the list of the system calls
 * that a worker may make.
 *
 * The only includer of <seccomp.h>.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_SANDBOX_CALLS_H
#define HATCHD_OS_SANDBOX_CALLS_H

#include <stdbool.h>

/* To be called before any other wall stands.  0: there is seccomp, and this process has no
 * filter of ours; -EALREADY: it has one; -EOPNOTSUPP: there is no seccomp. */
int sandbox_calls_prepare(void);

/* Only the calls of the core and of these groups from now on, of the processor's own kind;
 * `leaves_sockets` as in struct sandbox.  no_new_privs must be set.  Negative errno on
 * failure. */
int sandbox_calls_filter(unsigned groups, bool leaves_sockets);

#endif
