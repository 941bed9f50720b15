#include "master/setup.h"

#include "master/recipe.h"

#include <stdlib.h>

struct setup *setup_new(struct service_conf *conf, const struct inherited *inherited)
{
	struct setup *setup = calloc(1, sizeof *setup);

	if (!setup)
		return NULL;
	setup->conf = conf;
	setup->n_holders = 1;
	recipe_make(conf, inherited, &setup->recipe);
	return setup;
}

struct setup *setup_hold(struct setup *setup)
{
	setup->n_holders++;
	return setup;
}

struct setup *setup_release(struct setup *setup)
{
	if (setup && --setup->n_holders == 0) {
		service_conf_free(setup->conf);
		free(setup);
	}
	return NULL;
}
