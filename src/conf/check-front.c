/*
 * check-front: what must hold between the options for connections that begin with
 * something: a header of the PROXY protocol, the name of a service, a banner.
 */
#include "conf/check-internal.h"
#include "conf/merge.h"

#include <string.h>
#include <strings.h>

/* What is done with a connection before somebody serves it. */
static const char *const front_options[] = {
	"proxy_protocol", "banner", "banner_success", "banner_fail"};

/* `proxy_protocol = no` says that it is not done. */
static bool is_wanted(const struct service_conf *service, const char *option)
{
	if (strcmp(option, "proxy_protocol") == 0 && check_understood(service, option))
		return service->proxy_protocol != PROXY_USE_NO;
	return check_given(service, option);
}

static bool is_wanted_here(const struct service_conf *service,
	const struct service_conf *defaults, const char *option)
{
	return is_wanted(service, option) &&
	       check_given_here(service, defaults, conf_option_find(option));
}

static bool is_datagram(const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_listen; i++) {
		if (addr_is_datagram(&service->listen[i].addr))
			return true;
	}
	return false;
}

/* Why hatchd has no connection of its own to read from; NULL if it has. */
static const char *why_not(const struct service_conf *service)
{
	if (service->pass_as == PASS_LISTEN_FDS)
		return "is for connections that hatchd takes itself; leave out pass_as = "
		       "listen_fds and wait = yes";
	if (service->wait)
		return "is for connections that hatchd takes itself; leave out wait = yes";
	if (is_datagram(service))
		return "is for connections; leave out the datagram sockets, or write a service "
		       "of their own for them";
	return NULL;
}

/* What `defaults` give to all is left undone where it cannot be done.  Only of headers that
 * has to be said: who relies on them would take proxies for clients. */
static void check_connections(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	const char *why = why_not(service);

	if (!why || !check_understood(service, "wait") || !check_understood(service, "pass_as"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(front_options); i++)
		if (is_wanted_here(service, defaults, front_options[i]))
			check_tell_mistake(report, service, front_options[i], why);
	if (is_wanted(service, "proxy_protocol") &&
		!is_wanted_here(service, defaults, "proxy_protocol"))
		report_warning(report, &service->origin,
			"service '%s' has %s: proxy_protocol of defaults has no effect there",
			service->name, service->wait ? "wait = yes" : "datagram sockets");
}

/* A header is the word of whoever connects: it has to be said whose word counts. */
static void check_proxy_from(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	bool wanted = is_wanted(service, "proxy_protocol");

	if (!check_understood(service, "proxy_protocol") ||
		!check_understood(service, "proxy_from"))
		return;
	if (!wanted && check_given_here(service, defaults, conf_option_find("proxy_from")))
		check_tell_mistake(report, service, "proxy_from",
			report->adhoc
				? "needs --proxy-protocol=required or --proxy-protocol=optional"
				: "needs proxy_protocol = required or optional");
	if (!wanted || strv_length(service->proxy_from) > 0)
		return;
	if (check_given(service, "proxy_from"))
		check_tell_mistake(report, service, "proxy_from",
			"the addresses of the proxies are missing");
	else if (!service->unknown)
		check_tell_mistake(report, service, "proxy_protocol",
			report->adhoc
				? "whose headers are to be believed? write --proxy-from=ADDRESS"
				: "whose headers are to be believed? write proxy_from = { "
				  "ADDRESS }, where the proxies are");
}

/* Whom nobody speaks for can be told from the list alone. */
static void check_left_out(const struct service_conf *service, struct report *report)
{
	char label[OPTION_FLAG_MAX + 2];
	const char *whom = NULL;

	if (service->proxy_protocol != PROXY_USE_REQUIRED || !service->proxies ||
		service->condition)
		return;
	for (size_t i = 0; i < service->n_listen && !whom; i++)
		whom = check_find_left_out(
			service, service->proxies->scope, &service->listen[i].addr);
	if (whom)
		report_warning(report, service_conf_origin(service, "proxy_from"),
			"%s: it names no %s client, so all of them are refused",
			check_label(service, "proxy_from", label), whom);
}

/* RFC 1078 has the client speak first. */
static void check_banners(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	static const char why[] = "with tcpmux the client speaks first; leave it out, or write "
				  "it in the services that are had by their names";

	if (service->builtin != BUILTIN_TCPMUX)
		return;
	for (size_t i = 1; i < ARRAY_SIZE(front_options); i++)
		if (is_wanted_here(service, defaults, front_options[i]))
			check_tell_mistake(report, service, front_options[i], why);
}

static void check_mux(const struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	if (!service_conf_has_mux(service) || !check_understood(service, "tcpmux"))
		return;
	if (service->wait && check_understood(service, "wait"))
		check_tell_mistake(report, service, "tcpmux",
			"hatchd takes the clients itself; leave out wait = yes");
	if (strcasecmp(service->name, "help") == 0)
		check_tell_mistake(report, service, "tcpmux",
			"HELP is how clients ask for all names; call the service something "
			"else");
	if (service->builtin == BUILTIN_TCPMUX && check_understood(service, "builtin"))
		check_tell_mistake(report, service, "tcpmux",
			"is for services that builtin = tcpmux hands its clients to");
	if (!check_given(service, "listen") &&
		is_wanted_here(service, defaults, "proxy_protocol"))
		check_tell_warning(report, service, "proxy_protocol",
			"has no effect: the service has no listen, and headers are for the "
			"service with builtin = tcpmux");
}

/* It closes the connection, whoever that is. */
static void check_sensor(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	for (size_t i = 0; i < ARRAY_SIZE(front_options); i++)
		if (is_wanted_here(service, defaults, front_options[i]))
			check_tell_warning(report, service, front_options[i],
				"has no effect with sensor = yes: its clients are closed at "
				"once");
	if (service->tcpmux != TCPMUX_USE_NO)
		check_tell_warning(report, service, "tcpmux",
			"has no effect with sensor = yes: it is where it listens");
}

/* What bounds that, and what else clients wait for. */
static void check_bound(const struct service_conf *service, const struct service_conf *defaults,
	const char *option, struct report *report)
{
	bool header = option[0] == 'h';

	if (!check_understood(service, option) ||
		!check_given_here(service, defaults, conf_option_find(option)))
		return;
	if (report->adhoc)
		check_tell_warning(report, service, option,
			header ? "has no effect without --proxy-protocol, a banner or "
				 "--builtin=tcpmux"
			       : "has no effect without --proxy-protocol, a banner, "
				 "--tls-certificate, --builtin=tcpmux, --resolve, --ident or a "
				 "name in --redirect");
	else
		check_tell_warning(report, service, option,
			header ? "has no effect without proxy_protocol, a banner or builtin = "
				 "tcpmux"
			       : "has no effect without proxy_protocol, a banner, tls, "
				 "builtin = tcpmux, resolve, ident or a name in redirect");
}

static void check_bounds(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	static const char *const decides[] = {
		"proxy_protocol", "builtin", "resolve", "ident", "redirect", "tls.certificate"};

	for (size_t i = 0; i < ARRAY_SIZE(decides); i++)
		if (!check_understood(service, decides[i]))
			return;
	if (!service_conf_has_front(service))
		check_bound(service, defaults, "header_timeout", report);
	if (service_conf_has_pending(service))
		return;
	check_bound(service, defaults, "pending", report);
	check_bound(service, defaults, "pending_per_source", report);
}

/* As with per_source: nobody may take all of it unless the file says so. */
static void settle_pending(struct service_conf *service, struct report *report)
{
	uint32_t n = service->pending;

	if (!check_understood(service, "pending") ||
		!check_understood(service, "pending_per_source"))
		return;
	if (!check_given(service, "pending_per_source"))
		service->pending_per_source = n / 2 + (n == 1);
	else if (service->pending_per_source > n && service_conf_has_pending(service))
		check_tell_warning(report, service, "pending_per_source",
			"above pending: a single address can keep all others out");
}

void check_front(struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	settle_pending(service, report);
	if (service->sensor) {
		check_sensor(service, defaults, report);
		return;
	}
	check_connections(service, defaults, report);
	check_proxy_from(service, defaults, report);
	check_left_out(service, report);
	check_banners(service, defaults, report);
	check_mux(service, defaults, report);
	check_bounds(service, defaults, report);
}
