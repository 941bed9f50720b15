/* pid_file: one instance, and a number that is true. */
#include "base/fd.h"
#include "base/own.h"
#include "os/pid_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define NOBODY 65534

static char folder[] = "/tmp/test-pid-file-XXXXXX";
static char path[64];

static void put(const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static const char *content(void)
{
	static char text[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return NULL;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n] = '\0';
	return text;
}

static const char *number(pid_t pid)
{
	static char text[32];

	snprintf(text, sizeof text, "%d\n", (int)pid);
	return text;
}

static ino_t inode(void)
{
	struct stat st;

	return lstat(path, &st) == 0 ? st.st_ino : 0;
}

/* Refused, and nothing has changed. */
static void refused(const char *at, int error, pid_t owner)
{
	struct pid_file file = PID_FILE_NONE;
	pid_t found = -1;

	assert_int_equal(pid_file_open(at, &file, &found), error);
	assert_int_equal(found, owner);
	assert_int_equal(file.fd, -EBADF);
	assert_int_equal(file.dir, -EBADF);
}

static void opened(struct pid_file *file)
{
	struct stat st;
	pid_t owner = -1;

	assert_int_equal(pid_file_open(path, file, &owner), 0);
	assert_int_equal(owner, -1);
	assert_string_equal(content(), number(getpid()));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_true(fcntl(file->fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(file->dir, F_GETFD) & FD_CLOEXEC);
}

static void test_life(void **ctx)
{
	static const mode_t masks[] = {0, 022, 077, 0777};
	struct pid_file file = PID_FILE_NONE;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		mode_t saved = umask(masks[i]);

		opened(&file);
		umask(saved);
		pid_file_close(&file);
		assert_null(content());
		assert_int_equal(file.fd, -EBADF);
	}
	/* There is none any more. */
	pid_file_close(&file);
}

static void test_second_instance(void **ctx)
{
	struct pid_file file = PID_FILE_NONE;
	ino_t was;

	(void)ctx;
	opened(&file);
	was = inode();
	/* An open file has its own lock, whichever process has opened it. */
	refused(path, -EBUSY, getpid());
	assert_int_equal(inode(), was);
	assert_string_equal(content(), number(getpid()));

	/* Before its owner has written it. */
	assert_int_equal(truncate(path, 0), 0);
	refused(path, -EBUSY, 0);
	pid_file_close(&file);
}

static void test_stale_file_is_taken_over(void **ctx)
{
	static const char *const texts[] = {"", "1\n", "4194304", "1234567890\n"};
	struct pid_file file = PID_FILE_NONE;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		put(texts[i], 0600);
		opened(&file);
		pid_file_close(&file);
		assert_null(content());
	}
}

/* A process that has it is killed. */
static void test_lock_ends_with_its_process(void **ctx)
{
	struct pid_file file = PID_FILE_NONE;
	int ends[2];
	pid_t pid;
	char byte;

	(void)ctx;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (pid_file_open(path, &file, &pid) == 0 && write(ends[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	refused(path, -EBUSY, pid);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_string_equal(content(), number(pid));
	opened(&file);
	pid_file_close(&file);
}

/* Everybody may read it, so everybody may have such a lock. */
static void test_lock_of_a_reader_hinders_nobody(void **ctx)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	struct pid_file file = PID_FILE_NONE;
	_cleanup_close_ int reader = -EBADF;

	(void)ctx;
	put("1\n", 0644);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fcntl(reader, F_OFD_SETLK, &lock), 0);
	opened(&file);
	refused(path, -EBUSY, getpid());
	pid_file_close(&file);
}

static void test_what_is_no_pid_file_stays(void **ctx)
{
	static const char *const texts[] = {
		"root:x:0:0:root\n",
		"-1\n",
		"12 34\n",
		"99999999999\n",
		"000000000000000000000000000000000001",
	};
	struct stat st;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		put(texts[i], 0640);
		refused(path, -EEXIST, -1);
		assert_string_equal(content(), texts[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0640);
		unlink(path);
	}
	assert_int_equal(mkfifo(path, 0600), 0);
	refused(path, -EEXIST, -1);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	refused(path, -EEXIST, -1);
	rmdir(path);
}

static void test_links(void **ctx)
{
	char other[80];

	(void)ctx;
	snprintf(other, sizeof other, "%s/other", folder);
	assert_int_equal(symlink(other, path), 0);
	refused(path, -ELOOP, -1);
	assert_int_equal(access(other, F_OK), -1);
	unlink(path);

	/* A second name of something. */
	put("1\n", 0600);
	assert_int_equal(link(path, other), 0);
	refused(path, -EEXIST, -1);
	assert_string_equal(content(), "1\n");
	unlink(other);
	unlink(path);
}

static void test_folders(void **ctx)
{
	(void)ctx;
	refused("/nonexistent/x.pid", -ENOENT, -1);
	refused("x.pid", -EINVAL, -1);
	refused("/tmp/", -EINVAL, -1);
	refused("/tmp/x.pid", -EPERM, -1); /* sticky does not help: others come first */

	assert_int_equal(chmod(folder, 0775), 0);
	refused(path, -EPERM, -1);
	assert_int_equal(chmod(folder, 0755), 0);
	if (geteuid() != 0)
		return;
	assert_int_equal(chown(folder, NOBODY, NOBODY), 0);
	refused(path, -EPERM, -1);
	assert_int_equal(chown(folder, 0, 0), 0);
	put("1\n", 0644);
	assert_int_equal(chown(path, NOBODY, NOBODY), 0);
	refused(path, -EEXIST, -1);
	unlink(path);
}

static void test_only_ours_is_removed(void **ctx)
{
	struct pid_file file = PID_FILE_NONE;

	(void)ctx;
	opened(&file);
	unlink(path);
	put("77\n", 0600);
	pid_file_close(&file);
	assert_string_equal(content(), "77\n");
	unlink(path);
}

static void test_moved_up(void **ctx)
{
	struct pid_file file = PID_FILE_NONE;

	(void)ctx;
	assert_int_equal(pid_file_move_up(&file, 100), 0);
	opened(&file);
	assert_int_equal(pid_file_move_up(&file, 100), 0);
	assert_true(file.fd >= 100);
	assert_true(file.dir >= 100);
	assert_true(fcntl(file.fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(file.dir, F_GETFD) & FD_CLOEXEC);
	refused(path, -EBUSY, getpid());
	pid_file_close(&file);
	assert_null(content());
}

static int make_folder(void **ctx)
{
	(void)ctx;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/x.pid", folder);
	return 0;
}

static int remove_folder(void **ctx)
{
	(void)ctx;
	unlink(path);
	return rmdir(folder);
}

/* By the next image of the same process, where the folder is not what it was: the lock is ours
 * all the same, and what is at the path is not touched. */
static void test_resumed(void **ctx)
{
	struct pid_file file = PID_FILE_NONE, next = PID_FILE_NONE;

	(void)ctx;
	opened(&file);
	close(file.dir);
	assert_int_equal(chmod(folder, 0777), 0);
	assert_int_equal(pid_file_resume(path, file.fd, &next), -EPERM);
	assert_int_equal(next.dir, -EBADF);
	assert_int_equal(pid_file_move_up(&next, 100), 0);
	assert_true(next.fd >= 100);
	assert_int_equal(chmod(folder, 0755), 0);
	refused(path, -EBUSY, getpid());
	pid_file_close(&next);
	assert_int_equal(next.fd, -EBADF);
	assert_string_equal(content(), number(getpid()));

	opened(&file);
	close(file.dir);
	assert_int_equal(pid_file_resume(path, file.fd, &next), 0);
	refused(path, -EBUSY, getpid());
	pid_file_close(&next);
	assert_null(content());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_second_instance),
		cmocka_unit_test(test_stale_file_is_taken_over),
		cmocka_unit_test(test_lock_ends_with_its_process),
		cmocka_unit_test(test_lock_of_a_reader_hinders_nobody),
		cmocka_unit_test(test_what_is_no_pid_file_stays),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_only_ours_is_removed),
		cmocka_unit_test(test_moved_up),
		cmocka_unit_test(test_resumed),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
