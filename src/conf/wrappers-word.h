/*
 * wrappers-word: one pattern of hosts_access(5) to items of policy/wrappers.
 *
 * Asks nobody.  What tcp_wrappers takes and can never match, or what only it can do, is a
 * mistake: a rule that is not kept protects nobody.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_WRAPPERS_WORD_H
#define HATCHD_CONF_WRAPPERS_WORD_H

#include "base/strv.h"
#include "policy/wrappers.h"

#include <stdbool.h>
#include <stddef.h>

/* What the items of a rule are made of. */
struct wrappers_items {
	struct wrappers_item *items; /* owned; their texts are in `texts` */
	size_t n, size;
	char **texts; /* owned; n_texts of them, and NULL */
	size_t n_texts;
};

void wrappers_items_done(struct wrappers_items *items);

/* 0 or -ENOMEM.  A text is copied; it may be NULL. */
int wrappers_items_add(struct wrappers_items *items, const struct wrappers_item *item);

#define WRAPPERS_REMARK_MAX 256

/* Whose host is it? */
enum wrappers_side {
	WRAPPERS_OF_CLIENT,
	WRAPPERS_OF_US, /* behind DAEMON@: only what is about addresses */
};

/* A host, which names no file.  0, -EINVAL with a remark ("'WORD' ..."), or -ENOMEM. */
int wrappers_host_read(const char *word, enum wrappers_side side, struct wrappers_items *items,
	char remark[WRAPPERS_REMARK_MAX]);

/*
 * Where the part behind the @ begins in USER@HOST or DAEMON@HOST; NULL if there is none.  An @
 * at the very beginning is none.
 */
const char *wrappers_behind_at(const char *word);

/* The user before that @, of `len` bytes: nothing for ALL.  As wrappers_host_read(). */
int wrappers_user_read(const char *word, size_t len, struct wrappers_items *items,
	char remark[WRAPPERS_REMARK_MAX]);

/* Whether a daemon of that name is meant by the pattern of `len` bytes. */
bool wrappers_daemon_matches(const char *pattern, size_t len, const char *name);

/* Does what that item wants need the client's name, or who he is? */
bool wrappers_wants_name(const struct wrappers_item *item);
bool wrappers_wants_user(const struct wrappers_item *item);

#endif
