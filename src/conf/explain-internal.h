/*
 * explain-internal: what the files of conf/explain share, and nobody else.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_EXPLAIN_INTERNAL_H
#define HATCHD_CONF_EXPLAIN_INTERNAL_H

#include "conf/explain-peer.h"
#include "conf/explain.h"

struct explain {
	const struct conf *conf;
	const struct service_conf *service;
	struct explain_peer peer;
	const struct addr *addr;        /* that he can have called; NULL: none is for him */
	const struct service_conf *mux; /* whose address that is, where he gives a name */
	int64_t now;                    /* seconds since 1970, UTC */
	FILE *out;
};

/* The word at the beginning of a line; "" for one that goes on with the same. */
void explain_put_word(const struct explain *e, const char *word);

/* FILE:LINE; nothing for what the program has made itself. */
void explain_put_origin(const struct explain *e, const struct origin *origin);

/* Where the option was given, or "default". */
void explain_put_given(const struct explain *e, const struct conf_option *option);

/* ", by OPTION, FILE:LINE", and the end of the line. */
void explain_put_by(const struct explain *e, const struct conf_option *option);

/* Is he a client, whom limits are about?  Who sends a datagram to what is built in is none:
 * for him there are only rules. */
bool explain_is_counted(const struct explain *e);

/* Does hatchd see who he is, before anything is started? */
bool explain_is_seen(const struct explain *e);

/* The lines about whether he comes in.  A status, or -ENOMEM. */
int explain_verdict(const struct explain *e);

/* Whether the service is open now. */
bool explain_is_open(const struct explain *e);

/* The line about that, if it is not always open.  0 or -ENOMEM. */
int explain_put_hours(const struct explain *e);

/* The lines about what is limited.  0 or -ENOMEM. */
int explain_limits(const struct explain *e);

#endif
