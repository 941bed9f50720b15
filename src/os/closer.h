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

#include <stdbool.h>
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

/* A descriptor to be closed. */
struct closer_job {
	int fd;            /* taken over */
	bool tell;         /* an address that it is bound to is waited for */
	bool patient;      /* nobody waits for it: it may be done with others, in a while */
	bool drop;         /* a message that lies in it goes first, with what came along */
	uint64_t ticket;   /* children with a lower one may have a copy: spawner_started() */
	uint32_t *pending; /* counted up now and down when it is closed, with atomic
	                      operations; must live as long */
	uint64_t owner;    /* whose it was, for closer_begun(); 0: nobody's in particular */
};

/* It is closed after the next closer_tend(), so that a turn of many wakes a thread once.
 * `now` in usec, monotonic. */
void closer_close(struct closer *closer, const struct closer_job *job, uint64_t now);

/* Readable when one that was to be told of is closed: an eventfd(2), the closer's. */
int closer_done_fd(const struct closer *closer);

/* Whose descriptors are those whose close has begun and not ended?  Returns how many.  A
 * thread that sleeps in there cannot be ended, and keeps the process from ending. */
size_t closer_begun(struct closer *closer, uint64_t ret_owners[CLOSER_THREADS_MAX]);

/*
 * To be called at the end of every turn: gets the threads to work on descriptors
 * with a ticket below `passed` (spawner_arranging()), and starts
 * more of them when descriptors have been waiting for a while.  Returns when it
 * wants to be called again, USEC_INFINITY: not before the next closer_close().
 */
uint64_t closer_tend(struct closer *closer, uint64_t passed, uint64_t now);

#endif
