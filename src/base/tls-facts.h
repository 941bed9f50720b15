/*
 * tls-facts: what is known of a client after his handshake, as hatchd-tls tells it and as his
 * program finds it in its environment: a block of NAME=VALUE, each with a NUL behind it.  What
 * each of them means is in workers/tls/facts.
 *
 * The worker is a stranger: what it says is checked before anything is decided by it.  It can
 * still lie about who a client is; it cannot say more than that, nor put anything else into
 * an environment.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_TLS_FACTS_H
#define HATCHD_BASE_TLS_FACTS_H

#include <stdbool.h>
#include <stddef.h>

/* Whether it is such a block: names that are known, each of them once at most, and values
 * without control characters; subject and names only of who is certified.  Not of 0 bytes: the
 * protocol is always told. */
bool tls_facts_hold(const char *block, size_t len);

/* The value of that name in a block that holds (borrowed); NULL: it is not told. */
const char *tls_facts_get(const char *block, size_t len, const char *name);

/* The next line, NAME=VALUE; the first with `line` NULL.  NULL: there are no more. */
const char *tls_facts_next(const char *block, size_t len, const char *line);

#endif
