/*
 * hatchctl status: how a running hatchd is, and which of its services are not served, or have
 * certificates that end soon.
 */
#include "base/text.h"
#include "hatchctl/ask/answer.h"
#include "hatchctl/command.h"
#include "hatchctl/show/service-row.h"
#include "hatchctl/table/figures.h"
#include "hatchctl/table/view.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct view_command status_view = {
	.name = "status",
	.help = "Usage: hatchctl status [OPTION...]\n"
		"\n"
		"Tell how the running hatchd is, and of each service that does not take in\n"
		"clients, or lacks an address, or has a certificate that ends soon, why.\n"
		"With --raw there are only these services.\n",
	.columns = service_columns,
	.n_columns = _SERVICE_COLUMN_MAX,
	.standard = "service,state,reason",
};

static uint64_t number(struct json_value object, const char *key)
{
	return json_to_number(json_get(object, key));
}

/* A text of the peer's, for a terminal. */
static void put_text(FILE *out, struct json_value value, const char *otherwise)
{
	_cleanup_free_ char *text = json_to_string(value);
	char shown[1024];

	fputs(text ? text_escape(text, strlen(text), shown, sizeof shown) : otherwise, out);
}

static void put_head(FILE *out, const char *head)
{
	fprintf(out, "%-15s", head);
}

static void put_process(FILE *out, struct json_value status)
{
	char elapsed[TEXT_NUMBER_MAX], at[FIGURES_MAX];

	put_head(out, "Process:");
	fprintf(out, "%" PRIu64 ", ", number(status, "pid"));
	put_text(out, json_get(status, "state"), "?");
	fprintf(out, " for %s, since %s\n",
		text_format_elapsed(number(status, "up_usec"), elapsed),
		figures_time(number(status, "since"), at));
}

/* While it drains, or stops after that. */
static void put_drain(FILE *out, struct json_value drain)
{
	struct json_value left = json_get(drain, "left_usec");
	char elapsed[TEXT_NUMBER_MAX];

	if (!drain.at)
		return;
	put_head(out, "Draining:");
	fprintf(out, "%" PRIu64 " %s", number(drain, "connections"),
		number(drain, "connections") == 1 ? "connection" : "connections");
	if (left.at)
		fprintf(out, ", %s left", text_format_elapsed(json_to_number(left), elapsed));
	fputc('\n', out);
}

static void put_reload(FILE *out, struct json_value reload)
{
	_cleanup_free_ char *last = json_to_string(json_get(reload, "last"));
	char elapsed[TEXT_NUMBER_MAX];

	put_head(out, "Last reload:");
	if (!last) {
		fputs("none yet", out);
	} else {
		fprintf(out, "%s %s ago", strcmp(last, "failed") == 0 ? "failed" : "done",
			text_format_elapsed(number(reload, "ago_usec"), elapsed));
		if (json_get(reload, "reason").at)
			fputs(": ", out);
		put_text(out, json_get(reload, "reason"), "");
	}
	fputs(json_is_true(json_get(reload, "running")) ? "; one is running\n" : "\n", out);
}

/* Of this process: an upgrade does not change it.  Nothing if there was none. */
static void put_upgrade(FILE *out, struct json_value upgrade)
{
	struct json_value reason = json_get(upgrade, "reason");
	bool running = json_is_true(json_get(upgrade, "running"));

	if (number(upgrade, "done") + number(upgrade, "failed") == 0 && !running)
		return;
	put_head(out, "Last upgrade:");
	if (running) {
		fputs("running", out);
	} else {
		fputs(reason.at ? "failed: " : "done", out);
		put_text(out, reason, "");
	}
	fprintf(out, "; done so far: %" PRIu64 ", failed: %" PRIu64 "\n",
		number(upgrade, "done"), number(upgrade, "failed"));
}

/* "17: per_source 15, rate 2" */
static void put_counts(FILE *out, struct json_value counts)
{
	struct json_value item = {NULL, NULL}, key;
	const char *before = ": ";
	uint64_t all = 0;

	while (json_next(counts, &item, NULL))
		all += json_to_number(item);
	fprintf(out, "%" PRIu64, all);
	item = (struct json_value){NULL, NULL};
	while (json_next(counts, &item, &key)) {
		fputs(before, out);
		put_text(out, key, "?");
		fprintf(out, " %" PRIu64, json_to_number(item));
		before = ", ";
	}
	fputc('\n', out);
}

static size_t count_serving(const struct answer *services)
{
	size_t n = 0;

	for (size_t i = 0; i < services->n_lines; i++)
		n += service_is_serving(services->lines[i]);
	return n;
}

static void put_workers(FILE *out, struct json_value workers)
{
	struct json_value item = {NULL, NULL};

	while (json_next(workers, &item, NULL)) {
		put_head(out, "Worker:");
		put_text(out, json_get(item, "name"), "?");
		if (number(item, "pid") > 0)
			fprintf(out, ", process %" PRIu64, number(item, "pid"));
		fputs(", ", out);
		put_text(out, json_get(item, "state"), "?");
		fprintf(out, ", connections: %" PRIu64 "\n", number(item, "connections"));
	}
}

/* Of the services that have one. */
static void put_backends(FILE *out, const struct answer *services)
{
	for (size_t i = 0; i < services->n_lines; i++) {
		struct json_value backend = json_get(services->lines[i], "backend");

		if (!backend.at)
			continue;
		put_head(out, "Backend:");
		put_text(out, json_get(services->lines[i], "service"), "?");
		if (number(backend, "pid") > 0)
			fprintf(out, ", process %" PRIu64, number(backend, "pid"));
		fputs(", ", out);
		put_text(out, json_get(backend, "state"), "?");
		if (json_get(backend, "reason").at)
			fputs(": ", out);
		put_text(out, json_get(backend, "reason"), "");
		fprintf(out, ", connections: %" PRIu64 "\n", number(backend, "connections"));
	}
}

static void put_children(FILE *out, struct json_value status)
{
	put_head(out, "Children:");
	fprintf(out, "%" PRIu64 " of at most %" PRIu64 ", start with ",
		number(status, "children"), number(status, "total_instances"));
	put_text(out, json_get(status, "spawn"), "?");
	fputc('\n', out);
	if (number(status, "orphans") == 0)
		return;
	put_head(out, "Orphans:");
	fprintf(out, "%" PRIu64 " left by an earlier hatchd\n", number(status, "orphans"));
}

static void put_kept(FILE *out, uint64_t n)
{
	if (n == 0)
		return;
	put_head(out, "Kept:");
	fprintf(out, "%" PRIu64 " socket%s, by the service manager\n", n, n == 1 ? "" : "s");
}

static void put_handed_over(FILE *out, struct json_value handed_over)
{
	uint64_t n = number(handed_over, "sockets");
	uint64_t unclaimed = number(handed_over, "unclaimed");

	if (n == 0)
		return;
	put_head(out, "Handed over:");
	fprintf(out, "%" PRIu64 " socket%s, by the service manager", n, n == 1 ? "" : "s");
	if (unclaimed > 0)
		fprintf(out, "; for no service: %" PRIu64, unclaimed);
	fputc('\n', out);
}

static void put_clients(FILE *out, struct json_value status)
{
	put_head(out, "Connections:");
	fprintf(out, "%" PRIu64 " so far\n", number(status, "connections"));
	put_head(out, "Clients:");
	fprintf(out, "%" PRIu64 " with a child, %" PRIu64 " others remembered",
		number(status, "clients"), number(status, "remembered"));
	fprintf(out, "; banned so far: %" PRIu64 "\n", number(status, "bans"));
	put_head(out, "Refused:");
	put_counts(out, json_get(status, "refused"));
}

static void put_facts(FILE *out, struct json_value status, const struct answer *services)
{
	put_head(out, "hatchd:");
	put_text(out, json_get(status, "hatchd"), "?");
	fputc('\n', out);
	put_process(out, status);
	put_drain(out, json_get(status, "drain"));
	put_head(out, "Configuration:");
	put_text(out, json_get(status, "config"), "the command line");
	fputc('\n', out);
	put_reload(out, json_get(status, "reload"));
	put_upgrade(out, json_get(status, "upgrade"));
	put_head(out, "Services:");
	fprintf(out, "%zu, serving %zu\n", services->n_lines, count_serving(services));
	put_children(out, status);
	put_kept(out, number(status, "kept"));
	put_handed_over(out, json_get(status, "handed_over"));
	put_clients(out, status);
	put_workers(out, json_get(status, "workers"));
	put_backends(out, services);
}

static int print_facts(const struct answer *status, const struct answer *services)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (out && status->n_lines > 0)
		put_facts(out, status->lines[0], services);
	if (!out || fclose(out) != 0)
		return command_failed("unable to show the status: %s", strerror(ENOMEM));
	return command_print(text);
}

static int print_for_people(
	const struct answer *status, const struct answer *services, const struct table *table)
{
	int r = print_facts(status, services);

	if (r != COMMAND_DONE || table->n_rows == 0)
		return r;
	fputc('\n', stdout);
	return table_print(table, "services");
}

/* hatchd's own line is one of the two members. */
static int print_json(const struct answer *status, const struct table *table)
{
	if (table->error)
		return command_failed("unable to show the status: %s", strerror(-table->error));
	fputs("{\"hatchd\":", stdout);
	if (status->n_lines > 0)
		table_write_value(status->lines[0], stdout);
	else
		fputs("null", stdout);
	fputs(",\n", stdout);
	table_write_member(table, "services", stdout);
	fputs("}\n", stdout);
	return command_flush();
}

static int print(const struct answer *status, const struct answer *services,
	const struct table_style *style)
{
	_cleanup_table_ struct table table;

	table_init(&table, service_columns, style);
	for (size_t i = 0; i < services->n_lines; i++)
		if (!service_is_well(services->lines[i]))
			service_row_add(&table, services->lines[i]);
	switch (style->form) {
	case TABLE_JSON:
		return print_json(status, &table);
	case TABLE_RAW:
		return table_print(&table, "services");
	default:
		return print_for_people(status, services, &table);
	}
}

int command_status(int argc, char **argv)
{
	_cleanup_answer_ struct answer status = {0}, services = {0};
	struct view view;
	int r;

	r = view_parse(argc, argv, &status_view, &view);
	if (r != COMMAND_DONE || view.helped)
		return r;
	if (optind < argc)
		return command_misused("status", "unexpected argument '%s'", argv[optind]);
	r = answer_get(view.path, "status\n", &status);
	if (r == COMMAND_DONE)
		r = answer_get(view.path, "list\n", &services);
	return r == COMMAND_DONE ? print(&status, &services, &view.style) : r;
}
