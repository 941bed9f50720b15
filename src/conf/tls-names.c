#include "conf/tls-names.h"

#include "conf/check-internal.h"
#include "conf/merge.h"
#include "conf/textmap.h"

#include <stdio.h>
#include <string.h>

/* A host, a name and a protocol, with blanks between them. */
#define KEY_MAX (SERVICE_NAME_MAX + HOSTNAME_ROOM + TLS_PROTOCOL_MAX + 8)

struct settle {
	struct conf *conf;
	const struct service_conf *defaults;
	struct report *report;
	struct textmap hosts; /* address to the service whose it is */
	bool any;             /* whether there is one at all */
	struct textmap taken; /* host, name and protocol to the service that is had by them */
};

size_t tls_names_count(const struct service_conf *service)
{
	size_t n_names = strv_length(service->tls_name), n = strv_length(service->tls_alpn);

	if (n_names == 0)
		return n;
	return n > 0 ? n_names * n : n_names;
}

int tls_names_read(const char *text, char ret[HOSTNAME_ROOM + 2])
{
	char name[HOSTNAME_ROOM];
	bool wild = strncmp(text, "*.", 2) == 0;

	if (hostname_read(wild ? text + 2 : text, name) < 0)
		return -EINVAL;
	snprintf(ret, HOSTNAME_ROOM + 2, "%s%s", wild ? "*." : "", name);
	return tls_is_pattern(ret) ? 0 : -EINVAL;
}

static bool given_here(
	const struct settle *s, const struct service_conf *service, const char *option)
{
	return check_given_here(service, s->defaults, conf_option_find(option));
}

static bool is_choosy(const struct service_conf *service)
{
	return service->tls_name || service->tls_alpn;
}

static bool is_understood(const struct service_conf *service)
{
	static const char *const decides[] = {"listen", "wait", "builtin", "tcpmux",
		"tls.certificate", "tls_name", "tls_alpn"};

	for (size_t i = 0; i < ARRAY_SIZE(decides); i++)
		if (!check_understood(service, decides[i]))
			return false;
	return true;
}

/* Any free port is another one each time. */
static bool has_place(const struct addr *addr)
{
	return addr_is_tcp(addr) && addr_port(addr) > 0;
}

/* ------------------------------------------------------------------------- hosts */

/* Those whose section is their own come first, whatever the order of files. */
static int learn_hosts(struct settle *s, bool own)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < s->conf->n_services; i++) {
		const struct service_conf *service = s->conf->services[i];

		if (service->disable || !service_conf_has_tls(service) ||
			given_here(s, service, "tls.certificate") != own)
			continue;
		s->any = true;
		for (size_t j = 0; j < service->n_listen; j++) {
			const struct addr *addr = &service->listen[j].addr;

			if (has_place(addr) && textmap_add(&s->hosts, addr_format(addr, text),
						       &s->conf->services[i]) == -ENOMEM)
				return -ENOMEM;
		}
	}
	return 0;
}

/* Whose address it has; NULL: nobody's but its own. */
static struct service_conf *find_host(
	const struct settle *s, const struct service_conf *service)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < service->n_listen; i++) {
		struct service_conf *const *host =
			textmap_get(&s->hosts, addr_format(&service->listen[i].addr, text));

		if (host && *host != service)
			return *host;
	}
	return NULL;
}

/* ------------------------------------------------------------------------ guests */

/* What hands its clients on, or has none that hatchd takes, shares with nobody. */
static bool may_be_guest(const struct service_conf *service)
{
	return !service->disable && !service->wait && !service->sensor &&
	       service->builtin != BUILTIN_TCPMUX && !service_conf_has_mux(service) &&
	       is_understood(service);
}

static bool has_address(const struct service_conf *service, const struct addr *addr)
{
	for (size_t i = 0; i < service->n_listen; i++)
		if (addr_equal(&service->listen[i].addr, addr))
			return true;
	return false;
}

static void check_addresses(const struct settle *s, const struct service_conf *guest,
	const struct service_conf *host)
{
	bool same = guest->n_listen == host->n_listen;

	for (size_t i = 0; same && i < guest->n_listen; i++)
		same = has_address(host, &guest->listen[i].addr);
	if (!same)
		report_mistake(s->report, service_conf_origin(guest, "listen"),
			"listen: services that share an address share all of them; write the "
			"same as in service '%s', or another service",
			host->name);
}

/* The socket, and what is agreed in a handshake, is of one service. */
static void check_options(const struct settle *s, const struct service_conf *guest,
	const struct service_conf *host)
{
	for (const struct conf_option *o = conf_options; o->name; o++) {
		bool pem = o->offset == offsetof(struct service_conf, tls_certificate) ||
		           o->offset == offsetof(struct service_conf, tls_key);
		bool socket = o->flags & (OPTION_SOCKET_LIVE | OPTION_SOCKET_BIND);

		if (!check_given_here(guest, s->defaults, o))
			continue;
		if (o->flags & OPTION_TLS && !pem)
			report_mistake(s->report, service_conf_origin(guest, o->name),
				"%s: it belongs to service '%s', which has the socket; others "
				"there can only add certificate and key",
				o->name, host->name);
		else if (socket || strcmp(o->name, "proxy_protocol") == 0)
			report_warning(s->report, service_conf_origin(guest, o->name),
				"%s: has no effect: the socket is that of service '%s'",
				o->name, host->name);
	}
}

/* `tls.certificate` of `defaults` is the host's already. */
static int make_guest(struct settle *s, struct service_conf *guest, struct service_conf *host)
{
	guest->tls_adds = given_here(s, guest, "tls.certificate");
	guest->tls_host = strdup(host->name);
	if (!guest->tls_host)
		return -ENOMEM;
	free(guest->listen);
	guest->listen = NULL;
	guest->n_listen = 0;
	host->n_tls_guests++;
	host->tls_has_guests = true;
	return 0;
}

/* Two who gave no names have the same address by mistake: that is told elsewhere. */
static int settle_guest(struct settle *s, struct service_conf *service)
{
	struct service_conf *host = may_be_guest(service) ? find_host(s, service) : NULL;

	if (!host || (!is_choosy(service) && !is_choosy(host) && host->n_tls_guests == 0))
		return 0;
	check_addresses(s, service, host);
	check_options(s, service, host);
	return make_guest(s, service, host);
}

static int settle_guests(struct settle *s)
{
	int r = 0;

	/* Most configurations have none, and may have thousands of addresses. */
	for (size_t i = 0; i < s->conf->n_services && s->any && r == 0; i++)
		r = settle_guest(s, s->conf->services[i]);
	return r;
}

/* ------------------------------------------------------------------------- names */

static void tell_taken(const struct settle *s, const struct service_conf *service,
	const struct origin *origin, const struct service_conf *other, const char *name,
	const char *alpn)
{
	char shown[DIAG_SHOWN_MAX];

	if (other == service)
		report_mistake(s->report, origin, "%s is given twice", *name ? name : "it");
	else if (*name == '\0' && *alpn == '\0')
		report_mistake(s->report, origin,
			"service '%s' has the same address as '%s', and neither has tls_name "
			"or tls_alpn, so nobody could reach it",
			service->name, other->name);
	else
		report_mistake(s->report, origin, "%s%s%s is of service '%s' already",
			*name ? name : "", *name && *alpn ? " with " : "",
			diag_shown(alpn, strlen(alpn), shown), other->name);
}

static int claim(struct settle *s, struct service_conf *service, const struct origin *origin,
	const char *name, const char *alpn)
{
	const char *host = service->tls_host ? service->tls_host : service->name;
	const struct service_conf *other;
	char key[KEY_MAX];
	int r;

	snprintf(key, sizeof key, "%s %s %s", host, name, alpn);
	r = textmap_add(&s->taken, key, service);
	if (r != -EEXIST)
		return r;
	other = textmap_get(&s->taken, key);
	tell_taken(s, service, origin, other, name, alpn);
	return 0;
}

static int claim_protocols(struct settle *s, struct service_conf *service,
	const struct origin *origin, const char *name)
{
	int r = 0;

	if (strv_length(service->tls_alpn) == 0)
		return claim(s, service, origin, name, "");
	for (char **alpn = service->tls_alpn; *alpn && r == 0; alpn++)
		r = claim(s, service, origin, name, *alpn);
	return r;
}

static int claim_names(struct settle *s, struct service_conf *service)
{
	size_t n = strv_length(service->tls_name);
	char name[HOSTNAME_ROOM + 2];
	int r = 0;

	if (n == 0)
		return claim_protocols(s, service,
			service->tls_alpn ? service_conf_origin(service, "tls_alpn")
					  : &service->origin,
			"");
	for (size_t i = 0; i < n && r == 0; i++) {
		const struct origin *origin = &service->tls_name_at[i];
		char shown[DIAG_SHOWN_MAX];
		const char *text = service->tls_name[i];

		if (tls_names_read(text, name) == 0)
			r = claim_protocols(s, service, origin, name);
		else
			report_mistake(s->report, origin,
				"tls_name: '%s' is neither a name such as git.example.org nor "
				"one for a label, *.example.org",
				diag_shown(text, strlen(text), shown));
	}
	return r;
}

/* There is nobody who would ask. */
static void check_place(const struct settle *s, const struct service_conf *service)
{
	const char *option = service->tls_name ? "tls_name" : "tls_alpn";

	if (service_conf_has_tls(service) || service_conf_is_tls_guest(service) ||
		service->sensor || !is_understood(service) || service->unknown)
		return;
	if (is_choosy(service))
		check_tell_mistake(s->report, service, option,
			"there is no TLS at this address; write tls { certificate = FILE }, "
			"or the same listen as a service that has it");
}

static void check_empty(const struct settle *s, const struct service_conf *service)
{
	if (service->tls_name && !service->tls_name[0] && check_understood(service, "tls_name"))
		check_tell_mistake(s->report, service, "tls_name", "the name is missing");
	if (service->tls_alpn && !service->tls_alpn[0] && check_understood(service, "tls_alpn"))
		check_tell_mistake(s->report, service, "tls_alpn", "the protocol is missing");
}

static bool takes_part(const struct service_conf *service)
{
	return service_conf_is_tls_guest(service) ||
	       (service_conf_has_tls(service) &&
		       (service->n_tls_guests > 0 || is_choosy(service)));
}

static int check_names(struct settle *s)
{
	int r = 0;

	for (size_t i = 0; i < s->conf->n_services && r == 0; i++) {
		struct service_conf *service = s->conf->services[i];

		if (service->disable)
			continue;
		check_empty(s, service);
		check_place(s, service);
		if (takes_part(service) && is_understood(service))
			r = claim_names(s, service);
	}
	return r;
}

/* ------------------------------------------------------------------------ bounds */

static bool belongs_to(const struct service_conf *service, const struct service_conf *host)
{
	return service == host ||
	       (service->tls_host && strcmp(service->tls_host, host->name) == 0);
}

/* What there is at the socket of a host, itself included. */
struct crowd {
	size_t names, pems;
	const struct service_conf *choosy; /* one that is had by a protocol; NULL: none is */
	bool others;                       /* whether one is had without */
};

static struct crowd look_at(const struct settle *s, const struct service_conf *host)
{
	struct crowd crowd = {0};

	for (size_t i = 0; i < s->conf->n_services; i++) {
		const struct service_conf *service = s->conf->services[i];

		if (service->disable || !belongs_to(service, host))
			continue;
		crowd.names += tls_names_count(service) + 1;
		if (service == host || service->tls_adds)
			crowd.pems += strv_length(service->tls_certificate);
		if (strv_length(service->tls_alpn) > 0)
			crowd.choosy = service;
		else
			crowd.others = true;
	}
	return crowd;
}

static void check_bounds(
	const struct settle *s, const struct service_conf *host, const struct crowd *crowd)
{
	if (crowd->names > TLS_NAMES_MAX)
		report_mistake(s->report, &host->origin,
			"service '%s': there are more than %d names at its address", host->name,
			TLS_NAMES_MAX);
	if (crowd->pems > TLS_CERTIFICATES_MAX)
		report_mistake(s->report, &host->origin,
			"service '%s': there are more than %d certificates at its address",
			host->name, TLS_CERTIFICATES_MAX);
}

/* RFC 7301, 3.2: once protocols are spoken of, who offers none of them is refused.  He would
 * have come to those that do not care. */
static void check_protocols(
	const struct settle *s, const struct service_conf *host, const struct crowd *crowd)
{
	if (!crowd->choosy || !crowd->others || strv_length(host->tls_alpn_offered) > 0 ||
		!check_understood(host, "tls.alpn"))
		return;
	report_mistake(s->report, service_conf_origin(crowd->choosy, "tls_alpn"),
		"tls_alpn: clients that offer another protocol would be refused; write in tls "
		"of service '%s' by alpn = PROTOCOL what is spoken with them",
		host->name);
}

static void check_host(const struct settle *s, const struct service_conf *host)
{
	struct crowd crowd = look_at(s, host);

	check_bounds(s, host, &crowd);
	check_protocols(s, host, &crowd);
}

static int settle(struct settle *s)
{
	int r = learn_hosts(s, true);

	if (r == 0)
		r = learn_hosts(s, false);
	if (r == 0)
		r = settle_guests(s);
	if (r == 0)
		r = check_names(s);
	for (size_t i = 0; i < s->conf->n_services && r == 0; i++)
		if (service_conf_has_tls(s->conf->services[i]) &&
			takes_part(s->conf->services[i]))
			check_host(s, s->conf->services[i]);
	return r;
}

int tls_names_settle(
	struct conf *conf, const struct service_conf *defaults, struct report *report)
{
	struct settle s = {.conf = conf, .defaults = defaults, .report = report};
	int r;

	textmap_init(&s.hosts);
	textmap_init(&s.taken);
	r = settle(&s);
	textmap_done(&s.hosts);
	textmap_done(&s.taken);
	return r;
}

static const struct service_conf *find_service(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n_services; i++)
		if (strcmp(conf->services[i]->name, name) == 0)
			return conf->services[i];
	return NULL;
}

void tls_names_check_hosts(const struct conf *conf, struct report *report)
{
	for (size_t i = 0; i < conf->n_services; i++) {
		const struct service_conf *guest = conf->services[i];

		if (guest->tls_host && !guest->disable && !find_service(conf, guest->tls_host))
			report_warning(report, &guest->origin,
				"nobody can reach '%s': the socket is that of service '%s', "
				"which is left out",
				guest->name, guest->tls_host);
	}
}

/* ------------------------------------------------------------------ for the setup */

static int add_name(struct tls_setup *setup, const struct service_conf *service,
	const char *pattern, const char *alpn)
{
	struct tls_name *name = &setup->names[setup->n_names];
	const char *called = service->tls_host ? service->name : "";

	*name = (struct tls_name){strdup(pattern), strdup(alpn), strdup(called)};
	setup->n_names++;
	return name->pattern && name->alpn && name->service ? 0 : -ENOMEM;
}

/* A protocol that chooses a service is spoken there. */
static int offer(struct tls_setup *setup, const char *alpn)
{
	for (char **known = setup->alpn; known && *known; known++)
		if (strcmp(*known, alpn) == 0)
			return 0;
	return strv_add(&setup->alpn, alpn);
}

static int add_protocols(
	struct tls_setup *setup, const struct service_conf *service, const char *pattern)
{
	int r = 0;

	if (strv_length(service->tls_alpn) == 0)
		return add_name(setup, service, pattern, "");
	for (char **alpn = service->tls_alpn; *alpn && r == 0; alpn++) {
		r = add_name(setup, service, pattern, *alpn);
		if (r == 0)
			r = offer(setup, *alpn);
	}
	return r;
}

static int add_service(struct tls_setup *setup, const struct service_conf *service)
{
	char pattern[HOSTNAME_ROOM + 2];
	int r = 0;

	if (strv_length(service->tls_name) == 0)
		return add_protocols(setup, service, "");
	for (char **name = service->tls_name; *name && r == 0; name++)
		if (tls_names_read(*name, pattern) == 0)
			r = add_protocols(setup, service, pattern);
	return r;
}

static size_t count_all(const struct conf *conf, const struct service_conf *host)
{
	size_t n = 0;

	for (size_t i = 0; i < conf->n_services; i++)
		if (belongs_to(conf->services[i], host))
			n += tls_names_count(conf->services[i]) + 1;
	return n;
}

static int add_all(
	const struct conf *conf, const struct service_conf *host, struct tls_setup *setup)
{
	bool rest = false;
	int r = 0;

	setup->names = calloc(count_all(conf, host), sizeof *setup->names);
	if (!setup->names)
		return -ENOMEM;
	for (size_t i = 0; i < conf->n_services && r == 0; i++) {
		const struct service_conf *service = conf->services[i];

		if (service->disable || !belongs_to(service, host))
			continue;
		r = add_service(setup, service);
		rest = rest || tls_names_count(service) == 0;
	}
	setup->names_only = !rest;
	return r;
}

int tls_names_make(
	const struct conf *conf, const struct service_conf *host, struct tls_setup *setup)
{
	int r = 0;

	for (char **alpn = host->tls_alpn_offered; alpn && *alpn && r == 0; alpn++)
		r = strv_add(&setup->alpn, *alpn);
	if (r == 0 && takes_part(host))
		r = add_all(conf, host, setup);
	return r;
}

void tls_names_done(struct tls_setup *setup)
{
	for (size_t i = 0; i < setup->n_names; i++) {
		free(setup->names[i].pattern);
		free(setup->names[i].alpn);
		free(setup->names[i].service);
	}
	free(setup->names);
	setup->names = NULL;
	setup->n_names = 0;
	setup->alpn = strv_free(setup->alpn);
}
