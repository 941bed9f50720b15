/* notice_folder: who was told its name gets at a socket, and what is left over goes. */
#include "base/own.h"
#include "os/notice_folder.h"
#include "os/notice_socket.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

static char above[] = "/tmp/test-notice-folder-XXXXXX";
static char folder[sizeof above + sizeof "/notify"];

static int setup(void **ctx)
{
	(void)ctx;
	strcpy(strrchr(above, '-'), "-XXXXXX");
	if (!mkdtemp(above) || chmod(above, 0755) < 0)
		return -1;
	snprintf(folder, sizeof folder, "%s/notify", above);
	return 0;
}

static int teardown(void **ctx)
{
	(void)ctx;
	notice_folder_leave(folder);
	return rmdir(above);
}

static int send_to(const char *path)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	strcpy(to.sun_path, path);
	return sendto(fd, "READY=1", 7, 0, (struct sockaddr *)&to, sizeof to) < 0 ? -errno : 0;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static mode_t expected(mode_t mode)
{
	return geteuid() == 0 ? mode : mode & 0700;
}

static void test_socket(void **ctx)
{
	_cleanup_close_ int fd = -EBADF;
	char path[NOTICE_PATH_MAX];
	struct notice_mail mail;
	struct notice_name name;
	mode_t saved = umask(077);

	(void)ctx;
	fd = notice_socket_open(folder, &name);
	assert_int_equal(umask(saved), 077);
	assert_true(fd >= 0);
	assert_true(name.number != 0);
	snprintf(path, sizeof path, "%s/%016llx", folder, (unsigned long long)name.number);
	assert_string_equal(name.text, path);
	assert_int_equal(mode_of(folder), expected(0711));
	assert_int_equal(mode_of(path), expected(0666));
	assert_int_equal(send_to(path), 0);
	assert_int_equal(notice_socket_look(fd, &mail), 1);
	assert_int_equal(mail.pid, getpid());
	notice_folder_remove(folder, name.number);
	assert_int_equal(send_to(path), -ENOENT);
}

/* The one that /proc/net/unix shows is not there. */
static void test_what_is_shown(void **ctx)
{
	struct sockaddr_un shown;
	socklen_t len = sizeof shown;
	char path[NOTICE_PATH_MAX];
	struct notice_name name;
	_cleanup_close_ int fd = notice_socket_open(folder, &name);

	(void)ctx;
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&shown, &len), 0);
	assert_null(strstr(shown.sun_path, strrchr(name.text, '/')));
	snprintf(path, sizeof path, "%s%s", folder, strrchr(shown.sun_path, '/'));
	assert_int_equal(send_to(path), -ENOENT);
	notice_folder_remove(folder, name.number);
}

static void test_left_over(void **ctx)
{
	struct notice_name living, left;
	_cleanup_close_ int fd = notice_socket_open(folder, &living);
	int gone = notice_socket_open(folder, &left);

	(void)ctx;
	assert_true(fd >= 0 && gone >= 0);
	close(gone);
	assert_int_equal(send_to(left.text), -ECONNREFUSED);
	notice_folder_sweep(folder);
	assert_int_equal(send_to(left.text), -ENOENT);
	assert_int_equal(send_to(living.text), 0);
	notice_folder_leave(folder);
	assert_int_equal(send_to(living.text), 0);
	notice_folder_remove(folder, living.number);
	notice_folder_leave(folder);
	assert_int_equal(access(folder, F_OK), -1);
	notice_folder_sweep(folder);
}

static void assert_refused(const char *path, int error)
{
	struct notice_name name = {.number = 1};

	assert_int_equal(notice_socket_open(path, &name), error);
	assert_int_equal(name.number, 1);
}

/* Nor is anything removed where others have a say. */
static void test_not_ours_alone(void **ctx)
{
	char path[NOTICE_PATH_MAX];

	(void)ctx;
	assert_int_equal(mkdir(folder, 0711), 0);
	snprintf(path, sizeof path, "%s/0123456789abcdef", folder);
	assert_int_equal(mknod(path, S_IFSOCK | 0600, 0), 0);
	assert_int_equal(chmod(folder, 0755), 0);
	assert_refused(folder, -EPERM);
	notice_folder_sweep(folder);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(chmod(folder, 0731), 0);
	assert_refused(folder, -EPERM);
	assert_int_equal(chmod(folder, 0711), 0);
	notice_folder_sweep(folder);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(symlink("/tmp", folder), 0);
	assert_refused(folder, -ENOTDIR);
	assert_int_equal(unlink(folder), 0);
}

static void test_who_gets_there(void **ctx)
{
	(void)ctx;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(above, 0750), 0);
	assert_refused(folder, -EACCES);
	assert_int_equal(chmod(above, 0751), 0);
	test_socket(ctx);
}

static void test_no_room(void **ctx)
{
	char path[NOTICE_PATH_MAX];

	(void)ctx;
	memset(path, 'x', sizeof path);
	path[0] = '/';
	path[sizeof path - 17] = '\0';
	assert_refused(path, -ENAMETOOLONG);
	assert_refused("/nowhere/at/all", -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_shown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_left_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_ours_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_gets_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
