#include "master/waiting.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "master/master.h"
#include "master/service.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#define DELAY_MIN USEC_PER_SEC
#define DELAY_MAX (60 * USEC_PER_SEC)

/* A change seldom comes alone. */
#define CHANGES_SETTLE (100 * USEC_PER_MSEC)

/* Messages taken at once; the next turn takes the others. */
#define CHANGES_BATCH 64

static bool lacks_something(const struct service *service)
{
	return service->state == SERVICE_WAITING ||
	       (service->state == SERVICE_ACTIVE && service_lacks_address(service));
}

static void tell_condition(struct service *service)
{
	const struct setup *setup = service_setup(service);

	if (setup && setup->conf->condition)
		log_warning("%swaiting: %s", service->label, setup->conf->condition);
}

/* What has just been told where it happened is not told again. */
static void tell(struct service *service)
{
	service->told_to_wait = service->state == SERVICE_WAITING;
	if (service->told_to_wait)
		tell_condition(service);
	for (size_t i = 0; i < service->n_listeners; i++) {
		struct listener *listener = service->listeners[i];

		if (listener->fd < 0 && !listener->told_just_now)
			listener_tell(listener);
	}
}

/* Later failures and those of a look are told at once, and again by the next reload. */
static void tell_again_from_now_on(const struct master *master)
{
	for (size_t i = 0; i < master->n_services; i++)
		for (size_t j = 0; j < master->services[i]->n_listeners; j++)
			master->services[i]->listeners[j]->told_just_now = false;
}

/* ----------------------------------------------------- the kernel tells */

/* What has changed does not matter; that something has, does. */
static int on_changes(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct master *master = userdata;
	uint64_t soon = clock_monotonic() + CHANGES_SETTLE;
	char byte;

	(void)source;
	(void)revents;
	for (int i = 0; i < CHANGES_BATCH; i++)
		if (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_TRUNC) < 0 && errno == EAGAIN)
			break;
	if (master->waiting.due != USEC_INFINITY) {
		master->waiting.delay = DELAY_MIN;
		if (soon < master->waiting.due)
			master->waiting.due = soon;
	}
	return 0;
}

static int subscribe(void)
{
	struct sockaddr_nl groups = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&groups, sizeof groups) < 0) {
		fd_close(fd);
		return -errno;
	}
	return fd;
}

/* Without them there is still the time. */
static void watch_changes(struct master *master)
{
	struct waiting *waiting = &master->waiting;
	int fd;

	if (waiting->changes)
		return;
	fd = subscribe();
	if (fd < 0)
		return;
	fd = master_move_up(master, fd);
	if (sd_event_add_io(master->event, &waiting->changes, fd, EPOLLIN, on_changes, master) <
		0)
		fd_close(fd);
	else
		sd_event_source_set_io_fd_own(waiting->changes, true);
}

/* -------------------------------------------------------------- trying */

static bool try_all(struct master *master, uint64_t now)
{
	bool conditions = false, missing = false;

	for (size_t i = 0; i < master->n_services; i++) {
		struct service *service = master->services[i];

		if (!lacks_something(service))
			continue;
		if (service->state == SERVICE_WAITING)
			conditions = true;
		else
			service_open(service);
		missing = missing || lacks_something(service);
	}
	/* A change of addresses is no reason to look for users more often. */
	if (conditions && now >= master->waiting.look_due) {
		master->waiting.look_due = now + DELAY_MIN;
		reload_look_again(master);
	}
	return missing;
}

/* Those that are served now are no longer missed; the others have been told of. */
static bool tell_who_came(struct master *master)
{
	bool missing = false;

	for (size_t i = 0; i < master->n_services; i++) {
		struct service *service = master->services[i];

		missing = missing || lacks_something(service);
		if (service->told_to_wait && service->state == SERVICE_ACTIVE) {
			service->told_to_wait = false;
			if (service_is_served(service))
				log_notice("%sserved now", service->label);
		}
	}
	return missing;
}

static void plan_next(struct waiting *waiting, uint64_t now)
{
	waiting->due = now + waiting->delay;
	waiting->delay = waiting->delay * 2 > DELAY_MAX ? DELAY_MAX : waiting->delay * 2;
}

void waiting_give_up(struct waiting *waiting)
{
	waiting->due = USEC_INFINITY;
	waiting_done(waiting);
}

void waiting_begin(struct master *master, uint64_t now)
{
	struct waiting *waiting = &master->waiting;

	if (!tell_who_came(master)) {
		waiting_give_up(waiting);
		return;
	}
	for (size_t i = 0; i < master->n_services; i++)
		if (lacks_something(master->services[i]))
			tell(master->services[i]);
	tell_again_from_now_on(master);
	waiting->delay = DELAY_MIN;
	plan_next(waiting, now);
	watch_changes(master);
}

/* The time of the next attempt stands already: this was one. */
void waiting_go_on(struct master *master)
{
	tell_again_from_now_on(master);
	if (!tell_who_came(master))
		waiting_give_up(&master->waiting);
}

void waiting_resume(struct master *master, uint64_t now)
{
	tell_again_from_now_on(master);
	if (master->waiting.due != USEC_INFINITY || !tell_who_came(master))
		return;
	master->waiting.delay = DELAY_MIN;
	plan_next(&master->waiting, now);
	watch_changes(master);
}

void waiting_hurry(struct master *master, uint64_t now)
{
	if (master->waiting.due == USEC_INFINITY)
		return;
	master->waiting.due = now;
	master->waiting.delay = DELAY_MIN;
}

void waiting_turn(struct master *master, uint64_t now)
{
	if (now < master->waiting.due)
		return;
	announce_again(master);
	if (try_all(master, now))
		plan_next(&master->waiting, now);
	else
		waiting_give_up(&master->waiting);
	tell_again_from_now_on(master);
}

void waiting_done(struct waiting *waiting)
{
	waiting->changes = sd_event_source_disable_unref(waiting->changes);
}
