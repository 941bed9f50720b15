/*
 * builtin: the services that hatchd has itself, by number and by name.
 *
 * What the loader, the master and the worker that serves them have to agree about.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_BUILTIN_H
#define HATCHD_BASE_BUILTIN_H

#include <stdbool.h>
#include <stddef.h>

enum service_builtin {
	BUILTIN_NONE,
	BUILTIN_ECHO,    /* RFC 862 */
	BUILTIN_DISCARD, /* RFC 863 */
	BUILTIN_CHARGEN, /* RFC 864 */
	BUILTIN_DAYTIME, /* RFC 867 */
	BUILTIN_TIME,    /* RFC 868 */
	BUILTIN_QOTD,    /* RFC 865: one quotation out of the reply */
	BUILTIN_TEXT,    /* the reply, to everybody the same */
	BUILTIN_TCPMUX,  /* RFC 1078: other services by name; the reply is the list for HELP */
	_BUILTIN_MAX,
};

/* Their names, "none" first; NULL-terminated. */
extern const char *const builtin_names[];

/* Most bytes of a reply. */
#define BUILTIN_REPLY_MAX 65536

/* Most bytes that a quotation should have, RFC 865. */
#define BUILTIN_QUOTE_MAX 512

/* Has a reply that somebody has to write. */
bool builtin_has_reply(enum service_builtin builtin);

/*
 * The next of the quotations in `*rest`, which is `*len` bytes long; both are moved on.
 * They stand between lines with nothing but a percent sign, as in the files of
 * fortune(6); what is blank is none.  False at the end, else *ret points to it, with
 * the end of its last line; never empty.
 */
bool builtin_next_quote(const char **rest, size_t *len, const char **ret, size_t *ret_len);

#endif
