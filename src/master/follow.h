/*
 * follow: operators who are told what happens, as it happens, in lines of JSON.
 *
 * What there is to tell is written once and copied to each of a few who follow, into room of
 * his own; it is sent at the end of the turn.  Who reads slowly loses lines, and is told how
 * many; who takes nothing for long is sent away.  Nobody is waited for (I2), and while nobody
 * follows, all of this costs a comparison.
 *
 * hatchd-control(7) describes the lines.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_FOLLOW_H
#define HATCHD_MASTER_FOLLOW_H

#include "master/control-seat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct account;
struct child;
struct follower;
struct master;
struct service;

/* Who may follow at once, and bytes that each of them may be behind. */
#define FOLLOWERS_MAX 8
#define FOLLOWER_ROOM (64 * 1024)

struct followers {
	struct control_seats seats; /* owned, each the first member of a follower */
	uint64_t due; /* usec, monotonic: there is something to send, or somebody has been
	                 silent for too long; USEC_INFINITY: not so */
};

#define FOLLOWERS_NONE ((struct followers){.due = UINT64_MAX})

/* Whether one more may, who sits there: when there are too many, the last one of whoever has
 * the most has to go (master/control-seat), which may be him. */
bool followers_make_room(struct master *master, const struct control_seat *who);

/* From now on he is told; `service` is whose events he wants, "" for all.  The descriptor is
 * not in the event loop; it is taken over in any case.  0 or a negative errno. */
int followers_add(struct master *master, const struct control_seat *who, int fd,
	const char *service, uint64_t now);

/* A client is served now. */
void follow_open(const struct child *child, uint64_t now);

/* Something has become of a client: "close", "refused" or "failed".  `banned` is for how long
 * (usec; 0: not). */
void follow_client(struct master *master, const char *event, const struct account *account,
	uint64_t banned);

/* A service is "paused", "disabled" or "enabled"; `reason` may be NULL. */
void follow_service(struct service *service, const char *event, const char *reason);

/* A reload is over. */
void follow_reload(struct master *master);

/* hatchd drains: "draining", how many are left as was last told, or "drained", it is over. */
void follow_drain(struct master *master, const char *event, uint64_t now);

/* An upgrade is over: `reason` is why it has failed; NULL: it has not. */
void follow_upgrade(struct master *master, const char *reason);

/* What is known of one who follows, for the next image of hatchd. */
struct following {
	uid_t uid; /* who has connected */
	pid_t pid;
	int fd;
	const char *service; /* as above */
	uint64_t lost;       /* events that he did not get, and has not been told of */
	const char *out;     /* what he has not taken; not terminated */
	size_t len;
};

/* The one after SEAT, or the first if it is NULL, borrowed; NULL: there is none. */
const struct control_seat *follower_next(
	const struct master *master, const struct control_seat *seat, struct following *ret);

/* He followed the image before us, and goes on.  The descriptor is taken over in any case.  0
 * or a negative errno; -EBADMSG: there is nobody like that. */
int follower_resume(struct master *master, const struct following *from, uint64_t now);

/* Send what there is to tell. */
void followers_turn(struct master *master, uint64_t now);

/* At the end: they are told that it is, and are gone. */
void followers_close(struct master *master);

#endif
