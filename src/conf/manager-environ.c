#include "conf/manager-environ.h"

#include "base/own.h"
#include "base/strv.h"

#include <string.h>

static const char *const names[] = {
	"FDSTORE",
	"LISTEN_FDNAMES",
	"LISTEN_FDS",
	"LISTEN_PID",
	"LISTEN_PIDFDID",
	"MEMORY_PRESSURE_WATCH",
	"MEMORY_PRESSURE_WRITE",
	"NOTIFY_SOCKET",
	"SYSTEMD_EXEC_PID",
	"WATCHDOG_PID",
	"WATCHDOG_USEC",
};

bool manager_environ_has(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
			return true;
	return false;
}

char **manager_environ_without(char *const *env)
{
	size_t n = 0;
	char **others = calloc(strv_length(env) + 1, sizeof *others);

	for (; others && env && *env; env++)
		if (!manager_environ_has(*env, strcspn(*env, "=")))
			others[n++] = *env;
	return others;
}
