#include "hatchctl/show/service-row.h"

#include "base/clock.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

const struct table_column service_columns[_SERVICE_COLUMN_MAX] = {
	[SERVICE_NAME] = {"SERVICE", "service", TABLE_TEXT, "its name"},
	[SERVICE_STATE] = {"STATE", "state", TABLE_TEXT, "whether it takes in clients"},
	[SERVICE_CHILDREN] = {"CHILDREN", "children", TABLE_COUNT, "how many live"},
	[SERVICE_LIMIT] = {"LIMIT", "instances", TABLE_COUNT, "how many may; - any number"},
	[SERVICE_PENDING] = {"PENDING", "pending", TABLE_COUNT,
		"clients who have come and are not served yet"},
	[SERVICE_STARTED] = {"STARTED", "started", TABLE_COUNT,
		"children that there ever were"},
	[SERVICE_REFUSED] = {"REFUSED", "refused", TABLE_COUNT,
		"clients that were turned away"},
	[SERVICE_ADDRESSES] = {"ADDRESSES", "addresses", TABLE_VALUE,
		"where it listens; ( ): cannot be had now, =fd: handed over"},
	[SERVICE_REASON] = {"REASON", "reason", TABLE_TEXT, "what is wrong with it"},
	[SERVICE_RESUMES] = {"RESUMES", "resumes_usec", TABLE_DURATION,
		"when it tries again, if it is paused"},
	[SERVICE_REFUSALS] = {"REFUSALS", "refusals", TABLE_VALUE,
		"clients that were turned away, by reason"},
	[SERVICE_CERTIFICATE] = {"CERTIFICATE", "certificate", TABLE_TEXT,
		"how that is: good, ending or ended"},
	[SERVICE_CERTIFICATE_ENDS] = {"CERTIFICATE_ENDS", "certificate_ends", TABLE_TIME,
		"when the first of them does"},
	[SERVICE_BACKEND] = {"BACKEND", "backend", TABLE_VALUE, "how that is, if it has one"},
	[SERVICE_STATUS] = {"STATUS", "status", TABLE_TEXT,
		"what its program says of itself (notify = yes)"},
};

bool service_is_serving(struct json_value service)
{
	_cleanup_free_ char *state = json_to_string(json_get(service, "state"));

	return state && strcmp(state, "serving") == 0;
}

/* -------------------------------------------------------------- texts for people */

static void write_text(FILE *out, struct json_value value, const char *otherwise)
{
	_cleanup_free_ char *text = json_to_string(value);

	fputs(text ? text : otherwise, out);
}

static bool is_open(struct json_value address)
{
	_cleanup_free_ char *state = json_to_string(json_get(address, "state"));

	return state && strcmp(state, "open") == 0;
}

static void write_addresses(FILE *out, struct json_value service)
{
	struct json_value item = {NULL, NULL};
	const char *before = "";

	while (json_next(json_get(service, "addresses"), &item, NULL)) {
		bool open = is_open(item);

		fprintf(out, "%s%s", before, open ? "" : "(");
		write_text(out, json_get(item, "address"), "?");
		if (json_get(item, "handed_over").at)
			fputs("=fd:", out);
		write_text(out, json_get(item, "handed_over"), "");
		fputs(open ? "" : ")", out);
		before = " ";
	}
}

/* "per_source 5, only_from 2" */
static void write_refusals(FILE *out, struct json_value service)
{
	struct json_value item = {NULL, NULL}, key;
	const char *before = "";

	while (json_next(json_get(service, "refused"), &item, &key)) {
		fputs(before, out);
		write_text(out, key, "?");
		fprintf(out, " %" PRIu64, json_to_number(item));
		before = ", ";
	}
}

static void write_backend(FILE *out, struct json_value service)
{
	struct json_value backend = json_get(service, "backend");

	if (!backend.at)
		return;
	write_text(out, json_get(backend, "state"), "?");
	if (json_get(backend, "pid").at)
		fprintf(out, ", process %" PRIu64, json_to_number(json_get(backend, "pid")));
	if (!json_get(backend, "reason").at)
		return;
	fputs(": ", out);
	write_text(out, json_get(backend, "reason"), "?");
}

/* ------------------------------------------------------------------ what is wrong */

/* The first of its addresses that cannot be had though hatchd has tried. */
static struct json_value find_lacking(struct json_value service)
{
	struct json_value item = {NULL, NULL};

	while (json_next(json_get(service, "addresses"), &item, NULL))
		if (json_get(item, "reason").at)
			return item;
	return (struct json_value){NULL, NULL};
}

static bool has_old_certificate(struct json_value service)
{
	_cleanup_free_ char *word = json_to_string(json_get(service, "certificate"));

	return word && strcmp(word, "good") != 0;
}

bool service_is_well(struct json_value service)
{
	return service_is_serving(service) && !find_lacking(service).at &&
	       !has_old_certificate(service);
}

/* "certificate ends in 9 d 3 h", by the clock as it is here and now. */
static void write_certificate(FILE *out, struct json_value service)
{
	const uint64_t now = (uint64_t)clock_wall().tv_sec;
	uint64_t ends = json_to_number(json_get(service, "certificate_ends"));
	char elapsed[TEXT_NUMBER_MAX];

	if (ends > now)
		fprintf(out, "certificate ends in %s",
			text_format_elapsed((ends - now) * USEC_PER_SEC, elapsed));
	else
		fprintf(out, "certificate ended %s ago",
			text_format_elapsed((now - ends) * USEC_PER_SEC, elapsed));
}

/* Why it does not serve, or which of its addresses it lacks, and why; or what its program says
 * of that. */
static bool write_reason(FILE *out, struct json_value service)
{
	struct json_value lacking = find_lacking(service);

	if (json_get(service, "reason").at) {
		write_text(out, json_get(service, "reason"), "?");
		return true;
	}
	if (!lacking.at && !service_is_serving(service) && json_get(service, "status").at) {
		write_text(out, json_get(service, "status"), "?");
		return true;
	}
	if (!lacking.at)
		return false;
	write_text(out, json_get(lacking, "address"), "?");
	fputs(": ", out);
	write_text(out, json_get(lacking, "reason"), "?");
	return true;
}

/* One after the other, with ", " between them. */
static void write_reasons(FILE *out, struct json_value service)
{
	uint64_t resumes = json_to_number(json_get(service, "resumes_usec"));
	const char *before = write_reason(out, service) ? ", " : "";
	char elapsed[TEXT_NUMBER_MAX];

	if (resumes > 0) {
		fprintf(out, "%sretrying in %s", before, text_format_elapsed(resumes, elapsed));
		before = ", ";
	}
	if (has_old_certificate(service)) {
		fputs(before, out);
		write_certificate(out, service);
	}
}

/* ------------------------------------------------------------------------ the row */

/* The text of a cell; programs get `value` if that is a column of values. */
static void put_written(struct table *table, enum service_column column,
	struct json_value value, struct json_value service,
	void (*write)(FILE *out, struct json_value service))
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *out;

	if (!table_shows(table, column))
		return;
	out = open_memstream(&text, &len);
	if (out)
		write(out, service);
	if (!out || fclose(out) != 0)
		table->error = -ENOMEM;
	else if (service_columns[column].kind == TABLE_VALUE)
		table_put_value(table, column, value, text);
	else if (len > 0)
		table_put_text(table, column, text);
}

static uint64_t sum_up(struct json_value counts)
{
	struct json_value item = {NULL, NULL};
	uint64_t all = 0;

	while (json_next(counts, &item, NULL))
		all += json_to_number(item);
	return all;
}

/* What is as it has to be has none. */
static const char *color_of(struct json_value service)
{
	static const char *const passing[] = {
		"full", "above its rate", "disabled", "starting", "reloading", "stopping"};
	_cleanup_free_ char *state = json_to_string(json_get(service, "state"));

	for (size_t i = 0; state && i < ARRAY_SIZE(passing); i++)
		if (strcmp(state, passing[i]) == 0)
			return "yellow";
	return state && strcmp(state, "serving") == 0 ? NULL : "red";
}

void service_row_add(struct table *table, struct json_value service)
{
	struct json_value refused = json_get(service, "refused");

	table_begin_row(table);
	table_put(table, SERVICE_NAME, json_get(service, "service"));
	table_put(table, SERVICE_STATE, json_get(service, "state"));
	table_set_color(table, SERVICE_STATE, color_of(service));
	table_put(table, SERVICE_CHILDREN, json_get(service, "children"));
	table_put(table, SERVICE_LIMIT, json_get(service, "instances"));
	table_put(table, SERVICE_PENDING, json_get(service, "pending"));
	table_put(table, SERVICE_STARTED, json_get(service, "started"));
	table_put_number(table, SERVICE_REFUSED, sum_up(refused));
	put_written(table, SERVICE_ADDRESSES, json_get(service, "addresses"), service,
		write_addresses);
	put_written(table, SERVICE_REASON, service, service, write_reasons);
	table_put(table, SERVICE_RESUMES, json_get(service, "resumes_usec"));
	put_written(table, SERVICE_REFUSALS, refused, service, write_refusals);
	table_put(table, SERVICE_CERTIFICATE, json_get(service, "certificate"));
	table_put(table, SERVICE_CERTIFICATE_ENDS, json_get(service, "certificate_ends"));
	put_written(
		table, SERVICE_BACKEND, json_get(service, "backend"), service, write_backend);
	table_put(table, SERVICE_STATUS, json_get(service, "status"));
}
