#include "master/service.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "master/hatch.h"
#include "master/master.h"
#include "master/recipe.h"
#include "os/listen.h"

#include <string.h>
#include <systemd/sd-journal.h>

#define PAUSE_MIN (100 * USEC_PER_MSEC)
#define PAUSE_MAX (30 * USEC_PER_SEC)

/* Standard error of its children goes there without passing through us. */
static int open_log_stream(const struct service *service)
{
	const struct service_conf *conf = service->conf;
	char identifier[96];
	int fd, high;

	if (conf->stderr_kind != STDERR_LOG || log_target() != LOG_TARGET_JOURNAL)
		return -EBADF;
	snprintf(identifier, sizeof identifier, "hatchd/%s", conf->name);
	fd = sd_journal_stream_fd(identifier, LOG_INFO, 1);
	if (fd < 0)
		return -EBADF;
	high = fd_move_up(fd, service->master->budget.low_limit);
	return high < 0 ? fd : high;
}

struct service *service_new(struct master *master, struct service_conf *conf)
{
	struct service *service = calloc(1, sizeof *service);

	if (!service)
		return NULL;
	service->master = master;
	service->conf = conf;
	if (!master->cmdline->adhoc)
		snprintf(service->label, sizeof service->label, "%s: ", conf->name);
	recipe_make(conf, &master->inherited, &service->recipe);
	service->log_stream = open_log_stream(service);

	if (conf->condition) {
		service->state = SERVICE_WAITING;
		service->waiting_for = strdup(conf->condition);
	}
	return service;
}

void service_close_later(struct service *service, int fd, uint64_t now)
{
	struct master *master = service->master;
	int high = fd_move_up(fd, master->budget.low_limit);

	/* Out of the part of the table that children yet to come would copy. */
	closer_close(master->closer, high < 0 ? fd : high, spawner_started(master->spawner),
		&service->n_closing, now);
}

uint32_t service_closing(const struct service *service)
{
	return __atomic_load_n(&service->n_closing, __ATOMIC_ACQUIRE);
}

static void listener_close(struct listener *listener)
{
	/* Out of epoll before the close: a child in flight may still hold the
	 * socket, and a closed one would go on waking us. */
	listener->source = sd_event_source_disable_unref(listener->source);
	if (listener->fd < 0)
		return;
	listen_unlink(&listener->addr, listener->dev, listener->ino);
	/* With it go clients that were not accepted, and what they have sent. */
	if (addr_family(&listener->addr) == AF_UNIX)
		service_close_later(listener->service, listener->fd, clock_monotonic());
	else
		fd_close(listener->fd);
	listener->fd = -EBADF;
}

/* Children outlive their listener; their record no longer points at it. */
static void forget_listeners(struct service *service)
{
	for (struct child *child = service->first; child; child = child->next)
		child->listener = NULL;
}

void service_close(struct service *service)
{
	for (size_t i = 0; i < service->n_listeners; i++)
		listener_close(&service->listeners[i]);
	forget_listeners(service);
	free(service->listeners);
	service->listeners = NULL;
	service->n_listeners = 0;
	service->state = SERVICE_STOPPED;
}

struct service *service_free(struct service *service)
{
	if (!service)
		return NULL;
	service_close(service);
	fd_close(service->log_stream);
	free(service->waiting_for);
	service_conf_free(service->conf);
	free(service);
	return NULL;
}

static void narrate(void *userdata, const char *line)
{
	const struct service *service = userdata;

	log_debug("%s%s", service->label, line);
}

static const char *explain(int error)
{
	switch (error) {
	case EADDRINUSE:
		return "somebody listens there already";
	case EEXIST:
		return "a file that is not a socket is in the way";
	case ELOOP:
		return "a symbolic link is in the way";
	case ENODEV:
		return "no such interface";
	case EACCES:
		return "not permitted (ports below 1024 and other users' directories need "
		       "root)";
	default:
		return strerror(error);
	}
}

static int bind_listener(
	struct service *service, const struct addr *addr, struct listener *listener)
{
	struct listen_request request = {
		.service = service->conf,
		.addr = addr,
		.told = narrate,
		.userdata = service,
	};
	struct listen_result result;
	char step[LISTEN_STEP_MAX], text[ADDR_TEXT_MAX];
	int r;

	r = listen_open(&request, &result, step);
	if (r < 0) {
		log_error("%sunable to %s %s: %s", service->label, step,
			addr_format(addr, text), explain(-r));
		return r;
	}
	*listener = (struct listener){
		.service = service,
		.fd = result.fd,
		.addr = result.addr,
		.dev = result.dev,
		.ino = result.ino,
	};
	return 0;
}

static int adopt_listener(
	struct service *service, const struct addr *addr, struct listener *listener)
{
	int fd = inherited_socket(&service->master->inherited, addr->name);
	int r = fd < 0 ? -ENOENT : listen_adopt(fd, service->conf, &listener->addr);

	if (r < 0) {
		log_error("%sunable to take over socket fd:%s: %s", service->label, addr->name,
			r == -ENOENT   ? "the service manager handed over none with that name"
			: r == -EINVAL ? "it is not a listening socket of a kind that this "
					 "service can serve"
				       : strerror(-r));
		return r;
	}
	listener->service = service;
	listener->fd = fd;
	listener->source = NULL;
	return 0;
}

static int watch_listener(struct listener *listener)
{
	struct master *master = listener->service->master;
	int fd, r;

	fd = fd_move_up(listener->fd, master->budget.low_limit);
	if (fd < 0)
		return fd;
	listener->fd = fd;
	if (listener->service->conf->wait)
		arrival_prepare(listener);

	r = sd_event_add_io(
		master->event, &listener->source, fd, EPOLLIN, hatch_on_client, listener);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(listener->source, SD_EVENT_OFF);
}

static int open_listener(struct service *service, const struct addr *addr)
{
	struct listener *listener = &service->listeners[service->n_listeners];
	char text[ADDR_TEXT_MAX];
	int r;

	*listener = (struct listener){.fd = -EBADF};
	if (addr->kind == ADDR_FD)
		r = adopt_listener(service, addr, listener);
	else
		r = bind_listener(service, addr, listener);
	if (r < 0)
		return r;

	service->n_listeners++;
	r = watch_listener(listener);
	if (r < 0)
		log_error("%sunable to watch %s: %s", service->label,
			addr_format(&listener->addr, text), strerror(-r));
	return r;
}

static int wait_for(struct service *service, int r, const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];

	service_close(service);
	service->state = SERVICE_WAITING;
	if (asprintf(&service->waiting_for, "%s: %s", addr_format(addr, text), explain(-r)) < 0)
		service->waiting_for = NULL;
	return r;
}

int service_open(struct service *service)
{
	const struct service_conf *conf = service->conf;

	if (service->state != SERVICE_ACTIVE)
		return 0;
	service->listeners = calloc(conf->n_listen, sizeof *service->listeners);
	if (!service->listeners)
		return -ENOMEM;

	for (size_t i = 0; i < conf->n_listen; i++) {
		int r = open_listener(service, &conf->listen[i].addr);

		if (r < 0)
			return wait_for(service, r, &conf->listen[i].addr);
	}
	service_update(service);
	return 0;
}

bool service_is_full(const struct service *service)
{
	uint32_t instances = service->conf->instances;

	return instances != COUNT_UNLIMITED && service->n_children >= instances;
}

/* May more children be hatched now?  State only. */
static bool willing(const struct service *service)
{
	return service->state == SERVICE_ACTIVE && !service->master->stopping &&
	       service->paused_until == 0 && !service->starved && !service->wait_child &&
	       !service_is_full(service);
}

/* Looked at again at that time; service_update() has nothing to do with it. */
static void pause_until(struct service *service, uint64_t when)
{
	if (service->paused_until == 0) {
		service->next_paused = service->master->paused;
		service->master->paused = service;
	}
	service->paused_until = when;
}

void service_update(struct service *service)
{
	bool wanted = willing(service);

	for (size_t i = 0; i < service->n_listeners; i++) {
		struct listener *listener = &service->listeners[i];
		bool poll = wanted && !listener->child;

		if (poll == listener->polled || !listener->source)
			continue;
		if (sd_event_source_set_enabled(
			    listener->source, poll ? SD_EVENT_ON : SD_EVENT_OFF) >= 0)
			listener->polled = poll;
		else
			/* No memory for it now. */
			pause_until(service, clock_monotonic() + PAUSE_MIN);
	}
}

void service_starve(struct service *service)
{
	if (!service->starved) {
		service->starved = true;
		service->next_starved = service->master->starved;
		service->master->starved = service;
	}
	service_update(service);
}

void services_feed(struct master *master)
{
	master->slot_came_free = false;
	while (master->starved) {
		struct service *service = master->starved;

		master->starved = service->next_starved;
		service->next_starved = NULL;
		service->starved = false;
		service_update(service);
	}
}

void service_pause(struct service *service, const char *reason)
{
	uint64_t now = clock_monotonic();
	uint64_t length = PAUSE_MIN << (service->pauses < 9 ? service->pauses : 9);
	char text[TEXT_NUMBER_MAX];

	if (length > PAUSE_MAX)
		length = PAUSE_MAX;
	if (service->paused_until == 0)
		service->pauses++;
	pause_until(service, now + length);
	if (log_gate_pass(&service->failures, now))
		log_warning("%s%s, retrying in %s", service->label, reason,
			text_format_elapsed(length, text));
	else
		master_gate_closed(service->master, service->failures.window_ends);
	service_update(service);
}

void service_recovered(struct service *service)
{
	service->pauses = 0;
	service->fruitless = 0;
}

void services_resume(struct master *master, uint64_t now)
{
	struct service **link = &master->paused;

	while (*link) {
		struct service *service = *link;

		if (service->paused_until > now) {
			link = &service->next_paused;
			continue;
		}
		*link = service->next_paused;
		service->next_paused = NULL;
		service->paused_until = 0;
		service_update(service);
	}
}

uint64_t services_due(const struct master *master)
{
	uint64_t due = USEC_INFINITY;

	for (const struct service *service = master->paused; service;
		service = service->next_paused)
		if (service->paused_until < due)
			due = service->paused_until;
	return due;
}

void service_add_child(struct service *service, struct child *child)
{
	child->next = NULL;
	child->prev = service->last;
	if (service->last)
		service->last->next = child;
	else
		service->first = child;
	service->last = child;
	service->n_children++;
	service->n_in_flight++;
}

void service_remove_child(struct service *service, struct child *child)
{
	if (child->prev)
		child->prev->next = child->next;
	else
		service->first = child->next;
	if (child->next)
		child->next->prev = child->prev;
	else
		service->last = child->prev;
	service->n_children--;

	if (service->wait_child == child)
		service->wait_child = NULL;
	if (child->listener && child->listener->child == child)
		child->listener->child = NULL;
}
