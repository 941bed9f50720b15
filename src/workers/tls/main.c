/*
 * hatchd-tls: speaks TLS with clients, so that programs need not.
 *
 * A client shakes hands with it; it tells who he is and what he asks for, and is told whether
 * he comes in.  If so it moves bytes between him and the program that was started for him,
 * whose standard input and output are a stream pair (UNIX socket):
 *
 *	the client ends in order         the program finds the end of its input, and may go on
 *	                                 writing
 *	his connection ends without      the program finds the end of its input, and writing
 *	close_notify, or is reset        fails with EPIPE
 *	the program ends                 the client gets what it wrote, and a close_notify
 *	the program ends, and has not    the client gets what it wrote, and no close_notify
 *	read everything
 *
 * Started by hatchd, with the ends of a channel (os/channel) and the number of connections
 * that it has to have room for.  Certificates and keys come with each of them, as the part of
 * a file in memory (base/tls); what was read once is kept by its number.
 */
#include "base/clock.h"
#include "base/log-gate.h"
#include "base/openssl.h"
#include "base/own.h"
#include "workers/program.h"
#include "workers/tls/session.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Besides connections: 0 to 4, the epoll set, the setup of one that is being begun. */
#define OWN_FDS 16

/* All that connections share. */
static struct {
	struct tube_works works;
	struct context_shelf shelf;
	uint64_t told_failed, told_setup; /* when that was said last */
	uint64_t n_failed;                /* since then */
} shared;

struct guest {
	struct work_session session; /* first */
	struct session *tls;
};

static struct session *session_of(const struct work_session *session)
{
	return ((const struct guest *)session)->tls;
}

/* ----------------------------------------------------------------------- what is said */

/* Clients provoke it; and their software may be what is wrong. */
static void tell_failed(const char *reason, uint64_t now)
{
	shared.n_failed++;
	if (!log_once_a_minute(&shared.told_failed, now))
		return;
	fprintf(stderr, "unable to shake hands with a client: %s (%llu since this was said)\n",
		reason, (unsigned long long)shared.n_failed);
	shared.n_failed = 0;
}

static void tell_setup(int r, uint64_t now)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	if (log_once_a_minute(&shared.told_setup, now))
		fprintf(stderr, "unable to use certificates for TLS: %s\n",
			reason ? reason : strerror(-r));
	ERR_clear_error();
}

/* -------------------------------------------------------------------------- a session */

static int make_session(
	const struct channel_request *request, int fd, int text, struct session **ret)
{
	struct session_setup setup = {
		.works = &shared.works,
		.patience = request->patience,
		.now = clock_monotonic(),
	};
	const struct context_place place = {
		.fd = text,
		.at = request->text_at,
		.len = request->text_len,
		.number = request->text_number,
	};
	int r = context_get(&shared.shelf, &place, setup.now, &setup.context);

	if (r < 0) {
		tell_setup(r, setup.now);
		return r;
	}
	r = session_new(&setup, fd, ret);
	if (r < 0)
		context_put(setup.context, setup.now);
	return r;
}

/* Datagrams have no TLS. */
static struct work_session *begin(const struct channel_request *request, int fd, int text)
{
	_cleanup_close_ int owned = fd;
	_cleanup_free_ struct guest *guest = calloc(1, sizeof *guest);

	if (!guest || request->is_socket || text < 0)
		return NULL;
	if (make_session(request, fd, text, &guest->tls) < 0)
		return NULL;
	take_fd(&owned);
	return &take_ptr(guest)->session;
}

static bool go(struct work_session *session, unsigned which, uint32_t events)
{
	return session_go(
		session_of(session), (enum pump_side)which, events, clock_monotonic());
}

static bool offer(struct work_session *session, struct channel_answer *ret)
{
	return session_tell(session_of(session), ret);
}

static bool verdict(
	struct work_session *session, const struct channel_request *request, int *fd)
{
	if (request->what & CHANNEL_OF_PAIR)
		session_tell_cuts(session_of(session));
	return session_verdict(session_of(session), (enum channel_verdict)request->verdict, fd,
		clock_monotonic());
}

static bool awaits(const struct work_session *session)
{
	return session_waits_for_verdict(session_of(session));
}

static bool is_costly(const struct work_session *session)
{
	return session_shakes_hands(session_of(session));
}

static int fd_of(const struct work_session *session, unsigned which)
{
	return session_fd(session_of(session), (enum pump_side)which);
}

static uint32_t events_of(const struct work_session *session, unsigned which)
{
	return session_events(session_of(session), (enum pump_side)which);
}

static uint64_t due_of(const struct work_session *session)
{
	return session_due(session_of(session));
}

static void end(struct work_session *session, bool ended, struct channel_answer *ret)
{
	struct session *tls = session_of(session);
	uint64_t now = clock_monotonic();

	if (ended)
		session_abort(tls);
	ret->result = session_result(tls);
	ret->bytes_in = session_bytes_in(tls);
	ret->bytes_out = session_bytes_out(tls);
	if (session_reason(tls)[0])
		tell_failed(session_reason(tls), now);
	session_free(tls, now);
	free(session);
}

static const struct work_kind kind = {
	.n_fds = TLS_FDS,
	.begin = begin,
	.go = go,
	.offer = offer,
	.verdict = verdict,
	.awaits = awaits,
	.is_costly = is_costly,
	.fd = fd_of,
	.events = events_of,
	.due = due_of,
	.end = end,
};

/* ------------------------------------------------------------------------- the rest */

static int prepare(const char *called, uint32_t places, struct sandbox *ret)
{
	int r = openssl_have_all();

	(void)called;
	ret->max_fds = places * TLS_FDS + OWN_FDS;
	return r == 0 ? tube_works_init(&shared.works) : r;
}

int main(int argc, char **argv)
{
	static const struct program program = {"hatchd-tls", &kind, prepare};
	int status = program_main(&program, argc, argv);

	context_shelf_done(&shared.shelf);
	tube_works_done(&shared.works);
	return status;
}
