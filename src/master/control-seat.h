/*
 * control-seat: who of those who are connected to the control socket has to go when there are
 * too many, and whose turn it is to be answered.
 *
 * Users are treated alike, however many connections one of them has, and so are the processes
 * of one user.  So neither many who say nothing, nor many who do not read what they have asked
 * for, keep anybody else away.
 *
 * Layer: master.  Pure, and includes nothing of ours.
 */
#ifndef HATCHD_MASTER_CONTROL_SEAT_H
#define HATCHD_MASTER_CONTROL_SEAT_H

#include <stdbool.h>
#include <sys/types.h>

enum control_stage {
	CONTROL_SILENT,    /* has not asked yet */
	CONTROL_ASKED,     /* waits for a turn */
	CONTROL_AWAITING,  /* for something that happens, and needs no turn for that */
	CONTROL_COME,      /* it has happened: waits for a turn to be told */
	CONTROL_ANSWERING, /* has a turn */
};

struct control_seat {
	uid_t uid; /* who has connected */
	pid_t pid; /* ... and by which process */
	enum control_stage stage;
	struct control_seat *next, *prev;
};

struct control_seats {
	struct control_seat *first, *last; /* oldest first; not owned */
	unsigned n, n_answering;
};

/* The newest, of whom uid and pid are set, and who has not asked. */
void control_seats_add(struct control_seats *seats, struct control_seat *seat);
void control_seats_remove(struct control_seats *seats, struct control_seat *seat);

void control_seats_set_stage(
	struct control_seats *seats, struct control_seat *seat, enum control_stage stage);

/*
 * Of the user who has the most, the process that has the most: its oldest who is silent, else
 * the newest who waits.  Whoever is answered stays; NULL: all are.  The square of their number.
 */
struct control_seat *control_seats_find_leaver(const struct control_seats *seats);

/* Of those who wait for a turn: of the user of whom the fewest are answered, the process of
 * which the fewest are, the oldest.  NULL: nobody waits for a turn.  The square of their
 * number. */
struct control_seat *control_seats_find_next(const struct control_seats *seats);

#endif
