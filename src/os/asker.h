/*
 * asker: ask the kernel after connections that programs have.
 *
 * The kernel takes the lock of a socket to say how it is (base/tcp-diag), and whoever
 * shares the socket can hold that lock.  So the master asks nobody itself: threads do,
 * whose only work is to wait (I2).  Each question has an answer, but nobody can say
 * when; who is not answered because of such a lock is known by asker_is_stuck().
 *
 * There are no threads while there is nothing to ask.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_ASKER_H
#define HATCHD_OS_ASKER_H

#include "base/addr.h"
#include "base/tcp-diag.h"

/* Questions without an answer that was taken: no more are accepted. */
#define ASKER_ROOM 256

/* At most.  When all of them are stuck, nobody is answered until a program is killed
 * or lets go. */
#define ASKER_THREADS_MAX 16

struct asker_question {
	void *owner; /* these two are handed back, and not looked at */
	uint64_t id;
	struct addr local, peer;
	struct tcp_handle handle;
};

struct asker_answer {
	void *owner;
	uint64_t id;
	int result; /* of tcp_diag_ask() */
	struct tcp_facts facts;
};

struct asker;

/* Descriptors of threads have numbers from `lowest` on.  Negative errno on failure. */
int asker_new(int lowest, struct asker **ret);

/* Threads that are stuck stay behind, and with them the memory.  NULL is fine. */
void asker_done(struct asker *asker);

/* Becomes readable when there are answers; an eventfd(2), the asker's. */
int asker_fd(const struct asker *asker);

/* Copy the question; it is asked after the next asker_tend().  False: there is no room. */
bool asker_put(struct asker *asker, const struct asker_question *question, uint64_t now);

/* The next answer; false: there is none. */
bool asker_take(struct asker *asker, struct asker_answer *ret);

/* Has that question been put to the kernel, and not been answered yet? */
bool asker_is_stuck(struct asker *asker, const void *owner, uint64_t id);

/*
 * To be called at the end of every turn: gets the threads to work, and starts more of
 * them when questions have been waiting for a while.  Returns when it wants to be called
 * again, USEC_INFINITY: not before the next asker_put().
 */
uint64_t asker_tend(struct asker *asker, uint64_t now);

#endif
