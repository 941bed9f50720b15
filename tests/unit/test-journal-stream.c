/* journal_stream: what the journal is told, and that nobody waits for it. */
#include "base/fd.h"
#include "base/own.h"
#include "os/journal_stream.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

struct journal {
	char folder[64];
	char path[80];
	int fd;
};

static void start(struct journal *journal, int queue)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	strcpy(journal->folder, "/tmp/hatchd-test-journal-XXXXXX");
	assert_non_null(mkdtemp(journal->folder));
	snprintf(journal->path, sizeof journal->path, "%s/stdout", journal->folder);
	strcpy(addr.sun_path, journal->path);
	journal->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(journal->fd, (struct sockaddr *)&addr, sizeof addr), 0);
	assert_int_equal(listen(journal->fd, queue), 0);
}

static void end(struct journal *journal)
{
	fd_close(journal->fd);
	unlink(journal->path);
	rmdir(journal->folder);
}

/* Who connects next has sent that by now, and no more. */
static void check_sent(const struct journal *journal, const char *want)
{
	_cleanup_close_ int stream = accept4(journal->fd, NULL, NULL, SOCK_CLOEXEC);
	char got[128] = "";

	assert_true(stream >= 0);
	assert_true(recv(stream, got, sizeof got - 1, MSG_DONTWAIT) > 0);
	assert_string_equal(got, want);
}

static void test_head_and_lines(void **state)
{
	_cleanup_close_ int fd = -EBADF;
	struct journal journal;

	(void)state;
	start(&journal, 8);
	fd = journal_stream_open(journal.path, "hatchd/echo", "hatchd.service", LOG_INFO);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(fd, "oops\n", 5), 5);
	check_sent(&journal, "hatchd/echo\nhatchd.service\n6\n1\n0\n0\n0\noops\n");
	end(&journal);
}

static void test_without_unit(void **state)
{
	_cleanup_close_ int fd = -EBADF;
	struct journal journal;

	(void)state;
	start(&journal, 8);
	fd = journal_stream_open(journal.path, "hatchd/echo", NULL, LOG_INFO);
	assert_true(fd >= 0);
	check_sent(&journal, "hatchd/echo\n\n6\n1\n0\n0\n0\n");
	end(&journal);
}

/* The longest that systemd has. */
static void test_long_unit(void **state)
{
	_cleanup_close_ int fd = -EBADF;
	struct journal journal;
	char unit[256];

	(void)state;
	start(&journal, 8);
	memset(unit, 'u', sizeof unit - 1);
	unit[sizeof unit - 1] = '\0';
	fd = journal_stream_open(journal.path, "hatchd/echo", unit, LOG_INFO);
	assert_true(fd >= 0);
	end(&journal);
}

static void test_full_queue(void **state)
{
	struct journal journal;
	int fds[16], n = 0, fd;

	(void)state;
	start(&journal, 2);
	while ((fd = journal_stream_open(journal.path, "hatchd/echo", NULL, LOG_INFO)) >= 0) {
		assert_true(n < 16);
		fds[n++] = fd;
	}
	assert_int_equal(fd, -EAGAIN);
	while (n > 0)
		close(fds[--n]);
	end(&journal);
}

static void test_no_journal(void **state)
{
	char text[300];

	(void)state;
	assert_int_equal(journal_stream_open("/nowhere/stdout", "x", NULL, LOG_INFO), -ENOENT);
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_int_equal(journal_stream_open(text, "x", NULL, LOG_INFO), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head_and_lines),
		cmocka_unit_test(test_without_unit),
		cmocka_unit_test(test_long_unit),
		cmocka_unit_test(test_full_queue),
		cmocka_unit_test(test_no_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
