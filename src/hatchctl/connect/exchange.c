#include "hatchctl/connect/exchange.h"

#include "base/clock.h"
#include "hatchctl/connect/poll-slot.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

enum { SLOT_INPUT, SLOT_PEER, SLOT_OUTPUT, N_SLOTS };

struct exchange *exchange_new(int output)
{
	struct exchange *x;

	x = calloc(1, sizeof *x);
	if (!x)
		return NULL;
	output_init(&x->output, output);
	return x;
}

struct exchange *exchange_free(struct exchange *x)
{
	free(x);
	return NULL;
}

static void narrate(const struct exchange *x, const char *event)
{
	if (x->narrate)
		x->narrate(event);
}

static void narrate_bytes(const struct exchange *x, const char *event, size_t n)
{
	char text[64];

	if (!x->narrate)
		return;
	snprintf(text, sizeof text, "%s, %zu %s", event, n, n == 1 ? "byte" : "bytes");
	x->narrate(text);
}

static bool is_passing(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOBUFS;
}

static bool has_answer(const struct exchange *x)
{
	return x->answer_start < x->answer_end;
}

static bool wants_input(const struct exchange *x)
{
	return !x->input_ended && !x->pending && !x->peer_ended;
}

static bool wants_answer(const struct exchange *x)
{
	return !x->peer_ended && !has_answer(x);
}

/* Nothing goes either way any more; what has been received is still written. */
static void break_peer(struct exchange *x, enum pump_place where, int error)
{
	x->broken = where;
	x->error = error;
	x->peer_ended = true;
	x->pending = false;
}

static void break_local(struct exchange *x, enum pump_place where, int error)
{
	x->broken = where;
	x->error = error;
	x->over = true;
}

static void end_input(struct exchange *x)
{
	x->input_ended = true;
	if (!x->has_end)
		narrate(x, "end of input");

	/* There is no other way to say nothing to a datagram service. */
	if (!x->has_end && x->n_sent == 0) {
		x->pending = true;
		x->message_len = 0;
	}
}

static void read_input(struct exchange *x)
{
	ssize_t n;

	n = read(x->input, x->message, x->message_max);
	if (n > 0) {
		x->message_len = (size_t)n;
		x->pending = true;
	} else if (n == 0) {
		end_input(x);
	} else if (!is_passing(errno)) {
		break_local(x, PUMP_INPUT, errno);
	}
}

static void send_message(struct exchange *x)
{
	ssize_t n;

	n = send(x->peer, x->message, x->message_len, MSG_NOSIGNAL);
	if (n >= 0) {
		x->pending = false;
		x->n_sent++;
		x->last = clock_monotonic();
		narrate_bytes(x, "send", x->message_len);
	} else if (!is_passing(errno)) {
		break_peer(x, PUMP_PEER_WRITE, errno);
	}
}

/* A message of no bytes and the end of a connection look the same to recv(2). */
static bool peer_has_ended(const struct exchange *x)
{
	struct pollfd slot = {.fd = x->peer, .events = POLLRDHUP};

	return x->has_end && poll(&slot, 1, 0) == 1;
}

static void receive_answer(struct exchange *x)
{
	ssize_t n;

	n = recv(x->peer, x->answer, sizeof x->answer, MSG_TRUNC);
	if (n < 0) {
		if (!is_passing(errno))
			break_peer(x, PUMP_PEER_READ, errno);
		return;
	}
	if (n == 0 && peer_has_ended(x)) {
		narrate(x, "end of answer");
		if (x->pending)
			break_peer(x, PUMP_PEER_WRITE, EPIPE);
		x->peer_ended = true;
		return;
	}
	if ((size_t)n > sizeof x->answer) {
		break_peer(x, PUMP_PEER_READ, EMSGSIZE);
		return;
	}
	x->n_answers++;
	x->last = clock_monotonic();
	x->answer_start = 0;
	x->answer_end = (size_t)n;
	narrate_bytes(x, "receive", x->answer_end);
}

static void write_output(struct exchange *x)
{
	ssize_t n;

	n = output_write(
		&x->output, x->answer + x->answer_start, x->answer_end - x->answer_start);
	if (n >= 0)
		x->answer_start += (size_t)n;
	else
		break_local(x, PUMP_OUTPUT, (int)-n);
}

/* All is said; only answers are left to wait for. */
static bool only_waits(const struct exchange *x)
{
	return x->input_ended && !x->pending && !x->peer_ended && !has_answer(x);
}

static void settle(struct exchange *x)
{
	if (x->peer_ended && !has_answer(x))
		x->over = true;
	if (!only_waits(x))
		return;

	if (!x->has_end) {
		x->over = x->n_answers >= x->n_sent;
	} else if (!x->shut) {
		narrate(x, "end of input: shutdown for writing");
		shutdown(x->peer, SHUT_WR);
		x->shut = true;
		x->last = clock_monotonic();
	}
}

/* Milliseconds for poll(2), rounded up so that it does not wake too early. */
static int timeout(const struct exchange *x)
{
	uint64_t passed, msec;

	if (!only_waits(x))
		return -1;
	passed = clock_monotonic() - x->last;
	if (passed >= x->wait)
		return 0;
	msec = (x->wait - passed - 1) / USEC_PER_MSEC + 1;
	return msec > INT_MAX ? INT_MAX : (int)msec;
}

static void time_out(struct exchange *x)
{
	if (clock_monotonic() - x->last < x->wait)
		return; /* the wait is longer than poll(2) can */
	x->over = true;
	if (x->n_answers == 0 && x->wait > 0) {
		x->broken = PUMP_PEER_READ;
		x->error = ETIMEDOUT;
	}
}

bool exchange_turn(struct exchange *x)
{
	struct pollfd slots[N_SLOTS] = {0};
	int n;

	poll_slot_watch(&slots[SLOT_INPUT], x->input, wants_input(x), false);
	poll_slot_watch(&slots[SLOT_PEER], x->peer, wants_answer(x), x->pending);
	poll_slot_watch(&slots[SLOT_OUTPUT], x->output.fd, false, has_answer(x));

	n = poll(slots, N_SLOTS, timeout(x));
	if (n < 0)
		return true; /* EINTR; the arguments cannot be wrong */
	if (n == 0)
		time_out(x);

	if (poll_slot_is_ready(&slots[SLOT_PEER], POLLIN))
		receive_answer(x);
	if (poll_slot_is_ready(&slots[SLOT_OUTPUT], POLLOUT))
		write_output(x);
	if (poll_slot_is_ready(&slots[SLOT_INPUT], POLLIN) && wants_input(x))
		read_input(x);
	if (poll_slot_is_ready(&slots[SLOT_PEER], POLLOUT) && x->pending)
		send_message(x);

	if (!x->over)
		settle(x);
	return !x->over;
}

int exchange_run(struct exchange *x)
{
	while (exchange_turn(x))
		;
	return -x->error;
}

bool exchange_restart(struct exchange *x, int peer)
{
	bool at_hand = x->n_sent == 1 || (x->n_sent == 0 && x->broken == PUMP_PEER_WRITE);

	if (x->error != ECONNREFUSED || x->n_answers > 0 || !at_hand)
		return false;
	x->peer = peer;
	x->broken = PUMP_NOWHERE;
	x->error = 0;
	x->n_sent = 0;
	x->pending = true;
	x->peer_ended = false;
	x->over = false;
	return true;
}
