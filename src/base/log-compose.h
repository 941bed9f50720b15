/*
 * log-compose: what is written for a message, to each kind of target.
 *
 * Knows formats, and nothing of descriptors.  For log.c and its tests.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_LOG_COMPOSE_H
#define HATCHD_BASE_LOG_COMPOSE_H

#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>

/* Longest text of one message, in bytes. */
#define LOG_TEXT_MAX 4096

/* Where something is composed: behind what has been used of it.  Not a string. */
struct log_space {
	char *data; /* borrowed */
	size_t size;
	size_t used;
};

/* The text of a message: clean, as base/log.h says, and cut between characters. */
void log_compose_text(char text[LOG_TEXT_MAX + 1], const char *format, va_list ap)
	_printf_(2, 0);

/* Add a line for standard error.  `prefix` may be NULL.  False, and nothing is
 * added, if it does not fit. */
bool log_compose_line(
	struct log_space *space, const char *prefix, int priority, const char *text);

/* Add an entry in the journal's native protocol (systemd's JOURNAL_NATIVE_PROTOCOL).
 * `fields` as in log_fields(); one that does not fit is left out. */
void log_compose_journal(struct log_space *space, const char *identifier, int priority,
	const struct log_field *fields, const char *text);

/* Add a message for /dev/log, as syslog(3) has it but without the time, which the
 * receiver knows; cut if it does not fit. */
void log_compose_syslog(
	struct log_space *space, const char *identifier, int priority, const char *text);

#endif
