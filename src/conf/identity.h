/*
 * identity: user and group names to numbers, once per load and name.
 *
 * All questions to the name service are asked here.  Each answer is kept, so
 * that ten thousand services of one user ask once.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_IDENTITY_H
#define HATCHD_CONF_IDENTITY_H

#include "conf/build.h"
#include "conf/report.h"
#include "conf/textmap.h"

/* Who somebody is.  A number without a user has itself as name, and / as home. */
struct account {
	char *name;
	char *home;
	uid_t uid;
	gid_t gid; /* (gid_t)-1: a number without a user */
	struct account *next;
};

/* The groups that a user gets. */
struct membership {
	gid_t *groups;
	size_t n;
	struct membership *next;
};

struct identities {
	struct textmap accounts;    /* name as written to struct account */
	struct textmap memberships; /* "USER GID" to struct membership */
	struct account *account_list;
	struct membership *membership_list;
};

void identities_init(struct identities *identities);
void identities_done(struct identities *identities);

/*
 * The number of a user or a group, given by name or as a number, which need not be
 * anybody's.  0, -EINVAL for a number that nobody can have, -ENOENT, or what the name
 * service says.
 */
int identity_find_user(struct identities *identities, const char *text, uid_t *ret);
int identity_find_group(const char *text, gid_t *ret);

/* Number and group of the user of that name.  Errors as above. */
int identity_find_login(
	struct identities *identities, const char *name, uid_t *ret_uid, gid_t *ret_gid);

/* All groups of a user, his first one among them; none if the number is nobody's.
 * Borrowed from `identities`.  Errors as above. */
int identity_find_groups(
	struct identities *identities, const char *text, const gid_t **ret, size_t *ret_n);

/*
 * Root gives nothing away without being asked to: a service of a file must say
 * `user`, or it is a mistake.  True if it does, or need not.
 */
bool identity_require_user(const struct service_conf *service,
	const struct build_context *context, struct report *report);

/*
 * Decide who the service runs as, and who owns its UNIX sockets.  Mistakes and
 * conditions go to the report; *ret_account is NULL after one of them, else
 * borrowed from `identities`.  0 or -ENOMEM.
 */
int identity_resolve(struct identities *identities, struct service_conf *service,
	const struct build_context *context, struct report *report,
	const struct account **ret_account);

#endif
