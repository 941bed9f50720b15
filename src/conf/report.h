/*
 * report: what the building of a configuration finds, on its way to the list
 * of diagnostics.
 *
 * A mistake marks its file as refused.  What one value in `defaults` causes in
 * a thousand services is said once.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_REPORT_H
#define HATCHD_CONF_REPORT_H

#include "conf/conf.h"
#include "conf/textmap.h"

struct report {
	struct diag_list *diags; /* borrowed */
	struct textmap sources;  /* path to struct source, both borrowed */
	struct textmap said;     /* place and text of what has been said */
	bool adhoc;              /* nobody waits at a command line: a condition is a mistake */
	int program_error;       /* errno of a program that cannot be run; 0: none */
	size_t n_mistakes;       /* also those that had been said before */
};

/* 0 or -ENOMEM. */
int report_init(struct report *report, struct source *sources, struct diag_list *diags);
void report_done(struct report *report);

/* True if it had not been said before: a note may follow. */
bool report_mistake(struct report *report, const struct origin *origin, const char *format, ...)
	_printf_(3, 4);
void report_warning(struct report *report, const struct origin *origin, const char *format, ...)
	_printf_(3, 4);

/* What stands there is mistaken because of something that was told elsewhere. */
void report_refuse(struct report *report, const struct origin *origin);

/* The service cannot be served as the world is now; its `condition` gets the
 * text.  `service` is NULL for what the master finds out and retries itself. */
void report_condition(struct report *report, struct service_conf *service,
	const struct origin *origin, const char *format, ...) _printf_(4, 5);

/* The file that this stands in has mistakes. */
bool report_refused(const struct report *report, const struct origin *origin);

#endif
