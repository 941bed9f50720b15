/*
 * explain: what would become of one client of one service, and why.
 *
 * Answers from the configuration as it was loaded, with the rules that the master looks
 * up, compiled by the same code.  Counts of a running hatchd are not known here, so
 * limits are told, and not judged unless they let nobody in.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_EXPLAIN_H
#define HATCHD_CONF_EXPLAIN_H

#include "conf/conf.h"

/* Exit statuses. */
#define EXPLAIN_ADMITTED 0
#define EXPLAIN_REFUSED  1
#define EXPLAIN_UNKNOWN  2 /* no such service, or this is no client */

/*
 * About a client at `address`: an IP address with a port or without, vsock:CID, or
 * unix:uid=USER with ",gid=GROUP" for groups that he is in besides his own.  `now` is
 * in seconds since 1970 (UTC).  Writes to `out`, and what is wrong with the question to
 * `err`.  A status, or -ENOMEM.
 */
int explain_print(const struct conf *conf, const char *service, const char *address,
	int64_t now, FILE *out, FILE *err);

#endif
