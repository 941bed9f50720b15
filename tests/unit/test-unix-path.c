/* unix_path: the place of a UNIX socket in the file system. */
#include "listen-try.h"

#include "base/fd.h"
#include "base/own.h"
#include "os/unix_path.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define NOBODY   65534
#define AS_IT_IS ((uid_t)-1)

static int new_socket(const struct addr *addr)
{
	int fd = socket(AF_UNIX, addr_socktype(addr) | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

/* A socket that somebody made there; listening or not. */
static int somebodys_socket(const struct addr *addr, bool listening)
{
	int fd = new_socket(addr);

	assert_int_equal(bind(fd, &addr->sa, addr->len), 0);
	if (listening && addr_socktype(addr) != SOCK_DGRAM)
		assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static bool exists(const struct addr *addr)
{
	struct stat st;

	return lstat(addr->un.sun_path, &st) == 0;
}

static void test_free_path(void **ctx)
{
	struct addr addr = unix_address("unix", "free");

	(void)ctx;
	assert_int_equal(unix_path_clear(&addr), 0);
	assert_false(exists(&addr));
}

static void test_folder_is_not_there(void **ctx)
{
	struct addr addr = unix_address("unix", "no/such/folder");
	_cleanup_close_ int fd = new_socket(&addr);
	dev_t dev = 1;
	ino_t ino = 2;

	(void)ctx;
	assert_int_equal(
		unix_path_bind(fd, &addr, AS_IT_IS, AS_IT_IS, 0666, &dev, &ino), -ENOENT);
	assert_int_equal(dev, 1);
	assert_int_equal(ino, 2);
}

static void test_stale_socket_is_replaced(void **ctx)
{
	static const char *const kinds[] = {"unix", "unix-dgram", "unix-seqpacket"};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct addr addr = unix_address(kinds[i], "stale");

		fd_close(somebodys_socket(&addr, true));
		assert_true(exists(&addr));
		assert_int_equal(unix_path_clear(&addr), 0);
		assert_false(exists(&addr));
	}
}

static void test_live_socket_is_left_alone(void **ctx)
{
	static const char *const kinds[] = {"unix", "unix-dgram", "unix-seqpacket"};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct addr addr = unix_address(kinds[i], "live");
		_cleanup_close_ int live = somebodys_socket(&addr, true);

		assert_true(live >= 0);
		assert_int_equal(unix_path_clear(&addr), -EADDRINUSE);
		assert_true(exists(&addr));
		unlink(addr.un.sun_path);
	}
}

/* One that lives, of another kind than asked for. */
static void test_live_socket_of_another_kind(void **ctx)
{
	struct addr stream = unix_address("unix", "live"),
		    datagram = unix_address("unix-dgram", "live");
	_cleanup_close_ int live = somebodys_socket(&datagram, false);

	(void)ctx;
	assert_true(live >= 0);
	assert_int_equal(unix_path_clear(&stream), -EADDRINUSE);
	assert_true(exists(&stream));
	unlink(stream.un.sun_path);
}

/* Its queue is full: connect says EAGAIN, which is an answer. */
static void test_busy_socket_is_left_alone(void **ctx)
{
	struct addr addr = unix_address("unix", "busy");
	_cleanup_close_ int live = new_socket(&addr);
	int clients[8], n = 0;

	(void)ctx;
	assert_int_equal(bind(live, &addr.sa, addr.len), 0);
	assert_int_equal(listen(live, 0), 0);
	do
		clients[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	while (connect(clients[n++], &addr.sa, addr.len) == 0 && n < 8);
	assert_int_equal(unix_path_clear(&addr), -EADDRINUSE);
	assert_true(exists(&addr));
	while (n > 0)
		fd_close(clients[--n]);
	unlink(addr.un.sun_path);
}

static void test_other_files_are_left_alone(void **ctx)
{
	struct addr addr = unix_address("unix", "other"), stale = unix_address("unix", "stale");

	(void)ctx;
	fd_close(open(addr.un.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(unix_path_clear(&addr), -EEXIST);
	assert_true(exists(&addr));
	unlink(addr.un.sun_path);

	assert_int_equal(mkfifo(addr.un.sun_path, 0600), 0);
	assert_int_equal(unix_path_clear(&addr), -EEXIST);
	assert_true(exists(&addr));
	unlink(addr.un.sun_path);

	assert_int_equal(mkdir(addr.un.sun_path, 0700), 0);
	assert_int_equal(unix_path_clear(&addr), -EEXIST);
	assert_true(exists(&addr));
	rmdir(addr.un.sun_path);

	/* A link, even to a stale socket, even to nothing. */
	assert_int_equal(symlink(stale.un.sun_path, addr.un.sun_path), 0);
	assert_int_equal(unix_path_clear(&addr), -ELOOP);
	fd_close(somebodys_socket(&stale, true));
	assert_int_equal(unix_path_clear(&addr), -ELOOP);
	assert_true(exists(&addr) && exists(&stale));
	unlink(addr.un.sun_path);
	unlink(stale.un.sun_path);
}

static void test_mode_is_exact_whatever_the_umask(void **ctx)
{
	static const mode_t modes[] = {0600, 0660, 0666, 0777, 0, 0602};
	static const mode_t masks[] = {0, 022, 077, 0777};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(modes) * ARRAY_SIZE(masks); i++) {
		mode_t mode = modes[i % ARRAY_SIZE(modes)];
		struct addr addr = unix_address("unix", "mode");
		_cleanup_close_ int fd = new_socket(&addr);
		mode_t saved = umask(masks[i / ARRAY_SIZE(modes)]);
		struct stat st;
		dev_t dev;
		ino_t ino;

		assert_int_equal(
			unix_path_bind(fd, &addr, AS_IT_IS, AS_IT_IS, mode, &dev, &ino), 0);
		assert_int_equal(umask(saved), masks[i / ARRAY_SIZE(modes)]);
		assert_int_equal(lstat(addr.un.sun_path, &st), 0);
		assert_int_equal(st.st_mode & 07777, mode);
		assert_true(st.st_dev == dev && st.st_ino == ino);
		unix_path_remove(&addr, dev, ino);
		assert_false(exists(&addr));
	}
}

static void test_owner(void **ctx)
{
	struct addr addr = unix_address("unix", "owner");
	_cleanup_close_ int fd = new_socket(&addr);
	struct stat st;
	dev_t dev;
	ino_t ino;
	uid_t other = geteuid() == 0 ? NOBODY : 0;
	int r;

	(void)ctx;
	r = unix_path_bind(fd, &addr, other, other, 0640, &dev, &ino);
	if (geteuid() != 0) {
		/* What could not be given away does not stay with the wrong owner. */
		assert_int_equal(r, -EPERM);
		assert_false(exists(&addr));
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(lstat(addr.un.sun_path, &st), 0);
	assert_int_equal(st.st_uid, NOBODY);
	assert_int_equal(st.st_gid, NOBODY);
	assert_int_equal(st.st_mode & 07777, 0640);
	unlink(addr.un.sun_path);
}

static void test_bind_to_a_taken_path(void **ctx)
{
	struct addr addr = unix_address("unix", "taken");
	_cleanup_close_ int live = somebodys_socket(&addr, true);
	_cleanup_close_ int fd = new_socket(&addr);
	dev_t dev;
	ino_t ino;

	(void)ctx;
	assert_true(live >= 0);
	assert_int_equal(
		unix_path_bind(fd, &addr, AS_IT_IS, AS_IT_IS, 0666, &dev, &ino), -EADDRINUSE);
	assert_true(exists(&addr));
	unlink(addr.un.sun_path);
}

static void test_only_our_own_is_removed(void **ctx)
{
	struct addr addr = unix_address("unix", "ours");
	_cleanup_close_ int fd = new_socket(&addr);
	_cleanup_close_ int successor = -EBADF;
	char aside[128];
	dev_t dev;
	ino_t ino;

	(void)ctx;
	assert_int_equal(unix_path_bind(fd, &addr, AS_IT_IS, AS_IT_IS, 0666, &dev, &ino), 0);

	/* Moved aside, so that its inode is not given to the next one. */
	snprintf(aside, sizeof aside, "%s/aside", folder);
	assert_int_equal(rename(addr.un.sun_path, aside), 0);
	successor = somebodys_socket(&addr, true);
	unix_path_remove(&addr, dev, ino);
	assert_true(exists(&addr));

	assert_int_equal(rename(aside, addr.un.sun_path), 0);
	unix_path_remove(&addr, dev, ino);
	assert_false(exists(&addr));
	unix_path_remove(&addr, dev, ino);
}

static const char *link_name(void)
{
	static char text[128];

	snprintf(text, sizeof text, "%s/link", folder);
	return text;
}

static void assert_link(const char *wanted)
{
	char target[128] = "";

	assert_true(readlink(link_name(), target, sizeof target - 1) > 0);
	assert_string_equal(target, wanted);
}

static void test_link(void **ctx)
{
	struct addr addr = unix_address("unix", "target");

	(void)ctx;
	assert_int_equal(unix_path_link(&addr, link_name(), 0), 0);
	assert_link(addr.un.sun_path);
	/* One that was left behind will do. */
	assert_int_equal(unix_path_link(&addr, link_name(), 0), 0);
	assert_link(addr.un.sun_path);
	unix_path_unlink(&addr, link_name());
	assert_int_equal(access(link_name(), F_OK), -1);
	assert_int_equal(readlink(link_name(), (char[1]){0}, 1), -1);
	unix_path_unlink(&addr, link_name());
}

static void test_link_in_a_new_folder(void **ctx)
{
	struct addr addr = unix_address("unix", "target");
	char link[128], parent[sizeof folder + 8];

	(void)ctx;
	snprintf(parent, sizeof parent, "%s/new", folder);
	snprintf(link, sizeof link, "%s/link", parent);
	assert_int_equal(unix_path_link(&addr, link, 0), -ENOENT);
	assert_int_equal(unix_path_link(&addr, link, 0755), 0);
	unix_path_unlink(&addr, link);
	assert_int_equal(rmdir(parent), 0);
}

/* Neither replaced nor removed: a file, a folder, a link elsewhere, even by a
 * text that begins alike. */
static void test_what_is_no_link_of_ours_stays(void **ctx)
{
	struct addr addr = unix_address("unix", "target"),
		    longer = unix_address("unix", "target-two");

	(void)ctx;
	fd_close(open(link_name(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(unix_path_link(&addr, link_name(), 0), -EBUSY);
	unix_path_unlink(&addr, link_name());
	assert_int_equal(unlink(link_name()), 0);

	assert_int_equal(mkdir(link_name(), 0700), 0);
	assert_int_equal(unix_path_link(&addr, link_name(), 0), -EBUSY);
	unix_path_unlink(&addr, link_name());
	assert_int_equal(rmdir(link_name()), 0);

	assert_int_equal(symlink(longer.un.sun_path, link_name()), 0);
	assert_int_equal(unix_path_link(&addr, link_name(), 0), -EBUSY);
	unix_path_unlink(&addr, link_name());
	assert_link(longer.un.sun_path);
	unlink(link_name());
	assert_int_equal(symlink(addr.un.sun_path, link_name()), 0);
	unix_path_unlink(&longer, link_name());
	assert_link(addr.un.sun_path);
	unlink(link_name());
}

static void test_link_of_another_user_stays(void **ctx)
{
	struct addr addr = unix_address("unix", "target");

	(void)ctx;
	if (geteuid() != 0)
		skip();
	assert_int_equal(symlink(addr.un.sun_path, link_name()), 0);
	assert_int_equal(lchown(link_name(), NOBODY, NOBODY), 0);
	unix_path_unlink(&addr, link_name());
	assert_link(addr.un.sun_path);
	unlink(link_name());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_free_path),
		cmocka_unit_test(test_folder_is_not_there),
		cmocka_unit_test(test_stale_socket_is_replaced),
		cmocka_unit_test(test_live_socket_is_left_alone),
		cmocka_unit_test(test_live_socket_of_another_kind),
		cmocka_unit_test(test_busy_socket_is_left_alone),
		cmocka_unit_test(test_other_files_are_left_alone),
		cmocka_unit_test(test_mode_is_exact_whatever_the_umask),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_bind_to_a_taken_path),
		cmocka_unit_test(test_only_our_own_is_removed),
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_link_in_a_new_folder),
		cmocka_unit_test(test_what_is_no_link_of_ours_stays),
		cmocka_unit_test(test_link_of_another_user_stays),
	};

	return cmocka_run_group_tests_name("unix-path", tests, make_folder, remove_folder);
}
