#include "os/account_file.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Who looks through a log looks at whose it is. */
#define MODE 0640

/* Whether somebody has put another file in its place is looked at so often. */
#define LOOK_AGAIN USEC_PER_SEC

/* Room for a name and the number of an old one. */
#define OLD_NAME_MAX (NAME_MAX + 16)

static int fail(struct account_file *file, enum account_step step, int error)
{
	file->step = step;
	file->error = error;
	return error;
}

static void forget_failure(struct account_file *file)
{
	file->step = ACCOUNT_FINE;
	file->error = 0;
}

/* Root's, or ours; and nobody else can put a name there. */
static bool is_safe(int folder)
{
	struct stat st;

	return fstat(folder, &st) == 0 && (st.st_uid == 0 || st.st_uid == geteuid()) &&
	       (st.st_mode & S_IWOTH) == 0 && ((st.st_mode & S_IWGRP) == 0 || st.st_gid == 0);
}

int account_file_init(
	struct account_file *file, const char *path, uint64_t limit, unsigned keep)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];

	*file = ACCOUNT_FILE_NONE;
	file->limit = limit;
	file->keep = keep;
	if (!slash || slash[1] == '\0' || strlen(slash + 1) > NAME_MAX)
		return fail(file, ACCOUNT_IRREGULAR, -EINVAL);
	snprintf(file->name, sizeof file->name, "%s", slash + 1);
	snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
	file->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (file->folder < 0)
		return fail(file, ACCOUNT_FOLDER, -errno);
	return is_safe(file->folder) ? 0 : fail(file, ACCOUNT_EXPOSED, -EPERM);
}

void account_file_done(struct account_file *file)
{
	fd_close(file->fd);
	fd_close(file->folder);
	*file = ACCOUNT_FILE_NONE;
}

/* ------------------------------------------------------------------------- to write */

/* What could not be written whole is taken back, unless somebody else has cut the file. */
static void take_back(struct account_file *file, size_t len)
{
	struct stat st;

	if (len > 0 && fstat(file->fd, &st) == 0 && (uint64_t)st.st_size == file->size + len)
		(void)!ftruncate(file->fd, (off_t)file->size);
}

static int add_bytes(struct account_file *file, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(file->fd, data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int r = n < 0 ? -errno : -ENOSPC;

			take_back(file, done);
			return fail(file, ACCOUNT_WRITE, r);
		}
		done += (size_t)n;
	}
	file->size += len;
	return 0;
}

/* Somebody was killed in the middle of a line. */
static int end_torn_line(struct account_file *file)
{
	char last;

	if (file->size == 0 || pread(file->fd, &last, 1, (off_t)file->size - 1) != 1 ||
		last == '\n')
		return 0;
	return add_bytes(file, "\n", 1);
}

/* -------------------------------------------------------------------------- to open */

/* A FIFO without a reader, or a device, is not waited for. */
static int open_file(struct account_file *file)
{
	int fd = openat(file->folder, file->name,
		O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		MODE);

	if (fd < 0)
		return fail(file,
			errno == ELOOP || errno == EISDIR ? ACCOUNT_IRREGULAR : ACCOUNT_OPEN,
			-errno);
	file->fd = fd;
	if (fstat(fd, &file->st) < 0)
		return fail(file, ACCOUNT_OPEN, -errno);
	if (!S_ISREG(file->st.st_mode))
		return fail(file, ACCOUNT_IRREGULAR, -EINVAL);
	file->size = (uint64_t)file->st.st_size;
	return end_torn_line(file);
}

int account_file_reopen(struct account_file *file)
{
	int r;

	forget_failure(file);
	file->fd = fd_close(file->fd);
	r = open_file(file);
	if (r < 0)
		file->fd = fd_close(file->fd);
	return r;
}

/* Who puts a file aside may forget to tell, and whoever cuts it tells nobody. */
static bool has_its_name(struct account_file *file, uint64_t now)
{
	struct stat st;

	if (now - file->looked < LOOK_AGAIN)
		return true;
	file->looked = now;
	if (fstatat(file->folder, file->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		st.st_dev != file->st.st_dev || st.st_ino != file->st.st_ino)
		return false;
	file->size = (uint64_t)st.st_size;
	return true;
}

/* ------------------------------------------------------------------- to put it aside */

static void old_name(const struct account_file *file, unsigned n, char buf[OLD_NAME_MAX])
{
	if (n == 0)
		snprintf(buf, OLD_NAME_MAX, "%s", file->name);
	else
		snprintf(buf, OLD_NAME_MAX, "%s.%u", file->name, n);
}

/* From the oldest on; where one is missing, it is not missed. */
static int put_aside(struct account_file *file)
{
	char from[OLD_NAME_MAX], to[OLD_NAME_MAX];

	for (unsigned n = file->keep; n-- > 0;) {
		old_name(file, n, from);
		old_name(file, n + 1, to);
		if (renameat(file->folder, from, file->folder, to) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

/* How many bytes of these lines the file has room for; at least a line, if it is empty. */
static size_t fitting(const struct account_file *file, const char *lines, size_t len)
{
	uint64_t room = file->limit > file->size ? file->limit - file->size : 0;
	const char *end;

	if (len <= room)
		return len;
	end = room > 0 ? memrchr(lines, '\n', (size_t)room) : NULL;
	if (!end && file->size == 0)
		end = memchr(lines, '\n', len);
	return end ? (size_t)(end - lines) + 1 : 0;
}

/* Begin another file, or go on with this one. */
static int renew(struct account_file *file)
{
	int r = put_aside(file);

	return r < 0 ? fail(file, ACCOUNT_RENAME, r) : account_file_reopen(file);
}

int account_file_add(struct account_file *file, const char *lines, size_t len, uint64_t now,
	size_t *ret_done)
{
	int r = 0;

	forget_failure(file);
	if (file->fd < 0 || !has_its_name(file, now))
		r = account_file_reopen(file);
	while (r == 0 && len > 0) {
		size_t n = fitting(file, lines, len);

		if (n == 0) {
			r = renew(file);
			if (file->step != ACCOUNT_RENAME)
				continue;
			n = len;
		}
		r = add_bytes(file, lines, n);
		if (r < 0)
			break;
		lines += n;
		len -= n;
		*ret_done += n;
	}
	return r;
}
