/*
 * pump: standard input to a connected stream, and its answer to standard
 * output, both at once.
 *
 *	the end of the input     ends the writing half of the stream;
 *	the end of the answer    closes the output, while the input goes on;
 *	it is over               when both have ended.
 *
 * Each direction is a flow, and every byte that was read is delivered or accounted
 * for by an error.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_CONNECT_PUMP_H
#define HATCHD_HATCHCTL_CONNECT_PUMP_H

#include "base/own.h"
#include "hatchctl/connect/flow.h"
#include "hatchctl/connect/output.h"

#include <stdbool.h>

/* Where a transfer broke. */
enum pump_place {
	PUMP_NOWHERE,
	PUMP_INPUT,
	PUMP_OUTPUT,
	PUMP_PEER_READ,
	PUMP_PEER_WRITE,
};

struct pump {
	/* Set by pump_new(); borrowed, but for the output, which is closed. */
	int input;
	struct output output;
	int peer;

	/* To be set before the first turn. */
	bool ends_with_answer;              /* a person would wait for nothing */
	void (*narrate)(const char *event); /* NULL: in silence */

	/* Result: what broke first, and a positive errno; PUMP_NOWHERE and 0. */
	enum pump_place broken;
	int error;

	/* Private */
	bool over;
	struct flow sending;
	struct flow answer;
};

/* `peer` must be non-blocking; the others may be what they are.  NULL: no memory. */
struct pump *pump_new(int input, int output, int peer);
struct pump *pump_free(struct pump *pump);

/* Wait until something can be moved, and move it; false when it is over. */
bool pump_turn(struct pump *pump);

/* Turn until it is over.  0, or a negative errno and pump->broken. */
int pump_run(struct pump *pump);

static inline void own_pump(struct pump **pump)
{
	pump_free(*pump);
}
#define _cleanup_pump_ _cleanup_(own_pump)

#endif
