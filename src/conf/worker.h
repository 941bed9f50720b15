/*
 * worker: who the programs of hatchd are that serve connections themselves.
 *
 * They need no rights at all, so where the master is root they become somebody who has
 * none: a user made for them, or where there is no such user, a number that is nobody's.
 *
 * Who has keys of services, hatchd-tls, shares that with nobody: its user and its number are
 * its own, and never those of the others, who could send it signals and, in a program with a
 * hole, more than that.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_WORKER_H
#define HATCHD_CONF_WORKER_H

#include "conf/build.h"
#include "conf/identity.h"
#include "conf/report.h"

/* The users, in no group but their own. */
#define WORKER_USER     "_hatchd"
#define WORKER_TLS_USER "_hatchd-tls"

/* Of user and group where there is no such user.  Not those of nobody, whose programs
 * could send it signals, nor that of hatchd-ask: by convention these are nobody's at all. */
#define WORKER_UNPRIVILEGED 65532

/* The same of hatchd-tls.  Debian keeps 65000 to 65533 for itself and gives none of them to
 * anybody, and where systemd makes up users, these have numbers up to 65519. */
#define WORKER_TLS_UNPRIVILEGED 65531

/*
 * Settle worker_identity, worker_uid and worker_gid of `conf`: only for a master that is
 * root and serves something for which one is needed; and of such a one tls_worker_uid and
 * tls_worker_gid, only if something speaks TLS.  0 or -ENOMEM.
 */
int worker_settle(struct identities *identities, const struct build_context *context,
	struct conf *conf, struct report *report);

/* Whether a worker may be given that number, as user or as group: not root's, and not
 * the one that means "no change" to the kernel. */
static inline bool worker_id_valid(uint32_t id)
{
	return id != 0 && id != UINT32_MAX;
}

/* Whether that is no user's number, but one of those that are nobody's. */
static inline bool worker_id_unprivileged(uint32_t id)
{
	return id == WORKER_UNPRIVILEGED || id == WORKER_TLS_UNPRIVILEGED;
}

#endif
