/*
 * hatch: from a client to a child.
 *
 * Prepare the plan, start the child, note it.  What comes after is master/tend.
 *
 * What lacks is the machine's (then the service pauses, and nobody is lost) or
 * the program's, and whose that is decides how long the service pauses: see
 * master/pause.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_HATCH_H
#define HATCHD_MASTER_HATCH_H

#include "master/conn.h"

#include <stdint.h>

/*
 * A child for that client, who may come in, and for whom there is a slot.  The
 * connection is the caller's no longer: it is the child's, is held (of who sends datagrams
 * never), or is closed.  0, or a
 * negative errno when no child came about, which has been told and pauses the service.
 */
int hatch(struct conn *conn, uint64_t now);

/*
 * A child of that service without a client, in *ret: its program gets these descriptors from
 * number 3 on, which have to stay open until it has its own.  0, or a negative errno; what
 * was wrong has been told, and pauses the service, unless there was no slot or record for it
 * (-EAGAIN).
 */
int hatch_process(struct service *service, const int *fds, size_t n_fds, uint64_t now,
	struct child **ret);

#endif
