/*
 * parse_files(): the main file and all that it includes, in order.
 */
#include "conf/parse.h"
#include "conf/source.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct walk {
	struct raw_conf *raw;
	struct source **tail; /* of the list of sources */
	struct diag_list *diags;
	struct scan_names names;
	size_t n_files;
};

/* A file: how it is called, and where it is opened. */
struct location {
	const char *path;
	int directory; /* AT_FDCWD, with the path as `name` */
	const char *name;
};

/* Why a file is read; nothing is set for the main one. */
struct cause {
	const struct include *include;
	struct source *includer;
	const struct chain *outer; /* what is being read already */
};

/* The files that are being read, from the innermost out. */
struct chain {
	const struct chain *outer;
	struct source_id id;
	size_t depth;
};

static int walk_includes(struct walk *walk, struct source *source, const struct chain *chain,
	const struct include_list *includes);

/* A mistake at the place of an include: its file is to blame. */
#define blame(walk, includer, origin, ...)                        \
	do {                                                      \
		(includer)->refused = true;                       \
		diag_error((walk)->diags, (origin), __VA_ARGS__); \
	} while (0)

/* `name` as seen from the folder of `file`. */
static char *resolve(const char *file, const char *name)
{
	const char *slash = strrchr(file, '/');
	char *path;

	if (name[0] == '/' || !slash)
		return strdup(name);
	if (asprintf(&path, "%.*s/%s", (int)(slash - file), file, name) < 0)
		return NULL;
	return path;
}

/* In place; returns the path. */
static char *strip_slashes(char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	return path;
}

static const struct chain *find_in_chain(const struct chain *chain, struct source_id id)
{
	for (; chain; chain = chain->outer) {
		if (chain->id.dev == id.dev && chain->id.ino == id.ino)
			return chain;
	}
	return NULL;
}

/*
 * Why the file cannot be read is said at the include() that names it; of the
 * main file and of files of a directory, about the file itself.
 */
static void tell_unreadable(struct walk *walk, struct source *source,
	const struct include *include, struct source *includer, int r, const char *why)
{
	struct origin origin = {.file = source->path};
	char shown[DIAG_SHOWN_MAX];

	source->refused = true;
	if (!include || include->directory) {
		diag_error(walk->diags, &origin, "unable to read this file: %s", why);
		return;
	}
	if (r == -EISDIR)
		why = "it is a directory; use include_dir()";
	blame(walk, includer, &include->origin, "unable to read '%s': %s",
		diag_shown(source->path, strlen(source->path), shown), why);
}

/* True if it may be parsed: neither in a loop nor too deep. */
static bool judge_chain(struct walk *walk, struct source_id id, const struct include *include,
	struct source *includer, const struct chain *chain)
{
	const struct chain *same = find_in_chain(chain, id);

	if (same) {
		blame(walk, includer, &include->origin, "this file includes itself%s",
			same == chain ? "" : " by way of others");
		return false;
	}
	if (chain && chain->depth == CONF_INCLUDE_DEPTH) {
		blame(walk, includer, &include->origin,
			"more than %d files include one another", CONF_INCLUDE_DEPTH);
		return false;
	}
	return true;
}

/* 0, -ENOMEM, or why it could not be read. */
static int walk_file(
	struct walk *walk, const struct location *location, const struct cause *cause)
{
	_cleanup_(include_list_done) struct include_list includes = {0};
	const struct include *include = cause->include;
	const struct chain *outer = cause->outer;
	struct chain chain = {.outer = outer, .depth = outer ? outer->depth + 1 : 1};
	struct source *source;
	const char *why;
	int r;

	source = source_add(&walk->tail, location->path);
	if (!source)
		return -ENOMEM;
	source->main = !include;

	r = source_read(source, location->directory, location->name, &chain.id, &why);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		tell_unreadable(walk, source, include, cause->includer, r, why);
		return r;
	}
	if (!judge_chain(walk, chain.id, include, cause->includer, outer))
		return 0;

	r = parse_source(source, &walk->names, walk->raw, &includes, walk->diags);
	return r < 0 ? r : walk_includes(walk, source, &chain, &includes);
}

/* Files of a directory that are read: no hidden ones, no leftovers of editors
 * and package managers. */
static int is_wanted(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 &&
	       strcmp(entry->d_name + len - 5, ".conf") == 0;
}

/* By bytes, whatever the locale. */
static int compare_entries(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

struct entries {
	struct dirent **items;
	int n;
};

static void entries_done(struct entries *entries)
{
	for (int i = 0; i < entries->n; i++)
		free(entries->items[i]);
	free(entries->items);
}

static bool may_read_more(
	struct walk *walk, const struct include *include, struct source *includer)
{
	if (walk->n_files++ < CONF_FILES_MAX)
		return true;
	if (walk->n_files == CONF_FILES_MAX + 1)
		blame(walk, includer, &include->origin, "more than %d files", CONF_FILES_MAX);
	return false;
}

/* Who may put a file there decides what is served, and as whom. */
static const char *judge_directory(const struct stat *st)
{
	if (st->st_mode & S_IWOTH)
		return "everybody may write to it; use chmod o-w";
	if (geteuid() == 0 && st->st_uid != 0)
		return "it does not belong to root; use chown root";
	return NULL;
}

/* The directory that is judged is the one that is read, whatever happens to
 * its name: an open descriptor, or a negative errno with *reterr.  *ret_by_group
 * tells that members of a group may put files there. */
static int open_directory(const char *path, bool *ret_by_group, const char **reterr)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		*reterr = strerror(errno);
		return -errno;
	}
	*reterr = judge_directory(&st);
	if (*reterr)
		return -EPERM;
	*ret_by_group = geteuid() == 0 && st.st_mode & S_IWGRP && st.st_gid != 0;
	return take_fd(&fd);
}

/* The files of a directory, in their order. */
static int walk_entries(struct walk *walk, const char *directory, int fd,
	const struct entries *entries, const struct cause *cause)
{
	int r = 0;

	for (int i = 0; i < entries->n && r != -ENOMEM; i++) {
		const char *name = entries->items[i]->d_name;
		_cleanup_free_ char *path = NULL;

		if (!may_read_more(walk, cause->include, cause->includer))
			break;
		if (asprintf(&path, "%s/%s", directory, name) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		r = walk_file(walk, &(struct location){path, fd, name}, cause);
	}
	return r == -ENOMEM ? r : 0;
}

/* `directory` without slashes at its end. */
static int walk_directory(struct walk *walk, const char *directory, const struct cause *cause)
{
	const struct origin *origin = &cause->include->origin;
	_cleanup_(entries_done) struct entries entries = {0};
	_cleanup_close_ int fd = -EBADF;
	char shown[DIAG_SHOWN_MAX];
	bool by_group = false;
	const char *why;

	diag_shown(directory, strlen(directory), shown);
	fd = open_directory(directory, &by_group, &why);
	if (fd >= 0) {
		entries.n = scandirat(fd, ".", &entries.items, is_wanted, compare_entries);
		if (entries.n < 0 && errno == ENOMEM)
			return -ENOMEM;
		why = entries.n < 0 ? strerror(errno) : NULL;
	}
	if (why) {
		blame(walk, cause->includer, origin, "unable to read directory '%s': %s", shown,
			why);
		return 0;
	}
	if (by_group)
		diag_warning(walk->diags, origin,
			"the group of '%s' may write to it, and so become root", shown);
	return walk_entries(walk, directory, fd, &entries, cause);
}

/* Files that cannot be read have been told and do not stop the others. */
static int walk_includes(struct walk *walk, struct source *source, const struct chain *chain,
	const struct include_list *includes)
{
	int r = 0;

	for (size_t i = 0; i < includes->n && r != -ENOMEM; i++) {
		const struct include *include = &includes->items[i];
		const struct cause cause = {include, source, chain};
		_cleanup_free_ char *path = resolve(source->path, include->path);

		if (!path)
			return -ENOMEM;
		if (include->directory)
			r = walk_directory(walk, strip_slashes(path), &cause);
		else if (may_read_more(walk, include, source))
			r = walk_file(walk, &(struct location){path, AT_FDCWD, path}, &cause);
	}
	return r == -ENOMEM ? r : 0;
}

int parse_files(const char *path, struct raw_conf *raw, struct source **sources,
	struct diag_list *diags)
{
	struct walk walk = {.raw = raw, .tail = sources, .diags = diags, .n_files = 1};
	int r;

	while (*walk.tail)
		walk.tail = &(*walk.tail)->next;
	scan_names_init(&walk.names);
	r = walk_file(&walk, &(struct location){path, AT_FDCWD, path}, &(struct cause){0});
	scan_names_done(&walk.names);
	return r;
}
