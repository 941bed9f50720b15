#include "conf/place.h"

#include "base/own.h"
#include "base/text.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static bool is_real_root(const char *root)
{
	return !root || strcmp(root, "/") == 0;
}

static int open_as(const char *root, const char *path, int flags)
{
	const struct open_how how = {
		.flags = (unsigned)(O_PATH | O_CLOEXEC | flags),
		.resolve = RESOLVE_IN_ROOT,
	};
	_cleanup_close_ int root_fd = -EBADF;
	long fd;

	if (is_real_root(root)) {
		fd = open(path, O_PATH | O_CLOEXEC | flags);
		return fd < 0 ? -errno : (int)fd;
	}
	root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return -errno;

	/* glibc has no function for it. */
	fd = syscall(SYS_openat2, root_fd, path, &how, sizeof how);
	return fd < 0 ? -errno : (int)fd;
}

int place_open(const char *root, const char *path)
{
	return open_as(root, path, 0);
}

int place_open_regular(const char *path)
{
	_cleanup_close_ int at = place_open(NULL, path);
	struct stat st;
	int fd;

	if (at < 0)
		return at;
	if (fstat(at, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -ENOTSUP;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Asked several times for each service. */
char *place_question(const char *what, const char *root, const char *path)
{
	size_t root_len = root ? strlen(root) : 0;
	char number[TEXT_NUMBER_MAX], *question, *at;

	/* With its length no path can be taken for a part of the root. */
	text_put_u32(number, (uint32_t)root_len);
	question = malloc(strlen(what) + strlen(number) + root_len + strlen(path) + 4);
	if (!question)
		return NULL;
	at = stpcpy(stpcpy(question, what), " ");
	at = stpcpy(stpcpy(at, number), " ");
	at = stpcpy(stpcpy(at, root ? root : ""), " ");
	strcpy(at, path);
	return question;
}

static int check_directory(const char *root, const char *path)
{
	_cleanup_close_ int fd = place_open(root, path);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int place_check_directory(struct memo *memo, const char *root, const char *path)
{
	_cleanup_free_ char *question = place_question("directory", root, path);
	int r;

	if (memo_recall(memo, question, &r, NULL))
		return r;
	r = check_directory(root, path);
	memo_remember(memo, question, r, NULL);
	return r;
}

char *place_parent(const char *path)
{
	size_t len = (size_t)(strrchr(path, '/') - path);

	return strndup(path, len > 0 ? len : 1);
}

/* Group 0 is root's.  The user's own group counts as the user: files of a
 * private group are group-writable on many systems. */
static bool group_trusted(gid_t gid, const struct place_owners *owners)
{
	return gid == 0 || (owners->uid != 0 && gid == owners->gid);
}

static bool writable(const struct stat *st, const struct place_owners *owners)
{
	bool sticky = S_ISDIR(st->st_mode) && st->st_mode & S_ISVTX;

	if (st->st_uid != 0 && st->st_uid != owners->uid)
		return true;
	/* In a sticky directory nobody can replace what is not theirs, and the
	 * owner of what lies in it is judged one step further down. */
	if (sticky)
		return false;
	if (st->st_mode & S_IWOTH)
		return true;
	return st->st_mode & S_IWGRP && !group_trusted(st->st_gid, owners);
}

/*
 * The walk along a path, one name after the other, as the kernel takes it.
 * `at` holds where it is: a path below the root without links or dots.
 */

/* Links that are followed; the kernel gives up there, too. */
#define LINKS_MAX 40

struct walk {
	const char *root;
	const struct place_owners *owners;
	char at[PATH_MAX];
	char rest[2 * PATH_MAX]; /* still to go */
	unsigned n_links;
};

enum step {
	STEP_ON,
	STEP_END,      /* at the end, or nobody can tell how it goes on */
	STEP_WRITABLE, /* by somebody else */
};

/* What stands at `at`, not followed; a descriptor or a negative errno. */
static int open_here(const struct walk *walk, struct stat *st)
{
	_cleanup_close_ int fd = open_as(walk->root, walk->at, O_NOFOLLOW);

	if (fd < 0)
		return fd;
	if (fstat(fd, st) < 0)
		return -errno;
	return take_fd(&fd);
}

/* Cut the first name off `rest`; false at its end. */
static bool next_name(struct walk *walk, char name[NAME_MAX + 1])
{
	const char *start = walk->rest + strspn(walk->rest, "/");
	size_t len = strcspn(start, "/");

	if (len == 0 || len > NAME_MAX)
		return false;
	memcpy(name, start, len);
	name[len] = '\0';
	memmove(walk->rest, start + len, strlen(start + len) + 1);
	return true;
}

static void go_up(struct walk *walk)
{
	char *slash = strrchr(walk->at, '/');

	slash[slash == walk->at] = '\0';
}

/* False if it gets too long. */
static bool go_down(struct walk *walk, const char *name)
{
	size_t len = strlen(walk->at), room = sizeof walk->at - len;
	const char *slash = len > 1 ? "/" : "";

	return (size_t)snprintf(walk->at + len, room, "%s%s", slash, name) < room;
}

/* A link: where it stands has been judged, its permissions mean nothing, but
 * its owner can change it even in a sticky directory. */
static enum step follow(struct walk *walk, int fd, const struct stat *st)
{
	char target[PATH_MAX], rest[sizeof walk->rest];
	ssize_t n;

	if (st->st_uid != 0 && st->st_uid != walk->owners->uid)
		return STEP_WRITABLE;
	n = readlinkat(fd, "", target, sizeof target - 1);
	if (n <= 0 || walk->n_links++ == LINKS_MAX)
		return STEP_END;
	target[n] = '\0';
	if ((size_t)snprintf(rest, sizeof rest, "%s/%s", target, walk->rest) >= sizeof rest)
		return STEP_END;

	strcpy(walk->rest, rest);
	if (target[0] == '/')
		strcpy(walk->at, "/");
	else
		go_up(walk);
	return STEP_ON;
}

static enum step take_step(struct walk *walk)
{
	_cleanup_close_ int fd = -EBADF;
	char name[NAME_MAX + 1];
	struct stat st;

	if (!next_name(walk, name))
		return STEP_END;
	if (strcmp(name, ".") == 0)
		return STEP_ON;
	if (strcmp(name, "..") == 0) {
		go_up(walk);
		return STEP_ON;
	}
	if (!go_down(walk, name))
		return STEP_END;
	fd = open_here(walk, &st);
	if (fd < 0)
		return STEP_END;
	if (S_ISLNK(st.st_mode))
		return follow(walk, fd, &st);
	return writable(&st, walk->owners) ? STEP_WRITABLE : STEP_ON;
}

static bool walk_along(
	const char *root, const char *path, const struct place_owners *owners, char **ret)
{
	struct walk walk = {.root = root, .owners = owners, .at = "/"};
	enum step step = STEP_ON;
	struct stat st;
	int fd;

	if (strlen(path) >= PATH_MAX)
		return false;
	strcpy(walk.rest, path);

	fd = open_here(&walk, &st);
	if (fd < 0)
		return false;
	close(fd);
	if (writable(&st, owners))
		step = STEP_WRITABLE;
	while (step == STEP_ON)
		step = take_step(&walk);
	if (step == STEP_WRITABLE)
		*ret = strdup(walk.at);
	return step == STEP_WRITABLE;
}

bool place_writable_by_others(struct memo *memo, const char *root, const char *path,
	const struct place_owners *owners, char **ret)
{
	_cleanup_free_ char *question = NULL, *where = NULL;
	char what[64], *at;
	int found;

	at = text_put_u32(stpcpy(what, "writable-"), owners->uid);
	text_put_u32(stpcpy(at, "-"), owners->gid);
	question = place_question(what, root, path);
	if (!memo_recall(memo, question, &found, &where)) {
		found = (!is_real_root(root) && walk_along(NULL, root, owners, &where)) ||
		        walk_along(root, path, owners, &where);
		memo_remember(memo, question, found, where);
	}
	if (found)
		*ret = take_ptr(where);
	return found;
}
