#include "master/setup.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/own.h"
#include "conf/image.h"
#include "master/master.h"
#include "master/recipe.h"
#include "master/service.h"

#include <stdlib.h>
#include <string.h>

/* With one holder, the caller, that takes over `conf`.  Without memory NULL, and
 * `conf` is still the caller's. */
static struct setup *setup_new(struct service_conf *conf, const struct inherited *inherited)
{
	struct setup *setup = calloc(1, sizeof *setup);

	if (!setup)
		return NULL;
	setup->conf = conf;
	setup->n_holders = 1;
	setup->front_text = -EBADF;
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
		fd_close(setup->front_text);
		service_conf_free(setup->conf);
		free(setup->record);
		free(setup);
	}
	return NULL;
}

/* Who was called since the hand came by last stays for one more round. */
static unsigned find_place(struct setups *setups)
{
	for (;;) {
		unsigned place = setups->hand;
		struct service *user = setups->users[place];

		setups->hand = (setups->hand + 1) % SETUPS_MAX;
		if (!user)
			return place;
		if (!user->setup_used) {
			service_drop_setup(user);
			return place;
		}
		user->setup_used = false;
	}
}

static void keep(struct service *service, struct setup *setup)
{
	struct setups *setups = &service->master->setups;
	unsigned place = find_place(setups);

	setups->users[place] = service;
	service->setup_place = (uint16_t)place;
	service->setup = setup;
}

static int read_setup(struct service *service, struct setup **ret)
{
	const struct master *master = service->master;
	struct service_conf *conf;
	int r;

	if (!master->image)
		return -ENOENT;
	r = image_get(master->image, service->index, &conf);
	if (r < 0)
		return r;
	*ret = setup_new(conf, &master->inherited);
	if (*ret)
		return 0;
	service_conf_free(conf);
	return -ENOMEM;
}

/* It is tried again with every client who waits, and by each turn of the clock. */
static void tell_unreadable(struct service *service, int r)
{
	struct log_gate *gate = &service_told(service)->failures;
	uint64_t now = clock_monotonic();

	if (log_gate_pass(gate, now))
		log_error(
			"%sunable to read its configuration: %s", service->label, strerror(-r));
	master_gate_closed(service->master, gate->window_ends);
}

struct setup *service_setup(struct service *service)
{
	struct setup *setup;
	int r;

	service->setup_used = true;
	if (service->setup || service->retired)
		return service->setup;
	r = read_setup(service, &setup);
	if (r < 0) {
		tell_unreadable(service, r);
		return NULL;
	}
	keep(service, setup);
	return setup;
}

int service_pin_setup(struct service *service, struct service_conf *conf)
{
	struct setup *setup = setup_new(conf, &service->master->inherited);

	if (!setup)
		return -ENOMEM;
	service_drop_setup(service);
	service->setup = setup;
	service->setup_place = SETUP_PINNED;
	return 0;
}

void service_share_setup(struct service *service, struct setup *setup)
{
	setup_hold(setup);
	service_drop_setup(service);
	service->setup = setup;
	service->setup_place = SETUP_PINNED;
}

/* Without memory an upgrade gives those who hold it what is in force by then. */
void setup_keep_record(const struct service *service)
{
	const struct master *master = service->master;
	struct setup *setup = service->setup;

	if (!setup->record && master->image && service->setup_place != SETUP_PINNED)
		(void)image_copy_record(
			master->image, service->index, &setup->record, &setup->record_len);
}

void service_drop_setup(struct service *service)
{
	if (service->setup && service->setup_place != SETUP_PINNED) {
		service->master->setups.users[service->setup_place] = NULL;
		/* Children hold it on, and nothing else knows it any more. */
		if (service->setup->n_holders > 1)
			setup_keep_record(service);
	}
	service->setup = setup_release(service->setup);
}

int setup_from_record(const struct inherited *inherited, const uint8_t *record, size_t len,
	struct setup **ret)
{
	_cleanup_service_conf_ struct service_conf *conf = NULL;
	_cleanup_free_ uint8_t *copy = malloc(len);
	int r = copy ? image_read_record(record, len, &conf) : -ENOMEM;

	if (r < 0)
		return r;
	*ret = setup_new(conf, inherited);
	if (!*ret)
		return -ENOMEM;
	take_ptr(conf);
	memcpy(copy, record, len);
	(*ret)->record = take_ptr(copy);
	(*ret)->record_len = len;
	return 0;
}

struct setup *setup_of_nothing(const struct service *service, const char *name)
{
	_cleanup_service_conf_ struct service_conf *conf = service_conf_new(name);
	struct setup *setup;

	if (!conf)
		return NULL;
	conf->path = strdup(name);
	conf->directory = strdup("/");
	if (!conf->path || !conf->directory)
		return NULL;
	conf->stderr_kind = STDERR_NULL;
	conf->stop = STOP_LEAVE;
	conf->time_limit = conf->first_byte_timeout = conf->idle_timeout = DURATION_UNLIMITED;
	conf->kill_after = DURATION_UNLIMITED;
	conf->instances = conf->per_source = COUNT_UNLIMITED;
	conf->log_on_success = RECORD_OF_SUCCESS;
	conf->log_on_failure = RECORD_OF_FAILURE;
	setup = setup_new(conf, &service->master->inherited);
	if (setup)
		take_ptr(conf);
	return setup;
}
