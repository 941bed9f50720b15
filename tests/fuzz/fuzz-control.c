/*
 * Requests to the control socket: whatever is asked, what is understood is within bounds, and
 * means the same with other blanks between the words.
 */
#include "base/own.h"
#include "conf/rate.h"
#include "master/control-request.h"

#include <string.h>
#include <syslog.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whoever is banned is shown so that he can be let in again. */
static void check_net(const struct addr_net *who)
{
	char text[ADDR_NET_TEXT_MAX];
	struct addr_net again;

	if (addr_net_parse(addr_net_format(who, text), &again) < 0 ||
		memcmp(&again, who, sizeof again) != 0)
		abort();
}

static bool has_net(const struct control_request *request)
{
	return request->question == CONTROL_BAN || request->question == CONTROL_UNBAN;
}

static void check(const struct control_request *request)
{
	const char *usage;

	if (request->question >= _CONTROL_QUESTION_MAX || request->limit >= _CONTROL_LIMIT_MAX)
		abort();
	if (memchr(request->service, '\0', sizeof request->service) == NULL)
		abort();
	usage = control_request_help(request->question)->usage;
	if (request->service[0] &&
		(!service_name_valid(request->service) || !strstr(usage, "SERVICE")))
		abort();
	if ((request->question == CONTROL_KILL) != (request->connection > 0))
		abort();
	if (request->duration > CONTROL_BAN_MAX)
		abort();
	if (has_net(request))
		check_net(&request->who);
	if (!rate_holds(&request->rate) || request->priority > LOG_DEBUG)
		abort();
}

static bool is_blank(char c)
{
	return strchr(" \t\r\n", c) && c != '\0';
}

/* One blank between two words, and none elsewhere: its length. */
static size_t squeeze(const char *line, size_t len, char *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (is_blank(line[i]))
			continue;
		if (n > 0 && i > 0 && is_blank(line[i - 1]))
			ret[n++] = ' ';
		ret[n++] = line[i];
	}
	return n;
}

static bool same(const struct control_request *a, const struct control_request *b)
{
	return a->question == b->question && strcmp(a->service, b->service) == 0 &&
	       a->limit == b->limit && a->count == b->count && a->rate.count == b->rate.count &&
	       a->rate.burst == b->rate.burst && a->rate.period == b->rate.period &&
	       a->connection == b->connection && a->priority == b->priority &&
	       a->duration == b->duration && a->who.bits == b->who.bits;
}

static void check_squeezed(
	const char *line, size_t len, const struct control_request *request, const char *why)
{
	char text[CONTROL_LINE_MAX];
	size_t n = squeeze(line, len, text);
	struct control_request other;
	const char *other_why = NULL;

	control_request_parse(text, n, &other, &other_why);
	if (why != other_why || (!why && !same(request, &other)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *why = NULL;
	int len = control_request_line(text, size, true);
	struct control_request request;

	if (len < 0)
		return 0;
	if (len > CONTROL_LINE_MAX || (size_t)len > size)
		abort();
	if (control_request_parse(text, (size_t)len, &request, &why) == 0)
		check(&request);
	else if (!why)
		abort();
	check_squeezed(text, (size_t)len, &request, why);
	return 0;
}
