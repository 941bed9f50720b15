/*
 * check-tls: what must hold between the options of TLS of one service.  What is in the files
 * that they name is judged in conf/tls-files, and between services in conf/tls-names.
 */
#include "base/clock.h"
#include "conf/check-internal.h"
#include "conf/merge.h"

#include <string.h>

#define HANDSHAKE_TIMEOUT (5 * USEC_PER_SEC)

static const char *const banners[] = {"banner", "banner_success", "banner_fail"};

static bool given_here(const struct service_conf *service, const struct service_conf *defaults,
	const char *option)
{
	return check_given_here(service, defaults, conf_option_find(option));
}

/* The first option of the section that the service itself gives; NULL: none. */
static const char *find_given(
	const struct service_conf *service, const struct service_conf *defaults)
{
	for (const struct conf_option *o = conf_options; o->name; o++)
		if (o->flags & OPTION_TLS && check_given_here(service, defaults, o))
			return o->name;
	return NULL;
}

static bool is_datagram(const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_listen; i++)
		if (addr_is_datagram(&service->listen[i].addr))
			return true;
	return false;
}

/* Why nobody can speak TLS there; NULL: he can. */
static const char *why_not(const struct service_conf *service)
{
	if (service->wait)
		return "is for connections that hatchd takes itself; leave out wait = yes";
	if (service->builtin == BUILTIN_TCPMUX)
		return "with builtin = tcpmux clients say the name of a service first, which "
		       "TLS has no room for; write tls in a service of its own, and tls_name "
		       "where a name is to choose the service";
	if (service_conf_has_mux(service))
		return "clients that come through tcpmux have begun without it; leave out "
		       "tcpmux, or write another service for them";
	if (is_datagram(service))
		return "is for connections; leave out the datagram sockets, or write a service "
		       "of their own for them";
	for (size_t i = 0; i < service->n_listen; i++)
		if (!addr_is_tcp(&service->listen[i].addr) &&
			service->listen[i].addr.kind != ADDR_FD)
			return "is for TCP; leave out the other sockets, or write a service of "
			       "their own for them";
	return NULL;
}

/* What it is judged by. */
static bool is_understood(const struct service_conf *service)
{
	static const char *const decides[] = {
		"listen", "wait", "pass_as", "builtin", "tcpmux", "tls.certificate"};

	for (size_t i = 0; i < ARRAY_SIZE(decides); i++)
		if (!check_understood(service, decides[i]))
			return false;
	return true;
}

/* What `defaults` give to all is left undone where it cannot be done; that has to be said,
 * since nobody speaks in the clear because of it who believes that he does not. */
static void tell_unfit(const struct service_conf *service, const char *given, const char *why,
	struct report *report)
{
	if (given)
		check_tell_mistake(report, service, given, why);
	else
		report_warning(report, &service->origin,
			"service '%s': tls of defaults has no effect there: it %s",
			service->name, why);
}

/* They would be said before the client has begun. */
static void check_banners(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	for (size_t i = 0; i < ARRAY_SIZE(banners); i++)
		if (given_here(service, defaults, banners[i]))
			check_tell_mistake(report, service, banners[i],
				"with tls the client speaks first, and what is said in the "
				"clear he takes for an error; leave it out");
}

static bool has_empty(char *const *list)
{
	for (; list && *list; list++)
		if ((*list)[0] == '\0')
			return true;
	return false;
}

/* Certificates and keys go in pairs, or a key is where its certificate is. */
static void check_files(const struct service_conf *service, struct report *report)
{
	size_t n = strv_length(service->tls_certificate),
	       n_keys = strv_length(service->tls_key);
	char label[OPTION_FLAG_MAX + 2];

	if (has_empty(service->tls_certificate))
		check_tell_mistake(
			report, service, "tls.certificate", "the name of a file is empty");
	if (has_empty(service->tls_key))
		check_tell_mistake(report, service, "tls.key", "the name of a file is empty");
	if (n > TLS_CERTIFICATES_MAX)
		report_mistake(report, service_conf_origin(service, "tls.certificate"),
			"%s: there are at most %d of them",
			check_label(service, "tls.certificate", label), TLS_CERTIFICATES_MAX);
	if (n_keys > 0 && n_keys != n)
		report_mistake(report, service_conf_origin(service, "tls.key"),
			"%s: %zu for %zu certificate%s; there is one for each, in the same "
			"order, or none if each is in the file of its certificate",
			check_label(service, "tls.key", label), n_keys, n, n == 1 ? "" : "s");
}

static void check_verify(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	bool asks = service->tls_verify != TLS_VERIFY_NONE;

	if (!check_understood(service, "tls.verify") || !check_understood(service, "tls.ca"))
		return;
	if (asks && !service->tls_ca)
		check_tell_mistake(report, service, "tls.verify",
			report->adhoc
				? "whose certificates are good? write --tls-ca=FILE"
				: "whose certificates are good? write ca = FILE, with those of "
				  "who signs them");
	else if (!asks && given_here(service, defaults, "tls.ca"))
		check_tell_warning(report, service, "tls.ca",
			report->adhoc ? "has no effect without --tls-verify=optional or "
					"--tls-verify=required"
				      : "has no effect without verify = optional or required");
}

static void check_versions(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	if (service->tls_min_version == TLS_VERSION_1_3 &&
		check_understood(service, "tls.min_version") &&
		given_here(service, defaults, "tls.ciphers"))
		check_tell_warning(report, service, "tls.ciphers",
			"has no effect: they are of TLS 1.2, and it is not spoken");
}

/* RFC 7301, 3.1: any bytes, but not none. */
static void check_protocols(const struct service_conf *service, const char *option,
	char *const *list, struct report *report)
{
	char label[OPTION_FLAG_MAX + 2];

	if (strv_length(list) > TLS_ALPN_MAX)
		report_mistake(report, service_conf_origin(service, option),
			"%s: there are at most %d protocols",
			check_label(service, option, label), TLS_ALPN_MAX);
	for (; list && *list; list++) {
		if ((*list)[0] != '\0' && strlen(*list) <= TLS_PROTOCOL_MAX)
			continue;
		report_mistake(report, service_conf_origin(service, option),
			"%s: a protocol has 1 to %d characters",
			check_label(service, option, label), TLS_PROTOCOL_MAX);
		return;
	}
}

static void check_lengths(const struct service_conf *service, struct report *report)
{
	static const char why[] = "there is no list of ciphers so long";

	if (service->tls_ciphers && strlen(service->tls_ciphers) > TLS_CIPHERS_MAX)
		check_tell_mistake(report, service, "tls.ciphers", why);
	if (service->tls_ciphersuites && strlen(service->tls_ciphersuites) > TLS_CIPHERS_MAX)
		check_tell_mistake(report, service, "tls.ciphersuites", why);
}

/* Those that have no default in the table: their fields are 0 where there is no TLS. */
static void settle(struct service_conf *service)
{
	if (!check_given(service, "tls.session_tickets"))
		service->tls_session_tickets = true;
	if (!check_given(service, "tls.handshake_timeout"))
		service->tls_handshake_timeout = HANDSHAKE_TIMEOUT;
}

static void check_section(struct service_conf *service, const struct service_conf *defaults,
	const char *given, struct report *report)
{
	const char *why = why_not(service);

	if (why) {
		tell_unfit(service, given, why, report);
		return;
	}
	if (!HAVE_TLS) {
		check_tell_mistake(report, service, given ? given : "tls.certificate",
			"this hatchd was built without TLS (--without-tls)");
		return;
	}
	check_banners(service, defaults, report);
	check_files(service, report);
	check_verify(service, defaults, report);
	check_versions(service, defaults, report);
	check_lengths(service, report);
	check_protocols(service, "tls.alpn", service->tls_alpn_offered, report);
	settle(service);
}

static void check_sensor(
	const struct service_conf *service, const char *given, struct report *report)
{
	static const char *const names[] = {"tls_name", "tls_alpn"};
	static const char why[] =
		"has no effect with sensor = yes: its clients are closed at once";

	if (given)
		check_tell_warning(report, service, given, why);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (check_given(service, names[i]))
			check_tell_warning(report, service, names[i], why);
}

void check_tls(struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	const char *given = find_given(service, defaults);

	if (service->sensor) {
		check_sensor(service, given, report);
		return;
	}
	if (!is_understood(service))
		return;
	check_protocols(service, "tls_alpn", service->tls_alpn, report);
	if (strv_length(service->tls_certificate) > 0)
		check_section(service, defaults, given, report);
	else if (given && !check_given(service, "tls.certificate") && !service->unknown)
		check_tell_mistake(report, service, given,
			report->adhoc ? "needs --tls-certificate=FILE"
				      : "TLS needs a certificate; write tls { certificate = "
					"FILE }");
}
