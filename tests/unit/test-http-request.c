/* http-request: what is a request, what is none, and what the client would rather have. */
#include "base/own.h"
#include "hatchctl/metrics/http-accept.h"
#include "hatchctl/metrics/http-request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HOST "Host: a\r\n"
#define GET  "GET / HTTP/1.1\r\n" HOST

static void test_requests(void **ctx)
{
	static const struct {
		const char *text;
		enum http_method method;
		const char *path;
	} cases[] = {
		{"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_GET, "/metrics"},
		{"HEAD /metrics HTTP/1.1\nhost:a\n\n", HTTP_HEAD, "/metrics"},
		{"GET / HTTP/1.0\r\n\r\n", HTTP_GET, "/"},
		{"\r\n\r\nGET / HTTP/1.0\r\n\r\n", HTTP_GET, "/"},
		{"GET /?a=b HTTP/1.9\r\nHOST:\r\n\r\n", HTTP_GET, "/"},
		{"GET http://a:80/metrics?x HTTP/1.1\r\n" HOST "\r\n", HTTP_GET, "/metrics"},
		{"GET HTTP://a HTTP/1.1\r\n" HOST "\r\n", HTTP_GET, "/"},
		{"GET //metrics HTTP/1.1\r\n" HOST "\r\n", HTTP_GET, "//metrics"},
		{"get / HTTP/1.1\r\n" HOST "\r\n", HTTP_OTHER, "/"},
		{"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", HTTP_OTHER, "*"},
		{"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", HTTP_OTHER, "/"},
		{"GET / HTTP/1.1\r\n" HOST "Content-Length: 000\r\n\r\n", HTTP_GET, "/"},
		{"GET / HTTP/1.1\r\n" HOST "X: \xff \t y\r\n\r\nrest", HTTP_GET, "/"},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = strlen(cases[i].text);
		struct http_request request;

		assert_int_equal(http_request_parse(cases[i].text, len, &request), HTTP_OK);
		assert_int_equal(request.method, cases[i].method);
		assert_true(http_request_is_for(&request, cases[i].path));
		assert_false(request.openmetrics);
	}
}

static void test_refused(void **ctx)
{
	static const struct {
		const char *text;
		enum http_status status;
	} cases[] = {
		{"\n\nhello\n", HTTP_BAD_REQUEST},
		{"GET /\n", HTTP_BAD_REQUEST},
		{"GET  / HTTP/1.1\r\n", HTTP_BAD_REQUEST},
		{"GET / HTTP/1.1 \r\n", HTTP_BAD_REQUEST},
		{" GET / HTTP/1.1\r\n", HTTP_BAD_REQUEST},
		{"G\x01T / HTTP/1.1\r\n", HTTP_BAD_REQUEST},
		{"GET /\x7f HTTP/1.1\r\n", HTTP_BAD_REQUEST},
		{"GET ?a HTTP/1.1\r\n", HTTP_BAD_REQUEST},
		{"GET / HTTP/11\r\n", HTTP_BAD_REQUEST},
		{"GET / http/1.1\r\n", HTTP_BAD_REQUEST},
		{"GET / HTTP/2.0\r\n", HTTP_BAD_VERSION},
		{"GET / HTTP/1.x\r\n", HTTP_BAD_VERSION},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP_BAD_VERSION},
		{"GET / HTTP/1.1\r\n\r\n", HTTP_BAD_REQUEST},
		{GET HOST "\r\n", HTTP_BAD_REQUEST},
		{GET " folded\r\n", HTTP_BAD_REQUEST},
		{GET "X : y\r\n", HTTP_BAD_REQUEST},
		{GET ": y\r\n", HTTP_BAD_REQUEST},
		{GET "X\r\n", HTTP_BAD_REQUEST},
		{GET "X: a\rb\r\n", HTTP_BAD_REQUEST},
		{GET "X: \x01\r\n", HTTP_BAD_REQUEST},
		{GET "Content-Length: -1\r\n", HTTP_BAD_REQUEST},
		{GET "Content-Length: 1 1\r\n", HTTP_BAD_REQUEST},
		{GET "Content-Length:\r\n", HTTP_BAD_REQUEST},
		{GET "Content-Length: 0\r\nContent-Length: 0\r\n", HTTP_BAD_REQUEST},
		{GET "Content-Length: 8192\r\n\r\n", HTTP_BODY_TOO_LARGE},
		{GET "Content-Length: 18446744073709551617\r\n\r\n", HTTP_BODY_TOO_LARGE},
		{GET "Transfer-Encoding: chunked\r\n\r\n", HTTP_NOT_IMPLEMENTED},
		{GET "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
			HTTP_BAD_REQUEST},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_request request = {.path = "untouched"};

		assert_int_equal(
			http_request_parse(cases[i].text, strlen(cases[i].text), &request),
			cases[i].status);
		assert_string_equal(request.path, "untouched");
	}
}

/* Whatever its pieces are. */
static void test_incomplete(void **ctx)
{
	static const char text[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc";
	struct http_request request;

	(void)ctx;
	for (size_t len = 0; len < sizeof text - 1; len++)
		assert_int_equal(http_request_parse(text, len, &request), HTTP_INCOMPLETE);
	assert_int_equal(http_request_parse(text, sizeof text - 1, &request), HTTP_OK);
}

static void test_too_large(void **ctx)
{
	char text[HTTP_REQUEST_MAX + 16];
	struct http_request request;

	(void)ctx;
	memset(text, 'a', sizeof text);
	assert_int_equal(
		http_request_parse(text, HTTP_REQUEST_MAX - 1, &request), HTTP_INCOMPLETE);
	assert_int_equal(
		http_request_parse(text, HTTP_REQUEST_MAX, &request), HTTP_HEAD_TOO_LARGE);
	memcpy(text, GET "X: ", strlen(GET "X: "));
	assert_int_equal(
		http_request_parse(text, HTTP_REQUEST_MAX, &request), HTTP_HEAD_TOO_LARGE);
	memcpy(text + HTTP_REQUEST_MAX, "\r\n\r\n", 4);
	assert_int_equal(
		http_request_parse(text, HTTP_REQUEST_MAX + 4, &request), HTTP_HEAD_TOO_LARGE);
	memcpy(text + HTTP_REQUEST_MAX - 4, "\r\n\r\n", 4);
	assert_int_equal(http_request_parse(text, HTTP_REQUEST_MAX, &request), HTTP_OK);
}

#define OPENMETRICS "application/openmetrics-text"

static void test_accept(void **ctx)
{
	static const struct {
		const char *accept;
		bool openmetrics;
	} cases[] = {
		{OPENMETRICS, true},
		{"APPLICATION/OpenMetrics-Text ; Version=1.0.0 ; Q=0.5", true},
		/* Prometheus 2.42 and 3.0. */
		{OPENMETRICS ";version=1.0.0," OPENMETRICS
			     ";version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
			true},
		{OPENMETRICS ";version=1.0.0;escaping=allow-utf-8;q=0.5," OPENMETRICS
			     ";version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,"
			     "text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
			true},
		{"text/plain," OPENMETRICS, true},
		{"text/plain," OPENMETRICS ";q=0.999", false},
		{"text/plain;q=0.2," OPENMETRICS ";q=0.3", true},
		{"text/plain;q=0.25," OPENMETRICS ";q=0.2", false},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false},
		{OPENMETRICS ";q=0", false},
		{OPENMETRICS ";q=0.000", false},
		{OPENMETRICS ";q=x", false},
		{OPENMETRICS ";version=2.0.0", false},
		{OPENMETRICS ";version=0.0.1", false},
		{"*/*", false},
		{"", false},
		{",;=,;q,", false},
		{OPENMETRICS "x", false},
		{"text/plain;version=\"," OPENMETRICS ",\"", true},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_accept accept = {0};

		http_accept_add(
			&accept, (struct http_span){cases[i].accept, strlen(cases[i].accept)});
		assert_int_equal(
			http_accept_prefers_openmetrics(&accept), cases[i].openmetrics);
	}
}

/* Several fields are as one. */
static void test_accepts(void **ctx)
{
	static const char text[] =
		GET "Accept: text/plain;q=0.5\r\naccept:" OPENMETRICS "\r\n\r\n";
	struct http_request request;

	(void)ctx;
	assert_int_equal(http_request_parse(text, sizeof text - 1, &request), HTTP_OK);
	assert_true(request.openmetrics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_accepts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
