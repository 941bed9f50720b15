/*
 * check-builtin: what must hold for a service of hatchd's own.
 */
#include "conf/check-internal.h"

#include <stdio.h>

void check_no_program(const struct service_conf *service, const struct service_conf *defaults,
	const char *option, struct report *report)
{
	char text[80];

	snprintf(text, sizeof text, "has no effect with %s: no program is started", option);
	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (conf_option_is_of_program(o) && check_given_here(service, defaults, o))
			check_tell_warning(report, service, o->name, text);
	}
}

static void check_sockets(const struct service_conf *service, struct report *report)
{
	for (size_t i = 0; i < service->n_listen; i++) {
		const struct listen_conf *listen = &service->listen[i];

		if (service_conf_builtin_takes(service, &listen->addr))
			continue;
		report_mistake(report, &listen->origin,
			service->builtin == BUILTIN_TCPMUX
				? "tcpmux is for stream sockets"
				: "a built-in service is for stream sockets and UDP");
		return;
	}
}

/* Who answers datagrams can be made to answer to a victim, whose address was forged. */
static void check_public(const struct service_conf *service, struct report *report)
{
	bool udp = false;

	/* It answers none. */
	if (service->builtin == BUILTIN_TCPMUX && !service->public)
		return;
	for (size_t i = 0; i < service->n_listen; i++) {
		const struct listen_conf *listen = &service->listen[i];

		udp = udp || addr_is_udp(&listen->addr);
		if (!addr_is_udp(&listen->addr) || addr_is_loopback(&listen->addr) ||
			service->public || !check_understood(service, "public"))
			continue;
		report_mistake(report, &listen->origin,
			"it would answer datagrams of other machines, whoever they say they "
			"are; serve 127.0.0.1 and [::1], or write public = yes");
		return;
	}
	if (service->public && !udp)
		check_tell_warning(report, service, "public",
			"has no effect: the service has no UDP socket");
}

/* Options that mean nothing to any other service. */
static void check_belonging(const struct service_conf *service, struct report *report)
{
	if (service->public && !service_conf_is_builtin(service))
		check_tell_mistake(report, service, "public", "is for builtin services");
	if (check_given(service, "text") && service->builtin != BUILTIN_TEXT)
		check_tell_mistake(report, service, "text", "is for builtin = text");
	if (check_given(service, "text_file") &&
		!builtin_has_reply((enum service_builtin)service->builtin))
		check_tell_mistake(
			report, service, "text_file", "is for builtin = qotd or text");
}

/* What it says, where it says something of its own. */
static void check_reply(const struct service_conf *service, struct report *report)
{
	bool text = check_given(service, "text"), file = check_given(service, "text_file");

	if (service->builtin == BUILTIN_TEXT && text && file)
		check_tell_mistake(report, service, "text_file",
			"a service has either text or text_file, not both");
	else if (service->builtin == BUILTIN_TEXT && !text && !file)
		check_tell_missing(report, service, "text",
			report->adhoc ? "--text=TEXT or --text-file=/path/of/file"
				      : "text = \"...\" or text_file = \"/path/of/file\"");
	else if (service->builtin == BUILTIN_QOTD && !file)
		check_tell_missing(report, service, "quotations",
			report->adhoc ? "--text-file=/path/of/file"
				      : "text_file = \"/path/of/file\"");
}

void check_builtin(const struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	if (!check_understood(service, "builtin"))
		return;
	check_belonging(service, report);
	if (!service_conf_is_builtin(service))
		return;
	check_reply(service, report);
	if (service->wait && check_understood(service, "wait"))
		check_tell_mistake(report, service, "builtin",
			"hatchd takes the clients itself; leave out wait = yes");
	check_sockets(service, report);
	check_public(service, report);
	check_no_program(service, defaults, "builtin", report);
}
