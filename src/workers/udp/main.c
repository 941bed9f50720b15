/*
 * hatchd-udp: a program for each of those who send to a socket of datagrams.
 *
 * Started by hatchd, with the ends of a channel (os/channel) and the number of sockets that
 * it has to have room for.  It starts nothing: it asks the master, who does.  As
 * hatchd-udp-local it has those of UNIX datagrams, whose peers may have abstract names.
 *
 * As hatchd-udp-relay it passes datagrams on instead, to where comes with each socket
 * (base/redirect).  That takes the right to connect, which the other two do not have.
 */
#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "workers/program.h"
#include "workers/udp/hub.h"
#include "workers/udp/onward.h"

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

/* Who is passed on, by the place that the master has given him. */
struct client {
	struct guest *guest; /* NULL: nobody is there */
	struct session *session;
};

/* One for all: it is used within a call. */
static struct hub_room *room;

/* The same, of hatchd-udp-relay. */
static struct {
	struct targets targets;
	struct client *clients;
	uint32_t n_clients;
} relay;

static struct hub *hub_of(const struct work_session *session)
{
	return ((const struct guest *)session)->hub;
}

/* What is in the text says so: there is none where programs are. */
static int make_onward(const struct channel_request *request, int text, struct onward **ret)
{
	struct redirect redirect;
	int r;

	if (!request->has_text != !relay.clients)
		return -EPROTO;
	if (!request->has_text)
		return 0;
	r = targets_read(text, &redirect);
	return r < 0 ? r : onward_new(&relay.targets, &redirect, ret);
}

static int make_hub(const struct channel_request *request, int fd, int text, struct hub **ret)
{
	struct hub_setup setup = {
		.timeout = request->patience,
		.per_datagram = request->what == CHANNEL_PER_DATAGRAM,
		.own = getpid(),
	};
	int r;

	if (!request->is_socket)
		return -EPROTO;
	if (getrandom(setup.key, sizeof setup.key, 0) != (ssize_t)sizeof setup.key)
		return -EAGAIN;
	r = make_onward(request, text, &setup.onward);
	if (r == 0)
		r = hub_new(&setup, fd, ret);
	if (r < 0)
		onward_free(setup.onward);
	return r;
}

static struct work_session *begin(const struct channel_request *request, int fd, int text)
{
	_cleanup_close_ int owned = fd;
	struct guest *guest = calloc(1, sizeof *guest);

	if (!guest || make_hub(request, fd, text, &guest->hub) < 0) {
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
	struct session *client =
		hub_verdict(hub_of(session), request, fd, room, clock_monotonic());

	if (client && request->client.place < relay.n_clients)
		relay.clients[request->client.place] = (struct client){
			.guest = (struct guest *)session,
			.session = client,
		};
	return true;
}

static bool client_done(struct work_session *session, bool all, struct channel_answer *ret)
{
	if (!hub_client_done(hub_of(session), all, ret))
		return false;
	if (ret->session.place < relay.n_clients)
		relay.clients[ret->session.place] = (struct client){0};
	return true;
}

static struct work_session *end_client(const struct channel_session *id)
{
	const struct client *client =
		id->place < relay.n_clients ? &relay.clients[id->place] : NULL;

	if (!client || !client->guest ||
		!hub_end_client(client->guest->hub, client->session, id->connection))
		return NULL;
	return &client->guest->session;
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
			" of refused senders, %" PRIu64 " not %s, %" PRIu64
			" too long, %" PRIu64 " that could not be sent or answered\n",
			connection, lost, counts->refused, counts->unread,
			relay.clients ? "passed on in time" : "read by programs",
			counts->too_long, counts->failed);
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

static const struct work_kind relay_kind = {
	.n_fds = 2,
	.begin = begin,
	.go = go,
	.offer = offer,
	.verdict = verdict,
	.client_done = client_done,
	.end_client = end_client,
	.lasts = lasts,
	.fd = fd_of,
	.events = events_of,
	.due = due_of,
	.end = end,
};

/* Once in a while for each. */
static void tell_failing(const struct addr *addr, int error)
{
	char text[ADDR_TEXT_MAX];

	fprintf(stderr, "unable to reach %s: %s, trying others first for %u s\n",
		addr_format(addr, text), strerror(error),
		(unsigned)(TARGET_SKIP_TIME / USEC_PER_SEC));
}

static bool is_relay(const char *called)
{
	return strcmp(called, "hatchd-udp-relay") == 0;
}

static int prepare_relay(uint32_t places)
{
	relay.targets.tell = tell_failing;
	relay.n_clients = places;
	relay.clients = calloc(places, sizeof *relay.clients);
	return relay.clients ? 0 : -ENOMEM;
}

/* Of sockets it has as many as there are places, and of pairs as many as the master gives it:
 * its limit of descriptors, which is the master's to set, is for both. */
static int prepare(const char *called, uint32_t places, struct sandbox *ret)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	ret->groups = SANDBOX_DATAGRAMS;
	if (strcmp(called, "hatchd-udp-local") == 0)
		ret->groups |= SANDBOX_ABSTRACT;
	if (is_relay(called))
		ret->groups |= SANDBOX_CONNECT;
	ret->max_fds = (unsigned)limit.rlim_cur;
	room = hub_room_new();
	if (!room)
		return -ENOMEM;
	return is_relay(called) ? prepare_relay(places) : 0;
}

int main(int argc, char **argv)
{
	static const struct program program = {"hatchd-udp", &kind, prepare};
	static const struct program relay_program = {"hatchd-udp", &relay_kind, prepare};
	bool relays = argc > 0 && is_relay(argv[0]);
	int status = program_main(relays ? &relay_program : &program, argc, argv);

	free(relay.clients);
	hub_room_free(room);
	return status;
}
