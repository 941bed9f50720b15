/*
 * work: the life of a worker: take what the master sends, wait for what happens on its
 * connections, tell how they ended.
 *
 * One thread, one epoll set.  What is to be said to a client is the affair of whoever
 * fills in struct work_kind; here it is only said when.  A connection that is over at
 * once, as most are that get an answer and no more, never gets into the set.
 *
 * The tables have the size that the master asks for at the start, and it never sends more
 * than they hold.  The answers of a turn go out together at its end; those that the master
 * has no room for yet are kept: there is one for each connection at most, one that says
 * that the worker goes on, and the first of all.  Clients within a session have places of
 * the same tables, so that these count.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_WORK_H
#define HATCHD_WORKERS_WORK_H

#include "base/heap.h"
#include "os/channel.h"

#include <stdbool.h>
#include <stdint.h>

/* Most descriptors that one connection waits for: the client's, and one that was opened for
 * him. */
#define WORK_FDS 2

/* First in what a worker keeps of a connection. */
struct work_session {
	struct channel_session id;
	uint32_t events[WORK_FDS]; /* what the set waits for; 0: that one is not in it */
	struct heap_node due;      /* among those that want to be looked at some time */
};

/* What a worker does.  The descriptors of a session are its own; each is spoken of by its
 * place among them, below n_fds. */
struct work_kind {
	unsigned n_fds; /* of a session, WORK_FDS at most */

	/* Somebody has come; `text` (borrowed; -EBADF: none) holds what is to be said.  The
	 * descriptor `fd` becomes the session's.  NULL: no memory, and it is closed. */
	struct work_session *(*begin)(const struct channel_request *request, int fd, int text);

	/* These events (of epoll; 0: the time has come, or it has just begun) are there, for
	 * that descriptor.  False: it is over. */
	bool (*go)(struct work_session *session, unsigned which, uint32_t events);

	/* After each step: it asks whether somebody may come in, `ticket` and `facts` of *ret
	 * (which is all zero) say who; or it tells something else about itself, which `kind`
	 * then says.  False: it has nothing to ask.  Called again until then, but not while the
	 * master does not read: then at a later step.  NULL: none asks. */
	bool (*offer)(struct work_session *session, struct channel_answer *ret);

	/* What became of one of these.  A descriptor that came along (else -EBADF, also where
	 * there was no room for it) is taken by making *fd -EBADF.  False: it is over.  NULL:
	 * none asks. */
	bool (*verdict)(
		struct work_session *session, const struct channel_request *request, int *fd);

	/* A session can have clients within itself, whom the master knows as connections of
	 * their own: whoever came with a verdict, as its `client`.
	 *
	 * After each step: one of them that is over, whose `session` of *ret (which is all
	 * zero) this says, and how it was, as end() does.  With `all` each of them is: the
	 * session is about to end.  False: there is none.  NULL, both: none has any. */
	bool (*client_done)(struct work_session *session, bool all, struct channel_answer *ret);

	/* One of them is to end: it is over by the next client_done().  Returns whose it is;
	 * NULL: nobody's any more. */
	struct work_session *(*end_client)(const struct channel_session *client);

	/* What it waits for will not come.  False: it is over.  NULL: none waits. */
	bool (*give_up)(struct work_session *session);

	/* It does not end by itself: it is over when nothing more will come.  NULL: all do. */
	bool (*lasts)(const struct work_session *session);

	/* They are all for the master to give to somebody: without one they are over. */
	bool for_master;

	/* This one is, as it is now.  NULL: none is. */
	bool (*awaits)(const struct work_session *session);

	/* What it does when an event comes is much work.  In one turn these have some time, one
	 * of them at least, so that the others, and the master, need not wait for all of them.
	 * NULL: none is. */
	bool (*is_costly)(const struct work_session *session);

	int (*fd)(const struct work_session *session, unsigned which); /* -EBADF: none yet */
	/* That it waits for.  0: nothing, not even an error; EPOLLERR: nothing else. */
	uint32_t (*events)(const struct work_session *session, unsigned which);
	uint64_t (*due)(const struct work_session *session); /* USEC_INFINITY: never */

	/* Close and free it, after its last step or (`ended`) because it is to end now; say
	 * how it was in result, bytes_in and bytes_out. */
	void (*end)(struct work_session *session, bool ended, struct channel_answer *ret);
};

struct work;

/* Most connections at a time that a master may ask a worker to have room for. */
#define WORK_PLACES_MAX 65536

/* The ends of the channel are at their numbers.  0 or a negative errno. */
int work_new(const struct work_kind *kind, uint32_t places, struct work **ret);
struct work *work_free(struct work *work);

/* Tell the master that all is set up, and work until there is nothing left to do and
 * nothing will come.  0, or the negative errno of what cannot go on. */
int work_run(struct work *work);

/* That descriptor of a session has been closed, and so has left the set.  Before another one
 * takes its place. */
void work_closed(struct work_session *session, unsigned which);

/* As the master calls it: NAME PLACES.  The number, or 0 where it is none. */
uint32_t work_places(int argc, char **argv);

/* First of all: what is run by a descriptor has no name that says anything to people, and
 * the descriptor is of no use any more. */
void work_begin(const char *name);

#endif
