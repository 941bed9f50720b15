/* fd: descriptors and whole files. */
#include "base/fd.h"
#include "base/own.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

/* Of a UNIX socket: unix(7). */
#define LONGEST_PATH (sizeof((struct sockaddr_un *)NULL)->sun_path - 1)

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* An unlinked file with this content, read from its start. */
static int file_with(const char *text, size_t len)
{
	FILE *file = tmpfile();
	int fd;

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	rewind(file);
	fd = dup(fileno(file));
	assert_true(fd >= 0);
	fclose(file);
	return fd;
}

static void test_close_forgets(void **ctx)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), number = fd;

	(void)ctx;
	assert_true(fd >= 0);
	errno = ENOTTY;
	fd = fd_close(fd);
	assert_int_equal(fd, -EBADF);
	assert_int_equal(errno, ENOTTY);
	assert_false(is_open(number));
	assert_int_equal(fd_close(-1), -EBADF);
	assert_int_equal(fd_close(-EBADF), -EBADF);
}

static void test_take_fd_gives_ownership_away(void **ctx)
{
	int kept, closed;

	(void)ctx;
	{
		_cleanup_close_ int a = open("/dev/null", O_RDONLY | O_CLOEXEC);
		_cleanup_close_ int b = open("/dev/null", O_RDONLY | O_CLOEXEC);

		closed = a;
		kept = take_fd(&b);
		assert_int_equal(b, -EBADF);
	}
	assert_false(is_open(closed));
	assert_true(is_open(kept));
	fd_close(kept);
}

static void test_nonblock(void **ctx)
{
	int fds[2];

	(void)ctx;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fd_set_nonblock(fds[0], true), 0);
	assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	assert_false(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_set_nonblock(fds[0], true), 0);
	assert_int_equal(fd_set_nonblock(fds[0], false), 0);
	assert_false(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_set_nonblock(-1, true), -EBADF);
	fd_close(fds[0]);
	fd_close(fds[1]);
}

static void test_move_up(void **ctx)
{
	int fd = open("/dev/null", O_RDONLY), moved;

	(void)ctx;
	assert_true(fd >= 0);
	moved = fd_move_up(fd, 100);
	assert_int_equal(moved, 100);
	assert_false(is_open(fd));
	assert_int_equal(fcntl(moved, F_GETFD), FD_CLOEXEC);

	/* An impossible number: the old one stays open and owned. */
	assert_int_equal(fd_move_up(moved, INT32_MAX), -EINVAL);
	assert_true(is_open(moved));
	fd_close(moved);
}

/* What the child finds wrong, or 0: it runs with the given descriptors closed. */
static int fill_in_child(const int *closed, size_t n)
{
	struct stat null, st;

	for (size_t i = 0; i < n; i++)
		close(closed[i]);
	if (fd_fill_stdio() != 0)
		return 1;
	if (stat("/dev/null", &null) < 0)
		return 2;
	for (size_t i = 0; i < n; i++) {
		if (fstat(closed[i], &st) < 0 || st.st_rdev != null.st_rdev)
			return 3;
		if (fcntl(closed[i], F_GETFD) & FD_CLOEXEC)
			return 4;
	}
	/* Nothing above has been opened in passing: 100 is what we left open. */
	for (int fd = 3; fd < 100; fd++) {
		if (is_open(fd))
			return 5;
	}
	return 0;
}

static void check_fill(const int *closed, size_t n)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (int fd = 3; fd < 100; fd++)
			close(fd);
		_exit(fill_in_child(closed, n));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_fill_stdio(void **ctx)
{
	(void)ctx;
	check_fill((int[]){0, 1, 2}, 3);
	check_fill((int[]){1}, 1);
	check_fill((int[]){0, 2}, 2);
	check_fill(NULL, 0);
}

static void check_read(size_t len, size_t max)
{
	_cleanup_free_ char *text = NULL, *sent = NULL;
	size_t got = SIZE_MAX;
	int fd, r;

	sent = malloc(len + 1);
	assert_non_null(sent);
	for (size_t i = 0; i < len; i++)
		sent[i] = (char)(i * 31 + i / 256);
	fd = file_with(sent, len);

	r = fd_read_all(fd, max, &text, &got);
	fd_close(fd);
	if (len > max) {
		assert_int_equal(r, -EFBIG);
		assert_null(text);
		assert_int_equal(got, SIZE_MAX);
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(got, len);
	assert_memory_equal(text, sent, len);
	assert_int_equal(text[len], '\0');
}

static void test_close_range(void **ctx)
{
	(void)ctx;
	for (int fd = 100; fd < 110; fd++)
		assert_int_equal(dup2(STDIN_FILENO, fd), fd);
	fd_close_range(102, 101);
	fd_close_range(103, 107);
	for (int fd = 100; fd < 110; fd++) {
		assert_int_equal(fcntl(fd, F_GETFD) >= 0, fd < 103 || fd > 107);
		fd_close(fd);
	}
}

static void test_new_memory(void **ctx)
{
	const struct iovec parts[] = {
		{.iov_base = (void *)"abc", .iov_len = 3},
		{.iov_base = NULL, .iov_len = 0},
		{.iov_base = (void *)"de", .iov_len = 2},
	};
	_cleanup_close_ int fd = fd_new_memory("test", parts, 3);
	_cleanup_close_ int empty = fd_new_memory("test", parts + 1, 1);
	_cleanup_free_ char *text = NULL;
	size_t len;

	(void)ctx;
	assert_true(fd >= 0 && empty >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fd_read_all(fd, 5, &text, &len), 0);
	assert_int_equal(len, 5);
	assert_string_equal(text, "abcde");
	assert_int_equal(lseek(empty, 0, SEEK_END), 0);
}

static void test_read_all_of_a_file(void **ctx)
{
	static const size_t sizes[] = {0, 1, 2, 4095, 4096, 4097, 20000};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		check_read(sizes[i], sizes[i]);
		check_read(sizes[i], sizes[i] + 1);
		check_read(sizes[i], 1000000);
		if (sizes[i] > 0) {
			check_read(sizes[i], sizes[i] - 1);
			check_read(sizes[i], 0);
		}
	}
}

/* No size is known in advance, and the text comes in pieces. */
static void test_read_all_of_a_pipe(void **ctx)
{
	enum { LEN = 60000 };
	_cleanup_free_ char *text = NULL, *sent = calloc(1, LEN);
	int fds[2];
	size_t len = 0;

	(void)ctx;
	assert_non_null(sent);
	memset(sent, 'x', LEN);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], sent, LEN), LEN);
	fd_close(fds[1]);
	assert_int_equal(fd_read_all(fds[0], LEN, &text, &len), 0);
	assert_int_equal(len, LEN);
	assert_memory_equal(text, sent, LEN);
	fd_close(fds[0]);

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], sent, LEN), LEN);
	fd_close(fds[1]);
	len = 7;
	assert_int_equal(fd_read_all(fds[0], LEN - 1, &sent, &len), -EFBIG);
	assert_int_equal(len, 7);
	fd_close(fds[0]);
}

static void test_read_all_fails(void **ctx)
{
	_cleanup_close_ int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *text = NULL;
	size_t len = 7;

	(void)ctx;
	assert_int_equal(fd_read_all(dir, 100, &text, &len), -EISDIR);
	assert_int_equal(fd_read_all(-1, 100, &text, &len), -EBADF);
	assert_null(text);
	assert_int_equal(len, 7);
}

/* A listener whose queue takes one, at the longest path that there may be. */
static int listener_at(char path[LONGEST_PATH + 1], char folder[32])
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len;

	assert_true(fd >= 0);
	strcpy(folder, "/tmp/hatchd-test-fd-XXXXXX");
	assert_non_null(mkdtemp(folder));
	len = (size_t)snprintf(path, LONGEST_PATH + 1, "%s/", folder);
	memset(path + len, 'x', LONGEST_PATH - len);
	path[LONGEST_PATH] = '\0';
	memcpy(un.sun_path, path, LONGEST_PATH + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
	assert_int_equal(listen(fd, 0), 0);
	return fd;
}

static void test_connect_unix(void **ctx)
{
	char path[LONGEST_PATH + 1], folder[32];
	int listener = listener_at(path, folder), got;
	int fds[2];

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(fd_connect_unix(fds[0], path), 0);
	assert_int_equal(fd_connect_unix(fds[1], path), -EAGAIN);

	/* It stays open, for another attempt. */
	got = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(got >= 0);
	assert_int_equal(fd_connect_unix(fds[1], path), 0);

	fd_close(listener);
	fd_close(got);
	fd_close(fds[0]);
	fd_close(fds[1]);
	unlink(path);
	rmdir(folder);
}

static void test_connect_unix_fails(void **ctx)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char path[LONGEST_PATH + 2] = "";

	(void)ctx;
	assert_int_equal(fd_connect_unix(fd, "/nonexistent/hatchd-test"), -ENOENT);
	assert_int_equal(fd_connect_unix(-1, "/nonexistent/hatchd-test"), -EBADF);
	memset(path, 'x', LONGEST_PATH + 1);
	assert_int_equal(fd_connect_unix(fd, path), -ENAMETOOLONG);
	assert_true(is_open(fd));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_close_forgets),
		cmocka_unit_test(test_take_fd_gives_ownership_away),
		cmocka_unit_test(test_nonblock),
		cmocka_unit_test(test_move_up),
		cmocka_unit_test(test_fill_stdio),
		cmocka_unit_test(test_close_range),
		cmocka_unit_test(test_new_memory),
		cmocka_unit_test(test_read_all_of_a_file),
		cmocka_unit_test(test_read_all_of_a_pipe),
		cmocka_unit_test(test_read_all_fails),
		cmocka_unit_test(test_connect_unix),
		cmocka_unit_test(test_connect_unix_fails),
	};

	return cmocka_run_group_tests_name("fd", tests, NULL, NULL);
}
