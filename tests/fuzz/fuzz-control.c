/* Requests to the control socket: whatever is asked, what is understood is within bounds. */
#include "base/own.h"
#include "conf/rate.h"
#include "master/control-request.h"

#include <string.h>
#include <syslog.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
