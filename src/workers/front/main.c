/*
 * hatchd-front: reads what a connection begins with before its service gets it: the header
 * of the PROXY protocol, the name of a tcpmux service; and writes banners.
 *
 * Started by hatchd, with the ends of a channel (os/channel) and the number of connections
 * that it has to have room for.
 */
#include "base/clock.h"
#include "base/own.h"
#include "workers/front/front.h"
#include "workers/program.h"

#include <stdlib.h>

/* Besides connections: 0 to 4, the epoll set, and the text of one that is being begun. */
#define OWN_FDS 16

/* One for all: they share what they say. */
static struct words_shelf shelf;

struct guest {
	struct work_session session; /* first */
	struct front *front;
};

static struct front *front_of(const struct work_session *session)
{
	return ((const struct guest *)session)->front;
}

static int make_front(
	const struct channel_request *request, int fd, int text, struct front **ret)
{
	struct front_setup setup = {
		.what = request->what,
		.patience = request->patience,
		.now = clock_monotonic(),
	};
	int r = text < 0 ? 0 : words_get(&shelf, text, &setup.words);

	if (r == 0)
		r = front_new(&setup, fd, ret);
	if (r < 0)
		words_put(setup.words);
	return r;
}

/* Datagrams have no beginning. */
static struct work_session *begin(const struct channel_request *request, int fd, int text)
{
	_cleanup_close_ int owned = fd;
	_cleanup_free_ struct guest *guest = calloc(1, sizeof *guest);

	if (!guest || request->is_socket)
		return NULL;
	if (make_front(request, fd, text, &guest->front) < 0)
		return NULL;
	take_fd(&owned);
	return &take_ptr(guest)->session;
}

static bool go(struct work_session *session, unsigned which, uint32_t events)
{
	(void)which;
	return front_go(front_of(session), events, clock_monotonic());
}

static bool offer(struct work_session *session, struct channel_answer *ret)
{
	return front_offer(front_of(session), &ret->facts);
}

static bool verdict(
	struct work_session *session, const struct channel_request *request, int *fd)
{
	(void)fd;
	return front_verdict(front_of(session), request->verdict, request->what & FRONT_PLUS,
		clock_monotonic());
}

static int fd_of(const struct work_session *session, unsigned which)
{
	(void)which;
	return front_fd(front_of(session));
}

static uint32_t events_of(const struct work_session *session, unsigned which)
{
	(void)which;
	return front_events(front_of(session));
}

static uint64_t due_of(const struct work_session *session)
{
	return front_due(front_of(session));
}

static void end(struct work_session *session, bool ended, struct channel_answer *ret)
{
	struct front *front = front_of(session);

	if (ended)
		front_abort(front);
	ret->result = front_result(front);
	ret->bytes_in = front_bytes_in(front);
	ret->bytes_out = front_bytes_out(front);
	if (ret->result == CHANNEL_PASSED)
		front_facts(front, &ret->facts);
	front_free(front);
	free(session);
}

static const struct work_kind kind = {
	.n_fds = 1,
	.begin = begin,
	.go = go,
	.offer = offer,
	.verdict = verdict,
	.for_master = true,
	.fd = fd_of,
	.events = events_of,
	.due = due_of,
	.end = end,
};

static int prepare(const char *called, uint32_t places, struct sandbox *ret)
{
	(void)called;
	ret->max_fds = places + OWN_FDS;
	ret->leaves_sockets = true;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct program program = {"hatchd-front", &kind, prepare};

	return program_main(&program, argc, argv);
}
