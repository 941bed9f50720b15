/*
 * check-backend: what must hold for a program that is started on demand, to which clients are
 * passed on.
 */
#include "base/clock.h"
#include "conf/check-internal.h"
#include "conf/merge.h"

#define START_TIMEOUT (30 * USEC_PER_SEC)
#define IDLE_STOP     (10 * 60 * USEC_PER_SEC)

static const char *const names[] = {"backend.exec", "backend.shell", "backend.ready",
	"backend.start_timeout", "backend.idle_stop"};

/* The first that the service says of it; NULL: nothing. */
static const char *find_given(const struct service_conf *service)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (check_given(service, names[i]))
			return names[i];
	return NULL;
}

static void check_path(const struct service_conf *service, struct report *report)
{
	if (strv_length(service->backend_exec) == 0 || service->backend_exec[0][0] == '\0')
		check_tell_mistake(report, service, "backend.exec", "the program is missing");
	else if (service->backend_exec[0][0] != '/')
		check_tell_mistake(report, service, "backend.exec",
			"the program must be an absolute path, such as /usr/bin/app");
}

static void check_program(
	const struct service_conf *service, const char *given, struct report *report)
{
	bool exec = check_given(service, "backend.exec");
	bool shell = check_given(service, "backend.shell");

	if (exec && shell)
		check_tell_mistake(report, service, "backend.shell",
			"a backend has only one of exec and shell");
	else if (exec && check_understood(service, "backend.exec"))
		check_path(service, report);
	else if (!exec && !shell && !service->unknown)
		check_tell_mistake(report, service, given,
			"a backend has a program; write backend { exec = /path/of/program }");
}

/* Who looks whether it is there yet connects to it, and looks no name up. */
static void check_ready(
	const struct service_conf *service, const char *given, struct report *report)
{
	uint32_t i = service->backend_target;

	if (service->n_targets == 0 || !check_understood(service, "redirect") ||
		!check_understood(service, "backend.ready"))
		return;
	if (addr_is_datagram(&service->targets[i]) ||
		(service->target_names && service->target_names[i][0] != '\0'))
		check_tell_mistake(report, service,
			check_given(service, "backend.ready") ? "backend.ready" : given,
			"a backend takes connections at an address of tcp or unix, not at a "
			"name; put it first in redirect, or write it as backend.ready");
}

/* It has no connection, and knows nobody's. */
static void check_belonging(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	static const char *const options[] = {"pass_as", "env_dialect"};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (check_given_here(service, defaults, conf_option_find(options[i])))
			check_tell_warning(report, service, options[i],
				"has no effect with redirect: nobody gets the connection");
}

static void settle_stderr(struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	if (service->stderr_kind != STDERR_SOCKET)
		return;
	service->stderr_kind = STDERR_LOG;
	if (check_given_here(service, defaults, conf_option_find("stderr")))
		check_tell_mistake(report, service, "stderr",
			"a backend has no socket; write log, null or a path");
}

/* Nobody is left who would stop it. */
static void settle(struct service_conf *service)
{
	if (!check_given(service, "backend.start_timeout"))
		service->backend_start_timeout = START_TIMEOUT;
	if (!check_given(service, "backend.idle_stop"))
		service->backend_idle_stop = IDLE_STOP;
	if (!check_given(service, "stop"))
		service->stop = STOP_TERMINATE;
}

void check_backend(struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	const char *given = find_given(service);

	if (!given)
		return;
	if (service->sensor) {
		check_tell_warning(report, service, given,
			"has no effect with sensor = yes: nothing is started");
		return;
	}
	if (!check_given(service, "redirect")) {
		check_tell_mistake(report, service, given,
			"needs redirect, with the address where its program takes clients");
		return;
	}
	check_program(service, given, report);
	if (!service_conf_has_backend(service))
		return;
	check_ready(service, given, report);
	check_belonging(service, defaults, report);
	settle_stderr(service, defaults, report);
	settle(service);
}
