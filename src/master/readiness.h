/*
 * readiness: what a program says of how it is, where notify = yes.
 *
 * Each such program has a socket of its own (os/notice_socket), whose name is in its
 * environment and, where there is a folder for it, known to nobody else.  Who is believed is
 * the program that was started and who is of its session, which it leads: so a shell may run
 * systemd-notify(1), and nobody else can speak for it, whoever knows the name and whatever user
 * he is.
 *
 * The master itself listens, since these are words for it, of a few kinds (policy/notice), and
 * no payload (I1): a helper would need the same words passed on, and could lie where the kernel
 * cannot.  What anybody may send it has bounds (I9): a few messages are read at a time, then
 * the next ones wait for a moment, in a queue that the kernel keeps short; a message with
 * descriptors is thrown away by somebody who may wait (I2).  While he closes those, which takes
 * as long as they like, the next message is read; with too many that cannot be closed the next
 * ones wait, those of this program alone, until one is (I6).
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_READINESS_H
#define HATCHD_MASTER_READINESS_H

#include "os/notice_folder.h"
#include "policy/notice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct child;
struct master;
struct readiness;
struct service;
struct spawn_plan;

/* Of the master. */
struct readinesses {
	LIST_HEAD(, readiness) all;
	LIST_HEAD(, readiness)
	left;                         /* of children that are gone, while something of theirs is
	                                 being closed */
	uint64_t due;                 /* usec, monotonic: some are to be listened to again */
	char folder[NOTICE_PATH_MAX]; /* where their sockets are; "": nowhere, they are abstract
	                               */
};

#define READINESSES_NONE ((struct readinesses){.due = UINT64_MAX})

/* Before the first child: have a folder beside the control socket, without what a hatchd that
 * was killed has left in there. */
void readinesses_begin(struct master *master);

/* Have a socket for a child that is about to be started, and its name in the plan, if its
 * service has notify = yes.  0, or a negative errno; -E2BIG: there is no place for the name. */
int readiness_open(struct child *child, struct spawn_plan *plan);

/* It was started: listen to it, and wait until it says that it is ready, but not for ever. */
void readiness_begin(struct child *child, uint64_t now);

/* It has ended, or did not begin.  Nothing happens if it has none. */
void readiness_close(struct child *child, uint64_t now);

/* hatchd ends, and it goes on: nobody listens any more. */
void readiness_abandon(struct child *child);

/* Has it yet to say that it is ready? */
bool readiness_is_awaited(const struct child *child);

/* "starting", "reloading" or "stopping"; NULL: it says nothing of the kind.  The child may be
 * NULL. */
const char *readiness_describe(const struct child *child);

/* What it says of itself (STATUS=); NULL: nothing.  The child may be NULL. */
const char *readiness_status(const struct child *child);

/* Listen again to those that had said much. */
void readinesses_turn(struct master *master, uint64_t now);

/* Descriptors of theirs that are on their way to be closed. */
size_t readinesses_closing(const struct readinesses *readinesses);

/* Of them, those that gone children of that service have left. */
uint32_t readinesses_left_by(const struct service *service);

/* At the end, whatever is being closed: nobody finds their sockets any more.  The folder goes
 * unless another hatchd has it as well. */
void readinesses_leave(struct readinesses *readinesses);

/* Behind that: nothing is being closed, and nobody listens. */
void readinesses_done(struct readinesses *readinesses);

/* For the next image of hatchd: what there is to know. */
struct readiness_saved {
	bool there;
	int fd;          /* -EBADF if it is not there */
	uint64_t number; /* of its name in the folder; 0: it is abstract */
	bool awaited;
	uint8_t state;     /* enum notice_state */
	char *status;      /* may be NULL */
	uint64_t ready_by; /* as in struct lifetime */
};

/* Borrowed from the child, which may have none. */
void readiness_save(const struct child *child, struct readiness_saved *ret);

/* Go on listening.  The descriptor is taken over unless there is no memory, then nobody
 * listens. */
void readiness_resume(struct child *child, struct readiness_saved *saved, uint64_t now);

#endif
