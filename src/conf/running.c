#include "conf/running.h"

#include "base/fd.h"
#include "base/text.h"
#include "conf/image.h"
#include "conf/place.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* What /proc says about it, and a path there. */
#define LINK_NAME     "/memfd:" IMAGE_NAME " (deleted)"
#define PROC_PATH_MAX 64

/* Bounds of what is read of another process. */
#define STATUS_MAX  65536
#define ENVIRON_MAX (16 * 1024 * 1024)

/* Most that are told by number when there are several. */
#define CANDIDATES_MAX 16

struct candidate {
	pid_t pid, parent;
	dev_t dev; /* of the memfd */
	ino_t ino;
	int fd; /* of it, open */
};

struct search {
	const char *file;
	struct stat file_st; /* of `file`, if it is not NULL */
	FILE *err;
	struct candidate *candidates;
	size_t n;
	pid_t hidden; /* a process called hatchd into which we may not look; 0: none */
	char *lost;   /* the main file of one that cannot be opened; owned; NULL: none */
	int lost_error;
};

/*
 * One process.
 */

/* A file of /proc/PID as text; NULL if it cannot be read. */
static char *read_proc(pid_t pid, const char *name, size_t max, size_t *ret_len)
{
	char path[PROC_PATH_MAX], *text;
	_cleanup_close_ int fd = -EBADF;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fd_read_all(fd, max, &text, ret_len) < 0)
		return NULL;
	return text;
}

/* The number at that place, from 0, in a line of /proc/PID/status; -1 without. */
static int64_t status_number(const char *status, const char *name, unsigned place)
{
	const char *line = strstr(status, name);
	char *end = NULL;
	int64_t number = -1;

	if (!line)
		return -1;
	line += strlen(name);
	for (unsigned i = 0; i <= place; i++) {
		number = strtoll(line, &end, 10);
		if (end == line)
			return -1;
		line = end;
	}
	return number;
}

static bool is_called_hatchd(pid_t pid)
{
	size_t len;
	_cleanup_free_ char *name = read_proc(pid, "comm", STATUS_MAX, &len);

	return name && strcmp(name, "hatchd\n") == 0;
}

/*
 * Open what a link in /proc/PID/fd leads to, once it is known to be a plain
 * file: its owner may have put a pipe or a device there meanwhile.
 */
static int open_image(int directory, const char *name, struct stat *ret_st)
{
	_cleanup_close_ int fd = openat(directory, name, O_PATH | O_CLOEXEC);
	char path[PROC_PATH_MAX];
	int opened;

	if (fd < 0 || fstat(fd, ret_st) < 0)
		return -errno;
	if (!S_ISREG(ret_st->st_mode))
		return -EBADF;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	opened = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return opened < 0 ? -errno : opened;
}

static bool is_image_link(int directory, const char *name)
{
	char target[sizeof LINK_NAME + 1];
	ssize_t len = readlinkat(directory, name, target, sizeof target);

	return len == sizeof LINK_NAME - 1 && memcmp(target, LINK_NAME, (size_t)len) == 0;
}

/*
 * Whether it is open there for writing too, as memfd_create(2) leaves it with
 * the master.  Who looks for a hatchd at the same time as we do has the same
 * file open, but for reading only.  The link has the mode: proc(5).
 */
static bool is_as_made(int directory, const char *name)
{
	struct stat st;

	return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mode & S_IWUSR;
}

static pid_t parent_of(pid_t pid)
{
	size_t len;
	_cleanup_free_ char *status = read_proc(pid, "status", STATUS_MAX, &len);

	return status ? (pid_t)status_number(status, "\nPPid:", 0) : -1;
}

static int add_candidate(struct search *s, pid_t pid, int fd, const struct stat *st)
{
	struct candidate *more = reallocarray(s->candidates, s->n + 1, sizeof *s->candidates);

	if (!more)
		return -ENOMEM;
	s->candidates = more;
	more[s->n++] = (struct candidate){.pid = pid,
		.parent = parent_of(pid),
		.dev = st->st_dev,
		.ino = st->st_ino,
		.fd = fd};
	return 0;
}

/* 0, -ENOMEM, or why there is nothing to see. */
static int look_into(struct search *s, pid_t pid)
{
	char path[PROC_PATH_MAX];
	struct dirent *entry;
	int r = 0;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (r == 0 && (entry = readdir(dir))) {
		_cleanup_close_ int fd = -EBADF;
		struct stat st;

		if (!is_image_link(dirfd(dir), entry->d_name) ||
			!is_as_made(dirfd(dir), entry->d_name))
			continue;
		fd = open_image(dirfd(dir), entry->d_name, &st);
		if (fd < 0)
			continue;
		r = add_candidate(s, pid, fd, &st);
		if (r == 0)
			take_fd(&fd);
		break;
	}
	closedir(dir);
	return r;
}

/* Gone in the meantime is as good as never there. */
static int look_into_all(struct search *s)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	uint32_t pid;
	int r = 0;

	if (!proc)
		return -errno;
	while (r != -ENOMEM && (entry = readdir(proc))) {
		if (text_parse_u32(entry->d_name, &pid) < 0 || (pid_t)pid == getpid())
			continue;
		r = look_into(s, (pid_t)pid);
		if ((r == -EACCES || r == -EPERM) && is_called_hatchd((pid_t)pid))
			s->hidden = (pid_t)pid;
	}
	closedir(proc);
	return r == -ENOMEM ? r : 0;
}

/*
 * Which of them.
 */

static void drop(struct search *s, size_t i)
{
	fd_close(s->candidates[i].fd);
	s->candidates[i] = s->candidates[--s->n];
}

/* A child that has not come to its exec has all that its master has. */
static bool is_child_of_another(const struct search *s, size_t i)
{
	const struct candidate *c = &s->candidates[i];

	for (size_t j = 0; j < s->n; j++) {
		const struct candidate *o = &s->candidates[j];

		if (o->pid == c->parent && o->dev == c->dev && o->ino == c->ino)
			return true;
	}
	return false;
}

static void note_lost(struct search *s, const char *file, int error)
{
	free(s->lost);
	s->lost = strdup(file);
	s->lost_error = error;
}

/* Whether its main file is `file`, or, with no file given, is the same for us:
 * in a container the same name may stand for something else. */
static bool serves_file(struct search *s, pid_t pid, const struct conf *conf)
{
	char root[PROC_PATH_MAX];
	_cleanup_close_ int fd = -EBADF;
	struct stat theirs, ours = s->file_st;

	if (!conf->main_file)
		return false;
	snprintf(root, sizeof root, "/proc/%d/root", (int)pid);
	fd = place_open(root, conf->main_file);
	if (fd < 0)
		note_lost(s, conf->main_file, fd);
	if (fd < 0 || fstat(fd, &theirs) < 0)
		return false;
	if (!s->file && stat(conf->main_file, &ours) < 0)
		return false;
	return theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

/* Anybody can make such an image: without --pid only root's and our own count. */
static bool is_trusted(pid_t pid)
{
	size_t len;
	_cleanup_free_ char *status = read_proc(pid, "status", STATUS_MAX, &len);
	int64_t uid = status ? status_number(status, "\nUid:", 1) : -1;

	return uid == 0 || uid == (int64_t)geteuid();
}

/* Leave those that serve the file. */
static void choose(struct search *s)
{
	for (size_t i = s->n; i-- > 0;) {
		struct conf conf;
		bool serves;

		if (is_child_of_another(s, i) || !is_trusted(s->candidates[i].pid) ||
			image_read(s->candidates[i].fd, &conf) < 0) {
			drop(s, i);
			continue;
		}
		serves = serves_file(s, s->candidates[i].pid, &conf);
		conf_done(&conf);
		if (!serves)
			drop(s, i);
	}
}

static int tell_hidden(const struct search *s)
{
	fprintf(s->err, "hatchd: unable to look into process %d (hatchd): %s; ask as root\n",
		(int)s->hidden, strerror(EACCES));
	return -EACCES;
}

static int tell_none(const struct search *s)
{
	char shown[DIAG_SHOWN_MAX];

	fprintf(s->err, "hatchd: no hatchd is running with %s\n",
		diag_shown(s->file, strlen(s->file), shown));
	return -ESRCH;
}

static int compare_pids(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static int tell_several(struct search *s)
{
	char shown[DIAG_SHOWN_MAX];

	qsort(s->candidates, s->n, sizeof *s->candidates, compare_pids);
	fprintf(s->err, "hatchd: %zu processes hatchd are running with %s:", s->n,
		diag_shown(s->file, strlen(s->file), shown));
	for (size_t i = 0; i < s->n && i < CANDIDATES_MAX; i++)
		fprintf(s->err, "%s %d", i > 0 ? "," : "", (int)s->candidates[i].pid);
	fprintf(s->err, "%s; choose one with --pid\n", s->n > CANDIDATES_MAX ? " ..." : "");
	return -ENOTUNIQ;
}

/*
 * What else there is to know about the one.
 */

/* NAME=VALUE, each with a NUL behind it. */
static int split_environ(const char *text, size_t len, char ***ret)
{
	_cleanup_strv_ char **vector = NULL;
	size_t n = 0, at = 0;

	for (size_t i = 0; i < len; i++)
		n += text[i] == '\0';
	vector = calloc(n + 2, sizeof *vector);
	if (!vector)
		return -ENOMEM;
	for (n = 0; at < len; at += strlen(text + at) + 1) {
		vector[n] = strdup(text + at);
		if (!vector[n++])
			return -ENOMEM;
	}
	*ret = take_ptr(vector);
	return 0;
}

static int read_process(struct running *running)
{
	size_t len;
	_cleanup_free_ char *status = read_proc(running->pid, "status", STATUS_MAX, &len);
	_cleanup_free_ char *environment =
		read_proc(running->pid, "environ", ENVIRON_MAX, &len);
	int64_t uid, gid;

	if (!status || !environment)
		return -ESRCH;
	uid = status_number(status, "\nUid:", 1);
	gid = status_number(status, "\nGid:", 1);
	if (uid < 0 || gid < 0)
		return -ESRCH;
	running->uid = (uid_t)uid;
	running->gid = (gid_t)gid;
	return split_environ(environment, len, &running->environ);
}

static int take(struct search *s, struct running *ret)
{
	struct running running = {.pid = s->candidates[0].pid};
	int r;

	r = image_read(s->candidates[0].fd, &running.conf);
	if (r == 0)
		r = read_process(&running);
	if (r < 0) {
		fprintf(s->err, "hatchd: unable to read the configuration of process %d: %s\n",
			(int)running.pid, strerror(-r));
		running_done(&running);
		return r;
	}
	*ret = running;
	return 0;
}

static int find_any(struct search *s)
{
	int r = look_into_all(s);

	if (r < 0) {
		fprintf(s->err, "hatchd: unable to look for a running hatchd: %s\n",
			strerror(-r));
		return r;
	}
	choose(s);
	if (s->n > 1)
		return tell_several(s);
	if (s->n == 0)
		return s->hidden ? tell_hidden(s) : tell_none(s);
	return 0;
}

/* Why the process that was asked for is none to compare with. */
static int tell_unfit(const struct search *s, pid_t pid, int r)
{
	char shown[DIAG_SHOWN_MAX];

	if (r == 0 && s->lost)
		fprintf(s->err, "hatchd: process %d serves %s, which cannot be opened: %s\n",
			(int)pid, diag_shown(s->lost, strlen(s->lost), shown),
			strerror(-s->lost_error));
	else if (r == 0 && s->file)
		fprintf(s->err, "hatchd: process %d is not a hatchd that is running with %s\n",
			(int)pid, diag_shown(s->file, strlen(s->file), shown));
	else if (r == 0)
		fprintf(s->err, "hatchd: process %d is not a hatchd with a file to reload\n",
			(int)pid);
	else
		fprintf(s->err, "hatchd: unable to look into process %d: %s%s\n", (int)pid,
			r == -ENOENT ? "no such process" : strerror(-r),
			r == -EACCES ? "; ask as root" : "");
	return r == 0 || r == -ENOENT ? -ESRCH : r;
}

static int find_one(struct search *s, pid_t pid)
{
	int r = look_into(s, pid);

	if (r == 0)
		choose(s);
	return r < 0 || s->n == 0 ? tell_unfit(s, pid, r) : 0;
}

int running_find(const char *file, pid_t pid, struct running *ret, FILE *err)
{
	struct search s = {.file = file, .err = err};
	int r;

	if (file && stat(file, &s.file_st) < 0) {
		fprintf(err, "hatchd: unable to read %s: %s\n", file, strerror(errno));
		return -ENOENT;
	}
	r = pid ? find_one(&s, pid) : find_any(&s);
	if (r == 0)
		r = take(&s, ret);
	while (s.n > 0)
		drop(&s, s.n - 1);
	free(s.candidates);
	free(s.lost);
	return r;
}

void running_done(struct running *running)
{
	strv_free(running->environ);
	conf_done(&running->conf);
}
