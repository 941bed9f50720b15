#include "hatchctl/metrics/http-serve.h"

#include "base/clock.h"
#include "base/own.h"
#include "hatchctl/command.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* usec: how long a client may take to notice that the answer has ended. */
#define LINGER_MAX (2 * USEC_PER_SEC)

struct answer_parts {
	enum http_status status;
	const char *type; /* of the body */
	char *body;       /* owned */
	size_t len;
	bool without_body; /* its length is told all the same */
};

static const char page[] = "<!DOCTYPE html>\n"
			   "<html lang=\"en\"><title>hatchd</title>\n"
			   "<p>hatchd: <a href=\"/metrics\">metrics</a></p></html>\n";

static const char *phrase_of(enum http_status status)
{
	switch (status) {
	case HTTP_OK:
		return "OK";
	case HTTP_NOT_FOUND:
		return "Not Found";
	case HTTP_NO_SUCH_METHOD:
		return "Method Not Allowed";
	case HTTP_TIMEOUT:
		return "Request Timeout";
	case HTTP_BODY_TOO_LARGE:
		return "Content Too Large";
	case HTTP_HEAD_TOO_LARGE:
		return "Request Header Fields Too Large";
	case HTTP_NOT_IMPLEMENTED:
		return "Not Implemented";
	case HTTP_UNAVAILABLE:
		return "Service Unavailable";
	case HTTP_BAD_VERSION:
		return "HTTP Version Not Supported";
	default:
		return "Bad Request";
	}
}

/* ----------------------------------------------------------------- the request */

/* Bytes of standard input, 0 at its end; -ETIMEDOUT: none came by then. */
static ssize_t read_until(uint64_t deadline, char *buf, size_t size)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	uint64_t now = clock_monotonic();
	ssize_t n;
	int r;

	if (now >= deadline)
		return -ETIMEDOUT;
	r = poll(&input, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1);
	if (r <= 0)
		return r == 0 ? -ETIMEDOUT : -errno;
	n = read(STDIN_FILENO, buf, size);
	return n < 0 ? -errno : n;
}

/* HTTP_INCOMPLETE: he has left without a word. */
static enum http_status read_request(char text[HTTP_REQUEST_MAX], struct http_request *ret)
{
	uint64_t deadline = clock_monotonic() + HTTP_PATIENCE * USEC_PER_SEC;
	enum http_status status = HTTP_INCOMPLETE;
	size_t len = 0;

	while (status == HTTP_INCOMPLETE) {
		ssize_t n = read_until(deadline, text + len, HTTP_REQUEST_MAX - len);

		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n == -ETIMEDOUT)
			return HTTP_TIMEOUT;
		if (n <= 0)
			return len > 0 && n == 0 ? HTTP_BAD_REQUEST : HTTP_INCOMPLETE;
		len += (size_t)n;
		status = http_request_parse(text, len, ret);
	}
	return status;
}

/* ------------------------------------------------------------------ the answer */

static void put_text(struct answer_parts *answer, const char *type, const char *format, ...)
	_printf_(3, 4);

static void put_text(struct answer_parts *answer, const char *type, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vasprintf(&answer->body, format, args);
	va_end(args);
	if (len < 0)
		answer->body = NULL;
	answer->len = len < 0 ? 0 : (size_t)len;
	answer->type = type;
}

static void put_error(struct answer_parts *answer, enum http_status status)
{
	answer->status = status;
	put_text(answer, "text/plain; charset=utf-8", "%d %s\n", status, phrase_of(status));
}

static int put_metrics(struct answer_parts *answer, const struct http_request *request,
	http_write_metrics write_metrics, void *userdata)
{
	enum exposition_format format =
		request->openmetrics ? EXPOSITION_OPENMETRICS : EXPOSITION_PROMETHEUS;
	FILE *out = open_memstream(&answer->body, &answer->len);
	int r = out ? write_metrics(userdata, out, format)
	            : command_failed("%s", strerror(ENOMEM));

	if (out && fclose(out) != 0 && r == COMMAND_DONE)
		r = command_failed("%s", strerror(ENOMEM));
	answer->type = exposition_media_type(format);
	if (r == COMMAND_DONE)
		return r;
	free(answer->body);
	put_error(answer, HTTP_UNAVAILABLE);
	return r;
}

static int make_answer(struct answer_parts *answer, const struct http_request *request,
	http_write_metrics write_metrics, void *userdata)
{
	bool is_metrics = http_request_is_for(request, "/metrics");

	answer->without_body = request->method == HTTP_HEAD;
	if (!is_metrics && !http_request_is_for(request, "/"))
		put_error(answer, HTTP_NOT_FOUND);
	else if (request->method == HTTP_OTHER)
		put_error(answer, HTTP_NO_SUCH_METHOD);
	else if (is_metrics)
		return put_metrics(answer, request, write_metrics, userdata);
	else
		put_text(answer, "text/html; charset=utf-8", "%s", page);
	return COMMAND_DONE;
}

static void put_head(FILE *out, const struct answer_parts *answer)
{
	time_t now = clock_wall().tv_sec;
	char date[64] = "";
	struct tm tm;

	fprintf(out, "HTTP/1.1 %d %s\r\n", answer->status, phrase_of(answer->status));
	if (gmtime_r(&now, &tm))
		strftime(date, sizeof date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
	fputs(date, out);
	if (answer->status == HTTP_NO_SUCH_METHOD)
		fputs("Allow: GET, HEAD\r\n", out);
	fprintf(out,
		"Content-Type: %s\r\n"
		"Content-Length: %zu\r\n"
		"Vary: Accept\r\n"
		"X-Content-Type-Options: nosniff\r\n"
		"Connection: close\r\n"
		"\r\n",
		answer->type, answer->len);
}

/* Whoever does not wait for it has his reasons. */
static void send_answer(const struct answer_parts *answer)
{
	put_head(stdout, answer);
	if (!answer->without_body && answer->body)
		fwrite(answer->body, 1, answer->len, stdout);
	fflush(stdout);
}

/* To close what he has still sent would take the answer away from him. */
static void linger(void)
{
	uint64_t deadline = clock_monotonic() + LINGER_MAX;
	char text[4096];
	ssize_t n;

	if (shutdown(STDOUT_FILENO, SHUT_WR) < 0)
		return;
	do {
		n = read_until(deadline, text, sizeof text);
	} while (n > 0 || n == -EINTR);
}

static void on_alarm(int signal)
{
	(void)signal;
	_exit(COMMAND_FAILED);
}

/* An end for everything, and none because the client has left. */
static void set_limits(void)
{
	const struct sigaction end = {.sa_handler = on_alarm}, ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGALRM, &end, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	alarm(HTTP_TIME_MAX);
}

int http_serve(http_write_metrics write_metrics, void *userdata)
{
	struct answer_parts answer = {.status = HTTP_OK};
	char text[HTTP_REQUEST_MAX];
	struct http_request request;
	enum http_status status;
	int r = COMMAND_DONE;

	set_limits();
	status = read_request(text, &request);
	if (status == HTTP_INCOMPLETE)
		return COMMAND_DONE;
	if (status == HTTP_OK)
		r = make_answer(&answer, &request, write_metrics, userdata);
	else
		put_error(&answer, status);
	send_answer(&answer);
	free(answer.body);
	linger();
	return r;
}
