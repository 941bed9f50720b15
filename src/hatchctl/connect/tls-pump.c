#include "hatchctl/connect/tls-pump.h"

#include "hatchctl/connect/poll-slot.h"

#include <poll.h>

enum { SLOT_INPUT, SLOT_PEER, SLOT_OUTPUT, N_SLOTS };

struct tls_pump *tls_pump_new(int input, int output, struct tls *tls, int peer)
{
	struct tls_pump *pump = calloc(1, sizeof *pump);

	if (!pump)
		return NULL;
	pump->input = input;
	pump->tls = tls;
	pump->peer = peer;
	output_init(&pump->output, output);
	return pump;
}

struct tls_pump *tls_pump_free(struct tls_pump *pump)
{
	free(pump);
	return NULL;
}

static void narrate(const struct tls_pump *pump, const char *event)
{
	if (pump->narrate)
		pump->narrate(event);
}

/* What the peer says before it goes tells more than that nothing can be sent any more. */
static void record(struct tls_pump *pump, enum pump_place where, int error)
{
	if (pump->error != 0 && !(pump->broken == PUMP_PEER_WRITE && where == PUMP_PEER_READ))
		return;
	pump->broken = where;
	pump->error = error;
}

/* ---------------------------------------------------------------- one step each */

static void read_input(struct tls_pump *pump)
{
	int r = flow_read(&pump->sending, pump->input);

	if (r == 0)
		return;
	/* To say the end would pass off a part as the whole. */
	record(pump, PUMP_INPUT, r);
	pump->over = true;
}

static void write_peer(struct tls_pump *pump)
{
	struct flow *flow = &pump->sending;
	ssize_t n = tls_write(pump->tls, flow->data + flow->start, flow->end - flow->start);

	if (n >= 0) {
		flow_drop(flow, (size_t)n);
	} else if (n != -EAGAIN) {
		record(pump, PUMP_PEER_WRITE, (int)n);
		flow_abandon(flow);
	}
}

static void read_peer(struct tls_pump *pump)
{
	size_t room;
	char *at = flow_room(&pump->answer, &room);
	ssize_t n = tls_read(pump->tls, at, room);

	if (n > 0) {
		pump->answer.end += (size_t)n;
	} else if (n == 0) {
		pump->answer.ended = true;
		narrate(pump, "end of answer: close_notify");
	} else if (n != -EAGAIN) {
		record(pump, PUMP_PEER_READ, (int)n);
		pump->answer.ended = true;
		flow_abandon(&pump->sending);
	}
}

static void break_output(struct tls_pump *pump, int error)
{
	record(pump, PUMP_OUTPUT, error);
	pump->over = true;
}

static void write_output(struct tls_pump *pump)
{
	int r = flow_write(&pump->answer, &pump->output);

	if (r < 0)
		break_output(pump, r);
}

/* It fails only on a dead connection, as the next read tells. */
static void end_sending(struct tls_pump *pump)
{
	if (tls_end(pump->tls) == -EAGAIN)
		return;
	narrate(pump, "end of input: close_notify");
	pump->sending.closed = true;
}

static void end_answer(struct tls_pump *pump)
{
	int r = output_close(&pump->output, pump->input);

	if (r < 0)
		break_output(pump, r);
	pump->answer.closed = true;
}

/* ------------------------------------------------------------------------ a turn */

/* Whether there is something to do for the connection, and whether it can be tried now. */
static bool is_to_read(const struct tls_pump *pump)
{
	return flow_wants_bytes(&pump->answer);
}

static bool is_to_write(const struct tls_pump *pump)
{
	return flow_has_bytes(&pump->sending) || flow_is_to_close(&pump->sending);
}

static bool can_read(const struct tls_pump *pump)
{
	return is_to_read(pump) && tls_reading_awaits(pump->tls) == 0;
}

static bool can_write(const struct tls_pump *pump)
{
	return is_to_write(pump) && tls_writing_awaits(pump->tls) == 0;
}

/* What has been read from the socket, and is not yet wanted, is nothing that poll(2) knows
 * of: so it is tried until it has to wait. */
static int wait(const struct tls_pump *pump, struct pollfd slots[N_SLOTS])
{
	short events = (short)((is_to_read(pump) ? tls_reading_awaits(pump->tls) : 0) |
			       (is_to_write(pump) ? tls_writing_awaits(pump->tls) : 0));

	poll_slot_watch(
		&slots[SLOT_INPUT], pump->input, flow_wants_bytes(&pump->sending), false);
	poll_slot_watch(&slots[SLOT_PEER], pump->peer, events & POLLIN, events & POLLOUT);
	poll_slot_watch(
		&slots[SLOT_OUTPUT], pump->output.fd, false, flow_has_bytes(&pump->answer));
	return poll(slots, N_SLOTS, can_read(pump) || can_write(pump) ? 0 : -1);
}

/* Pass on the ends whose bytes have all been delivered. */
static void settle(struct tls_pump *pump)
{
	if (flow_is_to_close(&pump->sending) && can_write(pump))
		end_sending(pump);
	if (flow_is_to_close(&pump->answer))
		end_answer(pump);
	if (!pump->answer.closed)
		return;
	if (pump->sending.closed) {
		pump->over = true;
	} else if (pump->ends_with_answer) {
		/* Politely, if it can be said at once. */
		tls_end(pump->tls);
		pump->over = true;
	}
}

static void turn(struct tls_pump *pump)
{
	struct pollfd slots[N_SLOTS] = {0};

	if (wait(pump, slots) < 0)
		return; /* EINTR; the arguments cannot be wrong */
	if (poll_slot_is_ready(&slots[SLOT_PEER], POLLIN | POLLOUT))
		tls_wake(pump->tls);

	/* Reading comes first: what the peer said before it broke counts. */
	if (can_read(pump))
		read_peer(pump);
	if (poll_slot_is_ready(&slots[SLOT_OUTPUT], POLLOUT))
		write_output(pump);
	if (poll_slot_is_ready(&slots[SLOT_INPUT], POLLIN) && flow_wants_bytes(&pump->sending))
		read_input(pump);
	if (flow_has_bytes(&pump->sending) && can_write(pump))
		write_peer(pump);
	if (!pump->over)
		settle(pump);
}

int tls_pump_run(struct tls_pump *pump)
{
	while (!pump->over)
		turn(pump);
	return pump->error;
}
