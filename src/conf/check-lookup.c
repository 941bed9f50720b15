/*
 * check-lookup: what must hold between the options for what is looked up about clients:
 * their names, and who they are where they come from.
 */
#include "conf/check-internal.h"
#include "conf/merge.h"

#define ONLY_ACCEPTED "the program takes its clients itself"
#define OF_TCPMUX     "with builtin = tcpmux: it is for services that are had by their names"

static const char *const lookup_options[] = {"resolve", "ident", "lookup_timeout"};

/* `no` says that it is not done. */
static bool is_wanted(const struct service_conf *service, const char *option)
{
	if (option[0] == 'r')
		return service->resolve;
	return option[0] == 'l' || service->ident != IDENT_USE_NO;
}

static bool is_wanted_here(const struct service_conf *service,
	const struct service_conf *defaults, const char *option)
{
	return is_wanted(service, option) && check_understood(service, option) &&
	       check_given_here(service, defaults, conf_option_find(option));
}

/* Why nobody can be asked there. */
static const char *why_not(const struct service_conf *service, const char *option)
{
	if (service->wait)
		return "has no effect with wait = yes: " ONLY_ACCEPTED;
	if (service->builtin == BUILTIN_TCPMUX)
		return "has no effect " OF_TCPMUX;
	if (option[0] == 'i' && service->proxy_protocol == PROXY_USE_REQUIRED)
		return "has no effect with proxy_protocol = required: the connection is the "
		       "proxy's";
	return "has no effect: the service has no TCP address";
}

/* It closes the connection, whoever that is. */
static void check_sensor(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	for (size_t i = 0; i < ARRAY_SIZE(lookup_options); i++)
		if (is_wanted_here(service, defaults, lookup_options[i]))
			check_tell_warning(report, service, lookup_options[i],
				"has no effect with sensor = yes: its clients are closed at "
				"once");
}

static void check_resolve(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	if (!service_conf_asks_names(service) && is_wanted_here(service, defaults, "resolve"))
		check_tell_warning(report, service, "resolve", why_not(service, "resolve"));
}

static bool has_datagrams(const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_listen; i++) {
		if (addr_is_datagram(&service->listen[i].addr))
			return true;
	}
	return false;
}

/* Why who does not say who he is would come in, or nobody; NULL: it is kept. */
static const char *why_not_kept(const struct service_conf *service)
{
	if (service->wait)
		return "required cannot be kept with wait = yes: " ONLY_ACCEPTED;
	if (service->builtin == BUILTIN_TCPMUX)
		return "required cannot be kept " OF_TCPMUX;
	if (has_datagrams(service))
		return "required is for connections; leave out the datagram sockets, or write "
		       "a service of their own for them";
	if (service->proxy_protocol == PROXY_USE_REQUIRED && !service_conf_asks_ident(service))
		return "required lets nobody in who comes through a proxy: the connection is "
		       "the proxy's";
	return NULL;
}

/* A rule that would not be kept is a mistake: who has written it relies on it. */
static void check_ident(const struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	bool here = is_wanted_here(service, defaults, "ident");
	const char *why = service->ident == IDENT_USE_REQUIRED ? why_not_kept(service) : NULL;

	if (why && here)
		check_tell_mistake(report, service, "ident", why);
	else if (why && check_understood(service, "ident"))
		report_warning(report, &service->origin, "service '%s': ident of defaults: %s",
			service->name, why);
	else if (here && !service_conf_asks_ident(service))
		check_tell_warning(report, service, "ident", why_not(service, "ident"));
}

/* Why nobody comes in by his name. */
static const char *why_no_names(const struct service_conf *service)
{
	if (service->builtin == BUILTIN_TCPMUX)
		return "nobody comes in by a name " OF_TCPMUX;
	return "nobody comes in by a name there: those are of clients of TCP whom hatchd takes "
	       "itself";
}

/* Whoever is named there relies on coming in.  That rules are not kept at all where others
 * than datagrams are waited for has been told. */
static void check_names(const struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	const struct conf_option *option = conf_option_find("only_from");

	if (!service->names || service_conf_asks_names(service) ||
		!check_understood(service, "resolve") ||
		(service->wait && !has_datagrams(service)))
		return;
	if (check_given_here(service, defaults, option))
		check_tell_mistake(report, service, "only_from", why_no_names(service));
	else
		report_warning(report, &service->origin,
			"service '%s': only_from of defaults: %s", service->name,
			why_no_names(service));
}

static void check_timeout(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	if (service_conf_has_lookups(service) || !check_understood(service, "resolve") ||
		!check_understood(service, "ident") || !check_understood(service, "redirect") ||
		!is_wanted_here(service, defaults, "lookup_timeout"))
		return;
	check_tell_warning(report, service, "lookup_timeout",
		report->adhoc ? "has no effect without --resolve, --ident or a name in "
				"--redirect"
			      : "has no effect without resolve, ident or a name in redirect");
}

void check_lookups(const struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	if (service->sensor) {
		check_sensor(service, defaults, report);
		return;
	}
	if (!check_understood(service, "listen") || !check_understood(service, "builtin") ||
		!check_understood(service, "wait") ||
		!check_understood(service, "proxy_protocol"))
		return;
	check_resolve(service, defaults, report);
	check_ident(service, defaults, report);
	check_names(service, defaults, report);
	check_timeout(service, defaults, report);
}
