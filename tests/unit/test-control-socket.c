/* control_socket: opened where it may be, and asked by those who may. */
#include "os/control_socket.h"

#include "base/fd.h"
#include "base/own.h"

#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

/* Somebody, and a group that nobody is in. */
#define STRANGER 54321
#define MEMBERS  54322

static char folder[64], path[96];

static int set_up(void **ctx)
{
	(void)ctx;
	snprintf(folder, sizeof folder, "/tmp/hatchd-control-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chmod(folder, 0755), 0);
	snprintf(path, sizeof path, "%s/run/control", folder);
	return 0;
}

static int tear_down(void **ctx)
{
	char run[96];

	(void)ctx;
	unlink(path);
	snprintf(run, sizeof run, "%s/run", folder);
	rmdir(run);
	return rmdir(folder);
}

static struct stat look(const char *at)
{
	struct stat st;

	assert_int_equal(lstat(at, &st), 0);
	return st;
}

static char *run_folder(void)
{
	static char run[96];

	snprintf(run, sizeof run, "%s/run", folder);
	return run;
}

static int open_as(gid_t gid, bool folder_is_ours, struct control_socket *ret)
{
	struct control_place place = {path, gid, folder_is_ours};

	return control_socket_open(&place, ret);
}

static void leave(struct control_socket *opened)
{
	int fd = control_socket_leave(opened);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(control_socket_leave(opened), -EBADF);
}

static void test_open(void **ctx)
{
	struct control_socket opened = CONTROL_SOCKET_NONE;
	_cleanup_close_ int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)ctx;
	assert_false(control_socket_is_in_place(&opened));
	assert_int_equal(open_as((gid_t)-1, false, &opened), 0);
	assert_int_equal(look(run_folder()).st_mode & 07777, 0751);
	assert_int_equal(look(path).st_mode & 07777, 0600);
	assert_true(control_socket_is_in_place(&opened));
	assert_true(fcntl(opened.fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_connect_unix(client, path), 0);
	leave(&opened);
	assert_int_equal(access(path, F_OK), -1);
}

/* A live one is never stolen, and removed only by whoever has bound it. */
static void test_stale_and_live(void **ctx)
{
	struct control_socket first, second = CONTROL_SOCKET_NONE;
	struct stat st;

	(void)ctx;
	assert_int_equal(open_as((gid_t)-1, false, &first), 0);
	st = look(path);
	assert_int_equal(open_as((gid_t)-1, false, &second), -EADDRINUSE);
	assert_int_equal(second.fd, -EBADF);
	assert_int_equal(look(path).st_ino, st.st_ino);

	/* As a crash leaves it. */
	close(first.fd);
	assert_int_equal(open_as((gid_t)-1, false, &second), 0);
	assert_true(control_socket_is_in_place(&second));
	first.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	first.ino = 0;
	assert_false(control_socket_is_in_place(&first));
	leave(&first);
	assert_true(control_socket_is_in_place(&second));
	leave(&second);
}

static void test_what_is_in_the_way(void **ctx)
{
	struct control_socket opened = CONTROL_SOCKET_NONE;

	(void)ctx;
	assert_int_equal(mkdir(run_folder(), 0755), 0);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(open_as((gid_t)-1, false, &opened), -EEXIST);
	unlink(path);
	assert_int_equal(symlink("/tmp/elsewhere", path), 0);
	assert_int_equal(open_as((gid_t)-1, false, &opened), -ELOOP);
	unlink(path);
	assert_int_equal(chmod(run_folder(), 0777), 0);
	assert_int_equal(open_as((gid_t)-1, false, &opened), -EPERM);
	assert_int_equal(chmod(run_folder(), 01775), 0);
	assert_int_equal(open_as((gid_t)-1, false, &opened), -EPERM);
	assert_int_equal(opened.fd, -EBADF);
	assert_string_equal(control_socket_strerror(-EPERM), "others may write in its folder");
}

/* The group may enter a folder that was made for the socket, and no other. */
static void test_group(void **ctx)
{
	struct control_socket opened;

	(void)ctx;
	if (geteuid() != 0)
		skip();
	assert_int_equal(open_as(MEMBERS, false, &opened), 0);
	assert_int_equal(look(run_folder()).st_gid, MEMBERS);
	assert_int_equal(look(run_folder()).st_mode & 07777, 0751);
	assert_int_equal(look(path).st_gid, MEMBERS);
	assert_int_equal(look(path).st_uid, 0);
	assert_int_equal(look(path).st_mode & 07777, 0660);
	leave(&opened);

	assert_int_equal(chown(run_folder(), 0, 0), 0);
	assert_int_equal(open_as(MEMBERS, false, &opened), 0);
	assert_int_equal(look(run_folder()).st_gid, 0);
	leave(&opened);
	assert_int_equal(open_as(MEMBERS, true, &opened), 0);
	assert_int_equal(look(run_folder()).st_gid, MEMBERS);
	leave(&opened);
}

/* Connects as somebody, whatever the modes are, and says what he may do. */
static enum control_right right_of(
	const struct control_socket *opened, uid_t uid, gid_t gid, gid_t other)
{
	_cleanup_close_ int conn = -EBADF;
	int done[2], status;
	pid_t child;
	char byte;
	enum control_right may;

	assert_int_equal(pipe2(done, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		close(done[1]);
		if (setgroups(1, &other) < 0 || setgid(gid) < 0 || setuid(uid) < 0 ||
			fd_connect_unix(client, path) < 0)
			_exit(1);
		_exit(read(done[0], &byte, 1) != 0);
	}
	close(done[0]);
	assert_int_equal(fd_set_nonblock(opened->fd, false), 0);
	conn = accept4(opened->fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(conn >= 0);
	may = control_socket_right(opened, conn);
	close(done[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return may;
}

static void test_who_may_ask(void **ctx)
{
	struct control_socket opened;

	(void)ctx;
	if (geteuid() != 0)
		skip();
	assert_int_equal(open_as(MEMBERS, false, &opened), 0);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(chmod(run_folder(), 0755), 0);
	assert_int_equal(right_of(&opened, 0, 0, 0), CONTROL_MAY_CHANGE);
	assert_int_equal(right_of(&opened, STRANGER, MEMBERS, STRANGER), CONTROL_MAY_LOOK);
	assert_int_equal(right_of(&opened, STRANGER, STRANGER, MEMBERS), CONTROL_MAY_LOOK);
	assert_int_equal(right_of(&opened, STRANGER, STRANGER, STRANGER), CONTROL_MAY_NOTHING);
	assert_int_equal(right_of(&opened, STRANGER, 0, 0), CONTROL_MAY_NOTHING);
	opened.gid = (gid_t)-1;
	assert_int_equal(right_of(&opened, STRANGER, MEMBERS, MEMBERS), CONTROL_MAY_NOTHING);
	assert_int_equal(right_of(&opened, 0, 0, 0), CONTROL_MAY_CHANGE);
	leave(&opened);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stale_and_live, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_in_the_way, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_group, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_who_may_ask, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
