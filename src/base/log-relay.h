/*
 * log-relay: a process that writes to standard error in our place.
 *
 * A write to a pipe or a file takes a lock of its inode, and a process that
 * shares the pipe or file can hold that lock for as long as it likes, whatever
 * O_NONBLOCK says.  Where children of other users share our standard error,
 * our lines go through a pipe of our own to this process, which may wait.  What
 * it cannot write, on a full disk, it drops, and tells how many lines as soon as
 * it can.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_LOG_RELAY_H
#define HATCHD_BASE_LOG_RELAY_H

#include <sys/types.h>

/*
 * Start it; `prefix`, or NULL, starts its own lines.  Returns the descriptor to write to,
 * non-blocking and close-on-exec, and its pid; a negative errno on failure.  It ends when that
 * descriptor, and every copy of it, is closed.
 */
int log_relay_start(const char *prefix, pid_t *ret_pid);

/* After the descriptor is closed: wait for what is on its way to be written,
 * but not for ever.  Reaps the process if it has ended. */
void log_relay_wait(pid_t pid);

#endif
