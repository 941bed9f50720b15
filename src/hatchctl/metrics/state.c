#include "hatchctl/metrics/state.h"

#include <string.h>

/* ------------------------------------------------------------------ hatchd itself */

/* What is said is in the label. */
static void put_info(struct exposition *x, const struct metric *metric, const char *label,
	struct json_value value)
{
	_cleanup_free_ char *text = json_to_string(value);
	const struct metric_labels labels = {{{label, text}}, 1};

	exposition_begin(x, metric);
	if (text)
		exposition_number(x, &labels, 1);
}

static void put_infos(struct exposition *x, struct json_value line)
{
	static const struct metric build = {
		"hatchd_build", "The version of hatchd.", NULL, METRIC_INFO};
	static const struct metric spawn = {
		"hatchd_spawn_mode", "How children start.", NULL, METRIC_INFO};

	put_info(x, &build, "version", json_get(line, "hatchd"));
	put_info(x, &spawn, "mode", json_get(line, "spawn_mode"));
}

static void put_reload(struct exposition *x, struct json_value line)
{
	static const struct metric metric = {"hatchd_last_reload_successful",
		"Whether the files as they were at the last reload are in force.", NULL,
		METRIC_GAUGE};
	struct json_value failed = json_get(line, "reload_failed");

	exposition_begin(x, &metric);
	if (failed.at)
		exposition_number(x, NULL, !json_is_true(failed));
}

/* Of each worker what stands there under that key: a number, or whether it is true. */
static void put_workers(struct exposition *x, struct json_value workers,
	const struct metric *metric, const char *key)
{
	struct json_value item = {NULL, NULL};

	exposition_begin(x, metric);
	while (json_next(workers, &item, NULL)) {
		_cleanup_free_ char *name = json_to_string(json_get(item, "name"));
		const struct metric_labels labels = {{{"worker", name}}, 1};
		struct json_value value = json_get(item, key);

		if (name && value.at)
			exposition_number(
				x, &labels, json_is_true(value) ? 1 : json_to_number(value));
	}
}

void metrics_put_hatchd(struct exposition *x, struct json_value line)
{
	static const struct metric runs = {
		"hatchd_worker_up", "Whether the worker runs.", NULL, METRIC_GAUGE};
	static const struct metric started = {"hatchd_worker_starts",
		"How often the worker was started.", NULL, METRIC_COUNTER};
	static const struct metric connections = {"hatchd_worker_connections",
		"Connections, or questions, that the worker has.", NULL, METRIC_GAUGE};
	struct json_value workers = json_get(line, "workers");

	put_infos(x, line);
	put_reload(x, line);
	put_workers(x, workers, &runs, "runs");
	put_workers(x, workers, &started, "started");
	put_workers(x, workers, &connections, "connections");
}

/* ---------------------------------------------------------------------- services */

typedef void (*put_service)(struct exposition *x, const struct metric_labels *labels,
	struct json_value service, const struct backlogs *backlogs);

static void put_services(struct exposition *x, const struct metric *metric,
	const struct answer *services, const struct backlogs *backlogs, put_service put)
{
	exposition_begin(x, metric);
	for (size_t i = 0; i < services->n_lines; i++) {
		_cleanup_free_ char *name =
			json_to_string(json_get(services->lines[i], "service"));
		const struct metric_labels labels = {{{"service", name}}, 1};

		if (name)
			put(x, &labels, services->lines[i], backlogs);
	}
}

static struct metric_labels with(
	const struct metric_labels *labels, const char *name, const char *value)
{
	struct metric_labels more = *labels;

	more.items[more.n++] = (struct metric_label){name, value};
	return more;
}

static void put_state(struct exposition *x, const struct metric_labels *labels,
	struct json_value service, const struct backlogs *backlogs)
{
	_cleanup_free_ char *state = json_to_string(json_get(service, "state"));
	struct metric_labels more = with(labels, "state", state);

	(void)backlogs;
	if (state)
		exposition_number(x, &more, 1);
}

static void put_pending(struct exposition *x, const struct metric_labels *labels,
	struct json_value service, const struct backlogs *backlogs)
{
	struct json_value pending = json_get(service, "pending");

	(void)backlogs;
	if (pending.at)
		exposition_number(x, labels, json_to_number(pending));
}

static void put_certificate(struct exposition *x, const struct metric_labels *labels,
	struct json_value service, const struct backlogs *backlogs)
{
	struct json_value ends = json_get(service, "certificate_ends");

	(void)backlogs;
	if (ends.at)
		exposition_number(x, labels, json_to_number(ends));
}

/* --------------------------------------------------------------------- addresses */

enum of_address {
	OF_OPEN,
	OF_QUEUE,
	OF_LIMIT,
};

static bool is_open(struct json_value address)
{
	_cleanup_free_ char *state = json_to_string(json_get(address, "state"));

	return state && strcmp(state, "open") == 0;
}

/* As the text has it, which is canonical. */
static bool find_backlog(const struct backlogs *backlogs, const char *text, struct backlog *ret)
{
	struct addr_spec spec;
	const char *why;

	return addr_parse(text, &spec, &why) == 0 && backlogs_find(backlogs, &spec.addr, ret);
}

static void put_address(struct exposition *x, const struct metric_labels *labels,
	struct json_value address, const struct backlogs *backlogs, enum of_address what)
{
	_cleanup_free_ char *text = json_to_string(json_get(address, "address"));
	struct metric_labels more = with(labels, "address", text);
	bool open = is_open(address);
	struct backlog backlog;

	if (!text)
		return;
	if (what == OF_OPEN)
		exposition_number(x, &more, open);
	else if (open && find_backlog(backlogs, text, &backlog))
		exposition_number(x, &more, what == OF_QUEUE ? backlog.waiting : backlog.limit);
}

static void put_addresses(struct exposition *x, const struct metric_labels *labels,
	struct json_value service, const struct backlogs *backlogs, enum of_address what)
{
	struct json_value addresses = json_get(service, "addresses"), item = {NULL, NULL};

	while (json_next(addresses, &item, NULL))
		put_address(x, labels, item, backlogs, what);
}

static void put_open(struct exposition *x, const struct metric_labels *labels,
	struct json_value service, const struct backlogs *backlogs)
{
	put_addresses(x, labels, service, backlogs, OF_OPEN);
}

static void put_queue(struct exposition *x, const struct metric_labels *labels,
	struct json_value service, const struct backlogs *backlogs)
{
	put_addresses(x, labels, service, backlogs, OF_QUEUE);
}

static void put_limit(struct exposition *x, const struct metric_labels *labels,
	struct json_value service, const struct backlogs *backlogs)
{
	put_addresses(x, labels, service, backlogs, OF_LIMIT);
}

void metrics_put_state(
	struct exposition *x, const struct answer *services, const struct backlogs *backlogs)
{
	static const struct {
		struct metric metric;
		put_service put;
	} rows[] = {
		{{"hatchd_service_state", "The state that the service is in.", NULL,
			 METRIC_GAUGE},
			put_state},
		{{"hatchd_clients_pending",
			 "Clients that have come and are not served yet, where that takes "
			 "time.",
			 NULL, METRIC_GAUGE},
			put_pending},
		{{"hatchd_certificate_expiry_timestamp_seconds",
			 "When the first certificate of the service ends, in seconds since "
			 "1970.",
			 "seconds", METRIC_GAUGE},
			put_certificate},
		{{"hatchd_listener_open", "Whether the address can be had.", NULL,
			 METRIC_GAUGE},
			put_open},
		{{"hatchd_listener_queue",
			 "Connections that the kernel keeps until they are accepted.", NULL,
			 METRIC_GAUGE},
			put_queue},
		{{"hatchd_listener_queue_limit",
			 "Connections that the kernel keeps at most (backlog).", NULL,
			 METRIC_GAUGE},
			put_limit},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		put_services(x, &rows[i].metric, services, backlogs, rows[i].put);
}
