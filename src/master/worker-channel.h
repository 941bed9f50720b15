/*
 * worker-channel: what a worker says, and what it is told.
 *
 * The master's end of the channel (os/channel) of each process of a worker: opened before it
 * starts, closed when it has ended or is let go.  What comes is taken for a stranger's word:
 * each record goes to the module that has given the worker what it speaks of, and if that says
 * it cannot be, the worker is killed.  What goes finds room, or is sent when there is some.
 *
 * Not every worker is spoken with in the same way: what is heard by whom, and in which records,
 * is one table (`manners`), with a row for each way.  When processes are started, asked whether
 * they go on, and ended, is master/worker's.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_WORKER_CHANNEL_H
#define HATCHD_MASTER_WORKER_CHANNEL_H

#include "master/worker.h"

#include <stdbool.h>
#include <stdint.h>

/* A new one, for a process that is about to be started, with the ends that it is to get in
 * `unread` and `theirs`.  0 or a negative errno: then, too, it is to be closed. */
int worker_open_channel(struct worker *worker);

/* The same of one whose channel is there: hear what it says from now on. */
int worker_listen(struct worker *worker);

/* Nothing is heard of that process any more, nor said to it.  A worker that has none is
 * fine. */
void worker_close_channel(struct worker *worker, uint64_t now);

/* What is about nobody, CHANNEL_PING and CHANNEL_DRAIN, in the records of that worker; as
 * channel_send(). */
int worker_say(const struct worker *worker, enum channel_request_kind kind);

/* Ask it whether it goes on, now or as soon as there is room for that; `due` says when it has
 * to have answered. */
void worker_ping(struct worker *worker, uint64_t now);

/* It was asked that, before us. */
void worker_awaits_answer(struct worker *worker, uint64_t now);

/* It has room, or is a new one: tell it what it could not be told. */
void worker_tell(struct worker *worker);

/* There was no room for a request: those who are to end are told as soon as there is. */
void worker_wait_for_room(struct worker *worker);

/* The same of a client: until then worker_has_room() says no. */
void worker_is_full(struct worker *worker);

/* It says that it has set itself up, or that it goes on.  False: it was not asked. */
bool worker_is_ready(struct worker *worker);
bool worker_goes_on(struct worker *worker);

/* Those that pass clients on may have said something that nobody has heard yet. */
void workers_hear(struct master *master);

/* It has ended, and what it has said last is still in the pipe.  What is not true there ends
 * it. */
void worker_hear_last(struct worker *worker, uint64_t now);

#endif
