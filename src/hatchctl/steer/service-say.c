#include "hatchctl/steer/service-say.h"

#include "base/text.h"
#include "hatchctl/ask/request.h"
#include "hatchctl/command.h"
#include "hatchctl/steer/connections-of.h"

#include <stdio.h>
#include <string.h>

static const char *show(const char *text, char *buf, size_t size)
{
	return text_escape(text ? text : "?", text ? strlen(text) : 1, buf, size);
}

int service_say_state(const char *path, const char *service)
{
	_cleanup_answer_ struct answer answer = {0};
	_cleanup_free_ char *state = NULL, *reason = NULL;
	char why[REQUEST_WHY_MAX], shown[1024];
	int r = request_service(path, service, &answer, why);

	if (r < 0)
		return request_tell(service, r, why);
	state = request_text(&answer, "state");
	reason = request_text(&answer, "reason");
	printf("%s: %s", service, show(state, shown, sizeof shown));
	if (reason)
		printf(": %s", show(reason, shown, sizeof shown));
	return command_print("\n");
}

int service_say_disabled(const char *path, const char *service, const char *how)
{
	size_t n = connections_count(path, service);

	printf("%s: %s", service, how);
	if (n > 0)
		printf("; %zu %s", n, n == 1 ? "connection goes on" : "connections go on");
	return command_print("\n");
}
