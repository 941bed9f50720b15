#include "conf/targets.h"

#include "base/redirect.h"
#include "conf/addresses.h"

/* 0, -EINVAL after a mistake, or -ENOMEM. */
static int resolve_value(const struct raw_value *value, struct report *report, struct addr *ret)
{
	const char *why = NULL;
	struct addr_spec spec;
	int r = addresses_read(value, report, &spec);

	if (r < 0)
		return r;
	if (spec.port_first != spec.port_last)
		why = "a target has one port, not a range";
	/* There is no address yet. */
	if (!why && spec.host[0] == '\0')
		why = redirect_refuses(&spec.addr);
	if (why)
		report_mistake(report, &value->origin, "redirect: %s", why);
	else if (spec.host[0] != '\0')
		report_mistake(report, &value->origin,
			"redirect: names are not resolved yet; write the address of '%s'",
			spec.host);
	else
		*ret = spec.addr;
	return why || spec.host[0] != '\0' ? -EINVAL : 0;
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
		int r = resolve_value(
			&redirect->values[i], report, &service->targets[service->n_targets]);

		if (r == -ENOMEM)
			return r;
		if (r < 0)
			service_conf_set_mistaken(service, redirect->option, true);
		else
			service->n_targets++;
	}
	return 0;
}
