#include "hatchctl/connect/pump.h"

#include "hatchctl/connect/poll-slot.h"

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

/* The first failure counts, but a reset says more than the broken pipe before it. */
static void record(struct pump *pump, enum pump_place where, int error)
{
	if (pump->error != 0 && !(pump->error == EPIPE && error == ECONNRESET))
		return;
	pump->broken = where;
	pump->error = error;
}

static bool is_passing(int error)
{
	return error == EAGAIN || error == EINTR;
}

static void read_input(struct pump *pump)
{
	int r = flow_read(&pump->sending, pump->input);

	if (r == 0)
		return;
	/* To end the stream in order would pass off a part as the whole. */
	record(pump, PUMP_INPUT, -r);
	pump->over = true;
}

static void write_peer(struct pump *pump)
{
	struct flow *flow = &pump->sending;
	ssize_t n;

	n = send(pump->peer, flow->data + flow->start, flow->end - flow->start, MSG_NOSIGNAL);
	if (n >= 0) {
		flow_drop(flow, (size_t)n);
	} else if (!is_passing(errno)) {
		record(pump, PUMP_PEER_WRITE, errno);
		flow_abandon(&pump->sending);
	}
}

static void read_peer(struct pump *pump)
{
	size_t room;
	char *at = flow_room(&pump->answer, &room);
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
		flow_abandon(&pump->sending);
	}
}

static void break_output(struct pump *pump, int error)
{
	record(pump, PUMP_OUTPUT, error);
	pump->over = true;
}

static void write_output(struct pump *pump)
{
	int r = flow_write(&pump->answer, &pump->output);

	if (r < 0)
		break_output(pump, -r);
}

/* Pass on the ends whose bytes have all been delivered. */
static void settle(struct pump *pump)
{
	struct flow *sending = &pump->sending, *answer = &pump->answer;
	int r;

	if (flow_is_to_close(sending)) {
		narrate(pump, "end of input: shutdown for writing");
		/* Fails only on a dead connection, as the next read tells. */
		shutdown(pump->peer, SHUT_WR);
		sending->closed = true;
	}
	if (flow_is_to_close(answer)) {
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

	poll_slot_watch(
		&slots[SLOT_INPUT], pump->input, flow_wants_bytes(&pump->sending), false);
	poll_slot_watch(&slots[SLOT_PEER], pump->peer, flow_wants_bytes(&pump->answer),
		flow_has_bytes(&pump->sending));
	poll_slot_watch(
		&slots[SLOT_OUTPUT], pump->output.fd, false, flow_has_bytes(&pump->answer));

	if (poll(slots, N_SLOTS, -1) < 0)
		return true; /* EINTR; the arguments cannot be wrong */

	/* Reading comes first: what the peer said before it broke counts, and
	 * a reset is to be reported as one. */
	if (poll_slot_is_ready(&slots[SLOT_PEER], POLLIN))
		read_peer(pump);
	if (poll_slot_is_ready(&slots[SLOT_OUTPUT], POLLOUT))
		write_output(pump);
	if (poll_slot_is_ready(&slots[SLOT_INPUT], POLLIN) && flow_wants_bytes(&pump->sending))
		read_input(pump);
	if (poll_slot_is_ready(&slots[SLOT_PEER], POLLOUT) && flow_has_bytes(&pump->sending))
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
