#include "conf/addresses.h"

#include "base/text.h"
#include "conf/merge.h"
#include "conf/place.h"

#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

/* Bound of what services(5) may answer about one name. */
#define ANSWER_MAX 65536

/* -ENOENT, -ENOMEM, or the port. */
static int lookup_port(const char *name, const char *protocol)
{
	for (size_t size = 1024; size <= ANSWER_MAX; size *= 4) {
		_cleanup_free_ char *buf = malloc(size);
		struct servent entry, *found = NULL;
		int r;

		if (!buf)
			return -ENOMEM;
		r = getservbyname_r(name, protocol, &entry, buf, size, &found);
		if (r == ERANGE)
			continue;
		return found ? ntohs((uint16_t)entry.s_port) : -ENOENT;
	}
	return -ENOENT;
}

static int resolve_port(
	struct addr_spec *spec, const struct raw_value *value, struct report *report)
{
	const char *protocol = addr_is_datagram(&spec->addr) ? "udp" : "tcp";
	int port;

	if (spec->service[0] == '\0')
		return 0;

	port = lookup_port(spec->service, protocol);
	if (port == -ENOENT)
		report_mistake(report, &value->origin,
			"unknown port '%s': no such %s name in services(5)%s", spec->service,
			protocol,
			strchr(spec->service, '.') ? "; after the name of a host a colon and "
						     "the port are missing"
						   : "");
	if (port < 0)
		return port;
	spec->port_first = spec->port_last = (uint32_t)port;
	if (spec->host[0] == '\0')
		addr_set_port(&spec->addr, spec->port_first);
	return 0;
}

/* The canonical text stands for the address from here on, in keys and in the
 * image; it must be complete.  That of an IP address always is. */
static bool has_text(const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];
	struct addr_spec again;
	const char *why;

	if (addr_is_ip(addr))
		return true;
	return addr_parse(addr_format(addr, text), &again, &why) == 0 &&
	       addr_equal(&again.addr, addr);
}

static void tell_bad(const struct raw_value *value, const char *why, struct report *report)
{
	char shown[DIAG_SHOWN_MAX], near[ADDR_GUESS_MAX];

	diag_shown(value->text, strlen(value->text), shown);
	if (addr_guess(value->text, near))
		report_mistake(report, &value->origin, "bad address '%s'; did you mean '%s'?",
			shown, near);
	else
		report_mistake(report, &value->origin, "bad address '%s': %s", shown, why);
}

int addresses_read(const struct raw_value *value, struct report *report, struct addr_spec *ret)
{
	struct addr_spec spec;
	const char *why;
	int r;

	if (addr_parse(value->text, &spec, &why) < 0) {
		tell_bad(value, why, report);
		return -EINVAL;
	}
	if (spec.host[0] == '\0' && !has_text(&spec.addr)) {
		report_mistake(report, &value->origin,
			"the name of the socket has too many characters that must be escaped");
		return -EINVAL;
	}
	r = resolve_port(&spec, value, report);
	if (r < 0)
		return r == -ENOMEM ? r : -EINVAL;
	*ret = spec;
	return 0;
}

/* 0, -EINVAL after a mistake, or -ENOMEM. */
static int resolve_value(
	const struct raw_value *value, struct report *report, struct addr_spec *ret)
{
	struct addr_spec spec;
	int r = addresses_read(value, report, &spec);

	if (r < 0)
		return r;
	if (spec.host[0] != '\0') {
		report_mistake(report, &value->origin,
			"a name cannot be bound; write the address of '%s'", spec.host);
		return -EINVAL;
	}
	*ret = spec;
	return 0;
}

/* Of vsock there are more than some machines have room to count in a size_t. */
static uint64_t count_ports(const struct addr_spec *spec)
{
	return (uint64_t)spec->port_last - spec->port_first + 1;
}

/* Append every port of the range. */
static int add_range(
	struct service_conf *service, const struct addr_spec *spec, const struct origin *origin)
{
	size_t n = (size_t)count_ports(spec), total = service->n_listen + n;
	struct listen_conf *listen = reallocarray(service->listen, total, sizeof *listen);

	if (!listen)
		return -ENOMEM;

	service->listen = listen;
	for (size_t i = 0; i < n; i++) {
		struct listen_conf *l = &listen[service->n_listen++];

		*l = (struct listen_conf){
			.addr = spec->addr,
			.origin = *origin,
			.old_service = CONF_NONE,
			.old_listen = CONF_NONE,
		};
		addr_set_port(&l->addr, (uint32_t)(spec->port_first + i));
	}
	return 0;
}

int addresses_resolve(
	struct service_conf *service, const struct raw_assign *listen, struct report *report)
{
	for (size_t i = 0; i < listen->n_values; i++) {
		const struct raw_value *value = &listen->values[i];
		struct addr_spec spec;
		int r;

		r = resolve_value(value, report, &spec);
		if (r == -EINVAL) {
			service_conf_set_mistaken(service, listen->option, true);
			continue;
		}
		if (r < 0)
			return r;
		if (service->n_listen + count_ports(&spec) > CONF_LISTEN_MAX) {
			report_mistake(report, &value->origin,
				"a service can have at most %d addresses", CONF_LISTEN_MAX);
			return 0;
		}
		r = add_range(service, &spec, &value->origin);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * Overlaps.  Every address claims one or more keys:
 *
 *	its canonical text		no second one of the same kind
 *	space, address and port		a single address with a port
 *	space, version, port, `all`	a wildcard, for each version of IP that it serves
 *	space, version, port, `one`	a single address
 *	path				a UNIX socket in the file system, of any type
 *
 * `all` excludes `all` and `one` of the same space of ports, version and port.
 */

struct claim {
	const struct service_conf *service;
	const struct listen_conf *listen;
};

struct overlaps {
	struct textmap keys; /* to struct claim */
	struct claim *claims;
	size_t n;
	struct report *report;
	const struct origin
		*reported; /* value whose overlap has been told: a range is told once */
};

/* A canonical text with a word before it; all other keys are shorter. */
#define KEY_MAX (ADDR_TEXT_MAX + 16)

static bool same_value(const struct origin *a, const struct origin *b)
{
	return a->file == b->file && a->line == b->line && a->column == b->column;
}

static void tell(struct overlaps *o, const struct claim *claim, const struct claim *other)
{
	const struct origin *origin = &claim->listen->origin;
	char mine[ADDR_TEXT_MAX], theirs[ADDR_TEXT_MAX], whose[SERVICE_NAME_MAX + 16] = "";
	bool said;

	if (o->reported && same_value(o->reported, origin))
		return;
	o->reported = origin;

	addr_format(&claim->listen->addr, mine);
	addr_format(&other->listen->addr, theirs);
	if (claim->service != other->service)
		snprintf(whose, sizeof whose, " of service '%s'", other->service->name);
	if (strcmp(mine, theirs) == 0)
		said = report_mistake(o->report, origin, "%s is an address%s already", mine,
			*whose ? whose : " of this service");
	else
		said = report_mistake(
			o->report, origin, "%s overlaps with %s%s", mine, theirs, whose);
	/* A command line has no places to point at. */
	if (said && other->listen->origin.line > 0)
		diag_note(o->report->diags, &other->listen->origin, "first used here");
}

/* Claim a key; who has it already, or NULL.  *reterr is -ENOMEM or untouched. */
static const struct claim *take(
	struct overlaps *o, const char *key, const struct claim *claim, int *reterr)
{
	int r = textmap_add(&o->keys, key, claim);

	if (r == -EEXIST)
		return textmap_get(&o->keys, key);
	if (r < 0)
		*reterr = r;
	return NULL;
}

static void port_key(const struct addr *addr, int version, const char *what, char buf[KEY_MAX])
{
	buf = stpcpy(stpcpy(buf, addr_port_space(addr)), " ");
	buf = stpcpy(text_put_u32(buf, (uint32_t)version), " ");
	buf = stpcpy(text_put_u32(buf, addr_port(addr)), " ");
	strcpy(buf, what);
}

/* Whether the address serves clients of IPv4 or IPv6; 0 is what is not IP. */
static bool serves(const struct claim *claim, int version)
{
	const struct addr *addr = &claim->listen->addr;
	int8_t v6only = claim->service->v6only;

	if (!addr_is_ip(addr) || version == 0)
		return !addr_is_ip(addr) && version == 0;
	return version == 4 ? addr_takes_ipv4(addr, v6only) : addr_family(addr) == AF_INET6;
}

static int claim_port(struct overlaps *o, const struct claim *claim, int version)
{
	const struct addr *addr = &claim->listen->addr;
	bool wildcard = addr_is_wildcard(addr);
	char all[KEY_MAX], one[KEY_MAX];
	const struct claim *other;
	int r = 0;

	port_key(addr, version, "all", all);
	port_key(addr, version, "one", one);

	other = wildcard ? take(o, all, claim, &r) : textmap_get(&o->keys, all);
	if (!other && wildcard)
		other = textmap_get(&o->keys, one);
	if (other && other != claim)
		tell(o, claim, other);
	if (!wildcard)
		take(o, one, claim, &r);
	return r;
}

static int claim_text(struct overlaps *o, const struct claim *claim)
{
	const struct addr *addr = &claim->listen->addr;
	const char *space = addr_is_path(addr) ? "path" : addr_port_space(addr);
	const struct claim *other;
	char key[KEY_MAX];
	int r = 0;

	if (space)
		addr_format_endpoint(addr, stpcpy(stpcpy(key, space), " "));
	else
		addr_format(addr, key);

	other = take(o, key, claim, &r);
	if (other)
		tell(o, claim, other);
	return r;
}

static int claim_address(struct overlaps *o, const struct claim *claim)
{
	static const int versions[] = {4, 6, 0};
	const struct addr *addr = &claim->listen->addr;
	bool ported = addr_port_space(addr) != NULL;
	int r = 0;

	/* Any free port is another one each time. */
	if (ported && addr_port(addr) == 0)
		return 0;
	if (!addr_is_wildcard(addr))
		r = claim_text(o, claim);
	for (size_t i = 0; i < ARRAY_SIZE(versions) && ported && r == 0; i++) {
		if (serves(claim, versions[i]))
			r = claim_port(o, claim, versions[i]);
	}
	return r;
}

static int collect_claims(const struct conf *conf, struct overlaps *o)
{
	size_t n = 0;

	for (size_t i = 0; i < conf->n_services; i++)
		n += conf->services[i]->n_listen;
	o->claims = calloc(n + 1, sizeof *o->claims);
	if (!o->claims)
		return -ENOMEM;

	for (size_t i = 0; i < conf->n_services; i++) {
		const struct service_conf *service = conf->services[i];

		for (size_t j = 0; j < service->n_listen && !service->disable; j++)
			o->claims[o->n++] = (struct claim){service, &service->listen[j]};
	}
	return 0;
}

int addresses_check_overlaps(const struct conf *conf, struct report *report)
{
	struct overlaps o = {.report = report};
	int r;

	r = collect_claims(conf, &o);
	for (size_t i = 0; i < o.n && r == 0; i++)
		r = claim_address(&o, &o.claims[i]);

	textmap_done(&o.keys);
	free(o.claims);
	return r;
}

static void check_interface(
	const char *name, const struct origin *origin, struct report *report)
{
	char shown[DIAG_SHOWN_MAX];

	if (if_nametoindex(name) == 0)
		report_condition(report, NULL, origin, "no interface '%s'",
			diag_shown(name, strlen(name), shown));
}

void addresses_check_interfaces(const struct service_conf *service, struct report *report)
{
	if (service->bind_to_device)
		check_interface(service->bind_to_device,
			service_conf_origin(service, "bind_to_device"), report);

	for (size_t i = 0; i < service->n_listen; i++) {
		const struct listen_conf *l = &service->listen[i];

		if (addr_family(&l->addr) == AF_INET6 && l->addr.interface[0] != '\0')
			check_interface(l->addr.interface, &l->origin, report);
	}
}

/* The directory of a UNIX socket that leaves a file; fresh memory.  NULL for
 * other addresses, or with *reterr = -ENOMEM. */
static char *directory_of(const struct listen_conf *l, int *reterr)
{
	char path[sizeof l->addr.un.sun_path + 1] = "";
	char *parent;

	if (!addr_is_path(&l->addr))
		return NULL;
	memcpy(path, l->addr.un.sun_path, sizeof l->addr.un.sun_path);
	parent = place_parent(path);
	if (!parent)
		*reterr = -ENOMEM;
	return parent;
}

static void check_directory(struct service_conf *service, struct memo *memo,
	const char *directory, const struct origin *origin, struct report *report)
{
	int r = place_check_directory(memo, NULL, directory);

	/* Those that are not there are going to be made. */
	if (r == -ENOENT && service->directory_mode == 0)
		report_condition(report, service, origin,
			"no directory %s; directory_mode = 0755 would make it", directory);
	else if (r < 0 && r != -ENOENT)
		report_condition(report, service, origin, "no directory %s: %s", directory,
			strerror(-r));
}

int addresses_check_directories(
	struct service_conf *service, struct memo *memo, struct report *report)
{
	int r = 0;

	for (size_t i = 0; i < service->n_listen && r == 0; i++) {
		const struct listen_conf *l = &service->listen[i];
		_cleanup_free_ char *directory = directory_of(l, &r);

		if (directory)
			check_directory(service, memo, directory, &l->origin, report);
	}
	for (char **link = service->symlinks; link && *link && r == 0; link++) {
		_cleanup_free_ char *directory = place_parent(*link);

		if (!directory)
			return -ENOMEM;
		check_directory(service, memo, directory,
			service_conf_origin(service, "symlinks"), report);
	}
	return r;
}

int addresses_check_writers(const struct service_conf *service,
	const struct build_context *context, struct memo *memo, struct report *report)
{
	const struct place_owners owners = {
		.uid = service->socket_uid == (uid_t)-1 ? context->uid : service->socket_uid,
		.gid = service->socket_gid == (gid_t)-1 ? context->gid : service->socket_gid,
	};
	int r = 0;

	for (size_t i = 0; i < service->n_listen && r == 0; i++) {
		const struct listen_conf *l = &service->listen[i];
		_cleanup_free_ char *directory = directory_of(l, &r), *where = NULL;

		if (!directory ||
			!place_writable_by_others(memo, NULL, directory, &owners, &where))
			continue;
		report_warning(report, &l->origin,
			"others than root and the socket's owner may write to %s, and so put "
			"something else in the place of the socket",
			where ? where : directory);
	}
	return r;
}
