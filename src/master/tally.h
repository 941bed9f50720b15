/*
 * tally: how many bytes went over the connections of programs (account_bytes).
 *
 * The master sees none of them, and the kernel tells only when a connection is over, which
 * may be a moment before or after its program has ended.  So it is the record that waits
 * (master/record), for a few seconds at most: the child and its place in all limits are given
 * back at once.  A connection that the kernel still has by then, because its client does not
 * read or another process has it, is asked after once, and what it was until then is what is
 * recorded.  Of what cannot be known nothing is said: no number is ever made up.
 *
 * There is a place for each child, and for TALLY_WAITING_MAX records that wait; when these
 * are taken the oldest is written as it is, for the next (I9): most wait a millisecond, and
 * those who keep their connections for long cannot keep others' from being counted.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_TALLY_H
#define HATCHD_MASTER_TALLY_H

#include "master/account.h"
#include "master/child.h"
#include "master/conn.h"
#include "master/record.h"
#include "os/asker.h"
#include "os/counter.h"

#include <systemd/sd-event.h>

struct master;

/* Records whose bytes are not known yet. */
#define TALLY_WAITING_MAX 1024

/* usec: how long a record waits for the end of its connection, and while hatchd is
 * ending itself. */
#define TALLY_PATIENCE      (UINT64_C(5) * 1000 * 1000)
#define TALLY_PATIENCE_STOP (UINT64_C(200) * 1000)

/* The same for an answer of what it was until then. */
#define TALLY_PATIENCE_ASKED (UINT64_C(1000) * 1000)

struct tally_list {
	struct waiting_record *first, *last;
};

struct tally {
	struct counter *counter;    /* owned */
	struct tally_place *places; /* owned; touched as far as they were ever used */
	size_t n_used;              /* of them, ever */
	size_t n_taken;             /* now */
	struct tally_place *free;
	struct tally_list waiting; /* for the end of their connections, oldest first */
	struct tally_list asked;   /* what these were until now, the same */
	size_t n_waiting;          /* in both */
	uint32_t generation;       /* of master->services, as looked at last */
	bool lingers;              /* then there were children whose bytes are counted */
	uint64_t due;              /* when something is to be done; UINT64_MAX: nothing is */
	uint64_t told;             /* when it was last said that some are not known; 0: never */
};

#define TALLY_NONE ((struct tally){.due = UINT64_MAX})

/* `program` is hatchd-bytes, as counter_new() takes it.  0 or a negative errno. */
int tally_init(struct master *master, int program);

/* Records that wait are lost: see tally_flush(). */
void tally_done(struct tally *tally);

/* sd_event_io_handler_t of counter_fd(). */
int tally_on_news(sd_event_source *source, int fd, uint32_t revents, void *userdata);

/* A child is started for that connection, of which a descriptor is open here. */
void tally_begin(struct child *child, const struct conn *conn);

/* What it is known by to the kernel, if its bytes are counted; all zero: they are not. */
struct tcp_handle tally_handle(const struct child *child);

/* The same child, counted by another image of hatchd so far, and known by that. */
void tally_resume(struct child *child, const struct tcp_handle *handle);

/* It has ended: add what is known by now to what is recorded. */
void tally_end(const struct child *child, struct account *account);

/* Its record is to be written when more is known.  False: nothing is to come, and the record
 * is the caller's to write. */
bool tally_keep(struct child *child, const struct record *record, uint64_t now);

/* The child is gone; what is left here is, too. */
void tally_forget(struct child *child);

/* The asker (master/overdue) has an answer for us: its owner is the tally. */
void tally_answer(struct master *master, const struct asker_answer *answer);

/* Does any record wait? */
bool tally_waits(const struct tally *tally);

/* See to the process and to what is due; then the asker may have something to do. */
void tally_turn(struct master *master, uint64_t now);

/* Write what waits as it is. */
void tally_flush(struct master *master);

#endif
