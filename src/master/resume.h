/*
 * resume: go on where the image of hatchd before us has stopped (master/upgrade).
 *
 * The variable HATCHD_HANDOVER of the environment says where what it has left is: the number of
 * a memfd (master/handover), and that of the program before us.  Whoever else sets it is not
 * believed: the memfd has to be sealed, and written by this very process.
 *
 * If we cannot begin, that program is executed again, and goes on with what it has left itself.
 * So until resume_stay() nothing of that is closed, moved to another number or changed: whoever
 * is given a descriptor before has the number that is handed over, and nothing that can fail
 * comes behind.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_RESUME_H
#define HATCHD_MASTER_RESUME_H

#include "master/handover/handover.h"

#include <stdbool.h>

struct inherited;
struct master;

struct resume {
	struct handover handover; /* owned */
	int state;                /* memfd that it is from; owned; -EBADF: we start anew */
	int old_program;          /* owned: to go back to; -EBADF: there is no way back */
	bool back; /* it is us who have been there, and the next one could not begin */
};

#define RESUME_NONE ((struct resume){.state = -EBADF, .old_program = -EBADF})

/*
 * Execute that program (O_PATH) in our place, with all that is handed over and `state`, which
 * it was written into; `old_program` is what it may go back to, or -EBADF.  Returns only if
 * that fails: a negative errno, and everything is close-on-exec again.
 */
int resume_execute(
	struct handover *handover, int state, int program, int old_program, char **argv);

/* Can what services and hatchd as a whole remember be read?  0, -EBADMSG or -ENOMEM. */
int resume_check(const struct handover *handover);

/* Are we to go on, and with what?  To be called first of all, with the log open.  A negative
 * errno, which was told: we are, and cannot. */
int resume_find(struct resume *resume);

static inline bool resume_is_wanted(const struct resume *resume)
{
	return resume->state >= 0;
}

/* Close what is neither ours nor handed over; all else is close-on-exec again. */
void resume_clean_up(struct resume *resume);

/* The configuration that goes with us.  0 or a negative errno. */
struct image;
int resume_image(struct resume *resume, struct image **ret);

/* Listening sockets, and what hatchd as a whole remembers, before a configuration is put in
 * force.  0, -EBADMSG or -ENOMEM. */
int resume_sockets(struct resume *resume, struct master *master);
int resume_memory(const struct resume *resume, struct master *master, uint64_t now);

/* From here on there is no way back: what was given is theirs who have it. */
void resume_stay(struct resume *resume, struct master *master);

/* Say so. */
void resume_tell(const struct resume *resume);

/* Execute the one before us, `old_program`, again, with everything as it was; returns only if
 * that cannot be done: a negative errno. */
int resume_go_back(struct resume *resume, char **argv);

void resume_done(struct resume *resume);

#endif
