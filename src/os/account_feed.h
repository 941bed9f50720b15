/*
 * account_feed: lines for a file, and the process that adds them to it (os/account-main).
 *
 * The master never waits for a file (I2).  It gives lines to this, which sends them on; what is
 * not known to be in the file is kept, in a bounded room.  If that is full, who wants to put a
 * line is told so: it is lost, and his to count.
 *
 * A process that ends is started again, after a while that grows from 100 ms to 30 s, and is
 * told anew what was not in the file yet; so a line can be there twice, if the one before was
 * killed between writing it and saying so.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_ACCOUNT_FEED_H
#define HATCHD_OS_ACCOUNT_FEED_H

#include "os/account_wire.h"
#include "os/helper.h"

#include <stdbool.h>

/* Bytes of lines that are kept: some thousand records. */
#define ACCOUNT_FEED_ROOM (256U << 10)

struct account_feed;

struct account_feed_target {
	const char *path; /* absolute, shorter than PATH_MAX */
	uint64_t size;    /* bytes */
	uint32_t keep;
	gid_t gid; /* (gid_t)-1: its own */
};

/*
 * `program` is hatchd-account, open (O_PATH), or the negative errno of why it is not, and the
 * feed's in any case; `null` is /dev/null, borrowed.  Descriptors have numbers from `lowest`
 * on.  Negative errno on failure.
 */
int account_feed_new(int program, int null, int lowest, struct account_feed **ret);

/* Waits for nobody: see account_feed_settle().  NULL is fine, and the result. */
struct account_feed *account_feed_free(struct account_feed *feed);

/* Where the lines go from now on; those that are still here go there as well. */
void account_feed_aim(struct account_feed *feed, const struct account_feed_target *target);

/* No lines any more: what is still here is given up, and the process ended.  It may be some
 * time until account_feed_is_over(): then nothing is left of it. */
void account_feed_end(struct account_feed *feed, uint64_t now);
bool account_feed_is_over(const struct account_feed *feed);

/* Is readable while there is something to do; the feed's. */
int account_feed_fd(const struct account_feed *feed);

/* Copy a line, with its newline.  False: there is no room. */
bool account_feed_put(struct account_feed *feed, const char *line, size_t len);

/* The file may be another one now, see logrotate(8). */
void account_feed_reopen(struct account_feed *feed);

/* Bytes that are not known to be in the file. */
size_t account_feed_pending(const struct account_feed *feed);

/* These, whole lines, for who takes our place; borrowed until the next call. */
const char *account_feed_text(const struct account_feed *feed, size_t *ret_len);

/* What is in the way since the last call that has said so: true if that has changed.  The step
 * is ACCOUNT_FINE when nothing is any more; of the process itself, and not of the file, it is
 * _ACCOUNT_STEP_MAX. */
bool account_feed_trouble(
	struct account_feed *feed, enum account_step *ret_step, int *ret_error);

/* To be called at the end of every turn.  Returns when it wants to be called again,
 * USEC_INFINITY: not before there is something to put or to read. */
uint64_t account_feed_tend(struct account_feed *feed, uint64_t now);

/* Wait until all is in the file, or something is in the way, for `patience` usec at most. Lines
 * that are not there then. */
size_t account_feed_settle(struct account_feed *feed, uint64_t patience);

/* As helper_pids(). */
size_t account_feed_pids(const struct account_feed *feed, pid_t ret[HELPER_PIDS_MAX]);

#endif
