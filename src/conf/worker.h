/*
 * worker: who the programs of hatchd are that serve connections themselves.
 *
 * They need no rights at all, so where the master is root they become somebody who has
 * none: a user made for them, or where there is no such user, a number that is nobody's.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_WORKER_H
#define HATCHD_CONF_WORKER_H

#include "conf/build.h"
#include "conf/identity.h"
#include "conf/report.h"

/* The user, in no group but its own. */
#define WORKER_USER "_hatchd"

/* Of user and group where there is no such user.  Not those of nobody, whose programs
 * could send it signals, nor that of hatchd-ask: by convention these are nobody's at all. */
#define WORKER_UNPRIVILEGED 65532

/*
 * Settle worker_identity, worker_uid and worker_gid of `conf`: only for a master that is
 * root and serves something for which one is needed.  0 or -ENOMEM.
 */
int worker_settle(struct identities *identities, const struct build_context *context,
	struct conf *conf, struct report *report);

/* Whether a worker may be given that number, as user or as group: not root's, and not
 * the one that means "no change" to the kernel. */
static inline bool worker_id_valid(uint32_t id)
{
	return id != 0 && id != UINT32_MAX;
}

#endif
