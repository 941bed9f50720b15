/* Requests of HTTP: whatever comes, in whatever pieces, what is understood lies within it, and
 * was not understood otherwise before all of it was there. */
#include "base/own.h"
#include "hatchctl/metrics/http-request.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text, size_t len, const struct http_request *request)
{
	if (request->path_len == 0)
		abort();
	/* The shortest of them is a constant: a host without a path. */
	if (request->path_len == 1 && *request->path == '/')
		return;
	if (request->path < text || request->path + request->path_len > text + len)
		abort();
}

/* Of less than what made up its mind nothing else may be said, but that it is not all. */
static void check_pieces(const char *text, size_t len, enum http_status status)
{
	struct http_request request;
	size_t half = len / 2;
	enum http_status early = http_request_parse(text, half, &request);

	if (early != HTTP_INCOMPLETE && early != status)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	size_t len = size < HTTP_REQUEST_MAX ? size : HTTP_REQUEST_MAX;
	struct http_request request;
	enum http_status status = http_request_parse(text, len, &request);

	if (status == HTTP_OK)
		check(text, len, &request);
	if (status == HTTP_INCOMPLETE && len == HTTP_REQUEST_MAX)
		abort();
	check_pieces(text, len, status);
	return 0;
}
