#include "workers/tls/session.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "workers/tls/facts.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* After that time what nobody had room for is told again. */
#define TELL_AGAIN (20 * USEC_PER_MSEC)

enum step {
	AT_HANDSHAKE,
	AT_FACTS, /* somebody has to take them, and the offer */
	AT_VERDICT,
	AT_PUMP,
	AT_CUT, /* that is told, and the master ends it */
	AT_END, /* his */
	IS_OVER,
};

struct session {
	struct context *context; /* a user's share */
	struct tube tube;
	struct pump pump;
	struct hello hello;
	SSL *ssl; /* owned; NULL before his first byte */
	int fd;   /* owned */
	enum step step;
	enum channel_result result; /* when it is over, or what it will be after AT_END */
	uint64_t due;
	uint64_t more_at; /* when more of his handshake was here; USEC_INFINITY: none is */
	bool tells_cuts;
	bool gone; /* while he waits: that is known, and what he has said is still there */
	uint32_t discarded;
	uint32_t told; /* bytes of the facts */
	uint32_t facts_len;
	char *facts;        /* owned; NULL: there are none, or they are told */
	const char *reason; /* static */
	char service[CHANNEL_NAME_MAX + 1];
};

_Static_assert(TLS_SERVICE_MAX <= CHANNEL_NAME_MAX, "names have one length");

static bool finish(struct session *session, enum channel_result result)
{
	session->result = result;
	session->step = IS_OVER;
	session->due = USEC_INFINITY;
	return false;
}

/* He may have been told something: it reaches him, and then our end of it. */
static void say_end(struct session *session)
{
	if (tube_flush(&session->tube))
		shutdown(session->fd, SHUT_WR);
}

/* Whatever happens now, it has ended as it has. */
static bool go_end(struct session *session, uint64_t now)
{
	size_t n = 1;

	say_end(session);
	while (n > 0 && session->discarded < SESSION_LEAVE_BYTES) {
		n = tube_discard(&session->tube, SESSION_LEAVE_BYTES);
		session->discarded += (uint32_t)n;
	}
	tube_rest(&session->tube);
	if (session->tube.ended || session->discarded >= SESSION_LEAVE_BYTES ||
		now >= session->due)
		return finish(session, session->result);
	return true;
}

static bool leave(struct session *session, enum channel_result result, uint64_t now)
{
	session->result = result;
	session->step = AT_END;
	session->due = now + SESSION_LEAVE_TIME;
	return go_end(session, now);
}

/* ------------------------------------------------------------------------- handshake */

static const char *last_reason(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	return reason ? reason : "it was broken off";
}

static bool fail(struct session *session, uint64_t now)
{
	const struct tube *tube = &session->tube;

	if (tube->error != 0 || tube->deaf)
		return finish(session, CHANNEL_RESET);
	/* He has only looked whether somebody is there; or nobody has looked what he says. */
	if (tube->received == 0)
		return finish(session, tube->ended ? CHANNEL_FINISHED : CHANNEL_REFUSED);
	session->reason = last_reason();
	ERR_clear_error();
	return leave(session, CHANNEL_BAD_HEADER, now);
}

static bool keep_facts(struct session *session, const struct facts *facts)
{
	session->facts = malloc(facts->len);
	if (!session->facts)
		return finish(session, CHANNEL_REFUSED);
	memcpy(session->facts, facts->bytes, facts->len);
	session->facts_len = (uint32_t)facts->len;
	return true;
}

static bool end_handshake(struct session *session, uint64_t now)
{
	char name[HOSTNAME_ROOM];
	struct facts facts;

	context_name(session->ssl, name);
	facts_of_client(session->ssl, name, &facts);
	if (!keep_facts(session, &facts))
		return false;
	strcpy(session->service, context_service(session->ssl));
	session->step = AT_FACTS;
	session->due = now + TELL_AGAIN;
	return true;
}

static bool shake_hands(struct session *session, uint64_t now)
{
	int r;

	ERR_clear_error();
	r = SSL_do_handshake(session->ssl);
	/* Without memory there may be an alert before he has said anything; but then he is
	 * still anybody's. */
	if (session->tube.received > 0)
		tube_flush(&session->tube);
	if (r == 1)
		return end_handshake(session, now);
	if (SSL_get_error(session->ssl, r) == SSL_ERROR_WANT_READ)
		return true;
	return fail(session, now);
}

/* Whoever says nothing costs nothing but a descriptor. */
static bool begin_handshake(struct session *session)
{
	BIO *bio;

	session->ssl = context_open(session->context, &session->hello);
	bio = session->ssl ? tube_bio(&session->tube) : NULL;
	if (!bio)
		return finish(session, CHANNEL_REFUSED);
	SSL_set_bio(session->ssl, bio, bio);
	return true;
}

/* What is there is looked at before it is too late. */
static bool go_handshake(struct session *session, uint32_t events, uint64_t now)
{
	bool on = true;

	if (!session->ssl && events != 0)
		on = begin_handshake(session);
	if (on && session->ssl)
		on = shake_hands(session, now);
	session->more_at = session->tube.sated ? now : USEC_INFINITY;
	if (tube_rest(&session->tube) < 0)
		return finish(session, CHANNEL_REFUSED);
	if (!on || session->step != AT_HANDSHAKE)
		return on;
	if (now >= session->due)
		return finish(session, CHANNEL_SILENT);
	if (session->tube.received >= SESSION_HANDSHAKE_BYTES)
		return finish(session, CHANNEL_BAD_HEADER);
	return true;
}

static bool has_said_something(const struct session *session)
{
	return tube_has_more(&session->tube) ||
	       recv(session->fd, &(char){0}, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

/* Nothing but that he is gone is waited for.  Who has said all he had to say, and has not
 * waited for what we would say (a ticket is enough), is reset as well: his program gets it. */
static bool go_waiting(struct session *session, uint32_t events, uint64_t now)
{
	if (events & (EPOLLERR | EPOLLHUP)) {
		if (!has_said_something(session))
			return finish(session, CHANNEL_RESET);
		session->gone = true;
	}
	if (session->step == AT_FACTS)
		session->due = now + TELL_AGAIN;
	/* Tickets that did not go at once. */
	tube_flush(&session->tube);
	return true;
}

/* --------------------------------------------------------------------------- verdict */

/* Once. */
static bool tell_cut(struct session *session, struct channel_answer *ret)
{
	bool told = session->due == USEC_INFINITY;

	ret->kind = CHANNEL_CUT;
	session->due = USEC_INFINITY;
	return !told;
}

bool session_tell(struct session *session, struct channel_answer *ret)
{
	uint32_t len = session->facts_len - session->told;

	if (session->step == AT_CUT)
		return tell_cut(session, ret);
	if (session->step != AT_FACTS)
		return false;
	if (len > CHANNEL_AUTHORITY_MAX)
		len = CHANNEL_AUTHORITY_MAX;
	if (len > 0) {
		ret->kind = CHANNEL_FACT;
		ret->facts.authority_len = (uint16_t)len;
		memcpy(ret->facts.authority, session->facts + session->told, len);
		session->told += len;
		return true;
	}
	ret->kind = CHANNEL_OFFER;
	ret->bytes_in = tube_used(&session->tube);
	strcpy(ret->facts.service, session->service);
	free(session->facts);
	session->facts = NULL;
	session->step = AT_VERDICT;
	session->due = USEC_INFINITY;
	return true;
}

bool session_waits_for_verdict(const struct session *session)
{
	return session->step == AT_FACTS || session->step == AT_VERDICT ||
	       session->step == AT_CUT;
}

bool session_shakes_hands(const struct session *session)
{
	return session->step == AT_HANDSHAKE;
}

static bool refuse(struct session *session, enum channel_result result, uint64_t now)
{
	SSL_shutdown(session->ssl);
	ERR_clear_error();
	return leave(session, result, now);
}

static bool begin_pump(struct session *session, int pair, uint64_t now)
{
	static const int on = 1;

	setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	pump_init(&session->pump, session->ssl, &session->tube, pair);
	session->pump.spares_program = session->tells_cuts;
	session->step = AT_PUMP;
	return session_go(session, PUMP_CLIENT, 0, now);
}

void session_tell_cuts(struct session *session)
{
	session->tells_cuts = true;
}

bool session_verdict(
	struct session *session, enum channel_verdict verdict, int *fd, uint64_t now)
{
	if (session->step != AT_VERDICT)
		return session->step != IS_OVER;
	if (verdict != CHANNEL_ADMITTED)
		return refuse(session, CHANNEL_FINISHED, now);
	if (*fd < 0)
		return refuse(session, CHANNEL_REFUSED, now);
	return begin_pump(session, take_fd(fd), now);
}

/* ------------------------------------------------------------------------- interface */

static bool go_pump(struct session *session, enum pump_side side, uint32_t events, uint64_t now)
{
	if (pump_go(&session->pump, side, events, now))
		return true;
	if (session->tells_cuts && session->pump.result == CHANNEL_RESET) {
		session->step = AT_CUT;
		session->due = now + TELL_AGAIN;
		return true;
	}
	return finish(session, session->pump.result);
}

bool session_go(struct session *session, enum pump_side side, uint32_t events, uint64_t now)
{
	switch (session->step) {
	case AT_HANDSHAKE:
		return go_handshake(session, events, now);
	case AT_FACTS:
	case AT_VERDICT:
		return go_waiting(session, events, now);
	case AT_PUMP:
		return go_pump(session, side, events, now);
	case AT_CUT:
		return true;
	case AT_END:
		return go_end(session, now);
	default:
		return false;
	}
}

/* Who was cut off has ended as that, whoever says that it is over. */
void session_abort(struct session *session)
{
	bool cut = session->step == AT_CUT;

	if (session->step == IS_OVER)
		return;
	if (session->step == AT_PUMP)
		shutdown(session->pump.pair, SHUT_RDWR);
	shutdown(session->fd, SHUT_RDWR);
	finish(session, cut ? CHANNEL_RESET : CHANNEL_ENDED);
}

static bool has_pump(const struct session *session)
{
	return session->pump.ssl != NULL;
}

int session_fd(const struct session *session, enum pump_side side)
{
	if (side == PUMP_CLIENT)
		return session->fd;
	return has_pump(session) ? session->pump.pair : -EBADF;
}

uint32_t session_events(const struct session *session, enum pump_side side)
{
	if (session->step == AT_PUMP)
		return pump_events(&session->pump, side);
	if (side == PUMP_PROGRAM || session->step == IS_OVER || session->step == AT_CUT)
		return 0;
	if (session->step == AT_HANDSHAKE || session->step == AT_END)
		return EPOLLIN | (tube_unsent(&session->tube) > 0 ? EPOLLOUT : 0U);
	if (session->gone)
		return 0;
	return tube_unsent(&session->tube) > 0 ? EPOLLOUT : EPOLLERR;
}

uint64_t session_due(const struct session *session)
{
	if (session->step == AT_PUMP)
		return pump_due(&session->pump);
	if (session->step == AT_HANDSHAKE && session->more_at < session->due)
		return session->more_at;
	return session->due;
}

enum channel_result session_result(const struct session *session)
{
	return session->result;
}

uint64_t session_bytes_in(const struct session *session)
{
	return has_pump(session) ? session->pump.in : session->tube.received;
}

uint64_t session_bytes_out(const struct session *session)
{
	return session->pump.out;
}

const char *session_reason(const struct session *session)
{
	return session->reason ? session->reason : "";
}

int session_new(const struct session_setup *setup, int fd, struct session **ret)
{
	struct session *session = calloc(1, sizeof *session);

	if (!session)
		return -ENOMEM;
	session->context = setup->context;
	session->fd = fd;
	session->pump.pair = -EBADF;
	session->due = session->more_at = USEC_INFINITY;
	if (setup->patience > 0 && setup->patience < USEC_INFINITY - setup->now)
		session->due = setup->now + setup->patience;
	tube_init(&session->tube, setup->works, fd);
	*ret = session;
	return 0;
}

struct session *session_free(struct session *session, uint64_t now)
{
	if (!session)
		return NULL;
	pump_done(&session->pump);
	SSL_free(session->ssl);
	tube_done(&session->tube);
	fd_close(session->fd);
	context_put(session->context, now);
	free(session->facts);
	free(session);
	return NULL;
}
