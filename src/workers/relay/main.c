/*
 * hatchd-relay: passes connections on to somebody else, byte by byte.
 *
 * Started by hatchd, with the ends of a channel (os/channel) and the number of
 * connections that it has to have room for.  Where to comes with each of them
 * (base/redirect).
 */
#include "base/clock.h"
#include "base/own.h"
#include "workers/front/proxy.h"
#include "workers/front/proxy_write.h"
#include "workers/program.h"
#include "workers/relay/relay.h"
#include "workers/relay/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* Besides connections: 0 to 4, the epoll set, the targets of one that is being begun, and
 * spare pipes. */
#define OWN_FDS (16 + 2 * RELAY_LARGE_MAX)

/* At first a search, with the client's socket; then a relay, which has both. */
struct guest {
	struct work_session session; /* first */
	int client;                  /* owned while there is no relay */
	bool client_gone;            /* that is known, and what he has said is still there */
	bool missed;     /* a target that was started for him was not there in time */
	bool begins;     /* the relay has not done anything yet */
	bool on_pair;    /* CHANNEL_OF_PAIR */
	uint16_t news;   /* enum channel_answer_kind, to be told; 0: nothing */
	uint32_t result; /* enum channel_result, where there was no relay */
	struct search *search;
	struct relay *relay;
	uint8_t *header; /* owned; of the PROXY protocol, for the target; NULL: none */
	uint32_t header_len;
};

/* All that connections share. */
static struct {
	struct targets targets;
	struct relay_pipes pipes;
} shared;

static struct guest *guest_of(const struct work_session *session)
{
	return (struct guest *)session;
}

/* ----------------------------------------------------------------------- begin */

static int make_header(
	struct guest *guest, const struct channel_request *request, enum redirect_proxy proxy)
{
	uint8_t header[PROXY_WRITE_MAX];
	unsigned version = proxy == REDIRECT_PROXY_1 ? PROXY_V1 : PROXY_V2;
	size_t len;

	if (proxy == REDIRECT_PROXY_NONE)
		return 0;
	len = proxy_write(version, &request->peer, &request->local, header);
	guest->header = malloc(len);
	if (!guest->header)
		return -ENOMEM;
	memcpy(guest->header, header, len);
	guest->header_len = (uint32_t)len;
	return 0;
}

static struct guest *make_guest(const struct channel_request *request, int text)
{
	struct guest *guest = calloc(1, sizeof *guest);
	struct redirect redirect;

	if (!guest)
		return NULL;
	if (targets_read(text, &redirect) == 0 &&
		make_header(guest, request, redirect.proxy) == 0 &&
		search_new(&shared.targets, &redirect, &guest->search) == 0)
		return guest;
	free(guest->header);
	free(guest);
	return NULL;
}

static struct work_session *begin(const struct channel_request *request, int fd, int text)
{
	_cleanup_close_ int owned = fd;
	struct guest *guest = make_guest(request, text);

	if (!guest)
		return NULL;
	guest->client = take_fd(&owned);
	guest->on_pair = request->what & CHANNEL_OF_PAIR;
	guest->result = CHANNEL_ENDED;
	return &guest->session;
}

/* ---------------------------------------------------------------------- search */

static void reset_client(const struct guest *guest)
{
	if (!guest->on_pair)
		relay_reset_socket(guest->client);
}

/* It never began: he is told as if he had come to a port where nobody listens. */
static bool turn_away(struct guest *guest)
{
	reset_client(guest);
	guest->result =
		search_is_unreachable(guest->search) ? CHANNEL_UNREACHABLE : CHANNEL_REFUSED;
	return false;
}

static bool join(struct guest *guest)
{
	bool awaited = search_has_come(guest->search);
	int target = search_take(guest->search);

	guest->search = search_free(guest->search);
	if (relay_new(&shared.pipes, guest->client, target, &guest->relay) < 0) {
		work_closed(&guest->session, RELAY_TARGET);
		close(target);
		reset_client(guest);
		guest->result = CHANNEL_REFUSED;
		return false;
	}
	guest->client = -EBADF;
	if (guest->on_pair)
		relay_spare_client(guest->relay);
	if (guest->header)
		relay_greet(
			guest->relay, RELAY_TARGET, take_ptr(guest->header), guest->header_len);
	/* The client may have said something already; what the target says is reported. */
	if (!awaited)
		return !relay_go(guest->relay, RELAY_CLIENT, EPOLLIN, clock_monotonic());
	/* That it was reached is told before whatever becomes of it. */
	guest->news = CHANNEL_REACHED;
	guest->begins = true;
	return true;
}

/* He breaks it off while a target is looked for.  A UNIX socket that is closed may have said
 * something that is to be passed on. */
static bool hear_client(struct guest *guest, uint32_t events)
{
	socklen_t len = sizeof(int);
	int error = 0;

	/* Without EPOLLERR it is what an ICMP message has said some time (ip(7)). */
	if (events & EPOLLERR &&
		(getsockopt(guest->client, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ||
			error != 0)) {
		guest->result = CHANNEL_RESET;
		return false;
	}
	guest->client_gone = true;
	return true;
}

static bool go_search(struct guest *guest, unsigned which, uint32_t events)
{
	unsigned attempt = search_attempt(guest->search);
	enum search_state state;

	if (which == RELAY_CLIENT && events != 0)
		return hear_client(guest, events);
	state = search_go(guest->search, events, clock_monotonic());
	if (search_attempt(guest->search) != attempt || state == SEARCH_FAILED)
		work_closed(&guest->session, RELAY_TARGET);
	if (search_has_missed(guest->search) && !guest->missed)
		guest->news = CHANNEL_MISSED;
	guest->missed = search_has_missed(guest->search);
	if (state == SEARCH_WAITS)
		return true;
	return state == SEARCH_FOUND ? join(guest) : turn_away(guest);
}

/* ----------------------------------------------------------------------- session */

static bool go(struct work_session *session, unsigned which, uint32_t events)
{
	struct guest *guest = guest_of(session);

	guest->begins = false;
	if (guest->relay)
		return !relay_go(
			guest->relay, (enum relay_side)which, events, clock_monotonic());
	return go_search(guest, which, events);
}

static bool offer(struct work_session *session, struct channel_answer *ret)
{
	struct guest *guest = guest_of(session);

	if (guest->news == 0)
		return false;
	ret->kind = guest->news;
	guest->news = 0;
	return true;
}

/* Who has a target by now has got what he waited for. */
static bool give_up(struct work_session *session)
{
	struct guest *guest = guest_of(session);

	if (guest->relay)
		return true;
	search_give_up(guest->search);
	return go_search(guest, RELAY_TARGET, 0);
}

static int fd_of(const struct work_session *session, unsigned which)
{
	const struct guest *guest = guest_of(session);

	if (guest->relay)
		return relay_fd(guest->relay, (enum relay_side)which);
	return which == RELAY_CLIENT ? guest->client : search_fd(guest->search);
}

static uint32_t events_of(const struct work_session *session, unsigned which)
{
	const struct guest *guest = guest_of(session);

	if (guest->relay)
		return relay_events(guest->relay, (enum relay_side)which);
	if (which == RELAY_CLIENT)
		return guest->client_gone ? 0 : EPOLLERR;
	return search_events(guest->search);
}

static uint64_t due_of(const struct work_session *session)
{
	const struct guest *guest = guest_of(session);

	if (guest->begins)
		return 0;
	return guest->relay ? relay_due(guest->relay) : search_due(guest->search);
}

static void end_pump(struct guest *guest, bool ended, struct channel_answer *ret)
{
	static const uint32_t results[] = {
		[RELAY_OPEN] = CHANNEL_ENDED,
		[RELAY_DONE] = CHANNEL_FINISHED,
		[RELAY_CLIENT_RESET] = CHANNEL_RESET,
		[RELAY_TARGET_RESET] = CHANNEL_TARGET_RESET,
		[RELAY_ERROR] = CHANNEL_REFUSED,
		[RELAY_ABORTED] = CHANNEL_ENDED,
	};

	if (ended)
		relay_abort(guest->relay);
	ret->result = results[relay_end(guest->relay)];
	ret->bytes_in = relay_bytes_from(guest->relay, RELAY_CLIENT);
	ret->bytes_out = relay_bytes_to(guest->relay, RELAY_CLIENT);
	relay_free(guest->relay);
}

static void end(struct work_session *session, bool ended, struct channel_answer *ret)
{
	struct guest *guest = guest_of(session);

	if (guest->relay) {
		end_pump(guest, ended, ret);
	} else {
		/* He has been told nothing, and no end either. */
		if (ended)
			reset_client(guest);
		ret->result = guest->result;
		search_free(guest->search);
		close(guest->client);
	}
	free(guest->header);
	free(guest);
}

static const struct work_kind kind = {
	.n_fds = 2,
	.begin = begin,
	.go = go,
	.offer = offer,
	.give_up = give_up,
	.fd = fd_of,
	.events = events_of,
	.due = due_of,
	.end = end,
};

/* ----------------------------------------------------------------------- the rest */

/* Once in a while for each. */
static void tell(const struct addr *addr, int error)
{
	char text[ADDR_TEXT_MAX];

	fprintf(stderr, "unable to connect to %s: %s, trying others first for %u s\n",
		addr_format(addr, text), strerror(error),
		(unsigned)(TARGET_SKIP_TIME / USEC_PER_SEC));
}

static int prepare(const char *called, uint32_t places, struct sandbox *ret)
{
	(void)called;
	shared.targets.tell = tell;
	ret->groups = SANDBOX_CONNECT | SANDBOX_SPLICE;
	ret->max_fds = places * REDIRECT_FDS + OWN_FDS;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct program program = {"hatchd-relay", &kind, prepare};
	int status = program_main(&program, argc, argv);

	relay_pipes_done(&shared.pipes);
	return status;
}
