#include "base/log.h"

#include "base/fd.h"
#include "base/log-compose.h"
#include "base/log-internal.h"
#include "base/log-relay.h"
#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define JOURNAL_PATH "/run/systemd/journal/socket"
#define SYSLOG_PATH  "/dev/log"

/* For those who watch us start, in milliseconds. */
#define ECHO_PATIENCE 1000

/* How descriptor `fd` is to be written to. */
enum manner {
	MANNER_OWN,    /* non-blocking description that nobody shares: write(2) */
	MANNER_SHARED, /* blocking, shared with others: ask poll(2) first */
	MANNER_SOCKET, /* send(2) is told not to wait */
};

/* How the last attempt to write went. */
enum mood {
	MOOD_WELL,
	MOOD_BUSY,   /* POLLOUT will tell when to go on */
	MOOD_BROKEN, /* nothing will tell; the next message or flush tries again */
};

/* Lines that wait for standard error, or the datagram being composed. */
static char buffer[16384];

static struct {
	enum log_target target;
	const char *prefix;
	int max_priority;
	int fd;
	enum manner manner;
	enum mood mood;
	const char *path;    /* datagram targets: where to connect again */
	uint64_t lost;       /* since log_open() */
	uint64_t unreported; /* of these, the ones no line has told about */
	pid_t relay;         /* writes to standard error for us; 0: nobody does */
	bool echo;           /* somebody watches standard error beside the target */

	/* Standard error: what waits in `buffer`. */
	struct log_space lines;
} state = {.target = LOG_TARGET_NONE, .fd = -1, .lines = {buffer, sizeof buffer, 0}};

/*
 * Opening.
 */

/* Standard error is open for writing; *ret_st describes it. */
static bool stderr_open(struct stat *ret_st)
{
	int flags = fcntl(STDERR_FILENO, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY &&
	       fstat(STDERR_FILENO, ret_st) == 0;
}

/* JOURNAL_STREAM names the device and inode of the stream that the service
 * manager connected; standard error may have been redirected since. */
static bool stderr_is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM"), *colon;
	uint64_t device, inode;
	char number[TEXT_NUMBER_MAX];
	struct stat st;

	colon = text ? strchr(text, ':') : NULL;
	if (!colon || (size_t)(colon - text) >= sizeof number)
		return false;
	memcpy(number, text, (size_t)(colon - text));
	number[colon - text] = '\0';
	if (text_parse_u64(number, &device) < 0 || text_parse_u64(colon + 1, &inode) < 0)
		return false;
	return stderr_open(&st) && st.st_dev == device && st.st_ino == inode;
}

/* Close-on-exec and above standard error, whatever is closed down there. */
static int above_stdio(int fd)
{
	int moved;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	moved = fd_move_up(fd, STDERR_FILENO + 1);
	if (moved < 0)
		fd_close(fd);
	return moved;
}

static bool open_datagram(enum log_target target, const char *path, bool must_be_there)
{
	_cleanup_close_ int fd = -EBADF;

	fd = above_stdio(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	if (fd < 0)
		return false;
	if (fd_connect_unix(fd, path) < 0 && must_be_there)
		return false;
	state.target = target;
	state.manner = MANNER_SOCKET;
	state.path = path;
	state.fd = take_fd(&fd);
	return true;
}

/*
 * Our own description of a regular file appends, but those who share the
 * inherited one write at its offset, which our lines do not move: they would
 * overwrite us.  So make theirs append as well.
 */
static void make_stderr_append(void)
{
	int flags = fcntl(STDERR_FILENO, F_GETFL);

	if (flags >= 0 && !(flags & O_APPEND))
		(void)fcntl(STDERR_FILENO, F_SETFL, flags | O_APPEND);
}

static bool open_stderr(void)
{
	struct stat st;
	int fd;

	if (!stderr_open(&st))
		return false;
	state.target = LOG_TARGET_STDERR;
	state.fd = STDERR_FILENO;
	state.manner = MANNER_SOCKET;
	if (S_ISSOCK(st.st_mode))
		return true;

	/* This fails for a terminal of another user, for a FIFO without a
	 * reader, and without /proc. */
	fd = above_stdio(open(
		"/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
	state.manner = fd < 0 ? MANNER_SHARED : MANNER_OWN;
	if (fd < 0)
		return true;
	state.fd = fd;
	if (S_ISREG(st.st_mode))
		make_stderr_append();
	return true;
}

void log_open_at(enum log_target target, const char *prefix, int max_priority,
	const char *journal_path, const char *syslog_path)
{
	log_close();
	state.prefix = prefix;
	state.max_priority = max_priority;
	state.mood = MOOD_WELL;
	state.lost = 0;
	state.unreported = 0;

	if (target == LOG_TARGET_NONE)
		return;
	if (target == LOG_TARGET_AUTO)
		target = stderr_is_journal() ? LOG_TARGET_JOURNAL : LOG_TARGET_STDERR;
	if ((target == LOG_TARGET_JOURNAL || target == LOG_TARGET_SYSTEM) &&
		open_datagram(LOG_TARGET_JOURNAL, journal_path, true))
		return;
	if (target != LOG_TARGET_SYSLOG && target != LOG_TARGET_SYSTEM && open_stderr())
		return;
	open_datagram(LOG_TARGET_SYSLOG, syslog_path, false);
}

void log_open(enum log_target target, const char *prefix, int max_priority)
{
	log_open_at(target, prefix, max_priority, JOURNAL_PATH, SYSLOG_PATH);
}

void log_isolate(void)
{
	struct stat st;
	int fd;

	if (state.target != LOG_TARGET_STDERR || state.relay > 0 || !stderr_open(&st))
		return;
	if (!S_ISFIFO(st.st_mode) && !S_ISREG(st.st_mode))
		return;

	log_flush();
	fd = above_stdio(log_relay_start(state.prefix, &state.relay));
	if (fd < 0)
		return;
	if (state.fd > STDERR_FILENO)
		fd_close(state.fd);
	state.fd = fd;
	state.manner = MANNER_OWN;
}

void log_echo(bool on)
{
	struct stat st;

	state.echo = on && state.target != LOG_TARGET_STDERR && stderr_open(&st) &&
	             !stderr_is_journal();
}

void log_close(void)
{
	log_flush();
	state.echo = false;
	if (state.fd > STDERR_FILENO)
		fd_close(state.fd);
	if (state.relay > 0)
		log_relay_wait(state.relay);
	state.relay = 0;
	state.fd = -1;
	state.lines.used = 0;
	state.target = LOG_TARGET_NONE;
}

/*
 * Losses.
 */

static const char *target_name(void)
{
	switch (state.target) {
	case LOG_TARGET_JOURNAL:
		return "the journal";
	case LOG_TARGET_SYSLOG:
		return "the system log";
	default:
		return "standard error";
	}
}

static void compose_report(char *text, size_t size)
{
	snprintf(text, size, "%" PRIu64 " message%s lost: %s did not take %s", state.unreported,
		state.unreported == 1 ? "" : "s", target_name(),
		state.unreported == 1 ? "it" : "them");
}

static void count_lost(void)
{
	state.lost++;
	state.unreported++;
}

/*
 * Standard error: a buffer of lines.
 */

/* Bytes to hand over at once: whole lines, and no more than a pipe takes
 * together or not at all, so that other writers do not get between. */
static size_t chunk_len(const char *text, size_t len)
{
	const char *end;

	if (len <= PIPE_BUF)
		return len;
	end = memrchr(text, '\n', PIPE_BUF);
	return end ? (size_t)(end - text) + 1 : PIPE_BUF;
}

static ssize_t write_once(const char *text, size_t len)
{
	struct pollfd p = {.fd = state.fd, .events = POLLOUT};
	ssize_t n;

	if (state.manner == MANNER_SHARED) {
		if (poll(&p, 1, 0) <= 0)
			return -EAGAIN;
		if (p.revents & (POLLERR | POLLHUP | POLLNVAL))
			return -EPIPE;
	}
	do {
		n = state.manner == MANNER_SOCKET
		            ? send(state.fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL)
		            : write(state.fd, text, len);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return -EIO;
	return n < 0 ? -errno : n;
}

/* Write as much of the buffer as is taken at once. */
static void drain(void)
{
	size_t at = 0;
	ssize_t n = 0;

	while (at < state.lines.used) {
		n = write_once(buffer + at, chunk_len(buffer + at, state.lines.used - at));
		if (n < 0)
			break;
		at += (size_t)n;
	}
	memmove(buffer, buffer + at, state.lines.used - at);
	state.lines.used -= at;
	state.mood = n >= 0 ? MOOD_WELL : n == -EAGAIN ? MOOD_BUSY : MOOD_BROKEN;
}

static bool append_line(int priority, const char *text)
{
	return log_compose_line(&state.lines, state.prefix, priority, text);
}

/* A report stands before all that comes after the loss; while it does not fit,
 * nothing does. */
static bool append_report(void)
{
	char text[128];

	if (state.unreported == 0)
		return true;
	compose_report(text, sizeof text);
	if (!append_line(LOG_WARNING, text))
		return false;
	state.unreported = 0;
	return true;
}

static void put_on_stderr(int priority, const char *text)
{
	if (append_report() && append_line(priority, text))
		return;
	drain();
	if (!append_report() || !append_line(priority, text))
		count_lost();
}

static void flush_stderr(void)
{
	drain();
	if (state.mood != MOOD_WELL || state.unreported == 0)
		return;
	append_report();
	drain();
}

/*
 * Datagram targets: composed and sent at once, or lost.
 */

/* The receiver went away, or was not there yet. */
static bool is_disconnected(int error)
{
	return error == ENOTCONN || error == ECONNREFUSED || error == ECONNRESET ||
	       error == EPIPE;
}

static const char *identifier(void)
{
	return state.prefix ? state.prefix : program_invocation_short_name;
}

static int send_once(size_t len)
{
	ssize_t n;

	n = send(state.fd, buffer, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n < 0 ? -errno : 0;
}

static bool send_datagram(size_t len)
{
	int r;

	r = send_once(len);
	if (r < 0 && is_disconnected(-r)) {
		r = fd_connect_unix(state.fd, state.path);
		if (r == 0)
			r = send_once(len);
	}
	state.mood = r == 0 ? MOOD_WELL : r == -EAGAIN ? MOOD_BUSY : MOOD_BROKEN;
	return r == 0;
}

static bool send_message(int priority, const struct log_field *fields, const char *text)
{
	struct log_space datagram = {buffer, sizeof buffer, 0};

	if (state.target == LOG_TARGET_JOURNAL)
		log_compose_journal(&datagram, identifier(), priority, fields, text);
	else
		log_compose_syslog(&datagram, identifier(), priority, text);
	return send_datagram(datagram.used);
}

static bool send_report(void)
{
	char text[128];

	if (state.unreported == 0)
		return true;
	compose_report(text, sizeof text);
	if (!send_message(LOG_WARNING, NULL, text))
		return false;
	state.unreported = 0;
	return true;
}

/*
 * Beside a datagram target: one line at once, for who watches.  The target has
 * it as well, so nothing is lost here that would have to be counted.
 */
static void echo(int priority, const char *text)
{
	char data[LOG_TEXT_MAX + 64];
	struct log_space line = {data, sizeof data, 0};
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
	size_t at = 0;

	if (!log_compose_line(&line, state.prefix, priority, text))
		return;
	while (at < line.used && poll(&p, 1, ECHO_PATIENCE) > 0) {
		ssize_t n = write(STDERR_FILENO, data + at, line.used - at);

		if (n <= 0)
			return;
		at += (size_t)n;
	}
}

/*
 * What everybody calls.
 */

static void put(int priority, const struct log_field *fields, const char *format, va_list ap)
	_printf_(3, 0);
static void put(int priority, const struct log_field *fields, const char *format, va_list ap)
{
	int saved = errno;
	char text[LOG_TEXT_MAX + 1];

	if (state.fd < 0 || priority > state.max_priority)
		return;
	log_compose_text(text, format, ap);
	if (state.echo)
		echo(priority, text);
	if (state.target == LOG_TARGET_STDERR)
		put_on_stderr(priority, text);
	else if (!send_report() || !send_message(priority, fields, text))
		count_lost();
	errno = saved;
}

void log_message(int priority, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	put(priority, NULL, format, ap);
	va_end(ap);
}

void log_fields(int priority, const struct log_field *fields, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	put(priority, fields, format, ap);
	va_end(ap);
}

void log_flush(void)
{
	int saved = errno;

	if (state.fd < 0)
		return;
	if (state.target == LOG_TARGET_STDERR)
		flush_stderr();
	else
		send_report();
	errno = saved;
}

enum log_target log_target(void)
{
	return state.target;
}

int log_max_priority(void)
{
	return state.max_priority;
}

void log_set_max_priority(int priority)
{
	state.max_priority = priority;
}

int log_pending_fd(void)
{
	bool waiting = state.lines.used > 0 || state.unreported > 0;

	return waiting && state.mood != MOOD_BROKEN ? state.fd : -1;
}

uint64_t log_lost(void)
{
	return state.lost;
}

pid_t log_relay_pid(void)
{
	return state.relay;
}

int log_fd(void)
{
	return state.fd;
}
