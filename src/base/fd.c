#include "base/fd.h"

#include "base/own.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

/* First piece read from something whose size fstat(2) does not tell. */
#define READ_FIRST 4096

/* A limit of 10^9 is no reason for so many system calls. */
#define CLOSE_EACH_MAX (1 << 20)

int fd_close(int fd)
{
	own_close(&fd);
	return -EBADF;
}

int fd_set_nonblock(int fd, bool on)
{
	int flags, wanted;

	flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return -errno;

	wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	if (wanted == flags)
		return 0;
	if (fcntl(fd, F_SETFL, wanted) < 0)
		return -errno;
	return 0;
}

int fd_move_up(int fd, int floor)
{
	int moved;

	moved = fcntl(fd, F_DUPFD_CLOEXEC, floor);
	if (moved < 0)
		return -errno;
	fd_close(fd);
	return moved;
}

int fd_fill_stdio(void)
{
	int fd;

	/* open(2) takes the lowest free number and all below `i` are taken by
	 * now, so it is `i` itself that gets filled. */
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
		if (fcntl(i, F_GETFD) >= 0)
			continue;
		fd = open("/dev/null", O_RDWR | O_NOCTTY);
		if (fd < 0)
			return -errno;
	}
	return 0;
}

/* Those that /proc lists; false if it does not. */
static bool close_listed(int first, int last)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	if (!dir)
		return false;
	while ((entry = readdir(dir))) {
		int32_t fd;

		if (text_parse_i32(entry->d_name, &fd) == 0 && fd >= first && fd <= last &&
			fd != dirfd(dir))
			close(fd);
	}
	closedir(dir);
	return true;
}

static void close_each(int first, int last)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > CLOSE_EACH_MAX)
		limit.rlim_cur = CLOSE_EACH_MAX;
	for (int fd = first; fd <= last && (rlim_t)fd < limit.rlim_cur; fd++)
		close(fd);
}

void fd_close_range(int first, int last)
{
	if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
		return;
	if (!close_listed(first, last))
		close_each(first, last);
}

int fd_connect_unix(int fd, const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	if (len >= sizeof un.sun_path)
		return -ENAMETOOLONG;
	memcpy(un.sun_path, path, len + 1);
	if (connect(fd, (const struct sockaddr *)&un, sizeof un) < 0)
		return -errno;
	return 0;
}

/* Bytes to have room for at first: the size of a regular file and one more,
 * so that its end is seen without growing. */
static size_t first_room(int fd, size_t max)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
		return max < READ_FIRST ? max + 1 : READ_FIRST;
	if ((uintmax_t)st.st_size >= max)
		return max + 1;
	return (size_t)st.st_size + 1;
}

/* Make room for more, never for more than one byte beyond `max`. */
static int grow(char **text, size_t *room, size_t max)
{
	size_t wanted = *room > max / 2 ? max + 1 : *room * 2;
	char *larger;

	larger = realloc(*text, wanted + 1);
	if (!larger)
		return -ENOMEM;
	*text = larger;
	*room = wanted;
	return 0;
}

int fd_new_memory(const char *name, const struct iovec *parts, size_t n)
{
	_cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < n; i++)
		len += parts[i].iov_len;
	/* To memory: what there is not enough of. */
	if (writev(fd, parts, (int)n) != (ssize_t)len)
		return -ENOMEM;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return take_fd(&fd);
}

int fd_write_all(int fd, const void *data, size_t len)
{
	const uint8_t *at = data;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_read_all(int fd, size_t max, char **ret_text, size_t *ret_len)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0, room;
	ssize_t n;

	if (max > SSIZE_MAX - 2)
		return -EINVAL;

	room = first_room(fd, max);
	text = malloc(room + 1);
	if (!text)
		return -ENOMEM;

	for (;;) {
		n = read(fd, text + len, room - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return -EFBIG;
		if (len == room && grow(&text, &room, max) < 0)
			return -ENOMEM;
	}

	text[len] = '\0';
	*ret_text = take_ptr(text);
	*ret_len = len;
	return 0;
}
