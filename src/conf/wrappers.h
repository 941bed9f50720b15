/*
 * wrappers: who may come in by hosts.allow and hosts.deny, from these files to compiled rules.
 *
 * Both are read when the first service has `hosts_access = yes`.  Of their rules each service
 * gets those whose daemons name it: by its own name, or by that of its program.  What such a
 * rule says is judged then, so that what other programs understand, in rules for these, is in
 * nobody's way.  A rule that cannot be kept refuses the file that the service stands in.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_WRAPPERS_H
#define HATCHD_CONF_WRAPPERS_H

#include "conf/report.h"
#include "conf/wrappers-file.h"
#include "conf/wrappers-word.h"

/* Where everybody has them, whatever the prefix of hatchd is. */
#define WRAPPERS_ALLOW "/etc/hosts.allow"
#define WRAPPERS_DENY  "/etc/hosts.deny"

struct wrappers_made;
struct wrappers_judged;

/* Bytes of the tables of all services; an image has room for so many (conf/image). */
#define WRAPPERS_BYTES_MAX (UINT32_C(1) << 26)

/* One of both. */
struct wrappers_source {
	const char *path; /* borrowed */
	bool is_there;
	struct wrappers_file file;
	struct wrappers_judged *judged; /* owned, one for each rule */
};

/* What was read and made while one configuration is built. */
struct wrappings {
	struct source **sources; /* borrowed */
	bool read;
	struct wrappers_source both[2]; /* hosts.allow, hosts.deny */
	bool mistaken;
	size_t n_bytes;        /* of all tables */
	struct textmap tables; /* what they are made of to struct wrappers_made */
	struct wrappers_made *made;
};

/* NULL: WRAPPERS_ALLOW, WRAPPERS_DENY.  Files are added to the end of `sources`, for their
 * lines to be shown; its owner frees them. */
void wrappings_init(
	struct wrappings *w, const char *allow, const char *deny, struct source **sources);
void wrappings_done(struct wrappings *w);

/* Give the service its table, if it wants one.  0 or -ENOMEM. */
int wrappers_prepare(struct wrappings *w, struct service_conf *service, struct report *report);

#endif
