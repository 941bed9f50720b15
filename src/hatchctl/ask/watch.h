/*
 * watch: what happens to the clients of one service, line by line as hatchd tells it.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_ASK_WATCH_H
#define HATCHD_HATCHCTL_ASK_WATCH_H

#include "hatchctl/ask/question.h"

/* Longer than any line of hatchd. */
#define WATCH_LINE_MAX 16384

enum watch_news {
	WATCH_EVENT,
	WATCH_OTHER, /* the other descriptor can be read */
	WATCH_TIME,  /* it is over */
};

struct watch {
	struct question question;
	size_t len, taken; /* of buf: what is there, and what was looked at */
	char buf[WATCH_LINE_MAX];
};

/* From now on.  COMMAND_DONE, or COMMAND_FAILED after a message; watch_done() in both cases. */
int watch_begin(struct watch *watch, const char *path, const char *service);
void watch_done(struct watch *watch);

#define _cleanup_watch_ _cleanup_(watch_done)

/*
 * Wait for the next event, for something to read from `other` (negative: nobody wants to
 * know), or until that time (usec, monotonic).  One of enum watch_news, with WATCH_EVENT in
 * *ret, which is good until the next call; or a negative errno.
 */
int watch_next(struct watch *watch, int other, uint64_t until, struct json_value *ret);

#endif
