/*
 * http-request: as much of a request of HTTP/1.1 (RFC 9112) as an endpoint of metrics needs.
 *
 * The text is a stranger's.  It is looked at where it lies, nothing is copied or decoded,
 * and all of it, a body that nobody wants included, has to fit into HTTP_REQUEST_MAX.
 * What could be read in two ways is refused, so that it does not matter what a proxy in
 * front of us makes of it.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_METRICS_HTTP_REQUEST_H
#define HATCHD_HATCHCTL_METRICS_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of a request with all that belongs to it. */
#define HTTP_REQUEST_MAX 8192

enum http_status {
	HTTP_INCOMPLETE = 0, /* no status: there is more to come */
	HTTP_OK = 200,
	HTTP_BAD_REQUEST = 400,
	HTTP_NOT_FOUND = 404,
	HTTP_NO_SUCH_METHOD = 405, /* for what is asked for */
	HTTP_TIMEOUT = 408,
	HTTP_BODY_TOO_LARGE = 413,
	HTTP_HEAD_TOO_LARGE = 431,
	HTTP_NOT_IMPLEMENTED = 501,
	HTTP_UNAVAILABLE = 503,
	HTTP_BAD_VERSION = 505,
};

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_OTHER,
};

struct http_request {
	enum http_method method;
	const char *path; /* without a query; not decoded; borrowed from the text */
	size_t path_len;
	bool openmetrics; /* is preferred to text */
};

/*
 * Understand a request that may not be there as a whole yet.  HTTP_OK, and it is, with *ret;
 * HTTP_INCOMPLETE; else why it is refused.
 */
enum http_status http_request_parse(const char *text, size_t len, struct http_request *ret);

/* Is that what is asked for? */
bool http_request_is_for(const struct http_request *request, const char *path);

#endif
