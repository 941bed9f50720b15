/*
 * check-admission: what must hold between the options that say who may come in, when,
 * how often and how many at once.
 */
#include "conf/check-internal.h"
#include "conf/hours-conf.h"
#include "conf/merge.h"

#include <string.h>

/* Nobody may take a whole service unless the file says so. */
static void settle_per_source(struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	uint32_t n = service->instances;

	if (!check_understood(service, "instances") || !check_understood(service, "per_source"))
		return;
	if (n == 0)
		check_tell_warning(
			report, service, "instances", "0 serves nobody; every client waits");

	if (!check_given(service, "per_source"))
		service->per_source = n == COUNT_UNLIMITED ? n : n / 2 + (n == 1);
	else if (service->wait &&
		 check_given_here(service, defaults, conf_option_find("per_source")))
		check_tell_warning(report, service, "per_source",
			"has no effect with wait = yes: the program takes its clients itself");
	else if (service->per_source == 0 && n != 0)
		check_tell_warning(report, service, "per_source", "0 serves nobody");
	else if (!service->wait && n != 0 && n != COUNT_UNLIMITED &&
		 service->per_source != COUNT_UNLIMITED && service->per_source > n)
		check_tell_warning(report, service, "per_source",
			"above instances: a single address can take the whole service");
}

/* Nobody looks at clients that the program takes by itself.  A rule that would not be
 * kept is a mistake: who has written it relies on it. */
static void check_access_wait(const struct service_conf *service,
	const struct service_conf *defaults, const char *option, struct report *report)
{
	bool here = check_given_here(service, defaults, conf_option_find(option));
	bool udp = false, others = false;

	if (!check_given(service, option) || !service->wait ||
		!check_understood(service, "wait"))
		return;
	for (size_t i = 0; i < service->n_listen; i++) {
		bool is_udp = addr_is_udp(&service->listen[i].addr);

		udp = udp || is_udp;
		others = others || !is_udp;
	}
	if (others && here)
		check_tell_mistake(report, service, option,
			"cannot be kept with wait = yes: the program takes its clients itself");
	else if (others)
		check_tell_warning(report, service, option,
			"has no effect with wait = yes: the program takes its clients itself");
	else if (udp && here)
		check_tell_warning(report, service, option,
			"with wait = yes only the datagram that starts the program is checked");
}

const char *check_find_left_out(
	const struct service_conf *service, unsigned scope, const struct addr *addr)
{
	bool v6 = addr_family(addr) == AF_INET6;
	bool v4 = addr_takes_ipv4(addr, service->v6only);

	if (addr_family(addr) == AF_UNIX)
		return scope & ACCESS_OF_UNIX ? NULL : "UNIX";
	if (addr_family(addr) == AF_VSOCK)
		return scope & ACCESS_OF_VSOCK ? NULL : "vsock";
	if (v4 && v6 && !(scope & (ACCESS_OF_IPV4 | ACCESS_OF_IPV6)))
		return "IP";
	if (v6 && !(scope & ACCESS_OF_IPV6) && (!v4 || scope & ACCESS_ALL_IPV4))
		return "IPv6";
	if (v4 && !(scope & ACCESS_OF_IPV4) && (!v6 || scope & ACCESS_ALL_IPV6))
		return "IPv4";
	return NULL;
}

/* Whom a name or a certificate may be that of.  Where no certificate is shown, that is said
 * of it. */
static unsigned scope_of_names(const struct service_conf *service)
{
	bool asked = service_conf_asks_names(service) || !check_understood(service, "resolve");

	if (!service->certs && (!service->names || !asked))
		return 0;
	return ACCESS_OF_IPV4 | ACCESS_OF_IPV6;
}

static void check_only_from(const struct service_conf *service, struct report *report)
{
	char label[OPTION_FLAG_MAX + 2];
	const char *whom = NULL;

	if (!check_given(service, "only_from") || !service->access || service->wait ||
		service->condition)
		return;
	/* Through a proxy anybody can come from anywhere. */
	if (service->proxy_protocol != PROXY_USE_NO && strv_length(service->only_from) > 0)
		return;
	if (strv_length(service->only_from) == 0) {
		check_tell_warning(
			report, service, "only_from", "is empty: nobody may come in");
		return;
	}
	for (size_t i = 0; i < service->n_listen && !whom; i++)
		whom = check_find_left_out(service,
			service->access->scope | scope_of_names(service),
			&service->listen[i].addr);
	if (whom)
		report_warning(report, service_conf_origin(service, "only_from"),
			"%s: it names no %s client, so all of them are refused",
			check_label(service, "only_from", label), whom);
}

/* What its addresses may have; what the service manager hands over may be anything. */
static void look_at_addresses(
	const struct service_conf *service, bool *ret_datagrams, bool *ret_ip)
{
	*ret_datagrams = false;
	*ret_ip = service->proxy_protocol != PROXY_USE_NO || service_conf_has_mux(service);
	for (size_t i = 0; i < service->n_listen; i++) {
		const struct addr *addr = &service->listen[i].addr;
		bool anything = addr->kind == ADDR_FD;

		*ret_datagrams = *ret_datagrams || anything || addr_is_datagram(addr);
		*ret_ip = *ret_ip || anything || addr_is_ip(addr);
	}
}

/* Who sends datagrams to what is built in is the worker's to look at, and it has no names and
 * no other rules.  A rule that would not be kept is a mistake, whoever has written it. */
static void check_hosts_access(const struct service_conf *service, struct report *report)
{
	bool datagrams, ip;

	if (!service->hosts_access || service->sensor ||
		!check_understood(service, "builtin") || !check_understood(service, "listen"))
		return;
	look_at_addresses(service, &datagrams, &ip);
	if (datagrams && service_conf_is_builtin(service))
		report_mistake(report, &service->origin,
			"service '%s': hosts_access cannot be kept for datagrams of what is "
			"built in; write hosts_access = no, and only_from or no_access",
			service->name);
	else if (datagrams && service->wrappers && service->wrappers->needs)
		check_tell_warning(report, service, "hosts_access",
			"of who sends datagrams neither name nor user is looked up: a rule "
			"about them lets none of them in, and one that refuses such a name "
			"refuses them all");
	else if (!ip && service->n_listen > 0)
		check_tell_warning(report, service, "hosts_access",
			"the service has no IP address: all its clients are UNKNOWN");
}

static void check_access(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	check_access_wait(service, defaults, "only_from", report);
	check_access_wait(service, defaults, "no_access", report);
	if (service->hosts_access)
		check_access_wait(service, defaults, "hosts_access", report);
	check_hosts_access(service, report);
	check_only_from(service, report);
}

/* Who is seen can be refused: his datagram is thrown away. */
static bool sees_senders(const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_listen; i++) {
		if (addr_shows_sender(&service->listen[i].addr))
			return true;
	}
	return false;
}

/* Options that a service with wait = yes makes no use of. */
static void check_wait_limits(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	static const struct {
		const char *option;
		bool for_udp;
	} options[] = {
		{"per_source_rate", true},
		{"source_prefix4", true},
		{"source_prefix6", true},
		{"overflow", true},
		{"overflow_source", false},
		{"ban_scope", false},
	};

	if (!service->wait || !check_understood(service, "listen"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct conf_option *option = conf_option_find(options[i].option);

		if (!check_given_here(service, defaults, option) ||
			(options[i].for_udp && sees_senders(service)))
			continue;
		check_tell_warning(report, service, option->name,
			options[i].for_udp
				? "has no effect with wait = yes but for UDP: the program "
				  "takes its clients itself"
				: "has no effect with wait = yes: the program takes its "
				  "clients itself");
	}
}

static void check_limits(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	const struct conf_option *scope = conf_option_find("ban_scope");
	const struct conf_option *time = conf_option_find("ban_time");

	if (check_understood(service, "rate") && limit_is_set(&service->rate) &&
		service->rate.count == 0)
		check_tell_warning(report, service, "rate",
			service->overflow == OVERFLOW_REFUSE
				? "0 serves nobody"
				: "0 serves nobody; every client waits");
	if (check_understood(service, "per_source_rate") &&
		limit_is_set(&service->per_source_rate) && service->per_source_rate.count == 0)
		check_tell_warning(report, service, "per_source_rate", "0 serves nobody");
	if (check_given_here(service, defaults, scope) && service->overflow_source == 0 &&
		check_understood(service, "overflow_source") &&
		check_understood(service, "ban_scope"))
		check_tell_warning(report, service, "ban_scope",
			"has no effect without overflow_source = \"ban TIME\"");
	if (check_given_here(service, defaults, time) && !service->sensor &&
		check_understood(service, "ban_time"))
		check_tell_warning(
			report, service, "ban_time", "has no effect without sensor = yes");
	check_wait_limits(service, defaults, report);
}

/* What is said of a peer that nobody has heard an answer from is worth nothing. */
static void check_sensor(const struct service_conf *service, struct report *report)
{
	if (!service->sensor)
		return;
	if (service->wait)
		check_tell_mistake(report, service, "sensor",
			"hatchd takes the clients itself; leave out wait = yes");
	for (size_t i = 0; i < service->n_listen; i++) {
		if (!addr_is_datagram(&service->listen[i].addr))
			continue;
		report_mistake(report, &service->listen[i].origin,
			"a sensor needs connections: who sends a datagram can say that he is "
			"somebody else");
		return;
	}
}

/* Where a span was written. */
static const struct origin *span_origin(const struct service_conf *service, const char *text)
{
	for (size_t i = 0; service->access_times_at && service->access_times[i]; i++) {
		if (service->access_times[i] == text)
			return &service->access_times_at[i];
	}
	return service_conf_origin(service, "access_times");
}

/* 0 or -ENOMEM. */
static int read_hours(struct service_conf *service, struct report *report)
{
	char shown[DIAG_SHOWN_MAX], label[OPTION_FLAG_MAX + 2];
	const char *text, *why;
	int r;

	if (!check_given(service, "access_times") || !check_understood(service, "access_times"))
		return 0;
	if (strv_length(service->access_times) == 0)
		check_tell_mistake(report, service, "access_times",
			"the times are missing; write 0:00-24:00 for any time");
	r = hours_conf_read(service->access_times, &service->hours, &text, &why);
	if (r != -EINVAL)
		return r;
	report_mistake(report, span_origin(service, text), "%s: '%s' %s",
		check_label(service, "access_times", label),
		diag_shown(text, strlen(text), shown), why);
	return 0;
}

int check_admission(struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	int r = read_hours(service, report);

	if (r < 0)
		return r;
	settle_per_source(service, defaults, report);
	check_access(service, defaults, report);
	check_limits(service, defaults, report);
	check_sensor(service, report);
	return 0;
}
