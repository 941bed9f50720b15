/*
 * wrappers-internal: what conf/wrappers.c, which finds the rules that are about a service, and
 * conf/wrappers-judge.c, which understands them, share.  For nobody else.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_WRAPPERS_INTERNAL_H
#define HATCHD_CONF_WRAPPERS_INTERNAL_H

#include "conf/wrappers.h"

/* What the clients and options of a rule mean; the same for all services. */
struct wrappers_judged {
	bool known;    /* it was judged */
	bool mistaken; /* and that was told */
	bool denies;
	struct wrappers_items clients; /* owned */
	struct origin name_at;         /* of the first one that needs a name; no file: none */
	struct origin user_at;         /* ... or a user */
};

/* What a rule says about our own side, for one service. */
enum wrappers_concern {
	WRAPPERS_NOT_CONCERNED,
	WRAPPERS_CONCERNED,  /* wherever its client has come in */
	WRAPPERS_BY_ADDRESS, /* if he has come in where `locals` say */
};

struct wrappers_names {
	const char *service;
	const char *program; /* the last part of its path; NULL: it has none */
	const char *argv0;   /* the last part of what it is called instead; NULL: nothing */
};

/* Judge the rule, if it was not yet.  Files that it names are added to `sources`.  0 or
 * -ENOMEM. */
int wrappers_judge(const struct wrappers_entry *entry, bool of_deny, struct source **sources,
	struct report *report, struct wrappers_judged *judged);

/* Whether the rule is about that service; `locals` are added to.  *ret_mistaken, which is
 * told, or left alone.  0 or -ENOMEM. */
int wrappers_find_concern(const struct wrappers_entry *entry,
	const struct wrappers_names *names, struct report *report, enum wrappers_concern *ret,
	struct wrappers_items *locals, bool *ret_mistaken);

#endif
