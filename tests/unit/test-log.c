/* log: where messages go, that nothing waits, and that losses are told. */
#include "base/fd.h"
#include "base/log-internal.h"
#include "base/log.h"
#include "base/own.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#define NOWHERE "/nonexistent/hatchd-test"

static char journal_path[64];
static char syslog_path[64];
static char directory[] = "/tmp/hatchd-test-log-XXXXXX";

/* What standard error was before the test put something in its place. */
static int saved_stderr = -EBADF;

static void replace_stderr(int fd)
{
	saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	assert_true(saved_stderr >= 0);
	if (fd < 0)
		close(STDERR_FILENO);
	else
		assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
}

static void restore_stderr(void)
{
	log_close();
	assert_int_equal(dup2(saved_stderr, STDERR_FILENO), STDERR_FILENO);
	saved_stderr = fd_close(saved_stderr);
}

static void open_at(enum log_target target, const char *prefix)
{
	log_open_at(target, prefix, LOG_INFO, journal_path, syslog_path);
}

/* All that can be read now, as a string. */
static const char *read_now(int fd)
{
	static char text[256 * 1024];
	size_t len = 0;
	ssize_t n;

	assert_int_equal(fd_set_nonblock(fd, true), 0);
	while (len < sizeof text - 1) {
		n = read(fd, text + len, sizeof text - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	text[len] = '\0';
	return text;
}

/* A datagram socket that listens at `path`. */
static int receiver_at(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
	return fd;
}

/* The next datagram; NULL if there is none. */
static const char *receive(int fd, size_t *ret_len)
{
	static char text[32 * 1024];
	ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

	if (n < 0)
		return NULL;
	text[n] = '\0';
	if (ret_len)
		*ret_len = (size_t)n;
	return text;
}

static const char *last_line(const char *text)
{
	const char *end = text + strlen(text) - 1;

	assert_true(end > text);
	for (end--; end > text && end[-1] != '\n'; end--)
		;
	return end;
}

static void test_lines(void **ctx)
{
	int fds[2];

	(void)ctx;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_stderr(fds[1]);
	open_at(LOG_TARGET_STDERR, "hatchd");
	assert_int_equal(log_target(), LOG_TARGET_STDERR);
	log_error("unable to %s", "bind");
	log_warning("full");
	log_notice("a\tb\nc");
	log_info("\033[31m\r\x7f"
		 "100%%\\");
	log_debug("not this");
	assert_string_equal(read_now(fds[0]), ""); /* one loop turn is not over */
	log_flush();
	assert_string_equal(read_now(fds[0]), "hatchd: error: unable to bind\n"
					      "hatchd: warning: full\n"
					      "hatchd: a\tb\nc\n"
					      "hatchd: \\x1b[31m\\x0d\\x7f100%\\\n");

	/* log_close() flushes. */
	open_at(LOG_TARGET_STDERR, NULL);
	log_set_max_priority(LOG_ERR);
	assert_int_equal(log_max_priority(), LOG_ERR);
	log_warning("not this");
	log_error("x");
	log_close();
	assert_string_equal(read_now(fds[0]), "error: x\n");
	log_error("not this");
	log_flush();
	assert_string_equal(read_now(fds[0]), "");
	restore_stderr();
	fd_close(fds[0]);
	fd_close(fds[1]);
}

/* The inherited description must stay blocking for those who share it. */
static void test_pipe_is_not_made_nonblocking(void **ctx)
{
	int fds[2];

	(void)ctx;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_stderr(fds[1]);
	open_at(LOG_TARGET_STDERR, "t");
	assert_int_not_equal(log_fd(), STDERR_FILENO);
	assert_true(log_fd() > STDERR_FILENO);
	assert_true(fcntl(log_fd(), F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(log_fd(), F_GETFD), FD_CLOEXEC);
	assert_false(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK);
	restore_stderr();
	assert_int_equal(log_fd(), -1);
	fd_close(fds[0]);
	fd_close(fds[1]);
}

/* Fill `fd` from a description that does not block. */
static void stuff(int fd)
{
	char path[32], text[1024];
	int own;

	memset(text, '#', sizeof text);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(own >= 0);
	while (write(own, text, sizeof text) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	fd_close(own);
}

/* Log more than the buffer takes; it must neither wait nor forget to count. */
static unsigned overflow(void)
{
	unsigned n = 0;

	while (log_lost() < 3) {
		log_message(LOG_INFO, "message %u %0100d", n++, 0);
		assert_true(n < 1000);
	}
	return n;
}

/* What comes out after `n` messages of which 3 were lost. */
static void check_loss_is_reported(int fd, unsigned n)
{
	static char wanted[64 * 1024];
	size_t len = 0;
	const char *got;

	for (unsigned i = 0; i < n - 3; i++)
		len += (size_t)snprintf(
			wanted + len, sizeof wanted - len, "t: message %u %0100d\n", i, 0);
	snprintf(wanted + len, sizeof wanted - len,
		"t: warning: 3 messages lost: standard error did not take them\n");

	log_flush();
	got = read_now(fd);
	assert_string_equal(got, wanted);
	assert_int_equal(log_lost(), 3);
	assert_int_equal(log_pending_fd(), -1);

	/* Told once. */
	log_flush();
	assert_string_equal(read_now(fd), "");
	log_info("on we go");
	log_flush();
	assert_string_equal(read_now(fd), "t: on we go\n");
}

static void test_stalled_pipe(void **ctx)
{
	int fds[2];
	unsigned n;

	(void)ctx;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_stderr(fds[1]);
	open_at(LOG_TARGET_STDERR, "t");
	assert_int_equal(log_pending_fd(), -1);
	stuff(fds[1]);
	n = overflow();
	assert_true(n > 100);
	log_flush();
	assert_int_equal(log_lost(), 3);
	assert_int_equal(log_pending_fd(), log_fd());
	read_now(fds[0]);
	check_loss_is_reported(fds[0], n);
	restore_stderr();
	fd_close(fds[0]);
	fd_close(fds[1]);
}

/* Messages after a loss never come out before the report of it. */
static void test_report_stands_where_the_gap_is(void **ctx)
{
	const char *text, *report, *after;
	int fds[2];
	unsigned n;

	(void)ctx;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_stderr(fds[1]);
	open_at(LOG_TARGET_STDERR, "t");
	stuff(fds[1]);
	n = overflow();
	read_now(fds[0]);
	log_info("after");
	log_flush();
	text = read_now(fds[0]);
	report = strstr(text, "3 messages lost");
	after = strstr(text, "t: after\n");
	assert_non_null(report);
	assert_non_null(after);
	assert_true(report < after);
	assert_ptr_equal(after, last_line(text));
	(void)n;
	restore_stderr();
	fd_close(fds[0]);
	fd_close(fds[1]);
}

/* A stream socket cannot be opened anew; it is asked not to wait. */
static void test_stalled_socket(void **ctx)
{
	char text[1024];
	unsigned n;
	int fds[2];

	(void)ctx;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	replace_stderr(fds[1]);
	open_at(LOG_TARGET_STDERR, "t");
	assert_int_equal(log_fd(), STDERR_FILENO);
	memset(text, '#', sizeof text);
	while (send(fds[1], text, sizeof text, MSG_DONTWAIT) > 0)
		;
	assert_false(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK);
	n = overflow();
	log_flush();
	assert_int_equal(log_pending_fd(), STDERR_FILENO);
	read_now(fds[0]);
	check_loss_is_reported(fds[0], n);

	/* No reader: no signal, and nothing to wait for. */
	fd_close(fds[0]);
	log_info("x");
	log_flush();
	assert_int_equal(log_pending_fd(), -1);
	restore_stderr();
	fd_close(fds[1]);
}

/* Like a terminal of another user: opening it again is refused.  A FIFO without
 * a reader is, too, and then gets one. */
static void test_shared_description(void **ctx)
{
	char path[96];
	int writer, reader;

	(void)ctx;
	snprintf(path, sizeof path, "%s/fifo", directory);
	assert_int_equal(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	writer = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(reader >= 0 && writer >= 0);
	fd_close(reader);
	replace_stderr(writer);
	open_at(LOG_TARGET_STDERR, "t");
	assert_int_equal(log_fd(), STDERR_FILENO);

	/* No signal here either: it is not ignored by this test. */
	log_info("one");
	log_flush();
	assert_int_equal(log_pending_fd(), -1);
	assert_int_equal(log_lost(), 0);

	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	stuff(writer);
	log_flush();
	assert_int_equal(log_pending_fd(), STDERR_FILENO);
	read_now(reader);
	log_flush();
	assert_string_equal(read_now(reader), "t: one\n");
	assert_int_equal(log_pending_fd(), -1);
	restore_stderr();
	fd_close(reader);
	fd_close(writer);
	unlink(path);
}

static void test_pipe_without_reader(void **ctx)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	int fds[2];

	(void)ctx;
	sigaction(SIGPIPE, &ignore, &before);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_stderr(fds[1]);
	open_at(LOG_TARGET_STDERR, "t");
	fd_close(fds[0]);
	log_info("x");
	log_flush();
	assert_int_equal(log_pending_fd(), -1); /* POLLERR for ever would be a busy loop */
	overflow();
	assert_int_equal(log_pending_fd(), -1);
	restore_stderr();
	fd_close(fds[1]);
	sigaction(SIGPIPE, &before, NULL);
}

/* Our lines and those of processes that share standard error do not overwrite
 * each other. */
static void test_regular_file(void **ctx)
{
	char path[96];
	int writer, reader;

	(void)ctx;
	snprintf(path, sizeof path, "%s/file", directory);
	writer = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(writer >= 0 && reader >= 0);
	assert_int_equal(write(writer, "before\n", 7), 7);
	replace_stderr(writer);
	open_at(LOG_TARGET_STDERR, "t");
	log_info("one");
	log_flush();
	assert_int_equal(write(STDERR_FILENO, "child\n", 6), 6);
	log_info("two");
	log_flush();
	assert_int_equal(log_pending_fd(), -1);
	assert_string_equal(read_now(reader), "before\nt: one\nchild\nt: two\n");
	restore_stderr();
	fd_close(reader);
	fd_close(writer);
	unlink(path);
}

/* A full disk: nothing waits, nothing blocks, and nothing is forgotten. */
static void test_full_device(void **ctx)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)ctx;
	if (full < 0)
		skip();
	replace_stderr(full);
	open_at(LOG_TARGET_STDERR, "t");
	log_info("x");
	log_flush();
	assert_int_equal(log_pending_fd(), -1);
	assert_int_equal(log_lost(), 0);
	overflow();
	restore_stderr();
	fd_close(full);
}

/* Sixteen kilobytes and more in one turn come out whole and in order. */
static void test_many_lines(void **ctx)
{
	const char *got;
	char line[64];
	int fds[2];

	(void)ctx;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_stderr(fds[1]);
	open_at(LOG_TARGET_STDERR, "t");
	for (int i = 0; i < 1000; i++)
		log_info("line number %d of many", i);
	log_flush();
	got = read_now(fds[0]);
	for (int i = 0; i < 1000; i++) {
		size_t len =
			(size_t)snprintf(line, sizeof line, "t: line number %d of many\n", i);

		assert_memory_equal(got, line, len);
		got += len;
	}
	assert_string_equal(got, "");
	assert_int_equal(log_lost(), 0);
	restore_stderr();
	fd_close(fds[0]);
	fd_close(fds[1]);
}

/* Whole datagrams, NULs and all; what one is made of is shown by test-log-compose. */
static void test_journal(void **ctx)
{
	static const struct log_field fields[] = {{"REASON", "a\nb"}, {NULL, NULL}};
	static const char wanted[] = "PRIORITY=6\nSYSLOG_IDENTIFIER=hatchd\nMESSAGE=hello 7\n"
				     "REASON\n\3\0\0\0\0\0\0\0a\nb\n";
	int journal = receiver_at(journal_path);
	const char *got;
	size_t len;

	(void)ctx;
	open_at(LOG_TARGET_JOURNAL, "hatchd");
	assert_int_equal(log_target(), LOG_TARGET_JOURNAL);
	assert_true(log_fd() > STDERR_FILENO);
	log_fields(LOG_INFO, fields, "hello %d", 7);
	got = receive(journal, &len);
	assert_non_null(got);
	assert_int_equal(len, sizeof wanted - 1);
	assert_memory_equal(got, wanted, len);

	log_error("full: %d", 512);
	got = receive(journal, NULL);
	assert_non_null(got);
	assert_string_equal(got, "PRIORITY=3\nSYSLOG_IDENTIFIER=hatchd\nMESSAGE=full: 512\n");
	log_debug("not this");
	assert_null(receive(journal, NULL));
	log_close();
	fd_close(journal);
	unlink(journal_path);
}

/* Fill the queue of a receiver through the log; returns how many it took. */
static unsigned fill_datagrams(void)
{
	unsigned n = 0;

	while (log_lost() < 2) {
		log_info("message %u", n++);
		assert_true(n < 100000);
	}
	return n - 2;
}

static void test_stalled_journal(void **ctx)
{
	int journal = receiver_at(journal_path);
	struct pollfd p = {.events = POLLOUT};
	const char *got;
	unsigned taken;

	(void)ctx;
	open_at(LOG_TARGET_JOURNAL, "t");
	assert_int_equal(log_pending_fd(), -1);
	taken = fill_datagrams();
	assert_true(taken > 0);
	log_flush();
	assert_int_equal(log_lost(), 2);
	p.fd = log_pending_fd();
	assert_int_equal(p.fd, log_fd());
	assert_int_equal(poll(&p, 1, 0), 0); /* no busy loop while it is full */

	for (unsigned i = 0; i < taken; i++)
		assert_non_null(receive(journal, NULL));
	assert_int_equal(poll(&p, 1, 0), 1);
	log_flush();
	got = receive(journal, NULL);
	assert_string_equal(got, "PRIORITY=4\nSYSLOG_IDENTIFIER=t\n"
				 "MESSAGE=2 messages lost: the journal did not take them\n");
	assert_int_equal(log_pending_fd(), -1);
	assert_null(receive(journal, NULL));
	log_close();
	fd_close(journal);
	unlink(journal_path);
}

/* The journal restarts: what is logged meanwhile is counted, the rest arrives. */
static void test_journal_restarts(void **ctx)
{
	int journal = receiver_at(journal_path), number;
	const char *got;

	(void)ctx;
	open_at(LOG_TARGET_JOURNAL, "t");
	number = log_fd();
	log_info("one");
	assert_non_null(receive(journal, NULL));

	/* At once: nothing is lost. */
	fd_close(journal);
	journal = receiver_at(journal_path);
	log_info("two");
	got = receive(journal, NULL);
	assert_non_null(got);
	assert_non_null(strstr(got, "MESSAGE=two\n"));
	assert_int_equal(log_lost(), 0);

	/* With a gap, once with a stale name and once without any. */
	fd_close(journal);
	log_info("lost");
	unlink(journal_path);
	log_info("lost as well");
	assert_int_equal(log_lost(), 2);
	assert_int_equal(log_pending_fd(), -1);
	journal = receiver_at(journal_path);
	log_info("three");
	got = receive(journal, NULL);
	assert_non_null(got);
	assert_non_null(strstr(got, "MESSAGE=2 messages lost: "));
	got = receive(journal, NULL);
	assert_non_null(got);
	assert_non_null(strstr(got, "MESSAGE=three\n"));
	assert_int_equal(log_fd(), number);
	log_close();
	fd_close(journal);
	unlink(journal_path);
}

static void test_syslog(void **ctx)
{
	int receiver = receiver_at(syslog_path);
	char wanted[128];
	const char *got;

	(void)ctx;
	open_at(LOG_TARGET_SYSLOG, "hatchd");
	assert_int_equal(log_target(), LOG_TARGET_SYSLOG);
	log_warning("full: %d", 512);
	snprintf(wanted, sizeof wanted, "<%d>hatchd[%d]: full: 512", LOG_DAEMON | LOG_WARNING,
		(int)getpid());
	got = receive(receiver, NULL);
	assert_non_null(got);
	assert_string_equal(got, wanted);
	fill_datagrams();
	fd_close(receiver);
	log_close();

	/* It need not be there at the start. */
	unlink(syslog_path);
	open_at(LOG_TARGET_SYSLOG, NULL);
	log_info("lost");
	assert_int_equal(log_lost(), 1);
	receiver = receiver_at(syslog_path);
	log_flush();
	got = receive(receiver, NULL);
	assert_non_null(got);
	assert_non_null(strstr(got, "1 message lost: the system log did not take it"));
	assert_non_null(strstr(got, program_invocation_short_name));
	log_close();
	fd_close(receiver);
	unlink(syslog_path);
}

static void set_journal_stream(int fd)
{
	char text[64];
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	snprintf(text, sizeof text, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", text, 1), 0);
}

static enum log_target chosen(enum log_target wanted)
{
	enum log_target got;

	open_at(wanted, "t");
	got = log_target();
	log_close();
	return got;
}

static void test_choice_of_target(void **ctx)
{
	int journal = receiver_at(journal_path), other[2], stream[2];

	(void)ctx;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
	assert_int_equal(pipe2(other, O_CLOEXEC), 0);

	/* Standard error is the journal's. */
	set_journal_stream(stream[1]);
	replace_stderr(stream[1]);
	assert_int_equal(chosen(LOG_TARGET_AUTO), LOG_TARGET_JOURNAL);
	assert_int_equal(chosen(LOG_TARGET_STDERR), LOG_TARGET_STDERR);
	assert_int_equal(chosen(LOG_TARGET_NONE), LOG_TARGET_NONE);

	/* It is, but the native socket is not there. */
	fd_close(journal);
	unlink(journal_path);
	assert_int_equal(chosen(LOG_TARGET_AUTO), LOG_TARGET_STDERR);
	assert_int_equal(chosen(LOG_TARGET_JOURNAL), LOG_TARGET_STDERR);
	restore_stderr();

	/* It was, but has been redirected; or the variable is nonsense. */
	journal = receiver_at(journal_path);
	replace_stderr(other[1]);
	assert_int_equal(chosen(LOG_TARGET_AUTO), LOG_TARGET_STDERR);
	set_journal_stream(stream[1]);
	assert_int_equal(dup2(stream[0], STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(chosen(LOG_TARGET_AUTO), LOG_TARGET_STDERR); /* same device */
	assert_int_equal(dup2(other[1], STDERR_FILENO), STDERR_FILENO);
	setenv("JOURNAL_STREAM", "1", 1);
	assert_int_equal(chosen(LOG_TARGET_AUTO), LOG_TARGET_STDERR);
	setenv("JOURNAL_STREAM", ":", 1);
	assert_int_equal(chosen(LOG_TARGET_AUTO), LOG_TARGET_STDERR);
	unsetenv("JOURNAL_STREAM");
	assert_int_equal(chosen(LOG_TARGET_AUTO), LOG_TARGET_STDERR);
	assert_int_equal(chosen(LOG_TARGET_JOURNAL), LOG_TARGET_JOURNAL);
	restore_stderr();

	/* Standard error is closed, or open for reading only. */
	replace_stderr(-1);
	assert_int_equal(chosen(LOG_TARGET_AUTO), LOG_TARGET_SYSLOG);
	assert_int_equal(chosen(LOG_TARGET_STDERR), LOG_TARGET_SYSLOG);
	open_at(LOG_TARGET_AUTO, "t");
	assert_true(log_fd() > STDERR_FILENO);
	restore_stderr();
	replace_stderr(other[0]);
	assert_int_equal(chosen(LOG_TARGET_AUTO), LOG_TARGET_SYSLOG);
	restore_stderr();

	fd_close(journal);
	unlink(journal_path);
	for (int i = 0; i < 2; i++) {
		fd_close(other[i]);
		fd_close(stream[i]);
	}
}

static void test_nothing_before_open(void **ctx)
{
	(void)ctx;
	assert_int_equal(log_target(), LOG_TARGET_NONE);
	assert_int_equal(log_fd(), -1);
	assert_int_equal(log_pending_fd(), -1);
	log_error("nowhere");
	log_flush();
	log_close();
	assert_true(log_lost() == 0);
}

/* A daemon: the system's log, whatever standard error is. */
static void test_system(void **ctx)
{
	int receiver, fds[2];

	(void)ctx;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_stderr(fds[1]);
	open_at(LOG_TARGET_SYSTEM, "t");
	assert_int_equal(log_target(), LOG_TARGET_SYSLOG);
	log_info("nobody there");
	assert_int_equal(log_lost(), 1);

	receiver = receiver_at(syslog_path);
	log_info("hello");
	assert_non_null(strstr(receive(receiver, NULL), "1 message lost: the system log"));
	assert_non_null(strstr(receive(receiver, NULL), "]: hello"));
	fd_close(receiver);

	receiver = receiver_at(journal_path);
	open_at(LOG_TARGET_SYSTEM, "t");
	assert_int_equal(log_target(), LOG_TARGET_JOURNAL);
	log_info("hello");
	assert_non_null(strstr(receive(receiver, NULL), "MESSAGE=hello\n"));
	fd_close(receiver);
	assert_string_equal(read_now(fds[0]), "");
	restore_stderr();
	fd_close(fds[0]);
	fd_close(fds[1]);
}

/* Who starts a daemon sees what it says until it is ready. */
static void test_echo(void **ctx)
{
	int receiver = receiver_at(syslog_path), fds[2];

	(void)ctx;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_stderr(fds[1]);
	open_at(LOG_TARGET_SYSTEM, "t");
	log_echo(true);
	log_warning("one");
	log_debug("not this");
	assert_string_equal(read_now(fds[0]), "t: warning: one\n");
	assert_non_null(strstr(receive(receiver, NULL), "]: one"));
	log_echo(false);
	log_warning("two");
	assert_string_equal(read_now(fds[0]), "");
	assert_non_null(strstr(receive(receiver, NULL), "]: two"));

	/* The end of it does not outlive the log. */
	log_echo(true);
	log_close();
	open_at(LOG_TARGET_SYSTEM, "t");
	log_warning("three");
	assert_string_equal(read_now(fds[0]), "");
	restore_stderr();
	fd_close(fds[0]);
	fd_close(fds[1]);
	fd_close(receiver);
}

/* Nothing is written twice into one log, nor to what only has the number 2. */
static void test_echo_that_is_none(void **ctx)
{
	int receiver = receiver_at(journal_path), fds[2];

	(void)ctx;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_stderr(fds[1]);
	set_journal_stream(STDERR_FILENO);
	open_at(LOG_TARGET_SYSTEM, "t");
	log_echo(true);
	log_warning("one");
	unsetenv("JOURNAL_STREAM");
	open_at(LOG_TARGET_STDERR, "t");
	log_echo(true);
	log_warning("two");
	log_flush();
	assert_string_equal(read_now(fds[0]), "t: warning: two\n");
	restore_stderr();
	fd_close(fds[0]);
	fd_close(fds[1]);

	replace_stderr(-1);
	open_at(LOG_TARGET_SYSTEM, "t");
	log_echo(true);
	assert_int_equal(pipe2(fds, 0), 0);
	assert_int_equal(fds[0], STDERR_FILENO);
	log_warning("three");
	fd_close(fds[1]);
	restore_stderr();
	fd_close(receiver);
}

static void test_errno_survives(void **ctx)
{
	int fds[2];

	(void)ctx;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_stderr(fds[1]);
	open_at(LOG_TARGET_STDERR, "t");
	stuff(fds[1]);
	for (int i = 0; i < 300; i++) {
		errno = ENOTTY;
		log_info("%0100d", i);
		assert_int_equal(errno, ENOTTY);
	}
	assert_true(log_lost() > 0);
	errno = ENOTTY;
	log_flush();
	assert_int_equal(errno, ENOTTY);
	restore_stderr();
	fd_close(fds[0]);
	fd_close(fds[1]);
}

static int make_directory(void **ctx)
{
	(void)ctx;
	if (!mkdtemp(directory))
		return -1;
	snprintf(journal_path, sizeof journal_path, "%s/journal", directory);
	snprintf(syslog_path, sizeof syslog_path, "%s/log", directory);
	return unsetenv("JOURNAL_STREAM");
}

/* After a failure inside a test the real standard error comes back, and what
 * the test left behind goes. */
static int clean_up(void **ctx)
{
	static const char *const names[] = {"journal", "log", "fifo", "file"};
	char path[96];

	(void)ctx;
	log_close();
	if (saved_stderr >= 0) {
		dup2(saved_stderr, STDERR_FILENO);
		saved_stderr = fd_close(saved_stderr);
	}
	unsetenv("JOURNAL_STREAM");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof path, "%s/%s", directory, names[i]);
		unlink(path);
	}
	return 0;
}

static int remove_directory(void **ctx)
{
	(void)ctx;
	return rmdir(directory);
}

#define LOG_TEST(f) cmocka_unit_test_teardown(f, clean_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(test_nothing_before_open),
		LOG_TEST(test_lines),
		LOG_TEST(test_pipe_is_not_made_nonblocking),
		LOG_TEST(test_stalled_pipe),
		LOG_TEST(test_report_stands_where_the_gap_is),
		LOG_TEST(test_stalled_socket),
		LOG_TEST(test_shared_description),
		LOG_TEST(test_pipe_without_reader),
		LOG_TEST(test_regular_file),
		LOG_TEST(test_full_device),
		LOG_TEST(test_many_lines),
		LOG_TEST(test_journal),
		LOG_TEST(test_stalled_journal),
		LOG_TEST(test_journal_restarts),
		LOG_TEST(test_syslog),
		LOG_TEST(test_choice_of_target),
		LOG_TEST(test_system),
		LOG_TEST(test_echo),
		LOG_TEST(test_echo_that_is_none),
		LOG_TEST(test_errno_survives),
	};

	return cmocka_run_group_tests_name("log", tests, make_directory, remove_directory);
}
