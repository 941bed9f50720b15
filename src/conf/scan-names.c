/*
 * What must be unique over all files: names of services, `defaults`.
 */
#include "conf/scan-internal.h"

#include <search.h>
#include <string.h>

void scan_names_init(struct scan_names *names)
{
	*names = (struct scan_names){0};
}

void scan_names_done(struct scan_names *names)
{
	tdestroy(names->services, free);
	scan_names_init(names);
}

static int compare(const void *a, const void *b)
{
	const struct known_service *x = a, *y = b;

	return strcasecmp(x->name, y->name);
}

int scan_names_add(
	struct scan_names *names, const struct name *name, const struct known_service **ret)
{
	_cleanup_free_ struct known_service *service = NULL;
	struct known_service **found;

	service = malloc(sizeof *service + name->len + 1);
	if (!service)
		return -ENOMEM;
	service->origin = name->origin;
	memcpy(service->name, name->text, name->len);
	service->name[name->len] = '\0';

	found = tsearch(service, &names->services, compare);
	if (!found)
		return -ENOMEM;
	if (*found != service) {
		*ret = *found;
		return -EEXIST;
	}
	take_ptr(service);
	names->n_services++;
	return 0;
}
