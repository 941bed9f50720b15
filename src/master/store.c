#include "master/store.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "master/kept.h"
#include "master/listener.h"
#include "master/master.h"
#include "master/service.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* Messages in a row.  systemd compares each new descriptor with all that it has, and does
 * nothing else meanwhile: with 10,000 of them that takes milliseconds. */
#define BATCH 8
/* A manager that takes no more now is tried again. */
#define RETRY (10 * USEC_PER_MSEC)

/* Linux has 128 KB for a variable of the environment, all names in it; a part is left for
 * those of socket units. */
#define NAME_ROOM 120000
/* So many of them are spent on names that people can read. */
#define READABLE_ROOM 15000

/* What else systemd has open while it starts us, and more. */
#define OTHER_DESCRIPTORS 32

/* Longest message, NUL included: a name, and what is said about it. */
#define MESSAGE_MAX (KEPT_NAME_MAX + 64)

/* Who starts us gives them their numbers under the soft limit that we are started with; without
 * a number for one of them it does not start us at all.  systemd moves each to the first free
 * one that is not too low, while the others may be there already: twice as many are enough. */
static uint64_t can_be_handed_over(const struct inherited *inherited)
{
	uint64_t places = inherited->nofile.rlim_cur / 2, others = OTHER_DESCRIPTORS;

	for (size_t i = 0; i < inherited->handed_over.n; i++)
		others += !kept_name_is_ours(inherited->handed_over.sockets[i]->name);
	return places > others ? places - others : 0;
}

void store_init(struct master *master, const char *environment)
{
	uint64_t places = can_be_handed_over(&master->inherited);
	struct store *store = &master->store;
	uint32_t max;

	*store = STORE_NONE;
	store->last = &store->first;
	store->name_room = NAME_ROOM;
	/* The one client of --once is not awaited in another life. */
	if (environment && !master->cmdline->once && text_parse_u32(environment, &max) == 0)
		store->max = max < places ? max : (uint32_t)places;
}

/* -------------------------------------------------------------------------- names */

static size_t name_bytes(const char *name)
{
	return strlen(name) + 1;
}

struct stored *store_note(struct master *master, const char *name)
{
	struct store *store = &master->store;
	size_t size = name_bytes(name);
	struct stored *stored = calloc(1, sizeof *stored + size);

	if (!stored)
		return NULL;
	memcpy(stored->name, name, size);
	stored->sent = true;
	store->n++;
	store->n_bytes += size;
	return stored;
}

/* Who has taken it does not count it any longer. */
static void uncount(struct store *store, const struct stored *stored)
{
	store->n--;
	store->n_bytes -= name_bytes(stored->name);
}

static void look_again(struct store *store)
{
	store->look = true;
	store->service = 0;
	store->due = 0;
}

void store_forget(struct master *master, struct stored *stored)
{
	struct store *store = &master->store;

	if (!stored)
		return;
	uncount(store, stored);
	look_again(store); /* there is a place now */
	if (!stored->sent) {
		free(stored);
		return;
	}
	stored->next = NULL;
	*store->last = stored;
	store->last = &stored->next;
}

int store_write_forgotten(const struct store *store, uint8_t **ret, size_t *ret_len)
{
	size_t len = 0, at = 0;
	uint8_t *names;

	for (const struct stored *s = store->first; s; s = s->next)
		len += name_bytes(s->name);
	names = malloc(len + 1);
	if (!names)
		return -ENOMEM;
	for (const struct stored *s = store->first; s; s = s->next) {
		memcpy(names + at, s->name, name_bytes(s->name));
		at += name_bytes(s->name);
	}
	*ret = names;
	*ret_len = len;
	return 0;
}

void store_read_forgotten(struct master *master, const uint8_t *names, size_t len)
{
	const char *name = (const char *)names, *end;
	const char *nul;

	if (len == 0) /* and nothing to point at */
		return;
	end = name + len;
	for (; name < end && (nul = memchr(name, '\0', (size_t)(end - name))); name = nul + 1)
		if (kept_name_is_ours(name) && nul - name < KEPT_NAME_MAX)
			store_forget(master, store_note(master, name));
}

void store_give_away(struct listener *listener)
{
	store_forget(listener->service->master, take_ptr(listener->stored));
}

bool store_has_to_tell(const struct store *store)
{
	return store->first != NULL;
}

/* A new one that the manager does not have yet; NULL: there is no place for it. */
static struct stored *make_name(struct master *master, const struct kept_wish *wish)
{
	struct store *store = &master->store;
	char name[KEPT_NAME_MAX];
	struct stored *stored;

	kept_wish_name(wish, store->n_bytes >= READABLE_ROOM, name);
	if (store->n >= store->max || store->n_bytes + name_bytes(name) > store->name_room)
		return NULL;
	stored = store_note(master, name);
	if (stored)
		stored->sent = false;
	return stored;
}

static bool is_called(const struct stored *stored, const struct kept_wish *wish)
{
	char name[KEPT_NAME_MAX];

	return strcmp(stored->name, kept_wish_name(wish, false, name)) == 0 ||
	       strcmp(stored->name, kept_wish_name(wish, true, name)) == 0;
}

/* What it is called follows from what it was told. */
static void name_listener(struct listener *listener, const struct service_conf *conf)
{
	struct master *master = listener->service->master;
	struct kept_wish wish;

	if (kept_wish_make(conf, listener->index, &wish) < 0)
		return;
	if (listener->stored && is_called(listener->stored, &wish))
		return;
	store_forget(master, take_ptr(listener->stored));
	listener->stored = make_name(master, &wish);
}

void store_listener(struct listener *listener, const struct service_conf *conf)
{
	struct store *store = &listener->service->master->store;

	if (store->max == 0 || listener_is_handed_over(listener))
		return;
	name_listener(listener, conf);
	look_again(store);
}

bool store_keeps(const struct listener *listener)
{
	const struct master *master = listener->service->master;
	const struct stored *stored = listener->stored;

	return stored && stored->sent && !master->store.active &&
	       notify_error(master->notify) == 0;
}

bool store_leave(struct listener *listener)
{
	struct master *master = listener->service->master;
	bool stays = store_keeps(listener);
	struct stored *stored = take_ptr(listener->stored);

	if (!stays) {
		/* The manager holds it for a moment still. */
		if (stored && stored->sent && !listener->lent)
			shutdown(listener->fd, SHUT_RDWR);
		store_forget(master, stored);
		return false;
	}
	uncount(&master->store, stored);
	free(stored);
	return true;
}

/* ----------------------------------------------------------------- the last life's */

static void refuse(struct master *master, const char *name, int fd, int error)
{
	char shown[4 * KEPT_NAME_MAX];

	log_warning("unable to use what the service manager has kept as '%s': %s, closing it",
		text_escape(name, strlen(name), shown, sizeof shown), kept_strerror(error));
	master_close_later(master, fd, clock_monotonic());
}

static void take_over(struct master *master, const char *name, int fd)
{
	struct stored *stored = store_note(master, name);
	int r = kept_add(&master->kept, name, fd, stored);

	if (r == 0)
		return;
	refuse(master, name, fd, r);
	store_forget(master, stored);
}

/* They have low numbers, and what comes next needs some as well. */
static void make_room(unsigned n)
{
	struct rlimit limit;

	if (n == 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur += limit.rlim_cur < limit.rlim_max ? n : 0;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	(void)!setrlimit(RLIMIT_NOFILE, &limit);
}

void store_take_inherited(struct master *master)
{
	struct handed_over *handed_over = &master->inherited.handed_over;
	unsigned n = 0;

	for (size_t i = 0; i < handed_over->n; i++) {
		struct handed_socket *socket = handed_over->sockets[i];
		size_t bytes = name_bytes(socket->name);

		if (kept_name_is_ours(socket->name)) {
			take_over(master, socket->name, take_fd(&socket->fd));
			n++;
		} else if (bytes < master->store.name_room) {
			master->store.name_room -= bytes;
		}
	}
	handed_over_forget_taken(handed_over);
	make_room(n);
}

/* --------------------------------------------------------------------- the manager */

/* False: the manager takes no more now, or it is enough for this time. */
static bool say(struct master *master, const char *message, int fd)
{
	struct store *store = &master->store;

	if (store->n_said == BATCH || !notify_pass(master->notify, message, fd))
		return false;
	store->n_said++;
	return true;
}

static bool take_back(struct master *master)
{
	struct store *store = &master->store;
	char message[MESSAGE_MAX];

	while (store->first) {
		struct stored *stored = store->first;

		snprintf(message, sizeof message, "FDSTOREREMOVE=1\nFDNAME=%s", stored->name);
		if (!say(master, message, -EBADF))
			return false;
		store->first = stored->next;
		if (!store->first)
			store->last = &store->first;
		free(stored);
	}
	return true;
}

/* An address may be free now that somebody waits for.  And whoever else wants something of the
 * manager gets as much of its time as we have had. */
static int on_barrier(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct master *master = userdata;
	struct store *store = &master->store;
	uint64_t now = clock_monotonic();

	(void)source;
	(void)fd;
	(void)revents;
	store->barrier = sd_event_source_disable_unref(store->barrier);
	store->due = now + (now - store->said_at);
	waiting_hurry(master, now);
	return 0;
}

/* When the manager has read so far it closes the pipe. */
static bool send_barrier(struct master *master)
{
	struct store *store = &master->store;
	_cleanup_close_ int read_end = -EBADF, write_end = -EBADF;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	read_end = master_move_up(master, ends[0]);
	write_end = ends[1];
	if (sd_event_add_io(
		    master->event, &store->barrier, read_end, EPOLLIN, on_barrier, master) < 0)
		return false;
	if (!notify_pass(master->notify, "BARRIER=1", write_end)) {
		store->barrier = sd_event_source_disable_unref(store->barrier);
		return false;
	}
	sd_event_source_set_io_fd_own(store->barrier, true);
	(void)take_fd(&read_end);
	store->n_said = 0;
	return true;
}

static bool send_listener(struct master *master, struct listener *listener)
{
	char message[MESSAGE_MAX];

	snprintf(message, sizeof message, "FDSTORE=1\nFDPOLL=0\nFDNAME=%s",
		listener->stored->name);
	if (!say(master, message, listener->fd))
		return false;
	listener->stored->sent = true;
	return true;
}

/* Of one that was left out when there was no place. */
static void try_name(struct listener *listener)
{
	const struct store *store = &listener->service->master->store;
	const struct setup *setup;

	if (store->n >= store->max || store->n_bytes + KEPT_NAME_MAX > store->name_room)
		return;
	setup = service_setup(listener->service);
	if (setup)
		name_listener(listener, setup->conf);
}

static bool is_left_out(struct listener *listener)
{
	if (listener->fd < 0 || listener->stored || listener_is_handed_over(listener))
		return false;
	try_name(listener);
	return !listener->stored;
}

/* True: all of its sockets are with the manager, or have no place there. */
static bool send_service(struct master *master, struct service *service)
{
	for (uint32_t i = 0; i < service->n_listeners; i++) {
		struct listener *listener = service->listeners[i];

		if (is_left_out(listener) || !listener->stored || listener->stored->sent)
			continue;
		if (!send_listener(master, listener))
			return false;
	}
	return true;
}

typedef bool (*listener_test)(const struct listener *listener);

static size_t count(const struct master *master, listener_test test)
{
	size_t n = 0;

	for (size_t i = 0; i < master->n_services; i++) {
		const struct service *service = master->services[i];

		for (uint32_t j = 0; j < service->n_listeners; j++)
			n += test(service->listeners[j]);
	}
	return n;
}

static bool lacks_place(const struct listener *listener)
{
	return listener->fd >= 0 && !listener->stored && !listener_is_handed_over(listener);
}

static bool is_sent(const struct listener *listener)
{
	return listener->stored && listener->stored->sent;
}

size_t store_count(const struct master *master)
{
	return count(master, is_sent);
}

static void tell_left_out(struct master *master)
{
	struct store *store = &master->store;
	size_t n = count(master, lacks_place);

	if (n > 0 && !store->told_left_out)
		log_warning(
			"%zu socket%s not kept by the service manager, where there is room for "
			"%u (FileDescriptorStoreMax=, LimitNOFILE=): clients are refused there "
			"during a restart",
			n, n == 1 ? " is" : "s are", store->n);
	store->told_left_out = n > 0;
}

static bool send_all(struct master *master)
{
	struct store *store = &master->store;

	if (!store->look || store->max == 0)
		return true;
	if (store->generation != master->generation)
		store->service = 0;
	store->generation = master->generation;
	while (store->service < master->n_services) {
		if (!send_service(master, master->services[store->service]))
			return false;
		store->service++;
	}
	store->look = false;
	store->service = 0;
	tell_left_out(master);
	return true;
}

static void forget_all(struct master *master)
{
	struct store *store = &master->store;

	for (size_t i = 0; i < master->n_services; i++) {
		const struct service *service = master->services[i];

		for (uint32_t j = 0; j < service->n_listeners; j++)
			free(take_ptr(service->listeners[j]->stored));
	}
	store_done(store);
	store->max = store->n = 0;
	store->n_bytes = 0;
	store->due = UINT64_MAX;
}

/* Nobody is there, or not any more, who could keep anything. */
static void give_up(struct master *master, int error)
{
	if (master->store.max > 0)
		log_warning("unable to keep sockets with the service manager: %s, going on "
			    "without: clients are refused during a restart",
			strerror(-error));
	forget_all(master);
}

/* Whoever is to be kept may have the name of one that is to be taken back. */
static void tell(struct master *master, uint64_t now)
{
	struct store *store = &master->store;
	bool done;

	if (store->n_said == 0)
		store->said_at = now;
	done = take_back(master) && send_all(master);
	store->due = UINT64_MAX;
	if (store->n_said > 0 ? !send_barrier(master) : !done)
		store->due = now + RETRY;
}

void store_turn(struct master *master, uint64_t now)
{
	struct store *store = &master->store;

	int error = notify_error(master->notify);

	if (error != 0 && (store->max > 0 || store->first)) {
		give_up(master, error);
		return;
	}
	/* More is said when it has read so far, which on_barrier() sets the time for. */
	if (store->barrier) {
		store->due = UINT64_MAX;
		return;
	}
	if (now >= store->due)
		tell(master, now);
}

void store_done(struct store *store)
{
	store->barrier = sd_event_source_disable_unref(store->barrier);
	while (store->first) {
		struct stored *next = store->first->next;

		free(store->first);
		store->first = next;
	}
	store->last = &store->first;
}
