/*
 * log-internal: log_open() with other places to log to.  For log.c and its test.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_LOG_INTERNAL_H
#define HATCHD_BASE_LOG_INTERNAL_H

#include "base/log.h"

/* As log_open(); the paths are borrowed until log_close(). */
void log_open_at(enum log_target target, const char *prefix, int max_priority,
	const char *journal_path, const char *syslog_path);

#endif
