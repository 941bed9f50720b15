#include "hatchctl/metrics/write.h"

#include "hatchctl/metrics/state.h"
#include "hatchctl/metrics/table.h"

#include <string.h>

/* More than hatchd has. */
#define BOUNDS_MAX 32

#define NAME_ROOM 64
#define HELP_ROOM 160

/* One line of what is counted: a service, or all of them. */
struct facts {
	char *service; /* owned; NULL: all */
	struct json_value members[_METRICS_MEMBER_MAX];
};

struct bounds {
	uint64_t usec[BOUNDS_MAX];
	size_t n;
};

struct writer {
	struct exposition x;
	const struct metrics *metrics;
	struct facts all;
	struct facts *services; /* owned */
	size_t n_services;
	struct bounds bounds;
};

void metrics_done(struct metrics *metrics)
{
	answer_done(&metrics->counts);
	answer_done(&metrics->services);
	backlogs_done(&metrics->backlogs);
}

/* ------------------------------------------------------------------ what was said */

/* In one go through the line: there may be ten thousand. */
static void read_members(struct facts *facts, struct json_value line)
{
	struct json_value item = {NULL, NULL}, key;

	while (json_next(line, &item, &key))
		for (int i = 0; i < _METRICS_MEMBER_MAX; i++) {
			const char *name = metrics_member_key((enum metrics_member)i);
			size_t len = strlen(name);

			if ((size_t)(key.end - key.at) == len + 2 &&
				memcmp(key.at + 1, name, len) == 0)
				facts->members[i] = item;
		}
}

static void read_bounds(struct bounds *bounds, struct json_value list)
{
	struct json_value item = {NULL, NULL};

	while (bounds->n < BOUNDS_MAX && json_next(list, &item, NULL))
		bounds->usec[bounds->n++] = json_to_number(item);
}

static int read_service(struct writer *w, struct json_value line)
{
	struct facts *facts = &w->services[w->n_services];

	facts->service = json_to_string(json_get(line, "service"));
	if (!facts->service)
		return -EBADMSG;
	read_members(facts, line);
	w->n_services++;
	return 0;
}

static int read_all(struct writer *w)
{
	const struct answer *counts = &w->metrics->counts;
	int r = 0;

	if (counts->n_lines == 0)
		return -EBADMSG;
	read_members(&w->all, counts->lines[0]);
	read_bounds(&w->bounds, json_get(counts->lines[0], "bounds_usec"));
	w->services = calloc(counts->n_lines, sizeof *w->services);
	if (!w->services)
		return -ENOMEM;
	for (size_t i = 1; i < counts->n_lines && r == 0; i++)
		r = read_service(w, counts->lines[i]);
	return r;
}

static void writer_done(struct writer *w)
{
	for (size_t i = 0; i < w->n_services; i++)
		free(w->services[i].service);
	free(w->services);
}

#define _cleanup_writer_ _cleanup_(writer_done)

/* ------------------------------------------------------------------------ samples */

static void add_label(struct metric_labels *labels, const char *name, const char *value)
{
	labels->items[labels->n++] = (struct metric_label){name, value};
}

static bool is_number(struct json_value value)
{
	return value.at && *value.at >= '0' && *value.at <= '9';
}

/* Of an object of counts: a sample for each word. */
static void put_words(struct exposition *x, const struct metric_labels *labels,
	const char *label, struct json_value counts)
{
	struct json_value item = {NULL, NULL}, key;

	while (json_next(counts, &item, &key)) {
		_cleanup_free_ char *word = json_to_string(key);
		struct metric_labels with = *labels;

		if (!word)
			continue;
		add_label(&with, label, word);
		exposition_number(x, &with, json_to_number(item));
	}
}

static void put_histogram(
	struct writer *w, const struct metric_labels *labels, struct json_value value)
{
	uint64_t counts[BOUNDS_MAX + 1] = {0};
	const struct exposition_histogram histogram = {
		.bounds = w->bounds.usec,
		.counts = counts,
		.n_bounds = w->bounds.n,
		.sum = json_to_number(json_get(value, "sum_usec")),
	};
	struct json_value item = {NULL, NULL};

	for (size_t i = 0;
		i <= w->bounds.n && json_next(json_get(value, "counts"), &item, NULL); i++)
		counts[i] = json_to_number(item);
	exposition_histogram(&w->x, labels, &histogram);
}

/* What is not said has no sample. */
static void put_sample(
	struct writer *w, const struct metrics_row *row, const struct facts *facts)
{
	struct json_value value = facts->members[row->member];
	struct metric_labels labels = {.n = 0};

	if (facts->service)
		add_label(&labels, "service", facts->service);
	if (row->value == METRICS_WORDS)
		put_words(&w->x, &labels, row->label, value);
	else if (row->value == METRICS_DURATIONS && value.at)
		put_histogram(w, &labels, value);
	else if (row->value == METRICS_USEC && is_number(value))
		exposition_usec(&w->x, &labels, json_to_number(value));
	else if (row->value == METRICS_NUMBER && is_number(value))
		exposition_number(&w->x, &labels, json_to_number(value));
}

/* `prefix` and `rest` are what a row leaves open. */
static void put_metric(struct writer *w, const struct metrics_row *row, const char *prefix,
	const char *rest, const struct facts *facts, size_t n)
{
	char name[NAME_ROOM], help[HELP_ROOM];
	const struct metric metric = {
		.name = name, .help = help, .unit = row->unit, .type = row->type};

	snprintf(name, sizeof name, "%s%s", prefix, row->stem);
	snprintf(help, sizeof help, "%s%s.", row->help, rest);
	exposition_begin(&w->x, &metric);
	for (size_t i = 0; i < n; i++)
		put_sample(w, row, &facts[i]);
}

static void put_row(struct writer *w, const struct metrics_row *row)
{
	if (row->of == METRICS_OF_HATCHD)
		put_metric(w, row, "hatchd_", "", &w->all, 1);
	else
		put_metric(w, row, "hatchd_", "", w->services, w->n_services);
	if (row->of == METRICS_OF_BOTH)
		put_metric(w, row, "hatchd_all_", ", of all services there were", &w->all, 1);
}

int metrics_write(const struct metrics *metrics, FILE *out, enum exposition_format format)
{
	_cleanup_writer_ struct writer w = {.metrics = metrics};
	const struct metrics_row *row;
	int r;

	exposition_init(&w.x, out, format);
	r = read_all(&w);
	if (r < 0)
		return r;
	metrics_put_hatchd(&w.x, metrics->counts.lines[0]);
	for (size_t i = 0; (row = metrics_row(i)); i++)
		put_row(&w, row);
	metrics_put_state(&w.x, &metrics->services, &metrics->backlogs);
	exposition_end(&w.x);
	return 0;
}
