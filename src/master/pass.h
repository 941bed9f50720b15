/*
 * pass: from a client to a worker, and what the worker says of him.
 *
 * The counterpart of master/hatch for services that need no program.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_PASS_H
#define HATCHD_MASTER_PASS_H

#include "master/conn.h"
#include "master/worker.h"

/*
 * That client, who may come in, to the worker of his service.  The connection is the
 * caller's no longer: it is the worker's, or is held.  0, or a negative errno when it could
 * not be passed, which has been told and pauses the service.
 */
int pass(struct conn *conn, uint64_t now);

/*
 * That socket of datagrams to the worker, who keeps it; the listener is not polled until he
 * ends, or is told to.  What became of it as above.
 */
int pass_socket(struct listener *listener, uint64_t now);

/*
 * Who sends datagrams, and may come in, to the worker who has asked about him, with that
 * VERDICT: he is its client from now on.  0, or a negative errno, and nothing was sent:
 * -EAGAIN: it has no place for him.
 */
int pass_peer(struct worker *worker, struct conn *conn, struct channel_request *verdict,
	uint64_t now);

/* A client of that service could not be passed to that worker: tell why, and have the service
 * pause for as long as that may last. */
void pass_failed(struct service *service, struct worker *worker, int error);

/* The worker says that it is over.  False: it has no such connection. */
bool pass_done(struct worker *worker, const struct channel_answer *answer, uint64_t now);

/* The worker says how it is between it and a target that was started for it.  False as above,
 * or it has none. */
bool pass_news(struct worker *worker, const struct channel_answer *answer, uint64_t now);

/* Have it told, as soon as it can be, that this target will not come. */
void pass_give_up(struct child *child);

/* The worker has died. */
void pass_lost(struct child *child, uint64_t now);

/* The same of one that the image of hatchd before us had, and whose worker is not known here:
 * it may go on, but nobody will know of its end. */
void pass_left_behind(struct child *child, uint64_t now);

/* Have it ended by its worker, as soon as that can be told. */
void pass_end(struct child *child);

/* It was told, and has had its time: end the worker, who does not do as he is told. */
void pass_insist(struct child *child);

/* Tell the worker of those that are to end; there is room again, or a new worker. */
void pass_ends(struct worker *worker);

#endif
