#include "policy/outcome.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

struct outcome outcome_from_wait(int code, int status)
{
	return (struct outcome){
		.killed = code != CLD_EXITED,
		.core = code == CLD_DUMPED,
		.status = status,
	};
}

const char *outcome_format(const struct outcome *outcome, char buf[OUTCOME_TEXT_MAX])
{
	const char *name;

	if (!outcome->killed) {
		snprintf(buf, OUTCOME_TEXT_MAX, "exit %d", outcome->status);
		return buf;
	}

	name = sigabbrev_np(outcome->status);
	snprintf(buf, OUTCOME_TEXT_MAX, "signal %d (%s)%s", outcome->status,
		name ? name : "real-time", outcome->core ? ", core dumped" : "");
	return buf;
}

const char *outcome_result(const struct outcome *outcome)
{
	if (!outcome->killed)
		return "exit";
	return outcome->core ? "core" : "signal";
}

int outcome_shell_status(const struct outcome *outcome)
{
	return outcome->killed ? 128 + outcome->status : outcome->status;
}
