/*
 * hatchctl status: how a running hatchd is, and which of its services are not served, or have
 * certificates that end soon.
 */
#include "base/clock.h"
#include "base/text.h"
#include "hatchctl/answer.h"
#include "hatchctl/command.h"
#include "hatchctl/table.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char help[] =
	"Usage: hatchctl status [--control PATH] [--json]\n"
	"\n"
	"Tell how the running hatchd is, of each service that does not take in clients why it\n"
	"does not, and whose certificate ends soon.\n"
	"\n"
	"      --control PATH   the socket of hatchd (/run/hatchd/control)\n"
	"  -j, --json           the lines as hatchd writes them\n"
	"  -h, --help           this text\n"
	"\n"
	"Exit status: 0 done, 1 hatchd does not run, or does not answer that, 2 the command\n"
	"line is wrong.\n";

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
	time_t since = (time_t)number(status, "since");
	char elapsed[TEXT_NUMBER_MAX], at[64] = "";
	struct tm tm;

	if (localtime_r(&since, &tm))
		strftime(at, sizeof at, ", since %Y-%m-%d %H:%M:%S", &tm);
	put_head(out, "Process:");
	fprintf(out, "%" PRIu64 ", ", number(status, "pid"));
	put_text(out, json_get(status, "state"), "?");
	fprintf(out, " for %s%s\n", text_format_elapsed(number(status, "up_usec"), elapsed),
		at);
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

static bool is_serving(struct json_value service)
{
	_cleanup_free_ char *state = json_to_string(json_get(service, "state"));

	return state && strcmp(state, "serving") == 0;
}

static size_t count_serving(const struct answer *services)
{
	size_t n = 0;

	for (size_t i = 0; i < services->n_lines; i++)
		n += is_serving(services->lines[i]);
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
	put_head(out, "Configuration:");
	put_text(out, json_get(status, "config"), "the command line");
	fputc('\n', out);
	put_reload(out, json_get(status, "reload"));
	put_head(out, "Services:");
	fprintf(out, "%zu, serving %zu\n", services->n_lines, count_serving(services));
	put_children(out, status);
	put_clients(out, status);
	put_workers(out, json_get(status, "workers"));
	put_backends(out, services);
}

/* Which of its addresses is the first that cannot be had, and why not. */
static char *reason_of_address(struct json_value service)
{
	struct json_value item = {NULL, NULL};

	while (json_next(json_get(service, "addresses"), &item, NULL)) {
		_cleanup_free_ char *address = json_to_string(json_get(item, "address"));
		_cleanup_free_ char *reason = json_to_string(json_get(item, "reason"));
		char *text;

		if (reason && asprintf(&text, "%s: %s", address ? address : "?", reason) >= 0)
			return text;
	}
	return NULL;
}

static bool lacks_address(struct json_value service)
{
	_cleanup_free_ char *reason = reason_of_address(service);

	return reason;
}

/* Whether that is near is for hatchd to say, which warns of it. */
static bool has_old_certificate(struct json_value service)
{
	_cleanup_free_ char *word = json_to_string(json_get(service, "certificate"));

	return word && strcmp(word, "good") != 0;
}

/* "certificate ends in 9 d 3 h", by the clock as it is here and now. */
static void put_certificate(FILE *out, struct json_value service)
{
	const uint64_t now = (uint64_t)clock_wall().tv_sec;
	uint64_t ends = number(service, "certificate_ends");
	char elapsed[TEXT_NUMBER_MAX];

	if (ends > now)
		fprintf(out, "certificate ends in %s",
			text_format_elapsed((ends - now) * USEC_PER_SEC, elapsed));
	else
		fprintf(out, "certificate ended %s ago",
			text_format_elapsed((now - ends) * USEC_PER_SEC, elapsed));
}

/* One after the other, with ", " between them. */
static void put_reasons(FILE *out, struct json_value service)
{
	_cleanup_free_ char *reason = json_to_string(json_get(service, "reason"));
	uint64_t resumes = number(service, "resumes_usec");
	char elapsed[TEXT_NUMBER_MAX];
	const char *before = "";

	if (!reason)
		reason = reason_of_address(service);
	if (reason) {
		fputs(reason, out);
		before = ", ";
	}
	if (resumes > 0) {
		fprintf(out, "%sretrying in %s", before, text_format_elapsed(resumes, elapsed));
		before = ", ";
	}
	if (has_old_certificate(service)) {
		fputs(before, out);
		put_certificate(out, service);
	}
}

static void add_reasons(struct table *table, struct json_value service)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out) {
		table->error = -ENOMEM;
		return;
	}
	put_reasons(out, service);
	if (fclose(out) != 0)
		table->error = -ENOMEM;
	else
		table_add(table, "%s", text);
}

static void put_others(FILE *out, const struct answer *services, struct table *table)
{
	for (size_t i = 0; i < services->n_lines; i++) {
		struct json_value service = services->lines[i];
		_cleanup_free_ char *name = json_to_string(json_get(service, "service"));
		_cleanup_free_ char *state = json_to_string(json_get(service, "state"));

		if (is_serving(service) && !lacks_address(service) &&
			!has_old_certificate(service))
			continue;
		table_add(table, "%s", name ? name : "?");
		table_add(table, "%s", state ? state : "?");
		add_reasons(table, service);
	}
	if (table->n_cells > 0) {
		fputc('\n', out);
		table_print(table, out);
	}
}

static int print(const struct answer *status, const struct answer *services)
{
	static const char *const heads[] = {"SERVICE", "STATE", "REASON", NULL};
	_cleanup_table_ struct table table;
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	table_init(&table, heads);
	if (out && status->n_lines > 0) {
		put_facts(out, status->lines[0], services);
		put_others(out, services, &table);
	}
	if (!out || fclose(out) != 0 || table.error)
		return command_failed("unable to show the status: %s", strerror(ENOMEM));
	return command_print(text);
}

int command_status(int argc, char **argv)
{
	_cleanup_answer_ struct answer status = {0}, services = {0};
	struct answer_options options;
	int r;

	r = answer_parse_options(argc, argv, "status", help, &options);
	if (r != COMMAND_DONE || options.helped)
		return r;
	if (optind < argc)
		return command_misused("status", "unexpected argument '%s'", argv[optind]);
	r = answer_get(options.path, "status\n", &status);
	if (r == COMMAND_DONE)
		r = answer_get(options.path, "list\n", &services);
	if (r != COMMAND_DONE)
		return r;
	if (!options.json)
		return print(&status, &services);
	r = answer_print_lines(&status);
	return r == COMMAND_DONE ? answer_print_lines(&services) : r;
}
