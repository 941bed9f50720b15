/*
 * asker: ask the kernel after connections that programs have.
 *
 * The kernel takes the lock of a socket to say how it is (base/tcp-diag), and whoever
 * shares the socket can hold that lock.  So the master asks nobody itself, and has no
 * thread that does: a process of its own asks (os/ask-main), whose only work is to wait
 * (I2).  Each question has an answer, but nobody can say when; who is not answered
 * because of such a lock is known by asker_is_held().
 *
 * What the process says is checked as a stranger's word: an answer counts once, for a
 * question that was put.  It is started with the first question; one that ends, or falls
 * silent, is started again, after a while that grows from 100 ms to 30 s, and its questions
 * are put anew.
 *
 * Those who ask are in groups.  One may have half as much of the room as is free, and
 * half as many of the places: however many of its questions are not answered, the next
 * group finds some.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_ASKER_H
#define HATCHD_OS_ASKER_H

#include "os/ask_wire.h"
#include "os/helper.h"

/* Questions without an answer that was taken: no more are accepted. */
#define ASKER_ROOM 1024

struct asker_question {
	void *owner; /* these two are handed back, and not looked at */
	uint64_t id;
	uint64_t group;
	struct addr local, peer;
	struct tcp_handle handle;
};

struct asker_answer {
	void *owner;
	uint64_t id;
	int result; /* of tcp_diag_ask(), or why that could not be asked */
	struct tcp_facts facts;
};

struct asker;

/*
 * `program` is hatchd-ask, open (O_PATH), or the negative errno of why it is not;
 * `null` is /dev/null, borrowed.  Descriptors have numbers from `lowest` on.  Negative
 * errno on failure; `program` is the asker's in any case.
 */
int asker_new(int program, int null, int lowest, struct asker **ret);

/* Waits for nobody: a process that is stuck stays behind.  NULL is fine. */
void asker_done(struct asker *asker);

/* Is readable while there is something to take; the asker's. */
int asker_fd(const struct asker *asker);

/* Copy the question; it is asked after the next asker_tend().  False: there is no room
 * for that group. */
bool asker_put(struct asker *asker, const struct asker_question *question);

/* The next answer; false: there is none.  `now` in usec, monotonic. */
bool asker_take(struct asker *asker, uint64_t now, struct asker_answer *ret);

/*
 * Has that question been put to the kernel, not been answered, and waits for nobody
 * else's answer?  Before Linux 6.9 the kernel answers one question at a time; then it is
 * the one that was begun first which keeps the others.  One that was overtaken by
 * several waits for nobody.
 */
bool asker_is_held(const struct asker *asker, const void *owner, uint64_t id);

/* Slow questions for whose sake others have no place and wait; 0: nobody waits for one. */
size_t asker_obstacles(const struct asker *asker);

/* Why nobody can be asked since the last call: 0: nothing is the matter, or a negative
 * errno, see asker_explain(), whose words may be in `buf`. */
int asker_trouble(struct asker *asker);
const char *asker_explain(int trouble, char buf[HELPER_WHY_MAX]);

/* The process, or -1 while there is none. */
pid_t asker_pid(const struct asker *asker);

/* How often it was started. */
uint64_t asker_starts(const struct asker *asker);

/*
 * To be called at the end of every turn: puts what there is a place for, and sees to
 * the process.  Returns when it wants to be called again, USEC_INFINITY: not before the
 * next asker_put() or asker_take().
 */
uint64_t asker_tend(struct asker *asker, uint64_t now);

/* As helper_pids(). */
size_t asker_pids(const struct asker *asker, pid_t ret[HELPER_PIDS_MAX]);

#endif
