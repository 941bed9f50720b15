#include "os/parent.h"

#include "base/fd.h"
#include "base/own.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Links that are followed; the kernel gives up there, too. */
#define LINKS_MAX 40

struct walk {
	int dir;                 /* where it is */
	char rest[2 * PATH_MAX]; /* still to go */
	unsigned n_links;
	mode_t mode;
};

static void walk_done(struct walk *walk)
{
	fd_close(walk->dir);
}

static void enter(struct walk *walk, int dir)
{
	fd_close(walk->dir);
	walk->dir = dir;
}

static int enter_root(struct walk *walk)
{
	int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return -errno;
	enter(walk, dir);
	return 0;
}

/* Cut the first name off `rest`: 1, 0 at its end, or a negative errno. */
static int next_name(struct walk *walk, char name[NAME_MAX + 1])
{
	const char *start = walk->rest + strspn(walk->rest, "/");
	size_t len = strcspn(start, "/");

	if (len == 0)
		return 0;
	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, start, len);
	name[len] = '\0';
	memmove(walk->rest, start + len, strlen(start + len) + 1);
	return 1;
}

/* By the umask and not afterwards: between the two the name could become that
 * of something else. */
static int make(struct walk *walk, const char *name)
{
	mode_t saved = umask(~walk->mode & 0777);
	int r = mkdirat(walk->dir, name, walk->mode) < 0 ? -errno : 0;

	umask(saved);
	return r == -EEXIST ? 0 : r;
}

static int open_name(struct walk *walk, const char *name)
{
	const int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(walk->dir, name, flags), r;

	if (fd < 0 && errno == ENOENT && walk->mode != 0) {
		r = make(walk, name);
		if (r < 0)
			return r;
		fd = openat(walk->dir, name, flags);
	}
	return fd < 0 ? -errno : fd;
}

/* What the link says comes before what is still to go. */
static int follow(struct walk *walk, int fd, const struct stat *st)
{
	char target[PATH_MAX], rest[sizeof walk->rest];
	ssize_t n;

	if ((st->st_uid != 0 && st->st_uid != geteuid()) || walk->n_links++ == LINKS_MAX)
		return -ELOOP;
	n = readlinkat(fd, "", target, sizeof target - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	if ((size_t)snprintf(rest, sizeof rest, "%s/%s", target, walk->rest) >= sizeof rest)
		return -ENAMETOOLONG;
	strcpy(walk->rest, rest);
	return target[0] == '/' ? enter_root(walk) : 0;
}

static int take_step(struct walk *walk, const char *name)
{
	_cleanup_close_ int fd = open_name(walk, name);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return follow(walk, fd, &st);
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	enter(walk, take_fd(&fd));
	return 0;
}

int parent_open(const char *path, mode_t mode, const char **ret_name)
{
	_cleanup_(walk_done) struct walk walk = {.dir = -EBADF, .mode = mode};
	const char *slash = strrchr(path, '/');
	char name[NAME_MAX + 1];
	int r;

	if (path[0] != '/' || slash[1] == '\0')
		return -EINVAL;
	if ((size_t)(slash - path) >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(walk.rest, path, (size_t)(slash - path));

	r = enter_root(&walk);
	if (r < 0)
		return r;
	while ((r = next_name(&walk, name)) > 0) {
		r = take_step(&walk, name);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	*ret_name = slash + 1;
	return take_fd(&walk.dir);
}
