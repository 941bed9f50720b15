#include "hatchctl/top/measure.h"

#include "base/clock.h"
#include "hatchctl/measure/proc.h"
#include "hatchctl/measure/tcp-bytes.h"

#include <limits.h>

static void measure_process(struct top_connection *connection, pid_t hatchd)
{
	struct proc proc;

	if (connection->pid == 0 || connection->pid > INT_MAX)
		return;
	if (proc_read_child((pid_t)connection->pid, hatchd, &proc) < 0)
		return;
	connection->use.cpu = proc.cpu;
	connection->use.memory = proc.memory;
}

static void measure_bytes(struct top_connection *connection, const struct tcp_bytes *bytes)
{
	const char *local = *connection->reached ? connection->reached : connection->local;
	const char *peer = *connection->proxy ? connection->proxy : connection->peer;
	const struct tcp_bytes_entry *entry = tcp_bytes_find(bytes, local, peer);

	if (!entry)
		return;
	connection->use.received = entry->received;
	connection->use.sent = entry->sent;
}

void top_measure(struct top_sample *sample)
{
	_cleanup_tcp_bytes_ struct tcp_bytes bytes = {0};
	double load;

	sample->measured = clock_monotonic();
	if (sample->n_connections > 0 && tcp_bytes_read(&bytes) < 0)
		bytes = (struct tcp_bytes){0};
	for (size_t i = 0; i < sample->n_connections; i++) {
		measure_process(&sample->connections[i], sample->hatchd);
		measure_bytes(&sample->connections[i], &bytes);
	}
	if (getloadavg(&load, 1) == 1)
		sample->load = load;
}
