/*
 * exposition: metrics as text, for Prometheus and whoever reads what it reads.
 *
 * In one of two formats, which differ in little, but so that no text is good in both:
 * OpenMetrics 1.0 names a counter without its _total, has units, infos, and a last line;
 * the older text format of Prometheus (0.0.4) knows none of these, and what is checked by
 * "promtool check metrics" is that.  Names of samples, labels and values are the same.
 *
 * Samples of a metric stand together: they follow its exposition_begin().  Its head is
 * written with the first of them; a metric without samples leaves nothing.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_METRICS_EXPOSITION_H
#define HATCHD_HATCHCTL_METRICS_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum exposition_format {
	EXPOSITION_OPENMETRICS,
	EXPOSITION_PROMETHEUS,
};

/* As HTTP names it. */
const char *exposition_media_type(enum exposition_format format);

enum metric_type {
	METRIC_GAUGE,
	METRIC_COUNTER,   /* its samples have _total behind the name */
	METRIC_HISTOGRAM, /* ... _bucket, _sum and _count */
	METRIC_INFO,      /* ... _info, and the value 1: what it says is in its labels */
};

/* All literals, without anything to escape. */
struct metric {
	const char *name; /* ends in the unit, if there is one */
	const char *help;
	const char *unit; /* "seconds", "bytes"; NULL: it is a number of things */
	enum metric_type type;
};

/* The name is a literal; the value may be any UTF-8. */
struct metric_label {
	const char *name;
	const char *value;
};

/* At most, without the "le" of a histogram. */
#define METRIC_LABELS_MAX 2

struct metric_labels {
	struct metric_label items[METRIC_LABELS_MAX];
	size_t n;
};

struct exposition {
	FILE *out; /* borrowed */
	enum exposition_format format;
	const struct metric *metric; /* borrowed */
	bool has_head;
};

void exposition_init(struct exposition *x, FILE *out, enum exposition_format format);

void exposition_begin(struct exposition *x, const struct metric *metric);

/* One sample.  `labels` NULL: there are none. */
void exposition_number(
	struct exposition *x, const struct metric_labels *labels, uint64_t value);

/* The same of microseconds, which are written as seconds. */
void exposition_usec(struct exposition *x, const struct metric_labels *labels, uint64_t usec);

/* All samples of one histogram: how much is in each bucket, and behind the last bound. */
struct exposition_histogram {
	const uint64_t *bounds; /* usec, ascending */
	const uint64_t *counts; /* one more than bounds */
	size_t n_bounds;
	uint64_t sum; /* usec */
};
void exposition_histogram(struct exposition *x, const struct metric_labels *labels,
	const struct exposition_histogram *histogram);

/* The last line, where there is to be one. */
void exposition_end(struct exposition *x);

#endif
