/*
 * log: the one global of the program.
 *
 * Never blocks: a target that cannot take a message at once loses it, and the
 * loss is counted and reported as soon as the target takes messages again.
 * The target is chosen once:
 *
 *	the journal's native socket	when standard error is the journal's
 *	standard error			else, when it is open
 *	/dev/log (syslog)		else
 *
 * A daemon has no standard error to speak of and asks for the system's log at
 * once, whichever that is.
 *
 * On standard error lines are buffered up to one loop turn (16 KiB at most);
 * log_flush() writes them.  Flush before fork(2): the child has a copy of what
 * is buffered.  A message or connection lost by a datagram target is gone, and
 * the next message finds out by itself whether the target is back.
 *
 * Texts are at most 4096 bytes.  Control characters other than newline and tab,
 * and bytes that are not UTF-8, are written as \xNN, so nothing that is logged
 * can drive a terminal.  A newline stays: text from outside must come through
 * text_escape(), or it can forge a line.  Logging and flushing leave errno alone.
 *
 * A pipe without a reader raises SIGPIPE when standard error is written to: the
 * process must ignore that signal.
 *
 * Layers below the master do not log (tests/lint checks).
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_LOG_H
#define HATCHD_BASE_LOG_H

#include "base/own.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <syslog.h>

enum log_target {
	LOG_TARGET_AUTO,
	LOG_TARGET_SYSTEM, /* for a daemon: the journal if there is one, else syslog */
	LOG_TARGET_JOURNAL,
	LOG_TARGET_STDERR,
	LOG_TARGET_SYSLOG,
	LOG_TARGET_NONE,
};

/* One NAME=VALUE of a structured message; kept by the journal only. */
struct log_field {
	const char *name;  /* upper case, as journal fields are */
	const char *value; /* any text; the journal keeps it byte for byte.  NULL: it is not
	                      known, and the field is left out */
};

/*
 * Open the log.  `prefix` (borrowed, a literal) starts each line on standard
 * error and is the identifier elsewhere; with NULL lines have no prefix and the
 * program's name is the identifier.  Messages above `max_priority` (LOG_DEBUG
 * is the highest) are not written.
 *
 * Standard error gets an open file description of its own where possible, so
 * that being non-blocking is not forced upon the processes that share it.  A
 * regular file is switched to appending for all of them, or they would
 * overwrite each other's lines.  fd_fill_stdio() comes after this, or a closed
 * standard error cannot be told from one that is /dev/null on purpose.  The
 * log's own descriptor is never below 3.
 *
 * Cannot fail: a target that cannot be had leads to the next, and syslog, the
 * last, is tried again with each message.
 */
void log_open(enum log_target target, const char *prefix, int max_priority);

/* Flush and close; what is not taken at once is lost.  Then nothing is logged. */
void log_close(void);

/*
 * Children of other users will share our standard error: where that is a pipe
 * or a file, write to it through a process of its own (base/log-relay).
 */
void log_isolate(void);

/*
 * Write each message to standard error as well, for somebody who watches how we
 * start, or stop doing so.  Does nothing where standard error is closed or leads
 * to the same log.  This may wait, a second for each message at most, so it has
 * to end before anybody is served.
 */
void log_echo(bool on);

enum log_target log_target(void);
int log_max_priority(void);
void log_set_max_priority(int priority); /* for tests */

/* One line, without a newline; LOG_ERR ... LOG_DEBUG.  Errors and warnings say
 * so on standard error: "hatchd: warning: ...". */
void log_message(int priority, const char *format, ...) _printf_(2, 3);

/* The same with fields; `fields` (or NULL) ends with a NULL name.  Fields that
 * do not fit into 16 KiB together with the message are left out. */
void log_fields(int priority, const struct log_field *fields, const char *format, ...)
	_printf_(3, 4);

#define log_error(...)   log_message(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)  log_message(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)    log_message(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_message(LOG_DEBUG, __VA_ARGS__)

/* Write what is buffered, and report losses if the target takes messages again. */
void log_flush(void);

/*
 * Descriptor whose POLLOUT means that log_flush() will get on; -1 when nothing
 * waits, or when only time can help (a full disk, a reader that is gone).  To
 * be asked after log_flush().
 */
int log_pending_fd(void);

/* Messages lost since log_open(): for tests. */
uint64_t log_lost(void);

/* Number of the descriptor that the log writes to (2, where it could not get one
 * of its own), or -1: who closes or moves descriptors must spare it.  It stays
 * the same until log_close(). */
int log_fd(void);

/* The process that writes to standard error for us; 0: none does.  It ends when we do not
 * speak with it any more. */
pid_t log_relay_pid(void);

#endif
