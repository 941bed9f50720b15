#include "master/successor.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/image.h"
#include "master/control-lines.h"
#include "master/kept-name.h"
#include "master/master.h"
#include "master/service.h"
#include "os/rights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* All of it, which takes another hatchd some seconds to begin to serve. */
#define PATIENCE (120 * USEC_PER_SEC)

/* Too many descriptors are on their way, or there is no memory. */
#define TRY_AGAIN (20 * USEC_PER_MSEC)

/* "socket NAME\n" */
#define LINE_BYTES (sizeof "socket " + KEPT_NAME_MAX)

/* "refused WHY\n" */
#define REFUSAL_MAX 128

static const char TAKEN[] = "taken\n";
static const char DRAINS[] = "drains\n";

enum successor_step {
	SUCCESSOR_GETS,    /* there are sockets that it has not got yet */
	SUCCESSOR_HAS_ALL, /* that was the last one, and it is to be told so */
	SUCCESSOR_BEGINS,  /* it has all, and is to say that it is ready */
	SUCCESSOR_SERVES,  /* it was told that they are its own */
};

/* Where the next one is. */
struct successor_place {
	size_t service;
	uint32_t listener;
};

struct successor {
	struct master *master;
	int fd;    /* owned; a high number */
	pid_t pid; /* who takes over */
	sd_event_source *source;
	enum successor_step step;
	struct successor_place place;
	uint32_t generation; /* of the services */
	uint32_t n;          /* sockets that it has got */
	uint64_t end;        /* usec, monotonic: it is given up */
	uint64_t again;      /* ... it is tried again; USEC_INFINITY: events tell when */
	size_t len, sent;    /* of out */
	char out[SUCCESSOR_BATCH * LINE_BYTES];
};

/* ------------------------------------------------------------------------ the end */

/* Nothing that it could stumble over is left here: it waits for the end of the connection,
 * which the closer may bring later. */
static void done(struct successor *successor)
{
	struct master *master = successor->master;

	shutdown(successor->fd, SHUT_WR);
	sd_event_source_disable_unref(successor->source);
	master_close_later(master, successor->fd, clock_monotonic());
	free(successor);
	master->successor = NULL;
}

/* It does not wait for the end of our patience then.  Within a line it would be a part of that,
 * and the end of the connection has to do. */
static void refuse(const struct successor *successor, const char *why)
{
	char line[REFUSAL_MAX];
	int len = snprintf(line, sizeof line, "refused %s\n", why);

	if (successor->sent == successor->len)
		send(successor->fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void give_up(struct successor *successor, const char *why)
{
	log_warning("process %d has not taken over: %s%s", (int)successor->pid, why,
		successor->master->leaving ? "" : ", serving on");
	refuse(successor, why);
	done(successor);
}

static size_t count_given(const struct service *service)
{
	size_t n = 0;

	for (uint32_t i = 0; i < service->n_listeners; i++)
		n += service->listeners[i]->given;
	return n;
}

/* What it has is still ours as well: a reload, or an operator, may have closed some of it, and
 * removed what leads there. */
static bool is_still_ours(const struct successor *successor)
{
	const struct master *master = successor->master;
	size_t n = 0;

	for (size_t i = 0; i < master->n_services; i++)
		n += count_given(master->services[i]);
	return n == successor->n;
}

/* What counts is that it can read it: then the sockets are its own.  If it is not there any
 * more nothing has changed. */
static bool let_it_serve(struct successor *successor)
{
	ssize_t n = send(successor->fd, DRAINS, strlen(DRAINS), MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n != (ssize_t)strlen(DRAINS))
		return false;
	successor->step = SUCCESSOR_SERVES;
	log_notice("process %d has taken over with %" PRIu32 " socket%s", (int)successor->pid,
		successor->n, successor->n == 1 ? "" : "s");
	return true;
}

static void complete(struct successor *successor, uint64_t now)
{
	struct master *master = successor->master;
	uint64_t timeout = image_conf(master->image)->drain_timeout;
	const struct drain_request request = {
		.timeout = timeout > 0 ? timeout : DURATION_UNLIMITED,
	};

	if (!is_still_ours(successor))
		give_up(successor, "sockets that it was given have been closed");
	else if (let_it_serve(successor))
		drain_begin(master, &request, now);
	else
		give_up(successor, "it has gone");
}

/* ------------------------------------------------------------------------ to give */

/* A line for it in `out`.  0 or a negative errno. */
static int put(struct successor *successor, const struct service_conf *conf,
	const struct listener *listener)
{
	char name[KEPT_NAME_MAX];
	struct kept_wish wish;
	int r = kept_wish_make(conf, listener->index, &wish);

	if (r < 0)
		return r;
	successor->len += (size_t)snprintf(successor->out + successor->len, LINE_BYTES,
		"socket %s\n", kept_wish_name(&wish, false, name));
	return 0;
}

/* What the service manager has opened is not given to anybody. */
static bool is_for_it(const struct listener *listener)
{
	return listener->fd >= 0 && !listener_is_handed_over(listener);
}

/* Those of the service where the place is, as many as there is room for; the place moves on.
 * How many there are then, or a negative errno. */
static int put_service(struct successor *successor, int fds[SUCCESSOR_BATCH], int n)
{
	const struct service *service = successor->master->services[successor->place.service];
	_cleanup_service_conf_ struct service_conf *owned = NULL;
	const struct service_conf *conf =
		service->n_listeners > 0 ? control_look_at_conf(service, &owned) : NULL;
	struct successor_place *place = &successor->place;

	if (service->n_listeners > 0 && !conf)
		return -ENOMEM;
	for (; place->listener < service->n_listeners && n < SUCCESSOR_BATCH;
		place->listener++) {
		struct listener *listener = service->listeners[place->listener];
		int r = is_for_it(listener) ? put(successor, conf, listener) : 0;

		if (r < 0)
			return r;
		listener->given = is_for_it(listener);
		if (listener->given)
			fds[n++] = listener->fd;
	}
	if (place->listener == service->n_listeners)
		*place = (struct successor_place){.service = place->service + 1};
	return n;
}

/* The next ones, and their lines. */
static int put_batch(struct successor *successor, int fds[SUCCESSOR_BATCH])
{
	int n = 0;

	successor->len = successor->sent = 0;
	while (n >= 0 && n < SUCCESSOR_BATCH &&
		successor->place.service < successor->master->n_services)
		n = put_service(successor, fds, n);
	return n;
}

/* Descriptors go with the first byte.  How many bytes were taken, or a negative errno. */
static ssize_t pass(const struct successor *successor, const int *fds, int n)
{
	struct iovec part = {.iov_base = (char *)successor->out, .iov_len = successor->len};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	union rights_room room;
	ssize_t sent;

	rights_put(&message, &room, fds, (size_t)n);
	sent = sendmsg(successor->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	return sent < 0 ? -errno : sent;
}

/* What was not taken is looked up again: a descriptor may be another one's by then. */
static int send_batch(struct successor *successor)
{
	const struct successor_place before = successor->place;
	int fds[SUCCESSOR_BATCH], n = put_batch(successor, fds);
	ssize_t sent;

	if (n <= 0) {
		successor->step = n == 0 ? SUCCESSOR_HAS_ALL : successor->step;
		successor->len = 0;
		return n;
	}
	sent = pass(successor, fds, n);
	if (sent < 0) {
		successor->place = before;
		successor->len = 0;
		return (int)sent;
	}
	successor->sent = (size_t)sent;
	successor->n += (uint32_t)n;
	return 0;
}

static int send_rest(struct successor *successor)
{
	ssize_t sent = send(successor->fd, successor->out + successor->sent,
		successor->len - successor->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0)
		return -errno;
	successor->sent += (size_t)sent;
	return 0;
}

static int send_next(struct successor *successor)
{
	if (successor->sent < successor->len)
		return send_rest(successor);
	if (successor->step == SUCCESSOR_GETS)
		return send_batch(successor);
	successor->len = (size_t)snprintf(
		successor->out, sizeof successor->out, "end %" PRIu32 "\n", successor->n);
	successor->sent = 0;
	successor->step = SUCCESSOR_BEGINS;
	return send_rest(successor);
}

static bool is_sending(const struct successor *successor)
{
	return successor->step < SUCCESSOR_BEGINS || successor->sent < successor->len;
}

/* To be told when there is room, or something to read. */
static int watch(struct successor *successor)
{
	return sd_event_source_set_io_events(
		successor->source, is_sending(successor) ? EPOLLOUT : EPOLLIN | EPOLLRDHUP);
}

/* There would be room for bytes, but not for descriptors. */
static void try_again(struct successor *successor, uint64_t now)
{
	sd_event_source_set_enabled(successor->source, SD_EVENT_OFF);
	successor->again = now + TRY_AGAIN;
}

static void go_on(struct successor *successor, uint64_t now)
{
	int r = send_next(successor);

	if (r == -ETOOMANYREFS || r == -ENOMEM || r == -ENOBUFS)
		try_again(successor, now);
	else if (r < 0 && r != -EAGAIN && r != -EINTR)
		give_up(successor, strerror(-r));
	else if (watch(successor) < 0)
		give_up(successor, strerror(ENOMEM));
}

/* -------------------------------------------------------------------- what it says */

/* It stays in the kernel's queue, with whatever else may be there: the closer gets it.  0: it
 * serves; -EAGAIN: it has said nothing; else with *reterr_why a phrase. */
static int look(const struct successor *successor, const char **reterr_why)
{
	char text[sizeof TAKEN];
	struct iovec part = {.iov_base = text, .iov_len = sizeof text};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n = recvmsg(successor->fd, &message, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	*reterr_why = n > 0 ? "it says something else" : "it has gone";
	if (n != (ssize_t)strlen(TAKEN) || memcmp(text, TAKEN, strlen(TAKEN)) != 0 ||
		message.msg_flags & MSG_CTRUNC)
		return -EPROTO;
	return 0;
}

static void hear(struct successor *successor, uint64_t now)
{
	const char *why;
	int r = look(successor, &why);

	if (r == 0)
		complete(successor, now);
	else if (r != -EAGAIN)
		give_up(successor, why);
}

static int on_successor(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct successor *successor = userdata;
	uint64_t now = clock_monotonic();

	(void)source;
	(void)fd;
	if (!is_sending(successor))
		hear(successor, now);
	else if (revents & (EPOLLHUP | EPOLLERR))
		give_up(successor, "it has gone");
	else
		go_on(successor, now);
	return 0;
}

/* --------------------------------------------------------------------- to begin */

const char *successor_refuses(const struct master *master)
{
	if (master->leaving)
		return "hatchd is stopping";
	if (upgrade_runs(&master->upgrade))
		return "hatchd is being upgraded";
	return master->successor ? "another one takes over" : NULL;
}

/* What one before it was given, who has not taken over. */
static void take_back_all(struct master *master)
{
	for (size_t i = 0; i < master->n_services; i++)
		for (uint32_t j = 0; j < master->services[i]->n_listeners; j++)
			master->services[i]->listeners[j]->given = false;
}

static int add(struct master *master, struct successor *successor)
{
	if (!successor)
		return -ENOMEM;
	memset(successor, 0, offsetof(struct successor, out));
	successor->master = master;
	successor->generation = master->generation;
	successor->again = USEC_INFINITY;
	return 0;
}

void successor_begin(struct master *master, int fd, pid_t pid, uint64_t now)
{
	struct successor *successor = malloc(sizeof *successor);
	int r = add(master, successor);

	if (r == 0)
		r = sd_event_add_io(master->event, &successor->source, fd, EPOLLOUT,
			on_successor, successor);
	if (r < 0) {
		log_warning("process %d cannot take over: %s", (int)pid, strerror(-r));
		free(successor);
		master_close_later(master, fd, now);
		return;
	}
	successor->fd = fd;
	successor->pid = pid;
	successor->end = now + PATIENCE;
	take_back_all(master);
	master->successor = successor;
	log_notice("giving all sockets to process %d", (int)pid);
}

/* ----------------------------------------------------------------- when we end first */

/* If we died while we drain, and the service manager had them, the next one would serve beside
 * the other one. */
static void leave_sockets(struct master *master)
{
	services_leave_paths(master);
	for (size_t i = 0; i < master->n_services; i++)
		for (uint32_t j = 0; j < master->services[i]->n_listeners; j++)
			store_give_away(master->services[i]->listeners[j]);
}

bool successor_inherits(struct master *master)
{
	struct successor *successor = master->successor;

	if (!successor)
		return false;
	if (successor->step == SUCCESSOR_BEGINS && !is_sending(successor) &&
		is_still_ours(successor))
		let_it_serve(successor);
	if (successor->step != SUCCESSOR_SERVES) {
		give_up(successor, "hatchd is stopping");
		return false;
	}
	leave_sockets(master);
	control_leave_path(master);
	return true;
}

/* ---------------------------------------------------------------------- the turn */

uint64_t successor_due(const struct master *master)
{
	const struct successor *successor = master->successor;

	if (!successor)
		return USEC_INFINITY;
	return successor->again < successor->end ? successor->again : successor->end;
}

void successor_turn(struct master *master, uint64_t now)
{
	struct successor *successor = master->successor;

	if (!successor)
		return;
	if (successor->step == SUCCESSOR_SERVES) {
		done(successor);
	} else if (successor->step == SUCCESSOR_GETS &&
		   successor->generation != master->generation) {
		give_up(successor, "there was a reload");
	} else if (now >= successor->end) {
		give_up(successor, "it takes too long");
	} else if (now >= successor->again) {
		successor->again = USEC_INFINITY;
		sd_event_source_set_enabled(successor->source, SD_EVENT_ON);
	}
}

void successor_close(struct master *master)
{
	if (master->successor)
		done(master->successor);
}
