#include "hatchctl/top/columns.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static struct top_value text_value(const char *text)
{
	return (struct top_value){.text = text};
}

static struct top_value number_value(uint64_t number)
{
	return (struct top_value){.number = number == TOP_UNKNOWN ? -1 : (double)number};
}

static struct top_value rate_value(double rate)
{
	return (struct top_value){.number = rate};
}

/* --------------------------------------------------------------------- services */

#define SERVICE_VALUE(name, value)                                                          \
	static struct top_value service_##name(const struct top_sample *sample, size_t row) \
	{                                                                                   \
		const struct top_service *service = &sample->services[row];                 \
		return value;                                                               \
	}

SERVICE_VALUE(name, text_value(service->name))
SERVICE_VALUE(state, text_value(service->state))
SERVICE_VALUE(children, number_value(service->children))
SERVICE_VALUE(limit, number_value(service->limit))
SERVICE_VALUE(starts, rate_value(service->starts))
SERVICE_VALUE(refusals, rate_value(service->refusals))
SERVICE_VALUE(cpu, rate_value(service->use.cpu_share))
SERVICE_VALUE(memory, number_value(service->use.memory))
SERVICE_VALUE(receives, rate_value(service->use.receives))
SERVICE_VALUE(sends, rate_value(service->use.sends))
SERVICE_VALUE(pending, number_value(service->pending))
SERVICE_VALUE(started, number_value(service->started))
SERVICE_VALUE(refused, number_value(service->refused))
SERVICE_VALUE(addresses, text_value(service->addresses))
SERVICE_VALUE(reason, text_value(service->reason))

static const struct top_column service_columns[] = {
	{"SERVICE", TOP_TEXT, 12, 0, true, false, service_name},
	{"STATE", TOP_TEXT, 8, 1, true, false, service_state},
	{"CHILD", TOP_NUMBER, 5, 2, false, false, service_children},
	{"LIMIT", TOP_NUMBER, 5, 9, false, false, service_limit},
	{"RATE/s", TOP_RATE, 6, 3, false, false, service_starts},
	{"REFUSED/s", TOP_RATE, 9, 4, false, false, service_refusals},
	{"CPU%", TOP_PERCENT, 5, 5, false, false, service_cpu},
	{"MEM", TOP_BYTES, 4, 8, false, false, service_memory},
	{"RX/s", TOP_BYTES, 4, 6, false, false, service_receives},
	{"TX/s", TOP_BYTES, 4, 7, false, false, service_sends},
	{"PENDING", TOP_NUMBER, 7, 10, false, true, service_pending},
	{"STARTED", TOP_NUMBER, 7, 11, false, true, service_started},
	{"REFUSED", TOP_NUMBER, 7, 12, false, true, service_refused},
	{"ADDRESSES", TOP_TEXT, 15, 13, true, true, service_addresses},
	{"REASON", TOP_TEXT, 15, 14, true, true, service_reason},
};

/* ------------------------------------------------------------------ connections */

#define CONNECTION_VALUE(name, value)                                                          \
	static struct top_value connection_##name(const struct top_sample *sample, size_t row) \
	{                                                                                      \
		const struct top_connection *connection = &sample->connections[row];           \
		return value;                                                                  \
	}

/* Who has it, if it is no process of its own: "relay". */
static const char *short_worker(const char *worker)
{
	static const char prefix[] = "hatchd-";

	if (strncmp(worker, prefix, sizeof prefix - 1) == 0)
		worker += sizeof prefix - 1;
	return *worker ? worker : NULL;
}

static struct top_value process_value(const struct top_connection *connection)
{
	struct top_value value = number_value(connection->pid);

	if (connection->pid == TOP_UNKNOWN)
		value.text = short_worker(connection->worker);
	return value;
}

CONNECTION_VALUE(id, number_value(connection->id))
CONNECTION_VALUE(service, text_value(connection->service))
CONNECTION_VALUE(peer, text_value(connection->peer))
CONNECTION_VALUE(age, number_value(connection->age))
CONNECTION_VALUE(pid, process_value(connection))
CONNECTION_VALUE(user, text_value(connection->user))
CONNECTION_VALUE(cpu, rate_value(connection->use.cpu_share))
CONNECTION_VALUE(memory, number_value(connection->use.memory))
CONNECTION_VALUE(receives, rate_value(connection->use.receives))
CONNECTION_VALUE(sends, rate_value(connection->use.sends))
CONNECTION_VALUE(state, text_value(connection->state))
CONNECTION_VALUE(received, number_value(connection->use.received))
CONNECTION_VALUE(sent, number_value(connection->use.sent))
CONNECTION_VALUE(local, text_value(connection->local))
CONNECTION_VALUE(name, text_value(connection->name))

static const struct top_column connection_columns[] = {
	{"ID", TOP_NUMBER, 4, 0, false, false, connection_id},
	{"SERVICE", TOP_TEXT, 8, 1, true, false, connection_service},
	{"PEER", TOP_TEXT, 15, 0, true, false, connection_peer},
	{"AGE", TOP_AGE, 4, 6, false, false, connection_age},
	{"PID", TOP_NUMBER, 5, 2, false, false, connection_pid},
	{"USER", TOP_TEXT, 6, 8, true, false, connection_user},
	{"CPU%", TOP_PERCENT, 4, 3, false, false, connection_cpu},
	{"MEM", TOP_BYTES, 4, 7, false, false, connection_memory},
	{"RX/s", TOP_BYTES, 4, 4, false, false, connection_receives},
	{"TX/s", TOP_BYTES, 4, 5, false, false, connection_sends},
	{"STATE", TOP_TEXT, 8, 9, true, false, connection_state},
	{"RX", TOP_BYTES, 4, 10, false, true, connection_received},
	{"TX", TOP_BYTES, 4, 11, false, true, connection_sent},
	{"LOCAL", TOP_TEXT, 15, 12, true, true, connection_local},
	{"NAME", TOP_TEXT, 15, 13, true, true, connection_name},
};

/* -------------------------------------------------------------------------------- */

const struct top_column *top_columns(enum top_table table, size_t *ret_n)
{
	*ret_n = table == TOP_SERVICES ? ARRAY_SIZE(service_columns)
	                               : ARRAY_SIZE(connection_columns);
	return table == TOP_SERVICES ? service_columns : connection_columns;
}

static size_t bare_length(const char *head)
{
	size_t len = strcspn(head, "/%");

	return len > 0 ? len : strlen(head);
}

/* "rx" is the first of RX/s and RX: what is shown is found first, by all of its name
 * anything. */
int top_column_find(enum top_table table, const char *name)
{
	size_t n;
	const struct top_column *columns = top_columns(table, &n);

	for (size_t i = 0; i < n; i++)
		if (strcasecmp(columns[i].head, name) == 0)
			return (int)i;
	for (size_t i = 0; i < n; i++)
		if (strlen(name) == bare_length(columns[i].head) &&
			strncasecmp(columns[i].head, name, strlen(name)) == 0)
			return (int)i;
	return -ENOENT;
}

size_t top_count_rows(enum top_table table, const struct top_sample *sample)
{
	return table == TOP_SERVICES ? sample->n_services : sample->n_connections;
}

/* ------------------------------------------------------------------------ writing */

/* Nothing is "0", for then all that is something stands out. */
static void format_rate(double rate, char *buf)
{
	if (rate <= 0)
		strcpy(buf, "0");
	else if (rate < 99.95)
		snprintf(buf, TOP_CELL_MAX, "%.1f", rate);
	else
		snprintf(buf, TOP_CELL_MAX, "%.0f", rate);
}

/* Four characters at most: "999", "1.2K", "12K", "999K", "1.0M". */
static void format_bytes(double bytes, char *buf)
{
	static const char units[] = "KMGTPE";
	size_t unit = 0;

	if (bytes < 999.5) {
		snprintf(buf, TOP_CELL_MAX, "%.0f", bytes);
		return;
	}
	for (bytes /= 1024; bytes >= 999.5 && unit + 2 < sizeof units; bytes /= 1024)
		unit++;
	snprintf(buf, TOP_CELL_MAX, bytes < 9.95 ? "%.1f%c" : "%.0f%c", bytes, units[unit]);
}

/* Four characters for the first 999 days: "59s", "9m59", "59m", "9h59", "23h", "9d23". */
static void format_age(uint64_t usec, char *buf)
{
	uint64_t s = usec / USEC_PER_SEC, m = s / 60, h = m / 60, d = h / 24;

	if (m == 0)
		snprintf(buf, TOP_CELL_MAX, "%" PRIu64 "s", s);
	else if (m < 10)
		snprintf(buf, TOP_CELL_MAX, "%" PRIu64 "m%02" PRIu64, m, s % 60);
	else if (h == 0)
		snprintf(buf, TOP_CELL_MAX, "%" PRIu64 "m", m);
	else if (h < 10)
		snprintf(buf, TOP_CELL_MAX, "%" PRIu64 "h%02" PRIu64, h, m % 60);
	else if (d == 0)
		snprintf(buf, TOP_CELL_MAX, "%" PRIu64 "h", h);
	else if (d < 10)
		snprintf(buf, TOP_CELL_MAX, "%" PRIu64 "d%02" PRIu64, d, h % 24);
	else
		snprintf(buf, TOP_CELL_MAX, "%" PRIu64 "d", d);
}

static void format_number(const struct top_column *column, double number, char *buf)
{
	switch (column->kind) {
	case TOP_TEXT:
	case TOP_NUMBER:
		snprintf(buf, TOP_CELL_MAX, "%.0f", number);
		break;
	case TOP_RATE:
	case TOP_PERCENT:
		format_rate(number, buf);
		break;
	case TOP_BYTES:
		format_bytes(number, buf);
		break;
	case TOP_AGE:
		format_age((uint64_t)number, buf);
		break;
	}
}

const char *top_format(
	const struct top_column *column, struct top_value value, char buf[TOP_CELL_MAX])
{
	if (value.text)
		snprintf(buf, TOP_CELL_MAX, "%s", *value.text ? value.text : "-");
	else if (value.number < 0)
		strcpy(buf, "-");
	else
		format_number(column, value.number, buf);
	return buf;
}
