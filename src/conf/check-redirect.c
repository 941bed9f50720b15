/*
 * check-redirect: what must hold for a service whose clients are passed on.
 */
#include "base/redirect.h"
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

static const char *why_not(const struct addr *addr)
{
	if (addr->kind == ADDR_UNIX_DGRAM)
		return "datagrams of UNIX sockets cannot be redirected, only those of UDP";
	if (addr->kind == ADDR_UNIX_SEQPACKET)
		return "only streams and UDP can be redirected";
	return addr_is_datagram(addr)
	               ? "datagrams need a target of udp, such as redirect = udp:127.0.0.1:53"
	               : "connections need a target of tcp or unix, such as redirect = "
	                 "tcp:127.0.0.1:8080";
}

/* False: that is told. */
static bool check_sockets(const struct service_conf *service, struct report *report)
{
	for (size_t i = 0; i < service->n_listen; i++) {
		const struct listen_conf *listen = &service->listen[i];

		if (service_conf_redirect_takes(service, &listen->addr))
			continue;
		report_mistake(report, &listen->origin, "%s", why_not(&listen->addr));
		return false;
	}
	return true;
}

/* Who comes by a tcpmux has a connection. */
static bool is_wanted(const struct service_conf *service, const struct addr *target)
{
	bool datagrams = addr_is_datagram(target);

	for (size_t i = 0; i < service->n_listen; i++) {
		const struct addr *addr = &service->listen[i].addr;

		if (addr->kind == ADDR_FD || addr_is_datagram(addr) == datagrams)
			return true;
	}
	return service_conf_has_mux(service) && !datagrams;
}

static void check_targets(const struct service_conf *service, struct report *report)
{
	char text[ADDR_TEXT_MAX], label[OPTION_FLAG_MAX + 2];

	for (size_t i = 0; i < service->n_targets; i++) {
		const struct addr *target = &service->targets[i];

		if (is_wanted(service, target))
			continue;
		report_mistake(report, service_conf_origin(service, "redirect"),
			"%s: nobody is passed on to %s: the service has no socket for %s",
			check_label(service, "redirect", label), addr_format(target, text),
			addr_is_datagram(target) ? "datagrams" : "connections");
		return;
	}
}

/* Who wrote it for this service relies on it. */
static void check_send_proxy(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	if (service->send_proxy == REDIRECT_PROXY_NONE ||
		!check_understood(service, "send_proxy"))
		return;
	if (check_given_here(service, defaults, conf_option_find("send_proxy")))
		check_tell_mistake(report, service, "send_proxy",
			"a header stands before a connection, and datagrams have none; give "
			"them a service of their own");
	else
		check_tell_warning(report, service, "send_proxy", "has no effect on datagrams");
}

/* Nothing else ends them, so those of senders who are made up would stay. */
static void check_endless(const struct service_conf *service, struct report *report)
{
	if (service->session_timeout == DURATION_UNLIMITED &&
		service->time_limit == DURATION_UNLIMITED &&
		check_understood(service, "session_timeout") &&
		check_understood(service, "time_limit"))
		check_tell_mistake(report, service, "session_timeout",
			"with redirect nothing else ends the session of who sends datagrams; "
			"write a time, such as 1min");
}

static bool has_target_of_udp(const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_targets; i++)
		if (addr_is_datagram(&service->targets[i]))
			return true;
	return false;
}

/* What the service manager hands over may be a socket of datagrams. */
static bool has_datagrams(const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_listen; i++) {
		const struct addr *addr = &service->listen[i].addr;

		if (addr_is_datagram(addr) ||
			(addr->kind == ADDR_FD && has_target_of_udp(service)))
			return true;
	}
	return false;
}

static bool has_streams(const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_listen; i++)
		if (!addr_is_datagram(&service->listen[i].addr))
			return true;
	return service_conf_has_mux(service);
}

static void check_datagrams(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	const struct conf_option *timeout = conf_option_find("connect_timeout");

	if (!has_datagrams(service))
		return;
	check_send_proxy(service, defaults, report);
	check_endless(service, report);
	if (service->per_datagram &&
		check_given_here(service, defaults, conf_option_find("per_datagram")))
		check_tell_mistake(report, service, "per_datagram",
			"is for programs; with redirect a sender has one session for all that "
			"he sends");
	if (!has_streams(service) && check_given_here(service, defaults, timeout))
		check_tell_warning(report, service, timeout->name,
			"has no effect on datagrams: whether somebody is there is known when "
			"he has been sent one");
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
	if (check_understood(service, "listen") && check_sockets(service, report))
		check_targets(service, report);
	check_datagrams(service, defaults, report);
	if (!service_conf_says_backend(service))
		check_no_program(service, defaults, "redirect", report);
}
