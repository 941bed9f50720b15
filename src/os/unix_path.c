/*
 * The master is root, and folders of a path may belong to others.  What is
 * removed is removed below a descriptor of its folder, and owner and mode are
 * set on the very inode that was bound, so that nobody who swaps a folder for
 * a link meanwhile can have us change or remove a file elsewhere.
 */
#include "os/unix_path.h"

#include "base/fd.h"
#include "base/own.h"
#include "os/parent.h"
#include "os/socket_file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The path's folder, held open, and the name in it. */
struct folder {
	int dir;
	char path[sizeof((struct sockaddr_un *)0)->sun_path + 1];
	const char *name; /* points into path */
};

static void folder_done(struct folder *folder)
{
	fd_close(folder->dir);
}

static int folder_open(const struct addr *addr, struct folder *ret)
{
	char *slash;

	snprintf(ret->path, sizeof ret->path, "%s", addr->un.sun_path);
	slash = strrchr(ret->path, '/');
	if (!slash)
		return -EINVAL;
	ret->name = slash + 1;
	*slash = '\0';
	ret->dir = open(slash == ret->path ? "/" : ret->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return ret->dir < 0 ? -errno : 0;
}

/*
 * Does anybody answer?  A connect to a socket file that no process has open
 * is refused; every other answer means that somebody does, or might.
 */
static int probe(const struct addr *addr)
{
	_cleanup_close_ int fd = -EBADF;

	fd = socket(AF_UNIX, addr_socktype(addr) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, &addr->sa, addr->len) == 0)
		return -EADDRINUSE;
	if (errno == ECONNREFUSED)
		return 0;
	return errno == ENOENT ? 0 : -EADDRINUSE;
}

int unix_path_clear(const struct addr *addr)
{
	_cleanup_(folder_done) struct folder folder = {.dir = -EBADF};
	struct stat st;
	int r;

	r = folder_open(addr, &folder);
	if (r < 0)
		return r;
	if (fstatat(folder.dir, folder.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISLNK(st.st_mode))
		return -ELOOP;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;

	r = probe(addr);
	if (r < 0)
		return r;
	return unlinkat(folder.dir, folder.name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/*
 * A descriptor of the inode that bind(2) has made.  The kernel tells; without
 * the right to ask it, the path is opened, and must lead to a socket as ours
 * was a moment ago.
 */
static int open_bound(int fd, const struct addr *addr, mode_t made, struct stat *st)
{
	_cleanup_close_ int file = socket_file_open(fd);
	bool certain = file >= 0;

	if (!certain)
		file = open(addr->un.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (file < 0 || fstat(file, st) < 0)
		return -errno;
	if (!certain && (!S_ISSOCK(st->st_mode) || st->st_uid != geteuid() ||
				st->st_nlink != 1 || (st->st_mode & 07777) != made))
		return -EEXIST;
	return take_fd(&file);
}

static int set_owner_and_mode(
	int file, const struct stat *st, uid_t uid, gid_t gid, mode_t mode)
{
	char link[64];

	if ((uid != (uid_t)-1 || gid != (gid_t)-1) &&
		fchownat(file, "", uid, gid, AT_EMPTY_PATH) < 0)
		return -errno;

	/* fchmod refuses O_PATH descriptors; their link in /proc is followed. */
	snprintf(link, sizeof link, "/proc/self/fd/%d", file);
	if ((st->st_mode & 07777) != mode && chmod(link, mode) < 0)
		return -errno;
	return 0;
}

int unix_path_bind(int fd, const struct addr *addr, uid_t uid, gid_t gid, mode_t mode,
	dev_t *ret_dev, ino_t *ret_ino)
{
	/* Never more than the owner's rights until the owner is the right one. */
	mode_t made = uid == (uid_t)-1 && gid == (gid_t)-1 ? mode : mode & 0700;
	mode_t saved = umask(~made & 0777);
	_cleanup_close_ int file = -EBADF;
	struct stat st;
	int r;

	r = bind(fd, &addr->sa, addr->len) < 0 ? -errno : 0;
	umask(saved);
	if (r < 0)
		return r;

	file = open_bound(fd, addr, made, &st);
	if (file < 0)
		return file;
	r = set_owner_and_mode(file, &st, uid, gid, mode);
	if (r < 0) {
		unix_path_remove(addr, st.st_dev, st.st_ino);
		return r;
	}
	*ret_dev = st.st_dev;
	*ret_ino = st.st_ino;
	return 0;
}

int unix_path_find(int fd, const struct addr *addr, dev_t *ret_dev, ino_t *ret_ino)
{
	struct stat st;
	int r;

	if (lstat(addr->un.sun_path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? -ESTALE : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ESTALE;
	r = socket_file_is(fd, &st);
	if (r < 0)
		return r;
	*ret_dev = st.st_dev;
	*ret_ino = st.st_ino;
	return 0;
}

int unix_path_adjust(
	const struct addr *addr, uid_t uid, gid_t gid, mode_t mode, dev_t dev, ino_t ino)
{
	_cleanup_close_ int file = open(addr->un.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	const uid_t same_uid = (uid_t)-1;
	const gid_t same_gid = (gid_t)-1;
	struct stat st;
	int r;

	if (file < 0 || fstat(file, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode) || st.st_dev != dev || st.st_ino != ino)
		return -ESTALE;

	r = set_owner_and_mode(file, &st, same_uid, same_gid, st.st_mode & mode & 07777);
	if (r < 0)
		return r;
	if (fstat(file, &st) < 0)
		return -errno;
	return set_owner_and_mode(file, &st, uid == same_uid ? geteuid() : uid,
		gid == same_gid ? getegid() : gid, mode);
}

void unix_path_remove(const struct addr *addr, dev_t dev, ino_t ino)
{
	_cleanup_(folder_done) struct folder folder = {.dir = -EBADF};
	struct stat st;

	if (folder_open(addr, &folder) < 0 ||
		fstatat(folder.dir, folder.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISSOCK(st.st_mode) && st.st_dev == dev && st.st_ino == ino)
		unlinkat(folder.dir, folder.name, 0);
}

int unix_path_make_parents(const struct addr *addr, mode_t mode)
{
	const char *name;
	_cleanup_close_ int dir = parent_open(addr->un.sun_path, mode, &name);

	return dir < 0 ? dir : 0;
}

/* Whether a link of that name leads to the path, by its text. */
static bool leads_to(int dir, const char *name, const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof target);

	return n >= 0 && (size_t)n == strlen(path) && memcmp(target, path, (size_t)n) == 0;
}

int unix_path_check_link(const struct addr *addr, const char *link, mode_t mode)
{
	const char *name;
	_cleanup_close_ int dir = parent_open(link, 0, &name);
	struct stat st;

	if (dir < 0)
		return dir == -ENOENT && mode != 0 ? 0 : dir;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return leads_to(dir, name, addr->un.sun_path) ? 0 : -EBUSY;
}

int unix_path_link(const struct addr *addr, const char *link, mode_t mode)
{
	const char *path = addr->un.sun_path, *name;
	_cleanup_close_ int dir = parent_open(link, mode, &name);

	if (dir < 0)
		return dir;
	if (symlinkat(path, dir, name) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	return leads_to(dir, name, path) ? 0 : -EBUSY;
}

void unix_path_unlink(const struct addr *addr, const char *link)
{
	const char *name;
	_cleanup_close_ int dir = parent_open(link, 0, &name);
	struct stat st;

	if (dir < 0 || !leads_to(dir, name, addr->un.sun_path))
		return;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode) &&
		st.st_uid == geteuid())
		unlinkat(dir, name, 0);
}
