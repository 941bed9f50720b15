/*
 * counter: learn how many bytes went over connections of programs, when these are over.
 *
 * The kernel tells that of all connections there are, and a process of its own listens
 * (os/bytes-main): what must be read without delay, or is lost, and mostly concerns
 * somebody else, is not for the master (I2).  It is named each connection that matters, and
 * says once of each what it was.
 *
 * What it says is checked as a stranger's word, as far as it can be: a ticket is believed by
 * whoever gave it out.  It may say no more than it was asked for, and of losses what bytes_wire
 * allows.  It runs while it is wanted; one that ends is started again, after a
 * while that grows from 100 ms to 30 s, but for one that has lived so long.  Of what was named
 * before nothing is known then, which is told by another generation.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_COUNTER_H
#define HATCHD_OS_COUNTER_H

#include "os/bytes_wire.h"
#include "os/helper.h"

#include <sys/types.h>

struct counter;

/*
 * `program` is hatchd-bytes, open (O_PATH), or the negative errno of why it is not; `null`
 * is /dev/null, borrowed.  Descriptors have numbers from `lowest` on.  Negative errno on
 * failure; `program` is the counter's in any case.
 */
int counter_new(int program, int null, int lowest, struct counter **ret);

/* NULL is fine. */
void counter_done(struct counter *counter);

/* Is readable while there is something to take; the counter's. */
int counter_fd(const struct counter *counter);

/* Whether the process is to run.  Where the kernel has refused to tell, it is tried again when
 * this is said anew. */
void counter_want(struct counter *counter, bool wanted);

/* Another one with each process; 0: none runs. */
uint32_t counter_generation(const struct counter *counter);

/*
 * Say `ticket` when the connection with that cookie is over; a descriptor of it is
 * still open here.  False: it cannot be known, there is no process or it is behind.
 */
bool counter_watch(struct counter *counter, uint64_t cookie, uint64_t ticket);

/* It is not wanted any more; news of it may be on its way. */
void counter_forget(struct counter *counter, uint64_t cookie);

struct counter_news {
	uint64_t ticket;
	struct tcp_bytes bytes;
};

/* The next connection that is over; false: there is none, or not at once: counter_fd() stays
 * readable then.  Some messages are read at most.  `now` in usec, monotonic. */
bool counter_take(struct counter *counter, uint64_t now, struct counter_news *ret);

/* Why some are not known since the last call: 0: nothing is the matter, or a negative errno,
 * see counter_explain(), whose words may be in `buf`. */
int counter_trouble(struct counter *counter);
const char *counter_explain(int trouble, char buf[HELPER_WHY_MAX]);

/* The process, or -1 while there is none. */
pid_t counter_pid(const struct counter *counter);

/* How often it was started. */
uint64_t counter_starts(const struct counter *counter);

/* To be called at the end of every turn: sees to the process.  Returns when it wants to be
 * called again, USEC_INFINITY: not before something is to be taken. */
uint64_t counter_tend(struct counter *counter, uint64_t now);

/* As helper_pids(). */
size_t counter_pids(const struct counter *counter, pid_t ret[HELPER_PIDS_MAX]);

#endif
