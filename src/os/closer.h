/*
 * closer: close what may take its time to close.
 *
 * The last close(2) of a socket can sleep: for its peer (SO_LINGER), or for
 * what a client has sent along with it (descriptors in an unread message of a
 * UNIX socket are closed with it, and those may be anything).  And asking the
 * socket for something else can sleep on its lock, which whoever shares the
 * socket may hold.  So the master never does that itself: it hands such
 * descriptors to threads whose only work is to wait (I2).
 *
 * A child in flight may hold a copy of the descriptor for a moment.  If ours went
 * first, the child would be left with the last one, and sleep in its own close.
 * So each descriptor has a ticket, the number of the last child started by then
 * (os/spawn), and is closed when that one has closed its copies.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_CLOSER_H
#define HATCHD_OS_CLOSER_H

#include <stddef.h>
#include <stdint.h>

/* Threads at most; the first starts with the first descriptor, each further one
 * only when those that there are do not get on. */
#define CLOSER_THREADS_MAX 1024

struct closer;

/* Room for `max` descriptors, more than the process may have open: it can then
 * never be full.  Negative errno on failure. */
int closer_new(unsigned max, struct closer **ret);

/* Threads that sleep in a close stay behind, and with them the memory. */
void closer_done(struct closer *closer);

/*
 * Take over the descriptor; it is closed after the next closer_tend(), so that
 * a turn of many wakes a thread once.  *pending is counted up now and
 * down when it is closed, with atomic operations; it must live as long.
 */
void closer_close(
	struct closer *closer, int fd, uint64_t ticket, uint32_t *pending, uint64_t now);

/*
 * The same, and when it is closed closer_done_fd() becomes readable: an address
 * that it was bound to may be had then.  That is an eventfd(2), the closer's.
 */
void closer_close_and_tell(
	struct closer *closer, int fd, uint64_t ticket, uint32_t *pending, uint64_t now);
int closer_done_fd(const struct closer *closer);

/* Descriptors whose close has begun and not ended; returns how many.  A thread that sleeps
 * in there cannot be ended, and keeps the process from ending. */
size_t closer_begun(struct closer *closer, int ret_fds[CLOSER_THREADS_MAX]);

/*
 * To be called at the end of every turn: gets the threads to work on descriptors
 * with a ticket below `passed` (spawner_arranging()), and starts
 * more of them when descriptors have been waiting for a while.  Returns when it
 * wants to be called again, USEC_INFINITY: not before the next closer_close().
 */
uint64_t closer_tend(struct closer *closer, uint64_t passed, uint64_t now);

#endif
