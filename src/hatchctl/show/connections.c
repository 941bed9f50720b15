/*
 * hatchctl connections: who is connected, and what that costs.
 *
 * What processes use and connections carry is not for hatchd to tell, which reads no file and
 * keeps no descriptor of them: the kernel is asked, and only for columns that are shown.
 */
#include "hatchctl/command.h"
#include "hatchctl/measure/proc.h"
#include "hatchctl/measure/tcp-bytes.h"
#include "hatchctl/table/listing.h"

#include <string.h>

enum connection_column {
	CONNECTION_ID,
	CONNECTION_SERVICE,
	CONNECTION_PEER,
	CONNECTION_LOCAL,
	CONNECTION_AGE,
	CONNECTION_SINCE,
	CONNECTION_PID,
	CONNECTION_WORKER,
	CONNECTION_PROGRAM,
	CONNECTION_USER,
	CONNECTION_STATE,
	CONNECTION_REASON,
	CONNECTION_CPU,
	CONNECTION_MEMORY,
	CONNECTION_RX,
	CONNECTION_TX,
	CONNECTION_NAME,
	CONNECTION_IDENT,
	CONNECTION_PROXY,
	CONNECTION_REACHED,
	CONNECTION_STATUS,
	_CONNECTION_COLUMN_MAX,
};

static const struct table_column columns[_CONNECTION_COLUMN_MAX] = {
	[CONNECTION_ID] = {"ID", "connection", TABLE_COUNT, "its number, as in the log"},
	[CONNECTION_SERVICE] = {"SERVICE", "service", TABLE_TEXT, "whose client it is"},
	[CONNECTION_PEER] = {"PEER", "peer", TABLE_TEXT, "the address of the client"},
	[CONNECTION_LOCAL] = {"LOCAL", "local", TABLE_TEXT, "the address he has come to"},
	[CONNECTION_AGE] = {"AGE", "age_usec", TABLE_DURATION, "how long it has been there"},
	[CONNECTION_SINCE] = {"SINCE", "since", TABLE_TIME, "when it began"},
	[CONNECTION_PID] = {"PID", "pid", TABLE_COUNT, "the process of its program"},
	[CONNECTION_WORKER] = {"WORKER", "worker", TABLE_TEXT,
		"which program of hatchd serves it, if one does"},
	[CONNECTION_PROGRAM] = {"PROGRAM", "program", TABLE_TEXT, "what that process runs now"},
	[CONNECTION_USER] = {"USER", "user", TABLE_TEXT, "who the program was started as"},
	[CONNECTION_STATE] = {"STATE", "state", TABLE_TEXT,
		"starting, running, reloading, stopping or ending"},
	[CONNECTION_REASON] = {"REASON", "reason", TABLE_TEXT, "why it is ending"},
	[CONNECTION_CPU] = {"CPU", "cpu_usec", TABLE_DURATION, "what the process has used"},
	[CONNECTION_MEMORY] = {"MEMORY", "memory", TABLE_BYTES,
		"what the process has in memory"},
	[CONNECTION_RX] = {"RX", "received", TABLE_BYTES, "TCP: bytes from the client"},
	[CONNECTION_TX] = {"TX", "sent", TABLE_BYTES, "TCP: bytes that have got to him"},
	[CONNECTION_NAME] = {"NAME", "peer_name", TABLE_TEXT,
		"the client's, where resolve = yes"},
	[CONNECTION_IDENT] = {"IDENT", "peer_user", TABLE_TEXT, "his user, where ident = yes"},
	[CONNECTION_PROXY] = {"PROXY", "proxy", TABLE_TEXT,
		"who speaks for him, if somebody does"},
	[CONNECTION_REACHED] = {"REACHED", "reached", TABLE_TEXT, "where that one has come to"},
	[CONNECTION_STATUS] = {"STATUS", "status", TABLE_TEXT,
		"what the program says of itself (notify = yes)"},
};

static const struct view_command connections = {
	.name = "connections",
	.help = "Usage: hatchctl connections [OPTION...] [SERVICE]\n"
		"\n"
		"Who is connected, to any service or to that one.  CPU and MEMORY are those of "
		"one\n"
		"process, without its children; RX and TX are what the kernel has counted.\n",
	.columns = columns,
	.n_columns = _CONNECTION_COLUMN_MAX,
	.standard = "id,service,peer,age,pid,user,state,cpu,memory,rx,tx",
};

static void put_process(struct table *table, pid_t hatchd, struct json_value connection)
{
	uint64_t pid = json_to_number(json_get(connection, "pid"));
	struct proc proc;

	if (pid == 0 || pid > INT32_MAX || proc_read_child((pid_t)pid, hatchd, &proc) < 0)
		return;
	table_put_text(table, CONNECTION_PROGRAM, proc.name);
	table_put_number(table, CONNECTION_CPU, proc.cpu);
	table_put_number(table, CONNECTION_MEMORY, proc.memory);
}

/* The kernel knows of those two who are connected, for whomever one of them speaks. */
static const struct tcp_bytes_entry *find_bytes(
	const struct tcp_bytes *bytes, struct json_value connection)
{
	bool proxied = json_get(connection, "proxy").at;
	_cleanup_free_ char *local =
		json_to_string(json_get(connection, proxied ? "reached" : "local"));
	_cleanup_free_ char *peer =
		json_to_string(json_get(connection, proxied ? "proxy" : "peer"));

	return local && peer ? tcp_bytes_find(bytes, local, peer) : NULL;
}

static void put_bytes(
	struct table *table, const struct tcp_bytes *bytes, struct json_value connection)
{
	const struct tcp_bytes_entry *entry = find_bytes(bytes, connection);

	if (!entry)
		return;
	table_put_number(table, CONNECTION_RX, entry->received);
	table_put_number(table, CONNECTION_TX, entry->sent);
}

static void put_facts(struct table *table, struct json_value connection)
{
	static const enum connection_column as_told[] = {CONNECTION_ID, CONNECTION_SERVICE,
		CONNECTION_PEER, CONNECTION_LOCAL, CONNECTION_AGE, CONNECTION_SINCE,
		CONNECTION_PID, CONNECTION_WORKER, CONNECTION_USER, CONNECTION_STATE,
		CONNECTION_REASON, CONNECTION_NAME, CONNECTION_IDENT, CONNECTION_PROXY,
		CONNECTION_REACHED, CONNECTION_STATUS};

	for (size_t i = 0; i < ARRAY_SIZE(as_told); i++)
		table_put(table, as_told[i], json_get(connection, columns[as_told[i]].key));
}

static void add_connection(struct table *table, pid_t hatchd, const struct tcp_bytes *bytes,
	struct json_value connection)
{
	_cleanup_free_ char *state = json_to_string(json_get(connection, "state"));

	table_begin_row(table);
	put_facts(table, connection);
	if (state && strcmp(state, "ending") == 0)
		table_set_color(table, CONNECTION_STATE, "yellow");
	put_bytes(table, bytes, connection);
	if (table_shows(table, CONNECTION_PROGRAM) || table_shows(table, CONNECTION_CPU) ||
		table_shows(table, CONNECTION_MEMORY))
		put_process(table, hatchd, connection);
}

/* What cannot be found out is not known, and the rest of the table is. */
static void read_bytes(const struct table *table, struct tcp_bytes *bytes)
{
	int r;

	if (!table_shows(table, CONNECTION_RX) && !table_shows(table, CONNECTION_TX))
		return;
	r = tcp_bytes_read(bytes);
	if (r < 0)
		command_warn("unable to read what connections carry: %s", strerror(-r));
}

int command_connections(int argc, char **argv)
{
	_cleanup_answer_ struct answer answer = {0};
	_cleanup_tcp_bytes_ struct tcp_bytes bytes = {0};
	_cleanup_table_ struct table table;
	struct view view;
	int r = listing_get(argc, argv, &connections, &view, &answer);

	table_init(&table, connections.columns, &view.style);
	if (r != COMMAND_DONE || view.helped)
		return r;
	read_bytes(&table, &bytes);
	for (size_t i = 0; i < answer.n_lines; i++)
		add_connection(&table, answer.pid, &bytes, answer.lines[i]);
	return table_print(&table, "connections");
}
