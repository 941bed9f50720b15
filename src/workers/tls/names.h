/*
 * names: which name stands for which (RFC 6066, 3; RFC 9525, 6.3), and which service a
 * client gets by the name that he asks for.
 *
 * Pure.  Names are those of base/hostname, in its spelling; "" is that of a client who asks
 * for none.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_TLS_NAMES_H
#define HATCHD_WORKERS_TLS_NAMES_H

#include "base/tls.h"

/* How well a pattern fits a name, the better the greater. */
enum names_fit {
	NAMES_UNFIT,
	NAMES_FIT_ANY,      /* it is "" */
	NAMES_FIT_WILDCARD, /* it has a "*" in the place of the first label */
	NAMES_FIT_EXACT,
};

enum names_fit names_fit(const char *pattern, const char *name);

/* The entry that says which service is his (struct tls_name), with the protocol `alpn` that
 * was chosen with him, "": none.  Borrowed; NULL: none fits. */
const struct tls_name *names_find(
	const struct tls_name *names, size_t n, const char *name, const char *alpn);

/* Whether there is an entry that fits, whatever protocol it is for. */
bool names_know(const struct tls_name *names, size_t n, const char *name);

#endif
