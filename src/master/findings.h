/*
 * findings: what hatchd-lookup has said about one client.
 *
 * It goes with him from when it is known until his record is written, through whatever has
 * him in the meantime; so it is counted who holds it.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_ANSWERS_H
#define HATCHD_MASTER_ANSWERS_H

#include "base/addr.h"
#include "base/redirect.h"
#include "policy/wrappers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More of a user's name is not kept: what a strange machine says fills a line of the log
 * no further. */
#define FINDINGS_USER_MAX 64

struct findings {
	unsigned refs;
	uint32_t generation; /* of the configuration that has asked (master->generation) */
	char *name;          /* owned; of the host, as in base/hostname; NULL: it has none */
	enum wrappers_name name_state;
	enum wrappers_user user_state; /* SAID, NOBODY or UNSURE */
	char *user;           /* owned; printable characters of ASCII; NULL: nobody said */
	struct addr *targets; /* owned; of redirect, with those of names in their places */
	size_t n_targets;
};

/* One that knows nothing, with one holder.  NULL without memory. */
struct findings *findings_new(uint32_t generation);

/* Both take NULL; the first returns its argument, the second NULL. */
struct findings *findings_hold(struct findings *findings);
struct findings *findings_release(struct findings *findings);

/* A copy of it, as in base/hostname.  0, or -ENOMEM: what was known stays. */
int findings_set_name(struct findings *findings, const char *text);

/* The same; what is not fit for a line of text becomes '?'. */
int findings_set_user(struct findings *findings, const char *text);

/* Is his name known, and one of those patterns (base/hostname)?  NULL-terminated, or NULL. */
bool findings_match(const struct findings *findings, char *const *patterns);

#endif
