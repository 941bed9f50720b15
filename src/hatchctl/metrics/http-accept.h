/*
 * http-accept: which of the two formats of metrics a client would rather have, by what it
 * says in Accept (RFC 9110, 12.5.1).
 *
 * OpenMetrics is for those who ask for it by its name and value it no less than text; text is
 * for everybody else, be it wanted or not, since a person who looks with a browser or with
 * curl is served best by that.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_METRICS_HTTP_ACCEPT_H
#define HATCHD_HATCHCTL_METRICS_HTTP_ACCEPT_H

#include <stdbool.h>
#include <stddef.h>

/* A piece of a request; borrowed. */
struct http_span {
	const char *at;
	size_t len;
};

/* Without the blanks around it. */
struct http_span http_trim(struct http_span span);

/* All zero: nothing was said.  In thousandths, 0: not wanted. */
struct http_accept {
	unsigned openmetrics, text;
};

/* What one field Accept says; there may be several. */
void http_accept_add(struct http_accept *accept, struct http_span value);

bool http_accept_prefers_openmetrics(const struct http_accept *accept);

#endif
