/*
 * hatchd-udp: a program for each of those who send to a socket of datagrams.
 *
 * Started by hatchd, with the ends of a channel (os/channel) and the number of sockets that
 * it has to have room for.  It starts nothing: it asks the master, who does.  As
 * hatchd-udp-local it has those of UNIX datagrams, whose peers may have abstract names.
 */
#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "workers/program.h"
#include "workers/udp/hub.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

/* Its descriptors, by place. */
enum {
	SOCKET,
	ANSWERS,
};

struct guest {
	struct work_session session; /* first */
	struct hub *hub;
};

/* One for all: it is used within a call. */
static struct hub_room *room;

static struct hub *hub_of(const struct work_session *session)
{
	return ((const struct guest *)session)->hub;
}

static int make_hub(const struct channel_request *request, int fd, struct hub **ret)
{
	struct hub_setup setup = {
		.timeout = request->patience,
		.per_datagram = request->what == CHANNEL_PER_DATAGRAM,
		.own = getpid(),
	};

	if (!request->is_socket || request->has_text)
		return -EPROTO;
	if (getrandom(setup.key, sizeof setup.key, 0) != (ssize_t)sizeof setup.key)
		return -EAGAIN;
	return hub_new(&setup, fd, ret);
}

static struct work_session *begin(const struct channel_request *request, int fd, int text)
{
	_cleanup_close_ int owned = fd;
	struct guest *guest = calloc(1, sizeof *guest);

	(void)text;
	if (!guest || make_hub(request, fd, &guest->hub) < 0) {
		free(guest);
		return NULL;
	}
	take_fd(&owned);
	return &guest->session;
}

static bool go(struct work_session *session, unsigned which, uint32_t events)
{
	struct hub *hub = hub_of(session);
	uint64_t now = clock_monotonic();

	if (events == 0)
		hub_look(hub, now);
	else if (which == ANSWERS)
		hub_answer(hub, room, now);
	else
		return hub_arrive(hub, room, now);
	return true;
}

static bool offer(struct work_session *session, struct channel_answer *ret)
{
	return hub_offer(hub_of(session), ret);
}

static bool verdict(
	struct work_session *session, const struct channel_request *request, int *fd)
{
	hub_verdict(hub_of(session), request, fd, room, clock_monotonic());
	return true;
}

static bool lasts(const struct work_session *session)
{
	(void)session;
	return true;
}

static int fd_of(const struct work_session *session, unsigned which)
{
	return which == SOCKET ? hub_fd(hub_of(session)) : hub_answers_fd(hub_of(session));
}

static uint32_t events_of(const struct work_session *session, unsigned which)
{
	(void)session;
	(void)which;
	return EPOLLIN;
}

static uint64_t due_of(const struct work_session *session)
{
	return hub_due(hub_of(session));
}

/* What was lost on the way, if anything was. */
static void tell_lost(uint64_t connection, const struct hub_counts *counts)
{
	uint64_t lost = counts->refused + counts->unread + counts->too_long + counts->failed;

	if (lost > 0)
		fprintf(stderr,
			"hatchd-udp: socket %" PRIu64 ": %" PRIu64 " datagrams lost: %" PRIu64
			" of refused senders, %" PRIu64 " not read by programs, %" PRIu64
			" too long, %" PRIu64 " that could not be sent or answered\n",
			connection, lost, counts->refused, counts->unread, counts->too_long,
			counts->failed);
}

static void end(struct work_session *session, bool ended, struct channel_answer *ret)
{
	struct hub *hub = hub_of(session);

	(void)ended;
	ret->result = CHANNEL_ENDED;
	ret->bytes_in = hub_counts(hub)->bytes_in;
	ret->bytes_out = hub_counts(hub)->bytes_out;
	tell_lost(session->id.connection, hub_counts(hub));
	hub_free(hub);
	free(session);
}

static const struct work_kind kind = {
	.n_fds = 2,
	.begin = begin,
	.go = go,
	.offer = offer,
	.verdict = verdict,
	.lasts = lasts,
	.fd = fd_of,
	.events = events_of,
	.due = due_of,
	.end = end,
};

/* Of sockets it has as many as there are places, and of pairs as many as the master gives it:
 * its limit of descriptors, which is the master's to set, is for both. */
static int prepare(const char *called, uint32_t places, struct sandbox *ret)
{
	struct rlimit limit;

	(void)places;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	ret->groups = SANDBOX_DATAGRAMS;
	if (strcmp(called, "hatchd-udp-local") == 0)
		ret->groups |= SANDBOX_ABSTRACT;
	ret->max_fds = (unsigned)limit.rlim_cur;
	room = hub_room_new();
	return room ? 0 : -ENOMEM;
}

int main(int argc, char **argv)
{
	static const struct program program = {"hatchd-udp", &kind, prepare};
	int status = program_main(&program, argc, argv);

	hub_room_free(room);
	return status;
}
