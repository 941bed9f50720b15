/*
 * notice: what a program says of itself, in the words of sd_notify(3).
 *
 * A message is lines of NAME=VALUE.  It is input that anybody who may run the program has
 * written, and root reads it: so nothing is allocated, every length has a bound, and of a text
 * what could do harm in a log or on a terminal becomes a question mark.  Whoever says more than
 * there is room for is cut short; what is not known means nothing.
 *
 * Pure: who has sent it, and whether he is believed, is for others to find out.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_NOTICE_H
#define HATCHD_POLICY_NOTICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a message that is read at all; as many as systemd takes. */
#define NOTICE_MAX 4096

/* Bytes of a STATUS=, NUL included. */
#define NOTICE_STATUS_MAX 128

/* How much more time it can ask for at once, in usec: an hour. */
#define NOTICE_EXTEND_MAX (UINT64_C(3600) * 1000000)

/* What it does, as it says. */
enum notice_state {
	NOTICE_NOTHING, /* that is not said */
	NOTICE_READY,
	NOTICE_RELOADING,
	NOTICE_STOPPING,
	_NOTICE_STATE_MAX,
};

struct notice {
	bool ready;              /* READY=1 is among it */
	enum notice_state state; /* the last that is said */
	uint64_t extend;         /* EXTEND_TIMEOUT_USEC=, at most NOTICE_EXTEND_MAX; 0: not */
	bool has_status;
	char status[NOTICE_STATUS_MAX]; /* "": it takes back what it has said */
};

/* Read a message.  False: it is empty, too long, or has a NUL in it, and nothing of it is
 * taken; *ret says nothing then. */
bool notice_parse(const char *text, size_t len, struct notice *ret);

/* Copy a text, cut between characters where there is no room for more, and made harmless: what
 * is no UTF-8, and control characters, become question marks. */
void notice_copy_status(const char *text, size_t len, char ret[NOTICE_STATUS_MAX]);

#endif
