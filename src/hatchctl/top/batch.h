/*
 * top/batch: the same pictures as plain text, for files and pipes.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TOP_BATCH_H
#define HATCHD_HATCHCTL_TOP_BATCH_H

#include "hatchctl/top/source.h"
#include "hatchctl/top/state.h"

/*
 * Write `count` of them, 0 for as many as there ever are, each of the time since the one
 * before; a first sample that has none is not written.  COMMAND_DONE, or COMMAND_FAILED after
 * a message.
 */
int top_batch(struct top_source *source, struct top_state *state, uint64_t count);

#endif
