/*
 * ask_process: the process that asks in the place of the master (os/ask-main): how it
 * is started, and how it ends.
 *
 * It may sleep in the kernel where SIGKILL does not reach it.  So it is killed and let go,
 * nobody waits for it, and it is reaped when it has ended; a few of them may be on the way.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_ASK_PROCESS_H
#define HATCHD_OS_ASK_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Processes that were killed and have not ended. */
#define ASK_CORPSES_MAX 4

struct ask_process {
	int program;  /* owned: hatchd-ask, or the negative errno of why there is none */
	int null;     /* /dev/null, borrowed */
	int lowest;   /* our descriptors have numbers from there on */
	int epoll_fd; /* of `socket` alone, which comes and goes; owned */
	int socket;   /* owned; -EBADF: it does not run */
	pid_t pid;    /* -1: the same */
	pid_t corpses[ASK_CORPSES_MAX];
	size_t n_corpses;
	uint64_t reap_at; /* usec, monotonic; USEC_INFINITY: nobody is to be reaped */
};

/* `program` is its own in any case.  Negative errno on failure. */
int ask_process_init(struct ask_process *process, int program, int null, int lowest);

/* Start it; it does not run.  0 or a negative errno; -EBUSY: too many have not ended. */
int ask_process_start(struct ask_process *process);

/* Kill it, if it runs. */
void ask_process_end(struct ask_process *process, uint64_t now);

/* Those that have ended by now; to be called at `reap_at`. */
void ask_process_reap(struct ask_process *process, uint64_t now);

void ask_process_done(struct ask_process *process);

#endif
