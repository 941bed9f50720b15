#include "conf/targets.h"

#include "base/hostname.h"
#include "base/redirect.h"
#include "conf/addresses.h"

#include <stdio.h>

/* An address, or the name of a host and where its address goes. */
struct target {
	struct addr addr;
	char name[HOSTNAME_ROOM]; /* "": it is an address */
};

static struct addr make_addr(const char *host, uint32_t port)
{
	struct addr_spec spec = {0};
	const char *why;
	char text[32];

	snprintf(text, sizeof text, "tcp%s:%u", host, port);
	return addr_parse(text, &spec, &why) < 0 ? (struct addr){0} : spec.addr;
}

/* All addresses of the families that are wanted: that of the name takes its place. */
static struct addr make_wildcard(const struct addr_spec *spec)
{
	int family = spec->addr.sa.sa_family;

	return make_addr(family == AF_INET    ? "4"
			 : family == AF_INET6 ? "6"
					      : "",
		spec->port_first);
}

/* NULL, or what is wrong with the name of a host as a target. */
static const char *read_name(const struct addr_spec *spec, struct target *ret)
{
	struct addr any_machine = make_addr(":127.0.0.1", spec->port_first);
	const char *why;

	any_machine.kind = spec->addr.kind;
	why = redirect_refuses(&any_machine);
	if (why)
		return why;
	/* Who sends some is not kept waiting. */
	if (addr_is_datagram(&spec->addr))
		return "datagrams are passed on to an address, and to no name";
	ret->addr = make_wildcard(spec);
	return hostname_read(spec->host, ret->name) < 0 ? "no host can have such a name" : NULL;
}

/* NULL, or what is wrong with it. */
static const char *read_target(const struct addr_spec *spec, struct target *ret)
{
	if (spec->port_first != spec->port_last)
		return "a target has one port, not a range";
	if (spec->host[0] != '\0')
		return read_name(spec, ret);
	ret->addr = spec->addr;
	ret->name[0] = '\0';
	return redirect_refuses(&spec->addr);
}

/* 0, -EINVAL after a mistake, or -ENOMEM. */
static int resolve_value(const struct raw_value *value, const char *option,
	struct report *report, struct target *ret)
{
	struct addr_spec spec;
	const char *why;
	int r = addresses_read(value, report, &spec);

	if (r < 0)
		return r;
	why = read_target(&spec, ret);
	if (why)
		report_mistake(report, &value->origin, "%s: %s", option, why);
	return why ? -EINVAL : 0;
}

static int add(struct service_conf *service, const struct target *target)
{
	int r = strv_add(&service->target_names, target->name);

	if (r == 0)
		service->targets[service->n_targets++] = target->addr;
	return r;
}

/* Most services have none. */
static void drop_no_names(struct service_conf *service)
{
	for (size_t i = 0; i < service->n_targets; i++) {
		if (service->target_names[i][0] != '\0')
			return;
	}
	service->target_names = strv_free(service->target_names);
}

/* Who wrote it twice wants to have it tried twice, perhaps: it takes two turns. */
int targets_resolve(
	struct service_conf *service, const struct raw_assign *redirect, struct report *report)
{
	if (redirect->n_values > REDIRECT_TARGETS_MAX) {
		report_mistake(report, &redirect->values[REDIRECT_TARGETS_MAX].origin,
			"redirect: a service can have at most %d targets",
			REDIRECT_TARGETS_MAX);
		service_conf_set_mistaken(service, redirect->option, true);
		return 0;
	}
	service->targets = calloc(redirect->n_values + 1, sizeof *service->targets);
	if (!service->targets)
		return -ENOMEM;
	for (size_t i = 0; i < redirect->n_values; i++) {
		struct target target;
		int r = resolve_value(&redirect->values[i], "redirect", report, &target);

		if (r == 0)
			r = add(service, &target);
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			service_conf_set_mistaken(service, redirect->option, true);
	}
	drop_no_names(service);
	return 0;
}

int targets_find_ready(
	struct service_conf *service, const struct raw_assign *ready, struct report *report)
{
	const struct raw_value *value = ready->values;
	struct target target;
	int r;

	if (!service->backend_ready ||
		service_conf_mistaken(service, conf_option_find("redirect")))
		return 0;
	r = resolve_value(value, ready->option->name, report, &target);
	if (r == -ENOMEM)
		return r;
	for (size_t i = 0; r == 0 && i < service->n_targets; i++) {
		if (!addr_equal(&service->targets[i], &target.addr))
			continue;
		service->backend_target = (uint32_t)i;
		return 0;
	}
	if (r == 0)
		report_mistake(report, &value->origin,
			"backend.ready: it is none of the addresses of redirect");
	service_conf_set_mistaken(service, ready->option, true);
	return 0;
}
