#include "hatchctl/metrics/table.h"

#include "base/own.h"

const char *metrics_member_key(enum metrics_member member)
{
	static const char *const keys[_METRICS_MEMBER_MAX] = {
		[METRICS_ACCEPTED] = "accepted",
		[METRICS_BACKEND_STARTED] = "backend_started",
		[METRICS_BANS] = "bans",
		[METRICS_BYTES_IN] = "bytes_in",
		[METRICS_BYTES_OUT] = "bytes_out",
		[METRICS_CHILDREN] = "children",
		[METRICS_CPU] = "cpu_usec",
		[METRICS_ENDED] = "ended",
		[METRICS_FORGOTTEN] = "forgotten",
		[METRICS_INSTANCES] = "instances",
		[METRICS_LOG_LOST] = "log_lost",
		[METRICS_ORPHANS] = "orphans",
		[METRICS_QUEUE] = "queue",
		[METRICS_REFUSED] = "refused",
		[METRICS_RELOADS] = "reloads",
		[METRICS_REMOVED] = "removed",
		[METRICS_SERVICES] = "services",
		[METRICS_SESSIONS] = "sessions",
		[METRICS_SINCE] = "since",
		[METRICS_SOURCES] = "sources",
		[METRICS_SPAWN] = "spawn",
		[METRICS_STARTED] = "started",
		[METRICS_TOTAL_INSTANCES] = "total_instances",
		[METRICS_UP] = "up_usec",
		[METRICS_WAIT] = "wait",
	};

	return keys[member];
}

#define ROW(of, member, value, type, ...)                                                      \
	{                                                                                      \
		METRICS_OF_##of, METRICS_##member, METRICS_##value, METRIC_##type, __VA_ARGS__ \
	}

/* clang-format off */
static const struct metrics_row rows[] = {
	ROW(HATCHD, SINCE, NUMBER, GAUGE, "start_time_seconds", "seconds", NULL,
		"When hatchd was started, in seconds since 1970"),
	ROW(HATCHD, UP, USEC, GAUGE, "uptime_seconds", "seconds", NULL,
		"How long hatchd has been running"),
	ROW(HATCHD, RELOADS, WORDS, COUNTER, "reloads", NULL, "result",
		"Reloads of the configuration, by what became of them"),
	ROW(HATCHD, SERVICES, NUMBER, GAUGE, "services", NULL, NULL,
		"Services in force"),
	ROW(HATCHD, REMOVED, NUMBER, GAUGE, "services_removed", NULL, NULL,
		"Services that are not in force, but have children still"),
	ROW(HATCHD, TOTAL_INSTANCES, NUMBER, GAUGE, "all_children_limit", NULL, NULL,
		"Children that all services may have together (total_instances)"),
	ROW(HATCHD, ORPHANS, NUMBER, GAUGE, "orphans", NULL, NULL,
		"Processes that an earlier hatchd has left running, if that is known"),
	ROW(HATCHD, SOURCES, WORDS, GAUGE, "sources", NULL, "kind",
		"Sources of clients that something is known of"),
	ROW(HATCHD, FORGOTTEN, NUMBER, COUNTER, "sources_forgotten", NULL, NULL,
		"Sources that were forgotten before their time, for want of places"),
	ROW(HATCHD, BANS, NUMBER, COUNTER, "bans", NULL, NULL,
		"Bans that were begun or made longer"),
	ROW(HATCHD, LOG_LOST, NUMBER, COUNTER, "log_messages_lost", NULL, NULL,
		"Messages that the log did not take"),

	ROW(BOTH, ACCEPTED, NUMBER, COUNTER, "connections_accepted", NULL, NULL,
		"Connections that were accepted, those among them that were then refused"),
	ROW(BOTH, REFUSED, WORDS, COUNTER, "connections_refused", NULL, "reason",
		"Clients that were not let in, by reason"),
	ROW(BOTH, CHILDREN, NUMBER, GAUGE, "children", NULL, NULL,
		"Clients that are served now, by a program or a worker"),
	ROW(SERVICE, INSTANCES, NUMBER, GAUGE, "children_limit", NULL, NULL,
		"Clients that may be served at once (instances), if there is a limit"),
	ROW(SERVICE, STARTED, NUMBER, COUNTER, "children_started", NULL, NULL,
		"Programs that were started, and sessions that were given to workers"),
	ROW(BOTH, ENDED, WORDS, COUNTER, "children_ended", NULL, "result",
		"Programs that have ended, or not come to their exec"),
	ROW(BOTH, SESSIONS, WORDS, COUNTER, "sessions_ended", NULL, "result",
		"Sessions of workers that have ended"),
	ROW(SERVICE, BACKEND_STARTED, NUMBER, COUNTER, "backend_started", NULL, NULL,
		"Processes of the backend that were started"),
	ROW(BOTH, CPU, USEC, COUNTER, "cpu_seconds", "seconds", NULL,
		"User and system time of programs that have ended, and of their children"),
	ROW(BOTH, BYTES_IN, NUMBER, COUNTER, "received_bytes", "bytes", NULL,
		"Bytes that came from clients, as far as hatchd knows"),
	ROW(BOTH, BYTES_OUT, NUMBER, COUNTER, "sent_bytes", "bytes", NULL,
		"Bytes that went to clients, as far as hatchd knows"),
	ROW(BOTH, QUEUE, DURATIONS, HISTOGRAM, "queue_seconds", "seconds", NULL,
		"From the end of the TCP handshake to accept"),
	ROW(BOTH, WAIT, DURATIONS, HISTOGRAM, "wait_seconds", "seconds", NULL,
		"From accept until there was somebody to serve the client"),
	ROW(BOTH, SPAWN, DURATIONS, HISTOGRAM, "spawn_seconds", "seconds", NULL,
		"From then until its program was seen to run"),
};
/* clang-format on */

const struct metrics_row *metrics_row(size_t i)
{
	return i < ARRAY_SIZE(rows) ? &rows[i] : NULL;
}
