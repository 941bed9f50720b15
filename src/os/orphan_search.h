/*
 * orphan_search: have a process look for what an earlier hatchd has left (os/orphans-main).
 *
 * One search at a time, which is begun and heard of later; nobody waits (I2).  A process that
 * keeps it from its work for long is not waited for either: it is given up after
 * ORPHAN_PATIENCE, and what was found by then is what is known.
 *
 * What it says is checked as a stranger's word: kinds, numbers, and how much.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_ORPHAN_SEARCH_H
#define HATCHD_OS_ORPHAN_SEARCH_H

#include "os/helper.h"
#include "os/orphan_wire.h"

/* usec. */
#define ORPHAN_PATIENCE UINT64_C(10000000)

struct orphan_search;

/*
 * `program` is hatchd-orphans, open (O_PATH), or the negative errno of why it is not; `null`
 * is /dev/null, borrowed.  Descriptors have numbers from `lowest` on.  Negative errno on
 * failure; `program` is the search's in any case.
 */
int orphan_search_new(int program, int null, int lowest, struct orphan_search **ret);

/* NULL is fine. */
void orphan_search_done(struct orphan_search *search);

/* Is readable while there is something to take; the search's. */
int orphan_search_fd(const struct orphan_search *search);

/* Whether one was begun and is not over. */
bool orphan_search_runs(const struct orphan_search *search);

/* None runs.  That there is no process is told as its end. */
void orphan_search_begin(
	struct orphan_search *search, const struct orphan_order *order, uint64_t now);

/* What comes next; after ORPHAN_OVER it runs no longer.  False: nothing is there. */
bool orphan_search_take(struct orphan_search *search, uint64_t now, struct orphan_news *ret);

/* Why one has failed, in words that may be in `buf`. */
const char *orphan_search_explain(int result, char buf[HELPER_WHY_MAX]);

/* To be called when that is due: returns when it wants to be called again. */
uint64_t orphan_search_tend(struct orphan_search *search, uint64_t now);

/* As helper_pids(). */
size_t orphan_search_pids(const struct orphan_search *search, pid_t ret[HELPER_PIDS_MAX]);

#endif
