#include "hatchctl/connect/flow.h"

#include "base/own.h"

bool flow_has_bytes(const struct flow *flow)
{
	return flow->start < flow->end;
}

bool flow_wants_bytes(const struct flow *flow)
{
	return !flow->ended && flow->end < FLOW_BUFFER;
}

bool flow_is_to_close(const struct flow *flow)
{
	return flow->ended && !flow->closed && !flow_has_bytes(flow);
}

char *flow_room(struct flow *flow, size_t *ret_len)
{
	*ret_len = FLOW_BUFFER - flow->end;
	return flow->data + flow->end;
}

void flow_drop(struct flow *flow, size_t n)
{
	flow->start += n;
	if (flow->start == flow->end)
		flow->start = flow->end = 0;
}

void flow_abandon(struct flow *flow)
{
	flow->ended = true;
	flow->closed = true;
	flow->start = flow->end = 0;
}

int flow_read(struct flow *flow, int fd)
{
	size_t room;
	char *at = flow_room(flow, &room);
	ssize_t n = read(fd, at, room);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	flow->end += (size_t)n;
	flow->ended = n == 0;
	return 0;
}

int flow_write(struct flow *flow, const struct output *output)
{
	ssize_t n = output_write(output, flow->data + flow->start, flow->end - flow->start);

	if (n < 0)
		return (int)n;
	flow_drop(flow, (size_t)n);
	return 0;
}
