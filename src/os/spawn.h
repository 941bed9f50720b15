/*
 * spawn: hatch a child and do not wait for it.
 *
 * The child is cloned into the master's own memory and descriptor table
 * (shared) or into a copy of the memory (private), carries out its plan
 * (os/spawn_plan) and execs, while the master goes on.  What the child uses of
 * the master's is kept in a slot until the kernel says that the child has left
 * the memory.  Nothing announces that, so while slots are in flight the loop
 * looks at them on every turn, and takes turns at least every few milliseconds.
 *
 * The one invariant: whatever a plan points at stays valid and every planned
 * descriptor stays open under its number until the slot says otherwise.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_SPAWN_H
#define HATCHD_OS_SPAWN_H

#include "os/spawn_plan.h"

#include <stdbool.h>

enum spawn_mode {
	SPAWN_AUTO,
	SPAWN_SHARED,
	SPAWN_PRIVATE,
};

/* Slots altogether, and at most for one owner (service): a user who stops his
 * own children before their exec keeps these busy, not those of others. */
#define SPAWN_SLOTS           256
#define SPAWN_SLOTS_PER_OWNER 64

struct spawner;
struct spawn_slot;

struct spawner_setup {
	enum spawn_mode mode; /* AUTO: shared where it is safe */
	int low_limit; /* descriptors below it are copied into a child's table, those from it on
	                  are not */
};

/*
 * *ret is the new spawner.  Finds out whether sharing memory is safe here and
 * whether clone3 may be called; spawner_describe() tells.
 */
int spawner_new(const struct spawner_setup *setup, struct spawner **ret);

/* To be called only when no slot is in flight, or right before exit. */
struct spawner *spawner_free(struct spawner *spawner);

/* "shared memory, clone3", "private memory (fs.suid_dumpable is 1), clone3" ... */
const char *spawner_describe(const struct spawner *spawner);

bool spawner_is_shared(const struct spawner *spawner);

/* Use copies of the memory from now on; `why` is a literal. */
void spawner_go_private(struct spawner *spawner, const char *why);

/* Every descriptor of the master is below this number (for kernels whose
 * close_range is filtered). */
void spawner_set_fd_limit(struct spawner *spawner, int limit);

/* A free slot to be filled in and started, or NULL when all are busy. */
struct spawn_slot *spawner_take(struct spawner *spawner);

/* Give back a slot that was not started. */
void spawn_slot_cancel(struct spawner *spawner, struct spawn_slot *slot);

/* The plan to fill in: recipe, fds, envp. */
struct spawn_plan *spawn_slot_plan(struct spawn_slot *slot);

/*
 * Start the child.  `owner` comes back from spawn_slot_owner().  On success *ret_pid
 * and *ret_pidfd (close-on-exec, owned by the caller, a low number) are set and
 * the slot is in flight.  On failure the slot stays with the caller; negative
 * errno of clone, pipe or of duplicating a high descriptor.
 */
int spawn_slot_start(struct spawner *spawner, struct spawn_slot *slot, void *owner,
	pid_t *ret_pid, int *ret_pidfd);

/* What the slot of a child knows at a moment. */
enum spawn_state {
	SPAWN_BUSY,     /* it still uses our memory and our descriptors */
	SPAWN_DETACHED, /* its descriptors are its own; it may execute or end at any time */
	SPAWN_DONE,     /* it has left our memory: executed, failed or died */
};

struct spawn_report {
	enum spawn_step step;
	int error; /* errno; 0 at SPAWN_EXEC: executed (or killed in the act) */
};

/* Look at one slot in flight. */
enum spawn_state spawn_slot_poll(struct spawn_slot *slot);

/*
 * The slot is SPAWN_DONE, or its child has been reaped: take its report and
 * give the slot back.
 */
struct spawn_report spawn_slot_reclaim(struct spawner *spawner, struct spawn_slot *slot);

/*
 * After a crowd each slot that was in flight holds some pages, with nothing in
 * them: true when none is in flight any more and there were many.  Giving them back
 * is worth a system call now and then, not after each child.
 */
bool spawner_has_spare_memory(const struct spawner *spawner);
void spawner_give_back_memory(struct spawner *spawner);

/* Slots in flight, and how to visit them: first, then next until NULL; the
 * current one may be reclaimed after its successor was asked for. */
unsigned spawner_in_flight(const struct spawner *spawner);
struct spawn_slot *spawner_first(const struct spawner *spawner);
struct spawn_slot *spawn_slot_next(const struct spawn_slot *slot);
void *spawn_slot_owner(const struct spawn_slot *slot);

/* Children started so far: the number of the last one. */
uint64_t spawner_started(const struct spawner *spawner);

/*
 * The lowest number among children that may still hold copies of descriptors
 * that are not meant for them; UINT64_MAX: none does.  Looks at all in flight.
 */
uint64_t spawner_arranging(const struct spawner *spawner);

/* "exec", "change of user": a step in words, for "unable to start ...". */
const char *spawn_step_name(enum spawn_step step);

#endif
