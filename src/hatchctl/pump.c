#include "hatchctl/pump.h"

#include "hatchctl/poll-slot.h"

#include <poll.h>
#include <sys/socket.h>

enum { SLOT_INPUT, SLOT_PEER, SLOT_OUTPUT, N_SLOTS };

struct pump *pump_new(int input, int output, int peer)
{
	struct pump *pump;

	pump = calloc(1, sizeof *pump);
	if (!pump)
		return NULL;
	pump->input = input;
	pump->peer = peer;
	output_init(&pump->output, output);
	return pump;
}

struct pump *pump_free(struct pump *pump)
{
	free(pump);
	return NULL;
}

static void narrate(const struct pump *pump, const char *event)
{
	if (pump->narrate)
		pump->narrate(event);
}

static bool has_bytes(const struct pump_flow *flow)
{
	return flow->start < flow->end;
}

static bool wants_bytes(const struct pump_flow *flow)
{
	return !flow->ended && flow->end < PUMP_BUFFER;
}

/* The first failure counts, but a reset says more than the broken pipe before it. */
static void record(struct pump *pump, enum pump_place where, int error)
{
	if (pump->error != 0 && !(pump->error == EPIPE && error == ECONNRESET))
		return;
	pump->broken = where;
	pump->error = error;
}

/* Nothing more can be sent.  An answer may still be on its way. */
static void abandon_sending(struct pump *pump)
{
	pump->sending.ended = true;
	pump->sending.closed = true;
	pump->sending.start = pump->sending.end = 0;
}

static char *free_room(struct pump_flow *flow, size_t *ret_len)
{
	*ret_len = PUMP_BUFFER - flow->end;
	return flow->data + flow->end;
}

static void drop_bytes(struct pump_flow *flow, size_t n)
{
	flow->start += n;
	if (flow->start == flow->end)
		flow->start = flow->end = 0;
}

static bool is_passing(int error)
{
	return error == EAGAIN || error == EINTR;
}

static void read_input(struct pump *pump)
{
	size_t room;
	char *at = free_room(&pump->sending, &room);
	ssize_t n;

	n = read(pump->input, at, room);
	if (n > 0) {
		pump->sending.end += (size_t)n;
	} else if (n == 0) {
		pump->sending.ended = true;
	} else if (!is_passing(errno)) {
		/* To end the stream in order would pass off a part as the whole. */
		record(pump, PUMP_INPUT, errno);
		pump->over = true;
	}
}

static void write_peer(struct pump *pump)
{
	struct pump_flow *flow = &pump->sending;
	ssize_t n;

	n = send(pump->peer, flow->data + flow->start, flow->end - flow->start, MSG_NOSIGNAL);
	if (n >= 0) {
		drop_bytes(flow, (size_t)n);
	} else if (!is_passing(errno)) {
		record(pump, PUMP_PEER_WRITE, errno);
		abandon_sending(pump);
	}
}

static void read_peer(struct pump *pump)
{
	size_t room;
	char *at = free_room(&pump->answer, &room);
	ssize_t n;

	n = recv(pump->peer, at, room, 0);
	if (n > 0) {
		pump->answer.end += (size_t)n;
	} else if (n == 0) {
		pump->answer.ended = true;
		narrate(pump, "end of answer");
	} else if (!is_passing(errno)) {
		record(pump, PUMP_PEER_READ, errno);
		pump->answer.ended = true;
		abandon_sending(pump);
	}
}

static void break_output(struct pump *pump, int error)
{
	record(pump, PUMP_OUTPUT, error);
	pump->over = true;
}

static void write_output(struct pump *pump)
{
	struct pump_flow *flow = &pump->answer;
	ssize_t n;

	n = output_write(&pump->output, flow->data + flow->start, flow->end - flow->start);
	if (n >= 0)
		drop_bytes(flow, (size_t)n);
	else
		break_output(pump, (int)-n);
}

/* Pass on the ends whose bytes have all been delivered. */
static void settle(struct pump *pump)
{
	struct pump_flow *sending = &pump->sending, *answer = &pump->answer;
	int r;

	if (sending->ended && !sending->closed && !has_bytes(sending)) {
		narrate(pump, "end of input: shutdown for writing");
		/* Fails only on a dead connection, as the next read tells. */
		shutdown(pump->peer, SHUT_WR);
		sending->closed = true;
	}
	if (answer->ended && !answer->closed && !has_bytes(answer)) {
		r = output_close(&pump->output, pump->input);
		if (r < 0)
			break_output(pump, -r);
		answer->closed = true;
	}
	if (answer->closed && (sending->closed || pump->ends_with_answer))
		pump->over = true;
}

bool pump_turn(struct pump *pump)
{
	struct pollfd slots[N_SLOTS] = {0};

	poll_slot_watch(&slots[SLOT_INPUT], pump->input, wants_bytes(&pump->sending), false);
	poll_slot_watch(&slots[SLOT_PEER], pump->peer, wants_bytes(&pump->answer),
		has_bytes(&pump->sending));
	poll_slot_watch(&slots[SLOT_OUTPUT], pump->output.fd, false, has_bytes(&pump->answer));

	if (poll(slots, N_SLOTS, -1) < 0)
		return true; /* EINTR; the arguments cannot be wrong */

	/* Reading comes first: what the peer said before it broke counts, and
	 * a reset is to be reported as one. */
	if (poll_slot_is_ready(&slots[SLOT_PEER], POLLIN))
		read_peer(pump);
	if (poll_slot_is_ready(&slots[SLOT_OUTPUT], POLLOUT))
		write_output(pump);
	if (poll_slot_is_ready(&slots[SLOT_INPUT], POLLIN) && wants_bytes(&pump->sending))
		read_input(pump);
	if (poll_slot_is_ready(&slots[SLOT_PEER], POLLOUT) && has_bytes(&pump->sending))
		write_peer(pump);

	if (!pump->over)
		settle(pump);
	return !pump->over;
}

int pump_run(struct pump *pump)
{
	while (pump_turn(pump))
		;
	return -pump->error;
}
