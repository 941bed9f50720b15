#include "master/handing.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/image.h"
#include "master/control-lines.h"
#include "master/kept-name.h"
#include "master/master.h"
#include "master/service.h"

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

static const char TAKEN[] = "taken\n";
static const char DRAINS[] = "drains\n";

enum handing_step {
	HANDING_SENDS, /* there are sockets that it has not got yet */
	HANDING_ENDS,  /* that was the last one, and it is to be told so */
	HANDING_WAITS, /* for it to serve */
};

/* Where the next one is. */
struct handing_place {
	size_t service;
	uint32_t listener;
};

struct handing {
	struct master *master;
	int fd;    /* owned; a high number */
	pid_t pid; /* who takes over */
	sd_event_source *source;
	enum handing_step step;
	struct handing_place place;
	uint32_t generation; /* of the services */
	uint32_t n;          /* sockets that it has got */
	uint64_t end;        /* usec, monotonic: it is given up */
	uint64_t again;      /* ... it is tried again; USEC_INFINITY: events tell when */
	size_t len, sent;    /* of out */
	char out[HANDING_BATCH * LINE_BYTES];
};

/* ------------------------------------------------------------------------ the end */

static void done(struct handing *handing)
{
	struct master *master = handing->master;

	sd_event_source_disable_unref(handing->source);
	master_close_later(master, handing->fd, clock_monotonic());
	free(handing);
	master->handing = NULL;
}

static void give_up(struct handing *handing, const char *why)
{
	log_warning("process %d has not taken over: %s, serving on", (int)handing->pid, why);
	done(handing);
}

/* They are the other one's now, and so are their files. */
static void leave_paths(const struct master *master)
{
	for (size_t i = 0; i < master->n_services; i++)
		for (uint32_t j = 0; j < master->services[i]->n_listeners; j++)
			if (master->services[i]->listeners[j]->bound)
				master->services[i]->listeners[j]->bound->stays = true;
}

/* It is told when there is nothing left here that it could stumble over. */
static void complete(struct handing *handing, uint64_t now)
{
	struct master *master = handing->master;
	uint64_t timeout = image_conf(master->image)->drain_timeout;
	const struct drain_request request = {
		.timeout = timeout > 0 ? timeout : DURATION_UNLIMITED,
		.to_successor = true,
	};

	log_notice("process %d has taken over with %" PRIu32 " socket%s", (int)handing->pid,
		handing->n, handing->n == 1 ? "" : "s");
	leave_paths(master);
	control_leave_path(master);
	drain_begin(master, &request, now);
	send(handing->fd, DRAINS, strlen(DRAINS), MSG_DONTWAIT | MSG_NOSIGNAL);
	done(handing);
}

/* -------------------------------------------------------------------- to hand over */

/* A line for it in `out`.  0 or a negative errno. */
static int put(struct handing *handing, const struct service_conf *conf,
	const struct listener *listener)
{
	char name[KEPT_NAME_MAX];
	struct kept_wish wish;
	int r = kept_wish_make(conf, listener->index, &wish);

	if (r < 0)
		return r;
	handing->len += (size_t)snprintf(handing->out + handing->len, LINE_BYTES, "socket %s\n",
		kept_wish_name(&wish, false, name));
	return 0;
}

static bool is_handed_over(const struct listener *listener)
{
	return listener->fd >= 0 && !(listener->bound && listener->bound->handed_over);
}

/* Those of the service where the place is, as many as there is room for; the place moves on.
 * How many there are then, or a negative errno. */
static int put_service(struct handing *handing, int fds[HANDING_BATCH], int n)
{
	const struct service *service = handing->master->services[handing->place.service];
	_cleanup_service_conf_ struct service_conf *owned = NULL;
	const struct service_conf *conf =
		service->n_listeners > 0 ? control_look_at_conf(service, &owned) : NULL;
	struct handing_place *place = &handing->place;

	if (service->n_listeners > 0 && !conf)
		return -ENOMEM;
	for (; place->listener < service->n_listeners && n < HANDING_BATCH; place->listener++) {
		const struct listener *listener = service->listeners[place->listener];
		int r = is_handed_over(listener) ? put(handing, conf, listener) : 0;

		if (r < 0)
			return r;
		if (is_handed_over(listener))
			fds[n++] = listener->fd;
	}
	if (place->listener == service->n_listeners)
		*place = (struct handing_place){.service = place->service + 1};
	return n;
}

/* The next ones, and their lines. */
static int put_batch(struct handing *handing, int fds[HANDING_BATCH])
{
	int n = 0;

	handing->len = handing->sent = 0;
	while (n >= 0 && n < HANDING_BATCH &&
		handing->place.service < handing->master->n_services)
		n = put_service(handing, fds, n);
	return n;
}

/* Descriptors go with the first byte.  How many bytes were taken, or a negative errno. */
static ssize_t pass(const struct handing *handing, const int *fds, int n)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(HANDING_BATCH * sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = (char *)handing->out, .iov_len = handing->len};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int)),
	};
	ssize_t sent;

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
	memcpy(CMSG_DATA(&control.header), fds, (size_t)n * sizeof(int));
	sent = sendmsg(handing->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	return sent < 0 ? -errno : sent;
}

/* What was not taken is looked up again: a descriptor may be another one's by then. */
static int send_batch(struct handing *handing)
{
	const struct handing_place before = handing->place;
	int fds[HANDING_BATCH], n = put_batch(handing, fds);
	ssize_t sent;

	if (n <= 0) {
		handing->step = n == 0 ? HANDING_ENDS : handing->step;
		handing->len = 0;
		return n;
	}
	sent = pass(handing, fds, n);
	if (sent < 0) {
		handing->place = before;
		handing->len = 0;
		return (int)sent;
	}
	handing->sent = (size_t)sent;
	handing->n += (uint32_t)n;
	return 0;
}

static int send_rest(struct handing *handing)
{
	ssize_t sent = send(handing->fd, handing->out + handing->sent,
		handing->len - handing->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0)
		return -errno;
	handing->sent += (size_t)sent;
	return 0;
}

static int send_next(struct handing *handing)
{
	if (handing->sent < handing->len)
		return send_rest(handing);
	if (handing->step == HANDING_SENDS)
		return send_batch(handing);
	handing->len = (size_t)snprintf(
		handing->out, sizeof handing->out, "end %" PRIu32 "\n", handing->n);
	handing->sent = 0;
	handing->step = HANDING_WAITS;
	return send_rest(handing);
}

static bool is_sending(const struct handing *handing)
{
	return handing->step != HANDING_WAITS || handing->sent < handing->len;
}

/* To be told when there is room, or something to read. */
static int watch(struct handing *handing)
{
	return sd_event_source_set_io_events(
		handing->source, is_sending(handing) ? EPOLLOUT : EPOLLIN | EPOLLRDHUP);
}

/* There would be room for bytes, but not for descriptors. */
static void try_again(struct handing *handing, uint64_t now)
{
	sd_event_source_set_enabled(handing->source, SD_EVENT_OFF);
	handing->again = now + TRY_AGAIN;
}

static void go_on(struct handing *handing, uint64_t now)
{
	int r = send_next(handing);

	if (r == -ETOOMANYREFS || r == -ENOMEM || r == -ENOBUFS)
		try_again(handing, now);
	else if (r < 0 && r != -EAGAIN && r != -EINTR)
		give_up(handing, strerror(-r));
	else if (watch(handing) < 0)
		give_up(handing, strerror(ENOMEM));
}

/* -------------------------------------------------------------------- what it says */

/* It stays in the kernel's queue, with whatever else may be there: the closer gets it.  0: it
 * serves; -EAGAIN: it has said nothing; else with *reterr_why a phrase. */
static int look(const struct handing *handing, const char **reterr_why)
{
	char text[sizeof TAKEN];
	struct iovec part = {.iov_base = text, .iov_len = sizeof text};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n = recvmsg(handing->fd, &message, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	*reterr_why = n > 0 ? "it says something else" : "it has gone";
	if (n != (ssize_t)strlen(TAKEN) || memcmp(text, TAKEN, strlen(TAKEN)) != 0 ||
		message.msg_flags & MSG_CTRUNC)
		return -EPROTO;
	return 0;
}

static void hear(struct handing *handing, uint64_t now)
{
	const char *why;
	int r = look(handing, &why);

	if (r == 0)
		complete(handing, now);
	else if (r != -EAGAIN)
		give_up(handing, why);
}

static int on_successor(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct handing *handing = userdata;
	uint64_t now = clock_monotonic();

	(void)source;
	(void)fd;
	if (!is_sending(handing))
		hear(handing, now);
	else if (revents & (EPOLLHUP | EPOLLERR))
		give_up(handing, "it has gone");
	else
		go_on(handing, now);
	return 0;
}

/* --------------------------------------------------------------------- to begin */

const char *handing_refuses(const struct master *master)
{
	if (master->leaving)
		return "hatchd is stopping";
	return master->handing ? "another one takes over" : NULL;
}

int handing_begin(struct master *master, int fd, pid_t pid, uint64_t now)
{
	struct handing *handing = malloc(sizeof *handing);
	int r = -ENOMEM;

	if (handing) {
		memset(handing, 0, offsetof(struct handing, out));
		handing->master = master;
		handing->fd = fd;
		handing->pid = pid;
		handing->generation = master->generation;
		handing->end = now + PATIENCE;
		handing->again = USEC_INFINITY;
		r = sd_event_add_io(
			master->event, &handing->source, fd, EPOLLOUT, on_successor, handing);
	}
	if (r < 0) {
		free(handing);
		master_close_later(master, fd, now);
		return r;
	}
	master->handing = handing;
	log_notice("handing all sockets over to process %d", (int)pid);
	return 0;
}

/* ---------------------------------------------------------------------- the turn */

uint64_t handing_due(const struct master *master)
{
	const struct handing *handing = master->handing;

	if (!handing)
		return USEC_INFINITY;
	return handing->again < handing->end ? handing->again : handing->end;
}

void handing_turn(struct master *master, uint64_t now)
{
	struct handing *handing = master->handing;

	if (!handing)
		return;
	if (handing->generation != master->generation) {
		give_up(handing, "there was a reload");
	} else if (master->leaving) {
		give_up(handing, "hatchd is stopping");
	} else if (now >= handing->end) {
		give_up(handing, "it takes too long");
	} else if (now >= handing->again) {
		handing->again = USEC_INFINITY;
		sd_event_source_set_enabled(handing->source, SD_EVENT_ON);
	}
}

void handing_close(struct master *master)
{
	if (master->handing)
		done(master->handing);
}
