#include "conf/report.h"

#include <stdarg.h>
#include <string.h>

int report_init(struct report *report, struct source *sources, struct diag_list *diags)
{
	*report = (struct report){.diags = diags};
	textmap_init(&report->sources);
	textmap_init(&report->said);

	for (struct source *s = sources; s; s = s->next) {
		if (textmap_add(&report->sources, s->path, s) == -ENOMEM) {
			report_done(report);
			return -ENOMEM;
		}
	}
	return 0;
}

void report_done(struct report *report)
{
	textmap_done(&report->sources);
	textmap_done(&report->said);
}

/* Add it unless the same has been said of the same place. */
static bool say(struct report *report, enum diag_severity severity, const struct origin *origin,
	const char *text)
{
	_cleanup_free_ char *key = NULL;

	if (asprintf(&key, "%s:%u:%u:%s", origin->file ? origin->file : "", origin->line,
		    origin->column, text) < 0)
		key = NULL;
	if (key && textmap_add(&report->said, key, "") == -EEXIST)
		return false;

	diag_add(report->diags, severity, origin, "%s", text);
	return true;
}

/* The map does not own what it points at; whoever filled it owns it and lets
 * it be marked. */
void report_refuse(struct report *report, const struct origin *origin)
{
	struct source *source = NULL;

	if (origin->file)
		source = (struct source *)textmap_get(&report->sources, origin->file);
	if (source)
		source->refused = true;
	report->n_mistakes++;
}

static bool vreport(struct report *report, enum diag_severity severity,
	const struct origin *origin, const char *format, va_list ap) _printf_(4, 0);
static bool vreport(struct report *report, enum diag_severity severity,
	const struct origin *origin, const char *format, va_list ap)
{
	_cleanup_free_ char *text = NULL;

	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	return say(report, severity, origin, text ? text : format);
}

bool report_mistake(struct report *report, const struct origin *origin, const char *format, ...)
{
	va_list ap;
	bool said;

	va_start(ap, format);
	said = vreport(report, DIAG_ERROR, origin, format, ap);
	va_end(ap);
	report_refuse(report, origin);
	return said;
}

void report_warning(struct report *report, const struct origin *origin, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vreport(report, DIAG_WARNING, origin, format, ap);
	va_end(ap);
}

void report_condition(struct report *report, struct service_conf *service,
	const struct origin *origin, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int r;

	va_start(ap, format);
	r = vasprintf(&text, format, ap);
	va_end(ap);
	if (r < 0)
		text = NULL;

	if (report->adhoc) {
		report_mistake(report, origin, "%s", text ? text : format);
		return;
	}
	say(report, DIAG_CONDITION, origin, text ? text : format);
	if (service && !service->condition)
		service->condition = text ? take_ptr(text) : strdup(format);
}

bool report_refused(const struct report *report, const struct origin *origin)
{
	const struct source *source;

	if (!origin->file)
		return false;
	source = textmap_get(&report->sources, origin->file);
	return source && source->refused;
}
