/*
 * outbox: answers that are on their way to the master.
 *
 * They go out together at the end of a turn, since each write wakes the master.  What he has
 * no room for yet is kept: there is one for each question at most, one that says that the
 * worker goes on, and the first of all.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_LOOKUP_OUTBOX_H
#define HATCHD_WORKERS_LOOKUP_OUTBOX_H

#include "os/lookup.h"

#include <stdbool.h>
#include <stdint.h>

struct outbox {
	struct lookup_answer *ring; /* owned */
	uint32_t room, first, n;
	bool orphan; /* there is nobody to answer to */
};

/* For a worker with room for so many questions.  0 or -ENOMEM. */
int outbox_init(struct outbox *outbox, uint32_t places);
void outbox_done(struct outbox *outbox);

/* 0; -EPROTO: there are more than the master has asked for. */
int outbox_add(struct outbox *outbox, const struct lookup_answer *answer);

/* Write what can be written to CHANNEL_ANSWERS_FD.  0: all of it, or there is nobody to
 * answer to; -EAGAIN: the master has not read; other negative errno. */
int outbox_send(struct outbox *outbox);

#endif
