#include "conf/access-cert.h"

#include "base/hostname.h"
#include "conf/check-internal.h"

#include <arpa/inet.h>
#include <string.h>

#define HASH_DIGITS 64

bool access_names_cert(const char *word)
{
	return strncmp(word, CERT_MARK, strlen(CERT_MARK)) == 0;
}

/* ------------------------------------------------------------------------- words */

/* Each is given what stands behind the kind, and in `ret` the same, to be spelled otherwise
 * where it has to be; there is room for a rule less its kind.  NULL; or what is wrong. */

static const char *read_common_name(const char *text, char *ret)
{
	if (text[0] == '\0')
		return "names nobody; write cert:CN=NAME";
	if (strchr(text, '?'))
		return "is in no certificate: a question mark is what hatchd shows in the "
		       "place of control characters";
	(void)ret;
	return NULL;
}

static const char *read_dns(const char *text, char *ret)
{
	bool wild = text[0] == '*';

	if ((wild && text[1] != '.') || hostname_read_pattern(text + wild, ret + wild) < 0)
		return "is no name of a host; write one such as cert:DNS:host.example.org, "
		       "\"cert:DNS:*.example.org\" for one label before it, or "
		       "cert:DNS:.example.org for any number of them";
	if (wild)
		ret[0] = '*';
	return NULL;
}

static const char *read_other(const char *text, char *ret)
{
	if (text[0] == '\0')
		return "names nobody; the name is missing";
	(void)ret;
	return NULL;
}

/* As hatchd-tls writes it. */
static const char *read_address(const char *text, char *ret)
{
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	unsigned char bytes[sizeof(struct in6_addr)];

	if (inet_pton(family, text, bytes) != 1 ||
		!inet_ntop(family, bytes, ret, INET6_ADDRSTRLEN))
		return "is no address; write one such as cert:IP:192.0.2.7 or "
		       "cert:IP:2001:db8::7";
	return NULL;
}

/* openssl x509 -fingerprint writes capital letters, with a colon between two of them. */
static const char *read_hash(const char *text, char *ret)
{
	size_t n = 0;

	for (; *text && n < HASH_DIGITS; text++) {
		bool capital = *text >= 'A' && *text <= 'F';

		if (*text != ':')
			ret[n++] = capital ? (char)(*text - 'A' + 'a') : *text;
	}
	ret[n] = '\0';
	if (*text || n < HASH_DIGITS || strspn(ret, "0123456789abcdef") < HASH_DIGITS)
		return "has no hash of 64 hexadecimal digits; it is what openssl x509 -noout "
		       "-fingerprint -sha256 says";
	return NULL;
}

static const char *tell_kind(const char *text)
{
	if (strchr(text, '=') && !strchr(text, ':'))
		return "is about something that is not compared: of the subject it is CN "
		       "alone, as in \"cert:CN=alice\"";
	return "is not known; write \"cert:CN=NAME\", or cert: with DNS:NAME, email:NAME, "
	       "URI:NAME, IP:ADDRESS or SHA256:HASH, or \"cert:*\"";
}

/* `rule` has the word in it, to be spelled as it should be.  NULL; or what is wrong. */
static const char *spell(const char *word, char rule[CERT_RULE_MAX + 1])
{
	static const struct {
		const char *start;
		const char *(*read)(const char *text, char *ret);
	} kinds[] = {
		{CERT_MARK "CN=", read_common_name},
		{CERT_MARK "DNS:", read_dns},
		{CERT_MARK "email:", read_other},
		{CERT_MARK "URI:", read_other},
		{CERT_MARK "IP:", read_address},
		{CERT_MARK "SHA256:", read_hash},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t len = strlen(kinds[i].start);

		if (strncmp(word, kinds[i].start, len) == 0)
			return kinds[i].read(word + len, rule + len);
	}
	return strcmp(word, CERT_MARK "*") == 0 ? NULL : tell_kind(word + strlen(CERT_MARK));
}

int access_cert_read(const char *word, char ret[CERT_RULE_MAX + 1], const char **reterr)
{
	const char *why = "is longer than any rule about a certificate can be";
	char rule[CERT_RULE_MAX + 1];
	size_t len = strlen(word);

	if (len <= CERT_RULE_MAX) {
		memcpy(rule, word, len + 1);
		why = spell(word, rule);
		if (!why && !cert_is_rule(rule))
			why = "has bytes that are no characters, or control characters";
	}
	if (why) {
		*reterr = why;
		return -EINVAL;
	}
	strcpy(ret, rule);
	return 0;
}

/* ------------------------------------------------------------------- where it is kept */

static const struct service_conf *find_host(
	const struct conf *conf, const struct service_conf *guest)
{
	for (size_t i = 0; i < conf->n_services; i++)
		if (strcmp(conf->services[i]->name, guest->tls_host) == 0)
			return conf->services[i];
	return NULL;
}

static bool is_understood(const struct service_conf *service)
{
	static const char *const decides[] = {"listen", "wait", "builtin", "tcpmux",
		"tls.certificate", "tls.verify", "tls_name", "tls_alpn"};

	for (size_t i = 0; i < ARRAY_SIZE(decides); i++)
		if (!check_understood(service, decides[i]))
			return false;
	return !service->unknown;
}

static bool has_datagrams(const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_listen; i++)
		if (addr_is_datagram(&service->listen[i].addr))
			return true;
	return false;
}

/* Nothing is to be said that was not said already: that no rule is kept there, that it cannot
 * have its tls, or that it is to be had by a name where nobody speaks TLS. */
static bool is_told(const struct service_conf *service, const struct service_conf *defaults)
{
	if (service->sensor || (service->wait && !has_datagrams(service)))
		return true;
	if (service_conf_has_tls(service) || service_conf_is_tls_guest(service))
		return false;
	return service->tls_name || service->tls_alpn ||
	       check_given_here(service, defaults, conf_option_find("tls.certificate"));
}

/* Why he shows none.  NULL: he is asked for one. */
static const char *why_not(const struct conf *conf, const struct service_conf *service,
	const struct report *report)
{
	const struct service_conf *host =
		service_conf_is_tls_guest(service) ? find_host(conf, service) : service;

	if (!host || !service_conf_has_tls(host))
		return report->adhoc
		               ? "a certificate is shown in TLS, which is not spoken there; "
		                 "write --tls-certificate=FILE, --tls-ca=FILE and "
		                 "--tls-verify=required"
		               : "a certificate is shown in TLS, which is not spoken there; "
		                 "write tls { certificate = FILE ca = FILE verify = required }";
	if (host->tls_verify != TLS_VERIFY_NONE)
		return NULL;
	if (host != service)
		return "nobody is asked for a certificate; write verify = required, or "
		       "optional, and ca = FILE in tls of the service that has the socket";
	return report->adhoc
	               ? "nobody is asked for a certificate; write --tls-verify=required, or "
	                 "optional, and --tls-ca=FILE"
	               : "nobody is asked for a certificate; write verify = required, or "
	                 "optional, and ca = FILE in tls";
}

/* Whoever is named there relies on coming in; so is a name of a host judged. */
static void tell(const struct service_conf *service, const struct service_conf *defaults,
	const char *why, struct report *report)
{
	if (check_given_here(service, defaults, conf_option_find("only_from")))
		check_tell_mistake(report, service, "only_from", why);
	else
		report_warning(report, &service->origin,
			"service '%s': only_from of defaults: %s", service->name, why);
}

void access_cert_check(
	struct conf *conf, const struct service_conf *defaults, struct report *report)
{
	for (size_t i = 0; i < conf->n_services; i++) {
		struct service_conf *service = conf->services[i];
		const char *why;

		if (!service->certs || !is_understood(service))
			continue;
		why = why_not(conf, service, report);
		if (why && !is_told(service, defaults))
			tell(service, defaults, why, report);
		if (why)
			service->certs = strv_free(service->certs);
	}
}
