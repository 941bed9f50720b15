/*
 * helper: a small process that does for the master what the master must not wait for
 * (os/ask-main, os/bytes-main): how it is started, and how it ends.
 *
 * It may sleep in the kernel where SIGKILL does not reach it.  So it is killed and let go,
 * nobody waits for it, and it is reaped when it has ended; a few of them may be on the way.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_HELPER_H
#define HATCHD_OS_HELPER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where it finds its end of a SOCK_SEQPACKET pair; 1 and 2 are /dev/null. */
#define HELPER_SOCKET_FD 0

/* Processes that were killed and have not ended. */
#define HELPER_CORPSES_MAX 4

struct helper {
	const char *name; /* of the process, borrowed */
	int program;      /* owned: or the negative errno of why there is none */
	int null;         /* /dev/null, borrowed */
	int lowest;       /* our descriptors have numbers from there on */
	int epoll_fd;     /* of `socket` alone, which comes and goes; owned */
	int socket;       /* owned; -EBADF: it does not run */
	pid_t pid;        /* -1: the same */
	uint64_t starts;  /* so far, of the process */
	pid_t corpses[HELPER_CORPSES_MAX];
	size_t n_corpses;
	uint64_t reap_at; /* usec, monotonic; USEC_INFINITY: nobody is to be reaped */
};

/*
 * `program` is an open file (O_PATH), its own in any case; `name` of at most 15 bytes lives as
 * long as it does.  Negative errno on failure.
 */
int helper_init(struct helper *helper, const char *name, int program, int null, int lowest);

/* Start it; it does not run.  0 or a negative errno; -EBUSY: too many have not ended. */
int helper_start(struct helper *helper);

/* Kill it, if it runs. */
void helper_end(struct helper *helper, uint64_t now);

/* Those that have ended by now; to be called at `reap_at`. */
void helper_reap(struct helper *helper, uint64_t now);

void helper_done(struct helper *helper);

/* Why what one of that name is for has failed, in words that may be in `buf`.  -ENOENT: there
 * is no such program, -ECHILD: it has ended, -EBADMSG: it has said nonsense, -ETIME: it does
 * not answer; others as they come. */
#define HELPER_WHY_MAX 64
const char *helper_explain(const char *name, int trouble, char buf[HELPER_WHY_MAX]);

/* Those that are ours to be reaped, for who takes our place: how many. */
#define HELPER_PIDS_MAX (HELPER_CORPSES_MAX + 1)
size_t helper_pids(const struct helper *helper, pid_t ret[HELPER_PIDS_MAX]);

#endif
