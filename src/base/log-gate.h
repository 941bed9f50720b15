/*
 * log-gate: how often a line that would come again and again is written.
 *
 * A gate is for lines that a peer can provoke.  The first line passes, the others of the same
 * window are counted.  Pure; the owner supplies the time, and after each line that passed sets
 * a timer for window_ends.  If that timer is late the first line of the next window passes and
 * the count goes on.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_LOG_GATE_H
#define HATCHD_BASE_LOG_GATE_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: open. */
struct log_gate {
	uint64_t window_ends; /* usec, monotonic; 0 before the first line */
	uint64_t held_back;   /* lines counted in the current window */
};

#define LOG_GATE_WINDOW (UINT64_C(10) * 1000 * 1000)

/* True: write the line now.  False: it has been counted. */
bool log_gate_pass(struct log_gate *gate, uint64_t now);

/*
 * The count to report if the window is over, else 0; taking it opens the gate
 * again.  To be called when window_ends has come.
 */
uint64_t log_gate_take(struct log_gate *gate, uint64_t now);

/*
 * True at most once a minute: say now that something is still so.  What is not said is
 * not counted.  *told is the owner's: when it was last true, 0: never, which also
 * starts it afresh.  `now` (usec, monotonic) is above 0.
 */
bool log_once_a_minute(uint64_t *told, uint64_t now);

#endif
