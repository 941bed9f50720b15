/*
 * control-change: do what an operator asks for.
 *
 * All of it is done at once; what takes time after that, a program that is to end, is seen to
 * as for any other reason.  The log says what was done, and who has asked for it.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_CONTROL_CHANGE_H
#define HATCHD_MASTER_CONTROL_CHANGE_H

#include "master/control-request.h"

#include <stdint.h>

struct master;

/* A question of those that change something, but for reload and unban.  NULL: it is done, also
 * if there was nothing to do; else why not, a constant phrase. */
const char *control_change(
	struct master *master, const struct control_request *request, uint64_t now);

#endif
