#include "hatchctl/metrics/exposition.h"

#include "base/clock.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

const char *exposition_media_type(enum exposition_format format)
{
	return format == EXPOSITION_OPENMETRICS
	               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
	               : "text/plain; version=0.0.4; charset=utf-8";
}

void exposition_init(struct exposition *x, FILE *out, enum exposition_format format)
{
	*x = (struct exposition){.out = out, .format = format};
}

void exposition_begin(struct exposition *x, const struct metric *metric)
{
	x->metric = metric;
	x->has_head = false;
}

/* What stands behind the name of a sample of that type. */
static const char *suffix_of(enum metric_type type)
{
	static const char *const suffixes[] = {
		[METRIC_GAUGE] = "",
		[METRIC_COUNTER] = "_total",
		[METRIC_HISTOGRAM] = "",
		[METRIC_INFO] = "_info",
	};

	return suffixes[type];
}

static const char *type_word(enum exposition_format format, enum metric_type type)
{
	static const char *const words[] = {
		[METRIC_GAUGE] = "gauge",
		[METRIC_COUNTER] = "counter",
		[METRIC_HISTOGRAM] = "histogram",
		[METRIC_INFO] = "info",
	};

	if (format == EXPOSITION_PROMETHEUS && type == METRIC_INFO)
		return words[METRIC_GAUGE];
	return words[type];
}

static void put_head(struct exposition *x)
{
	const struct metric *metric = x->metric;
	const char *suffix = suffix_of(metric->type);

	if (x->has_head)
		return;
	x->has_head = true;
	if (x->format == EXPOSITION_OPENMETRICS)
		suffix = "";
	fprintf(x->out, "# TYPE %s%s %s\n", metric->name, suffix,
		type_word(x->format, metric->type));
	if (x->format == EXPOSITION_OPENMETRICS && metric->unit)
		fprintf(x->out, "# UNIT %s %s\n", metric->name, metric->unit);
	fprintf(x->out, "# HELP %s%s %s\n", metric->name, suffix, metric->help);
}

/* What would end the value, or the line. */
static void put_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", out);
		else if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
	}
}

static void put_label(FILE *out, const char *before, const char *name, const char *value)
{
	fprintf(out, "%s%s=\"", before, name);
	put_escaped(out, value);
	fputc('"', out);
}

/* `bound` NULL: it is no bucket. */
static void put_name(struct exposition *x, const char *suffix,
	const struct metric_labels *labels, const char *bound)
{
	const char *before = "{";

	put_head(x);
	fprintf(x->out, "%s%s", x->metric->name, suffix);
	for (size_t i = 0; labels && i < labels->n; i++, before = ",")
		put_label(x->out, before, labels->items[i].name, labels->items[i].value);
	if (bound) {
		put_label(x->out, before, "le", bound);
		before = ",";
	}
	fputs(*before == ',' ? "} " : " ", x->out);
}

void exposition_number(struct exposition *x, const struct metric_labels *labels, uint64_t value)
{
	put_name(x, suffix_of(x->metric->type), labels, NULL);
	fprintf(x->out, "%" PRIu64 "\n", value);
}

/* The shortest that is exact, and that has a point: so OpenMetrics wants bounds. */
static const char *format_seconds(uint64_t usec, char buf[TEXT_NUMBER_MAX])
{
	int len = snprintf(buf, TEXT_NUMBER_MAX, "%" PRIu64 ".%06" PRIu64, usec / USEC_PER_SEC,
		usec % USEC_PER_SEC);

	while (buf[len - 1] == '0' && buf[len - 2] != '.')
		len--;
	buf[len] = '\0';
	return buf;
}

void exposition_usec(struct exposition *x, const struct metric_labels *labels, uint64_t usec)
{
	char text[TEXT_NUMBER_MAX];

	put_name(x, suffix_of(x->metric->type), labels, NULL);
	fprintf(x->out, "%s\n", format_seconds(usec, text));
}

/* A bucket has all that took no longer than its bound. */
void exposition_histogram(struct exposition *x, const struct metric_labels *labels,
	const struct exposition_histogram *histogram)
{
	char text[TEXT_NUMBER_MAX];
	uint64_t count = 0;

	for (size_t i = 0; i <= histogram->n_bounds; i++) {
		bool last = i == histogram->n_bounds;

		count += histogram->counts[i];
		put_name(x, "_bucket", labels,
			last ? "+Inf" : format_seconds(histogram->bounds[i], text));
		fprintf(x->out, "%" PRIu64 "\n", count);
	}
	put_name(x, "_sum", labels, NULL);
	fprintf(x->out, "%s\n", format_seconds(histogram->sum, text));
	put_name(x, "_count", labels, NULL);
	fprintf(x->out, "%" PRIu64 "\n", count);
}

void exposition_end(struct exposition *x)
{
	if (x->format == EXPOSITION_OPENMETRICS)
		fputs("# EOF\n", x->out);
}
