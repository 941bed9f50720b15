/*
 * check-redirect: what must hold for a service whose clients are passed on.
 */
#include "conf/check-internal.h"
#include "conf/merge.h"

/* They mean nothing to any other service, but may stand in `defaults`. */
static void check_belonging(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	static const char *const names[] = {"redirect_order", "connect_timeout", "send_proxy"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (check_given_here(service, defaults, conf_option_find(names[i])))
			check_tell_warning(
				report, service, names[i], "has no effect without redirect");
}

static void check_streams(const struct service_conf *service, struct report *report)
{
	for (size_t i = 0; i < service->n_listen; i++) {
		const struct listen_conf *listen = &service->listen[i];

		if (service_conf_worker_takes(&listen->addr))
			continue;
		report_mistake(report, &listen->origin,
			"only stream sockets can be redirected%s",
			addr_is_datagram(&listen->addr) ? ", datagrams not yet" : "");
		return;
	}
}

void check_redirect(const struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	if (!check_given(service, "redirect")) {
		check_belonging(service, defaults, report);
		return;
	}
	if (!service_conf_is_redirect(service) || !check_understood(service, "redirect"))
		return;
	if (service->wait && check_understood(service, "wait"))
		check_tell_mistake(report, service, "redirect",
			"hatchd takes the clients itself; leave out wait = yes");
	check_streams(service, report);
	check_no_program(service, defaults, "redirect", report);
}
