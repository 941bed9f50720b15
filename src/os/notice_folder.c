#include "os/notice_folder.h"

#include "base/own.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Of a name, NUL included: "0123456789abcdef". */
#define NAME_ROOM 17

/* Below a descriptor of its folder, so that nobody leads elsewhere who swaps what is above. */
#define THERE_MAX sizeof("/proc/self/fd/-2147483648/0123456789abcdef")

static void print_name(uint64_t number, char ret[NAME_ROOM])
{
	snprintf(ret, NAME_ROOM, "%016" PRIx64, number);
}

static bool is_name(const char *name)
{
	return strlen(name) == NAME_ROOM - 1 &&
	       strspn(name, "0123456789abcdef") == NAME_ROOM - 1;
}

static struct sockaddr_un address_in(int dir, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	_Static_assert(THERE_MAX <= sizeof address.sun_path, "it has room");
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dir, name);
	return address;
}

/* Programs of root's have many users; those of others have theirs. */
static mode_t mode_for_all(mode_t all)
{
	return geteuid() == 0 ? all : all & 0700;
}

/* ------------------------------------------------------------------ the folder */

static int judge(int dir)
{
	struct stat st;

	if (fstat(dir, &st) < 0)
		return -errno;
	return st.st_uid != geteuid() || (st.st_mode & 066) ? -EPERM : 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* On the way up, whatever links were on the way down. */
static int judge_way(int folder)
{
	_cleanup_close_ int dir = -EBADF;
	struct stat here, above;

	if (fstat(folder, &here) < 0)
		return -errno;
	for (int from = folder;; from = dir) {
		int up;

		if (!(here.st_mode & S_IXOTH))
			return -EACCES;
		up = openat(from, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		own_close(&dir);
		dir = up;
		if (dir < 0 || fstat(dir, &above) < 0)
			return -errno;
		if (is_same(&here, &above))
			return 0;
		here = above;
	}
}

static int open_folder(const char *path)
{
	mode_t saved = umask(0);
	int r = mkdir(path, mode_for_all(0711)) < 0 && errno != EEXIST ? -errno : 0;
	_cleanup_close_ int dir = -EBADF;

	umask(saved);
	if (r < 0)
		return r;
	dir = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	r = judge(dir);
	if (r == 0 && geteuid() == 0)
		r = judge_way(dir);
	return r < 0 ? r : take_fd(&dir);
}

void notice_folder_leave(const char *folder)
{
	(void)rmdir(folder);
}

/* ----------------------------------------------------------------- the sockets */

/* Nobody may send to it yet. */
static int bind_silent(int dir, const char *name, int fd)
{
	struct sockaddr_un address = address_in(dir, name);
	mode_t saved = umask(0777);
	int r = bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;

	umask(saved);
	return r;
}

static int show(int dir, const char *from, const char *to)
{
	if (renameat(dir, from, dir, to) < 0 || fchmodat(dir, to, mode_for_all(0666), 0) < 0)
		return -errno;
	return 0;
}

int notice_folder_bind(
	const char *folder, int fd, uint64_t number, uint64_t other, char ret[NOTICE_PATH_MAX])
{
	_cleanup_close_ int dir = -EBADF;
	char first[NAME_ROOM], name[NAME_ROOM];
	int r;

	if (strlen(folder) + 1 + NAME_ROOM > NOTICE_PATH_MAX)
		return -ENAMETOOLONG;
	dir = open_folder(folder);
	if (dir < 0)
		return dir;
	print_name(other, first);
	print_name(number, name);
	r = bind_silent(dir, first, fd);
	if (r < 0)
		return r;
	r = show(dir, first, name);
	if (r < 0) {
		unlinkat(dir, first, 0);
		unlinkat(dir, name, 0);
		return r;
	}
	snprintf(ret, NOTICE_PATH_MAX, "%s/%s", folder, name);
	return 0;
}

void notice_folder_remove(const char *folder, uint64_t number)
{
	_cleanup_close_ int dir = open(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char name[NAME_ROOM];

	print_name(number, name);
	if (dir >= 0)
		(void)unlinkat(dir, name, 0);
}

/* ------------------------------------------------------------- what was left behind */

static bool is_left_over(int dir, const char *name)
{
	struct sockaddr_un address = address_in(dir, name);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0 &&
	       errno == ECONNREFUSED;
}

void notice_folder_sweep(const char *folder)
{
	_cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 && judge(fd) == 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	if (!dir)
		return;
	(void)take_fd(&fd);
	while ((entry = readdir(dir)))
		if (is_name(entry->d_name) && is_left_over(dirfd(dir), entry->d_name))
			unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
}
