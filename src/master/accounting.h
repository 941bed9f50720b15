/*
 * accounting: records of connections, as lines of JSON in a file.
 *
 * What is in the section `accounting` says which; without it there is nothing of this.  The
 * file is another process's affair (os/account_feed): neither a full disk nor a dead file
 * server delays the master.  What that cannot take is lost, and counted: the log says so, and
 * the file itself, in the place of what is missing, as soon as there is room.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_ACCOUNTING_H
#define HATCHD_MASTER_ACCOUNTING_H

#include "master/account.h"
#include "os/account_feed.h"

#include <systemd/sd-event.h>

struct master;

struct accounting {
	int program;               /* owned: hatchd-account (O_PATH), or a negative errno */
	struct account_feed *feed; /* owned; NULL: there is none, nor was there one */
	sd_event_source *source;   /* owned; of the feed */
	char *path;                /* owned; which file, and below how: as the feed knows it;
	                              NULL: there is no section */
	uint64_t size;
	uint32_t keep;
	gid_t gid;
	uint64_t change_due; /* usec: another file is wanted, by then at last; USEC_INFINITY: no
	                      */
	uint64_t due;        /* usec: when the feed wants to be looked after */
	uint64_t lost;       /* records that the file does not tell of yet */
	uint64_t untold;     /* the same of the log */
	uint64_t lost_told;  /* when that was told */
};

#define ACCOUNTING_NONE       \
	((struct accounting){ \
		.program = -EBADF, .change_due = USEC_INFINITY, .due = USEC_INFINITY})

/* Open the process's program, before anybody is served: the file system may not answer later
 * (I2). */
void accounting_init(struct master *master);

/* A configuration has been put in force, maybe with another file.  What is on its way to the
 * one before has a while to get there. */
void accounting_configure(struct master *master, uint64_t now);

/* Whether there is a file. */
bool accounting_is_on(const struct master *master);

/* Add a record of that, as it is to be recorded. */
void accounting_add(struct master *master, const struct account *account);

/* Is everything in the file that was to get there? */
bool accounting_is_idle(const struct master *master);

/* What is not known to be there, for the image of hatchd that is executed next, borrowed; and
 * to go on with that, where a file is configured. */
const char *accounting_left(const struct master *master, size_t *ret_len);
void accounting_resume(struct master *master, const void *left, size_t len);

/* The file may be another one now. */
void accounting_reopen(struct master *master);

/* To be called in each turn; the feed is looked after, and what is in the way told. */
void accounting_turn(struct master *master, uint64_t now);

/* Wait for what is on its way, but not for ever, and end. */
void accounting_done(struct master *master);

#endif
