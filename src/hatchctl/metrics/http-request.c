#include "hatchctl/metrics/http-request.h"

#include "base/own.h"
#include "hatchctl/metrics/http-accept.h"

#include <string.h>
#include <strings.h>

/* What the head says, besides what is asked for. */
struct head {
	bool http11;
	unsigned n_hosts;
	bool has_length, has_encoding;
	size_t length; /* of the body; more than HTTP_REQUEST_MAX: too much */
	struct http_accept accept;
};

static bool is(struct http_span span, const char *text)
{
	return span.len == strlen(text) && memcmp(span.at, text, span.len) == 0;
}

/* Names of fields are the same in capital letters. */
static bool is_name(struct http_span span, const char *text)
{
	return span.len == strlen(text) && strncasecmp(span.at, text, span.len) == 0;
}

/* RFC 9110, 5.6.2: what names consist of. */
static bool is_token(struct http_span span)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < span.len; i++) {
		char c = span.at[i];
		bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		                    (c >= '0' && c <= '9');

		if (!alphanumeric && (c == '\0' || !strchr(others, c)))
			return false;
	}
	return span.len > 0;
}

static bool is_visible(struct http_span span)
{
	for (size_t i = 0; i < span.len; i++)
		if (span.at[i] <= ' ' || span.at[i] > '~')
			return false;
	return span.len > 0;
}

/* Anything but controls; what is no ASCII is nobody's business. */
static bool is_text(struct http_span span)
{
	for (size_t i = 0; i < span.len; i++)
		if ((span.at[i] >= 0 && span.at[i] < ' ' && span.at[i] != '\t') ||
			span.at[i] == 0x7f)
			return false;
	return true;
}

/* The next line without its end; false: there is none yet. */
static bool take_line(struct http_span *rest, struct http_span *ret)
{
	const char *newline = memchr(rest->at, '\n', rest->len);
	size_t len = newline ? (size_t)(newline - rest->at) : 0;

	if (!newline)
		return false;
	*ret = (struct http_span){rest->at, len};
	if (len > 0 && ret->at[len - 1] == '\r')
		ret->len--;
	rest->at += len + 1;
	rest->len -= len + 1;
	return true;
}

/* What is before the blank; false: there is none. */
static bool take_word(struct http_span *rest, struct http_span *ret)
{
	const char *blank = memchr(rest->at, ' ', rest->len);

	if (!blank)
		return false;
	*ret = (struct http_span){rest->at, (size_t)(blank - rest->at)};
	rest->len -= ret->len + 1;
	rest->at = blank + 1;
	return true;
}

static enum http_status read_version(struct http_span version, struct head *head)
{
	if (version.len != 8 || memcmp(version.at, "HTTP/", 5) != 0 || version.at[6] != '.')
		return HTTP_BAD_REQUEST;
	if (version.at[5] != '1' || version.at[7] < '0' || version.at[7] > '9')
		return HTTP_BAD_VERSION;
	head->http11 = version.at[7] != '0';
	return HTTP_OK;
}

/* As a path, or as it is said to a proxy: http://HOST/path. */
static bool read_target(struct http_span target, struct http_request *ret)
{
	static const char scheme[] = "http://";
	const char *end;

	if (target.len > strlen(scheme) &&
		strncasecmp(target.at, scheme, strlen(scheme)) == 0) {
		const char *path =
			memchr(target.at + strlen(scheme), '/', target.len - strlen(scheme));

		target.len = path ? target.len - (size_t)(path - target.at) : 1;
		target.at = path ? path : "/";
	}
	end = memchr(target.at, '?', target.len);
	ret->path = target.at;
	ret->path_len = end ? (size_t)(end - target.at) : target.len;
	return ret->path_len > 0;
}

static enum http_status read_request_line(
	struct http_span line, struct http_request *ret, struct head *head)
{
	struct http_span method, target;

	if (!take_word(&line, &method) || !take_word(&line, &target) || !is_token(method) ||
		!is_visible(target) || !read_target(target, ret))
		return HTTP_BAD_REQUEST;
	ret->method = is(method, "GET")    ? HTTP_GET
	              : is(method, "HEAD") ? HTTP_HEAD
	                                   : HTTP_OTHER;
	return read_version(line, head);
}

/* Twice the same is as bad as twice something else. */
static enum http_status read_length(struct http_span value, struct head *head)
{
	if (head->has_length || value.len == 0)
		return HTTP_BAD_REQUEST;
	head->has_length = true;
	for (size_t i = 0; i < value.len; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return HTTP_BAD_REQUEST;
		if (head->length <= HTTP_REQUEST_MAX)
			head->length = 10 * head->length + (size_t)(value.at[i] - '0');
	}
	return HTTP_OK;
}

static enum http_status read_field(struct http_span line, struct head *head)
{
	const char *colon = memchr(line.at, ':', line.len);
	struct http_span name = {line.at, colon ? (size_t)(colon - line.at) : 0}, value;

	if (!is_token(name))
		return HTTP_BAD_REQUEST;
	value = http_trim((struct http_span){colon + 1, line.len - name.len - 1});
	if (!is_text(value))
		return HTTP_BAD_REQUEST;
	if (is_name(name, "Content-Length"))
		return read_length(value, head);
	if (is_name(name, "Accept"))
		http_accept_add(&head->accept, value);
	head->n_hosts += is_name(name, "Host");
	head->has_encoding |= is_name(name, "Transfer-Encoding");
	return HTTP_OK;
}

/* The head is there; `rest` is what has come of the body. */
static enum http_status judge(const struct head *head, size_t head_len, size_t rest)
{
	if (head_len > HTTP_REQUEST_MAX)
		return HTTP_HEAD_TOO_LARGE;
	if (head->n_hosts > 1 || (head->http11 && head->n_hosts == 0))
		return HTTP_BAD_REQUEST;
	if (head->has_encoding)
		return head->has_length ? HTTP_BAD_REQUEST : HTTP_NOT_IMPLEMENTED;
	if (head->length > HTTP_REQUEST_MAX - head_len)
		return HTTP_BODY_TOO_LARGE;
	return rest < head->length ? HTTP_INCOMPLETE : HTTP_OK;
}

/* Whoever has sent as much as there may be will not come to an end. */
static enum http_status wait_for_more(size_t len)
{
	return len < HTTP_REQUEST_MAX ? HTTP_INCOMPLETE : HTTP_HEAD_TOO_LARGE;
}

enum http_status http_request_parse(const char *text, size_t len, struct http_request *ret)
{
	struct http_span rest = {text, len}, line;
	struct http_request request = {0};
	struct head head = {0};
	enum http_status status;

	/* An empty line in front is what some clients leave behind a body. */
	do {
		if (!take_line(&rest, &line))
			return wait_for_more(len);
	} while (line.len == 0);
	status = read_request_line(line, &request, &head);
	while (status == HTTP_OK) {
		if (!take_line(&rest, &line))
			return wait_for_more(len);
		if (line.len == 0)
			break;
		status = read_field(line, &head);
	}
	if (status == HTTP_OK)
		status = judge(&head, len - rest.len, rest.len);
	if (status != HTTP_OK)
		return status;
	request.openmetrics = http_accept_prefers_openmetrics(&head.accept);
	*ret = request;
	return HTTP_OK;
}

bool http_request_is_for(const struct http_request *request, const char *path)
{
	return is((struct http_span){request->path, request->path_len}, path);
}
