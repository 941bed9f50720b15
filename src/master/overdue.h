/*
 * overdue: children that live too long, or whose clients are silent for too long.
 *
 * The options time_limit, first_byte_timeout, idle_timeout and kill_after.  What is
 * to be done when is decided by policy/lifetime.  Children without any of these are
 * not looked at, nor anybody before his time: the child table knows who is due.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_OVERDUE_H
#define HATCHD_MASTER_OVERDUE_H

#include "master/child.h"
#include "master/conn.h"
#include "os/asker.h"

#include <systemd/sd-event.h>

struct master;

struct overdue {
	struct asker *asker; /* owned */
	uint64_t asker_due;  /* when it wants to be looked after */
	uint64_t told;       /* when it was last said that nobody can be asked; 0: never */
	uint64_t full_told;  /* ... that some keep others from being asked after */
};

#define OVERDUE_NONE ((struct overdue){.asker_due = UINT64_MAX})

/* A child is about to be started for that connection, which no program shares yet. */
void overdue_begin(struct child *child, const struct conn *conn, uint64_t now);

/* It was begun by another image of hatchd: child->life is as that has left it. */
void overdue_resume(struct child *child);

/* Tell it to end for that reason; in kill_after it is made to.  Nothing happens if it was told
 * already. */
void overdue_end(struct child *child, enum lifetime_reason reason, uint64_t now);

/* sd_event_io_handler_t of asker_fd(). */
int overdue_on_answers(sd_event_source *source, int fd, uint32_t revents, void *userdata);

/* End those who are due; a bounded number, the others in the next turn. */
void overdue_turn(struct master *master, uint64_t now);

#endif
