#include "master/handover/names.h"

#include "master/master.h"
#include "master/service.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Without memory it is looked for among all. */
static bool note(struct names *names)
{
	const struct master *master = names->master;

	names->noted = true;
	for (size_t i = 0; i < master->n_services; i++) {
		const char *label = master->services[i]->label;
		char name[SERVICE_NAME_MAX + 1];

		/* What it is called is in its label, with ": " behind it. */
		snprintf(name, sizeof name, "%.*s", (int)strlen(label) - 2, label);
		if (textmap_add(&names->map, name, (void *)(uintptr_t)(i + 1)) == -ENOMEM) {
			names_done(names);
			return false;
		}
	}
	return true;
}

static struct service *find_among_all(const struct master *master, const char *name)
{
	for (size_t i = 0; i < master->n_services; i++)
		if (service_is_called(master->services[i], name))
			return master->services[i];
	return NULL;
}

struct service *names_find(struct names *names, const char *name, size_t place)
{
	const struct master *master = names->master;
	uintptr_t found;

	if (place < master->n_services && service_is_called(master->services[place], name))
		return master->services[place];
	if ((!names->noted && !note(names)) || names->map.n == 0)
		return find_among_all(master, name);
	found = (uintptr_t)textmap_get(&names->map, name);
	return found ? master->services[found - 1] : NULL;
}

void names_done(struct names *names)
{
	textmap_done(&names->map);
	textmap_init(&names->map);
}
