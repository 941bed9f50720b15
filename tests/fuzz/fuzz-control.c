/* Requests to the control socket: whatever is asked, what is understood is within bounds. */
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
	if (request->question >= _CONTROL_QUESTION_MAX || request->limit >= _CONTROL_LIMIT_MAX)
		abort();
	if (memchr(request->service, '\0', sizeof request->service) == NULL)
		abort();
	if (request->service[0] && !service_name_valid(request->service))
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
	return 0;
}
