#include "os/pid_file.h"

#include "base/fd.h"
#include "base/own.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Somebody else may remove or replace the file while we open it; not for ever. */
#define TRIES 16

/* More than a number and a newline. */
#define CONTENT_MAX 32

static void forget(struct pid_file *file)
{
	file->fd = fd_close(file->fd);
	file->dir = fd_close(file->dir);
}

/* Who may write here can put anything in the place of the file. */
static int open_folder(const char *path, struct pid_file *ret)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *folder = NULL;
	struct stat st;

	if (!slash || slash[1] == '\0')
		return -EINVAL;
	folder = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	if (!folder)
		return -ENOMEM;
	ret->name = slash + 1;
	ret->dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ret->dir < 0 || fstat(ret->dir, &st) < 0)
		return -errno;
	if ((st.st_mode & 022) || (st.st_uid != 0 && st.st_uid != geteuid()))
		return -EPERM;
	return 0;
}

/* Nobody but us can open it until it is locked. */
static int open_file(struct pid_file *file)
{
	file->fd = openat(file->dir, file->name,
		O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (file->fd >= 0)
		return 0;
	switch (errno) {
	case EISDIR:
	case ENXIO: /* a socket */
		return -EEXIST;
	case EPERM: /* immutable; -EPERM is about the folder */
		return -EACCES;
	default:
		return -errno;
	}
}

static bool is_in_place(const struct pid_file *file)
{
	struct stat ours, theirs;

	return fstat(file->fd, &ours) == 0 &&
	       fstatat(file->dir, file->name, &theirs, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

/* A path that leads to something else by mistake must not cost that its content: only
 * what an instance may have left is ours, and *ret the number in it, or 0. */
static int look_at_file(int fd, pid_t *ret)
{
	char text[CONTENT_MAX];
	ssize_t n = pread(fd, text, sizeof text, 0);
	uint32_t number = 0;
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1 ||
		st.st_uid != geteuid())
		return -EEXIST;
	if (n < 0)
		return -errno;
	if (n == sizeof text)
		return -EEXIST;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (n > 0 && (text_parse_u32(text, &number) < 0 || number > INT32_MAX))
		return -EEXIST;
	*ret = (pid_t)number;
	return 0;
}

/* Only who may write to the file can have a lock for writing, as instances have. */
static bool readers_hold_it(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_RDLCK;
}

/* -ESTALE: the name leads elsewhere by now, try again. */
static int lock_file(struct pid_file *file)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(file->fd, F_OFD_SETLK, &lock) == 0)
		return is_in_place(file) ? 0 : -ESTALE;
	if (errno != EAGAIN && errno != EACCES)
		return -errno;
	if (!readers_hold_it(file->fd))
		return -EBUSY;
	if (is_in_place(file) && unlinkat(file->dir, file->name, 0) < 0)
		return -errno;
	return -ESTALE;
}

static int write_number(int fd)
{
	char text[CONTENT_MAX];
	int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
	ssize_t n;

	if (ftruncate(fd, 0) < 0)
		return -errno;
	n = pwrite(fd, text, (size_t)len, 0);
	if (n != len)
		return n < 0 ? -errno : -ENOSPC;
	return fchmod(fd, 0644) < 0 ? -errno : 0;
}

static int try(struct pid_file *file, pid_t *ret_owner)
{
	pid_t owner = 0;
	int r = open_file(file);

	if (r < 0)
		return r;
	r = look_at_file(file->fd, &owner);
	if (r < 0)
		return r;
	r = lock_file(file);
	if (r == -EBUSY)
		*ret_owner = owner;
	if (r < 0)
		return r;
	file->replaced = owner > 0;
	r = write_number(file->fd);
	if (r < 0)
		unlinkat(file->dir, file->name, 0);
	return r;
}

int pid_file_open(const char *path, struct pid_file *ret, pid_t *ret_owner)
{
	_cleanup_(forget) struct pid_file file = PID_FILE_NONE;
	int r = open_folder(path, &file);

	if (r < 0)
		return r;
	for (int i = 0; i < TRIES; i++) {
		r = try(&file, ret_owner);
		if (r != -ESTALE)
			break;
		file.fd = fd_close(file.fd);
	}
	if (r < 0)
		return r;
	*ret = file;
	file = PID_FILE_NONE;
	return 0;
}

int pid_file_resume(const char *path, int fd, struct pid_file *ret)
{
	struct pid_file file = {.dir = -EBADF, .fd = fd};
	int r = open_folder(path, &file);

	if (r < 0)
		file.dir = fd_close(file.dir);
	*ret = file;
	return r;
}

int pid_file_move_up(struct pid_file *file, int floor)
{
	int moved;

	if (file->fd < 0)
		return 0;
	moved = fd_move_up(file->fd, floor);
	if (moved < 0)
		return moved;
	file->fd = moved;
	if (file->dir < 0)
		return 0;
	moved = fd_move_up(file->dir, floor);
	if (moved < 0)
		return moved;
	file->dir = moved;
	return 0;
}

void pid_file_close(struct pid_file *file)
{
	if (file->dir >= 0 && is_in_place(file))
		unlinkat(file->dir, file->name, 0);
	forget(file);
}

const char *pid_file_strerror(int error)
{
	switch (error) {
	case -EPERM:
		return "others may write in its folder";
	case -ELOOP:
		return "it is a symbolic link";
	case -EEXIST:
		return "it is there already and is no pid file";
	default:
		return strerror(-error);
	}
}
