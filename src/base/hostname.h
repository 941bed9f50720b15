/*
 * hostname: what may be a host's name.
 *
 * Names come from name servers and are written by strangers; they end up in logs, in the
 * environment of programs and beside those that the administrator trusts.  So there is one
 * spelling of each, and only of names that have one: labels of 1 to 63 letters, digits,
 * '-' and '_' (RFC 1035, 2.3.1; RFC 1123, 2.1; the underscore is in many a real name), none
 * of which begins or ends with '-', with dots between them, 253 characters at most.
 *
 * The last label is never a number, decimal or hexadecimal, so that no name can be taken
 * for an address (RFC 1123, 2.1).
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_HOSTNAME_H
#define HATCHD_BASE_HOSTNAME_H

#include <stdbool.h>

#define HOSTNAME_MAX 253

/* Room for any, NUL included. */
#define HOSTNAME_ROOM (HOSTNAME_MAX + 1)

/* In that spelling: small letters, and without a dot at its end.  0, or -EINVAL: it is no
 * name of a host, and nothing is written. */
int hostname_read(const char *text, char ret[HOSTNAME_ROOM]);

/* Is it one, in that spelling? */
bool hostname_is_plain(const char *text);

/* What stands for names: one itself, or ".example.org" for every name below example.org,
 * which is not among them.  In that spelling, with the dot in front of it.  0, or -EINVAL:
 * it is neither, or no name is long enough for it; and nothing is written. */
int hostname_read_pattern(const char *text, char ret[HOSTNAME_ROOM]);

/* Is it one, in that spelling? */
bool hostname_is_pattern(const char *text);

/* Whether the pattern stands for that name; both in that spelling.  Labels are compared
 * whole: "badexample.org" is not below example.org. */
bool hostname_matches(const char *name, const char *pattern);

#endif
