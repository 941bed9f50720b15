#include "conf/mux.h"

#include "conf/merge.h"

#include <stdio.h>
#include <string.h>

/* Names that can be asked for. */
struct names {
	char (*items)[SERVICE_NAME_MAX + 1];
	size_t n;
};

static bool is_listener(const struct service_conf *service)
{
	return !service->disable && service_conf_is_builtin(service) &&
	       service->builtin == BUILTIN_TCPMUX;
}

static bool is_offered(const struct service_conf *service)
{
	return !service->disable && service_conf_has_mux(service);
}

static void add_name(struct names *names, const char *name)
{
	char *to = names->items[names->n++];

	for (; *name; name++)
		*to++ = (char)(*name >= 'A' && *name <= 'Z' ? *name - 'A' + 'a' : *name);
	*to = '\0';
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int gather(const struct conf *conf, struct names *names)
{
	names->items = calloc(conf->n_services + 1, sizeof *names->items);
	if (!names->items)
		return -ENOMEM;
	for (size_t i = 0; i < conf->n_services; i++)
		if (is_offered(conf->services[i]))
			add_name(names, conf->services[i]->name);
	qsort(names->items, names->n, sizeof *names->items, compare_names);
	return 0;
}

/* Whole lines, as many as there is room for; how many that are is in *ret_n. */
static char *make_list(const struct names *names, size_t *ret_len, size_t *ret_n)
{
	char *list = malloc(names->n * sizeof *names->items + 1);
	size_t len = 0, i;

	for (i = 0; list && i < names->n; i++) {
		size_t n = strlen(names->items[i]);

		if (len + n + 1 > BUILTIN_REPLY_MAX)
			break;
		memcpy(list + len, names->items[i], n);
		list[len + n] = '\n';
		len += n + 1;
	}
	*ret_len = len;
	*ret_n = i;
	return list;
}

static int give_list(
	struct service_conf *service, const struct names *names, struct report *report)
{
	_cleanup_free_ char *list = NULL;
	size_t len, n;

	list = make_list(names, &len, &n);
	if (!list)
		return -ENOMEM;
	if (n < names->n)
		report_warning(report, service_conf_origin(service, "builtin"),
			"builtin: HELP has room for %zu of %zu names; the others can be had, "
			"but are not listed",
			n, names->n);
	if (len == 0)
		return 0;
	service->reply = take_ptr(list);
	service->reply_len = len;
	return 0;
}

static bool has_listener(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_services; i++)
		if (is_listener(conf->services[i]))
			return true;
	return false;
}

static void warn_of_unreachable(const struct conf *conf, struct report *report)
{
	if (has_listener(conf))
		return;
	for (size_t i = 0; i < conf->n_services; i++) {
		const struct service_conf *service = conf->services[i];

		if (is_offered(service) && service->n_listen == 0)
			report_warning(report, service_conf_origin(service, "tcpmux"),
				"tcpmux: nobody can reach '%s'; write a service with builtin = "
				"tcpmux, or give this one a listen",
				service->name);
	}
}

int mux_prepare(struct conf *conf, struct report *report)
{
	struct names names = {0};
	int r = 0;

	warn_of_unreachable(conf, report);
	if (!has_listener(conf))
		return 0;
	r = gather(conf, &names);
	for (size_t i = 0; i < conf->n_services && r == 0; i++)
		if (is_listener(conf->services[i]))
			r = give_list(conf->services[i], &names, report);
	free(names.items);
	return r;
}
