#include "workers/tls/pump.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Answers that TLS itself owes (KeyUpdate, alerts) to somebody who does not read them are no
 * reason to keep more of them. */
#define OWED_MAX (4 * TUBE_ROOM)

/* ------------------------------------------------------------------------- the end */

static void finish(struct pump *pump, enum channel_result result)
{
	if (pump->over)
		return;
	pump->over = true;
	pump->result = result;
}

/* At once, whoever else has a copy. */
static void break_off(struct pump *pump, enum channel_result result)
{
	tube_flush(pump->tube);
	if (!pump->spares_program || result != CHANNEL_RESET)
		shutdown(pump->pair, SHUT_RDWR);
	finish(pump, result);
}

static enum channel_result outcome(const struct pump *pump)
{
	if (pump->broken)
		return CHANNEL_TARGET_RESET;
	return pump->lost ? CHANNEL_RESET : CHANNEL_FINISHED;
}

/* ------------------------------------------------------------- from client to program */

/* Nothing can go there any more. */
static void make_deaf(struct pump *pump)
{
	pump->deaf = true;
	free(pump->held);
	pump->held = NULL;
	pump->held_len = 0;
}

/* What is not written is kept.  False: it has to wait. */
static bool hold(struct pump *pump, const uint8_t *bytes, size_t len)
{
	pump->held = malloc(len);
	if (!pump->held) {
		break_off(pump, CHANNEL_REFUSED);
		return false;
	}
	memcpy(pump->held, bytes, len);
	pump->held_at = 0;
	pump->held_len = (uint32_t)len;
	return false;
}

/* How many were taken; of somebody who takes nothing any more all are. */
static size_t say(struct pump *pump, const uint8_t *bytes, size_t len)
{
	ssize_t n;

	do
		n = send(pump->pair, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (size_t)n;
	if (errno == EAGAIN)
		return 0;
	make_deaf(pump);
	return len;
}

static bool say_held(struct pump *pump)
{
	if (!pump->held)
		return true;
	while (pump->held && pump->held_at < pump->held_len) {
		size_t n =
			say(pump, pump->held + pump->held_at, pump->held_len - pump->held_at);

		if (n == 0)
			return false;
		pump->held_at += (uint32_t)n;
	}
	free(pump->held);
	pump->held = NULL;
	return true;
}

/* Why there is nothing more to be read. */
static void note_silence(struct pump *pump, int r)
{
	int why = SSL_get_error(pump->ssl, r);

	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return;
	ERR_clear_error();
	pump->said_all[PUMP_CLIENT] = true;
	pump->cut = why != SSL_ERROR_ZERO_RETURN;
}

/* Record by record, as much as fits; nothing is ever left within a record. */
static size_t listen_to_client(struct pump *pump, uint8_t bytes[PUMP_CHUNK])
{
	size_t len = 0, n;

	while (len + PUMP_RECORD <= PUMP_CHUNK) {
		int r = SSL_read_ex(pump->ssl, bytes + len, PUMP_RECORD, &n);

		if (r != 1) {
			note_silence(pump, r);
			break;
		}
		len += n;
	}
	pump->in += len;
	return len;
}

static bool waste(struct pump *pump, size_t len)
{
	if (pump->left)
		pump->wasted += len;
	if (pump->wasted > PUMP_WASTE_MAX)
		break_off(pump, outcome(pump));
	return !pump->over;
}

/* True: there may be more. */
static bool pass_in(struct pump *pump)
{
	uint8_t bytes[PUMP_CHUNK];
	size_t len, said;

	if (!say_held(pump) || pump->over || pump->said_all[PUMP_CLIENT] ||
		tube_unsent(pump->tube) > OWED_MAX)
		return false;
	len = listen_to_client(pump, bytes);
	if (len == 0)
		return false;
	if (pump->deaf)
		return waste(pump, len);
	said = say(pump, bytes, len);
	return said == len ? !pump->over : hold(pump, bytes + said, len - said);
}

/* What was cut short is passed on as far as it goes at once. */
static void end_in(struct pump *pump)
{
	if (pump->cut)
		break_off(pump, pump->broken ? CHANNEL_TARGET_RESET : CHANNEL_RESET);
	if (pump->over || !pump->said_all[PUMP_CLIENT] || pump->held ||
		pump->told[PUMP_PROGRAM])
		return;
	pump->told[PUMP_PROGRAM] = true;
	shutdown(pump->pair, SHUT_WR);
}

/* ------------------------------------------------------------- from program to client */

/* A program that closes its end without having read everything (unix(7)) is no end. */
static void note_end_of_program(struct pump *pump, ssize_t n)
{
	pump->said_all[PUMP_PROGRAM] = true;
	if (n < 0) {
		pump->broken = true;
		make_deaf(pump);
	}
}

/* Bytes, up to `size`; 0: there are none now, or never any more. */
static size_t listen_to_program(struct pump *pump, uint8_t *bytes, size_t size)
{
	ssize_t n;

	do
		n = recv(pump->pair, bytes, size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return (size_t)n;
	if (n == 0 || errno != EAGAIN)
		note_end_of_program(pump, n);
	return 0;
}

/* What cannot be sent is lost, and so is what was on its way.  The program learns it as from
 * a socket of TCP: it can write no more, and reads what there still is. */
static void note_loss(struct pump *pump)
{
	if (pump->lost || !pump->tube->deaf)
		return;
	pump->lost = true;
	shutdown(pump->pair, SHUT_RD);
}

/* As of tube_flush(). */
static bool flush(struct pump *pump)
{
	bool all = tube_flush(pump->tube);

	note_loss(pump);
	return all;
}

/* True: there may be more.  *size is what is listened for at once. */
static bool pass_out(struct pump *pump, size_t *size)
{
	uint8_t bytes[PUMP_CHUNK];
	size_t len, written;

	if (pump->over || pump->said_all[PUMP_PROGRAM] || !flush(pump))
		return false;
	len = listen_to_program(pump, bytes, *size);
	if (len == 0)
		return false;
	if (!pump->tube->deaf && SSL_write_ex(pump->ssl, bytes, len, &written) != 1) {
		ERR_clear_error();
		break_off(pump, CHANNEL_REFUSED);
		return false;
	}
	pump->out += pump->tube->deaf ? 0 : len;
	note_loss(pump);
	*size = len < *size ? 0 : PUMP_CHUNK;
	return flush(pump) && *size > 0;
}

/* Whether he hears that they were all is his affair: he may have gone when he had heard
 * enough. */
static void say_end(struct pump *pump)
{
	SSL_shutdown(pump->ssl);
	ERR_clear_error();
}

/* Behind all bytes; not after what was broken off. */
static void end_out(struct pump *pump)
{
	bool said = SSL_get_shutdown(pump->ssl) & SSL_SENT_SHUTDOWN;

	if (pump->over || !pump->said_all[PUMP_PROGRAM] || pump->told[PUMP_CLIENT])
		return;
	if (!said && !flush(pump))
		return;
	if (!said && !pump->broken)
		say_end(pump);
	if (!tube_flush(pump->tube))
		return;
	pump->told[PUMP_CLIENT] = true;
	shutdown(pump->tube->fd, SHUT_WR);
}

/* ------------------------------------------------------------------------ a step */

/* Nobody changes his keys so often. */
static void limit_updates(struct pump *pump, uint64_t now)
{
	static const struct limit limit = {
		.count = PUMP_UPDATES, .burst = PUMP_UPDATES_BURST, .period = USEC_PER_SEC};
	const struct hello *hello = SSL_get_app_data(pump->ssl);

	for (; pump->n_updates != hello->n_updates; pump->n_updates++) {
		if (!bucket_has(&pump->updates, &limit, now)) {
			break_off(pump, CHANNEL_RESET);
			return;
		}
		bucket_take(&pump->updates, &limit, now);
	}
}

static void move_in(struct pump *pump)
{
	uint64_t enough = pump->in + PUMP_SHARE;
	bool on = true;

	while (on && pump->in < enough)
		on = pass_in(pump);
	pump->stopped |= on;
	end_in(pump);
}

static void move_out(struct pump *pump)
{
	uint64_t before = pump->out;
	size_t size = PUMP_RECORD;
	bool on = true;

	for (int i = 0; on && i < PUMP_SHARE / PUMP_RECORD && pump->out - before < PUMP_SHARE;
		i++)
		on = pass_out(pump, &size);
	pump->stopped |= on;
	end_out(pump);
}

/* Who has gone says so again and again, also while nothing can be done about it. */
static void look_at(struct pump *pump, enum pump_side side, uint32_t events)
{
	if (!(events & (EPOLLERR | EPOLLHUP)))
		return;
	if (side == PUMP_CLIENT) {
		pump->gone = true;
		return;
	}
	make_deaf(pump);
	pump->left |= (events & EPOLLHUP) != 0;
}

/* Bytes that his machine has acknowledged; *ret_all: these are all, and our end as well.  Where
 * that cannot be known, he has everything. */
static uint64_t ask_what_has_arrived(const struct pump *pump, bool *ret_all)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof info;

	if (getsockopt(pump->tube->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		info = (struct tcp_info){0};
	*ret_all = info.tcpi_unacked == 0 && info.tcpi_notsent_bytes == 0;
	return info.tcpi_bytes_acked;
}

/* A client whose program has gone.  However slow he is, as long as he takes something; of
 * somebody who takes nothing the kernel would keep it for ever, and so would we. */
static void limit_orphan(struct pump *pump, uint64_t now)
{
	bool all;
	uint64_t taken = ask_what_has_arrived(pump, &all) + pump->tube->sent;

	all = all && pump->told[PUMP_CLIENT];
	if (pump->leave_at == USEC_INFINITY || pump->taken != taken || pump->has_all != all)
		pump->leave_at = now + (all ? PUMP_PEACE_TIME : PUMP_LEAVE_TIME);
	pump->taken = taken;
	pump->has_all = all;
	pump->due = pump->leave_at;
	/* Nobody reports what arrives. */
	if (pump->told[PUMP_CLIENT] && !all && now + PUMP_PEACE_TIME < pump->due)
		pump->due = now + PUMP_PEACE_TIME;
	if (now < pump->leave_at)
		return;
	pump->lost |= !pump->told[PUMP_CLIENT];
	finish(pump, outcome(pump));
}

/* Who was told the end, and has nobody who listens, is to end as well. */
static void settle(struct pump *pump, uint64_t now)
{
	pump->due = USEC_INFINITY;
	if (pump->over)
		return;
	if (pump->told[PUMP_CLIENT] && pump->told[PUMP_PROGRAM]) {
		finish(pump, outcome(pump));
		return;
	}
	/* He has said all that he had to say, and the program speaks to nobody. */
	if (pump->lost && pump->told[PUMP_PROGRAM]) {
		break_off(pump, outcome(pump));
		return;
	}
	pump->left |= pump->deaf && pump->said_all[PUMP_PROGRAM];
	if (pump->left)
		limit_orphan(pump, now);
}

bool pump_go(struct pump *pump, enum pump_side side, uint32_t events, uint64_t now)
{
	if (pump->over)
		return false;
	ERR_clear_error();
	pump->stopped = false;
	look_at(pump, side, events);
	move_in(pump);
	limit_updates(pump, now);
	move_out(pump);
	/* What TLS itself has answered. */
	tube_flush(pump->tube);
	pump->stopped |= pump->tube->sated;
	if (tube_rest(pump->tube) < 0)
		break_off(pump, CHANNEL_REFUSED);
	settle(pump, now);
	if (pump->stopped && !pump->over)
		pump->due = now;
	return !pump->over;
}

uint64_t pump_due(const struct pump *pump)
{
	return pump->due;
}

static uint32_t client_events(const struct pump *pump)
{
	size_t unsent = tube_unsent(pump->tube);
	uint32_t events = 0;

	if (!pump->said_all[PUMP_CLIENT] && !pump->held && unsent <= OWED_MAX)
		events |= EPOLLIN;
	if (unsent > 0)
		events |= EPOLLOUT;
	if (events != 0)
		return events;
	return pump->gone || pump->said_all[PUMP_CLIENT] ? 0 : EPOLLERR;
}

static uint32_t program_events(const struct pump *pump)
{
	uint32_t events = 0;

	if (!pump->said_all[PUMP_PROGRAM] && tube_unsent(pump->tube) == 0)
		events |= EPOLLIN;
	if (pump->held)
		events |= EPOLLOUT;
	if (events != 0)
		return events;
	return pump->deaf ? 0 : EPOLLERR;
}

uint32_t pump_events(const struct pump *pump, enum pump_side side)
{
	if (pump->over)
		return 0;
	return side == PUMP_CLIENT ? client_events(pump) : program_events(pump);
}

/* --------------------------------------------------------------- begin and end */

void pump_init(struct pump *pump, SSL *ssl, struct tube *tube, int pair)
{
	*pump = (struct pump){
		.ssl = ssl,
		.tube = tube,
		.pair = pair,
		.due = USEC_INFINITY,
		.leave_at = USEC_INFINITY,
	};
}

void pump_done(struct pump *pump)
{
	free(pump->held);
	pump->held = NULL;
	pump->pair = fd_close(pump->pair);
}
