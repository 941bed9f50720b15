#include "conf/source.h"

#include "base/fd.h"
#include "conf/parse.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct source *source_add(struct source ***tail, const char *path)
{
	_cleanup_free_ struct source *source = calloc(1, sizeof *source);
	_cleanup_free_ char *copy = strdup(path), *text = strdup("");
	struct source *added;

	if (!source || !copy || !text)
		return NULL;
	source->path = take_ptr(copy);
	source->text = take_ptr(text);
	added = **tail = take_ptr(source);
	*tail = &added->next;
	return added;
}

void source_list_free(struct source *sources)
{
	while (sources) {
		struct source *next = sources->next;

		free(sources->path);
		free(sources->text);
		free(sources);
		sources = next;
	}
}

/* What kinds of file have to be said about, by their own names. */
static const char *judge_kind(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return NULL;
	case S_IFDIR:
		return "it is a directory";
	case S_IFIFO:
		return "it is a FIFO, not a regular file";
	case S_IFCHR:
	case S_IFBLK:
		return "it is a device, not a regular file";
	case S_IFSOCK:
		return "it is a socket, not a regular file";
	default:
		return "it is not a regular file";
	}
}

/*
 * Whoever can write to a configuration of root can become root.  Members of a
 * group were made so on purpose; everybody was not.
 */
static const char *judge_trust(const struct stat *st)
{
	if (st->st_mode & S_IWOTH)
		return "everybody may write to it; use chmod o-w";
	if (geteuid() == 0 && st->st_uid != 0)
		return "it belongs to neither root nor the user that reads it; use chown root";
	return NULL;
}

static int judge_file(int fd, struct stat *st, const char **reterr)
{
	const char *why;

	if (fstat(fd, st) < 0) {
		*reterr = strerror(errno);
		return -errno;
	}
	why = judge_kind(st->st_mode);
	if (why) {
		*reterr = why;
		return S_ISDIR(st->st_mode) ? -EISDIR : -ENOTSUP;
	}
	why = judge_trust(st);
	if (why) {
		*reterr = why;
		return -EPERM;
	}
	return 0;
}

int source_read(struct source *source, int at, const char *name, struct source_id *ret_id,
	const char **reterr)
{
	_cleanup_close_ int fd = -EBADF;
	char *text;
	struct stat st;
	size_t len;
	int r;

	fd = openat(at, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		r = -errno;
		/* What opening a socket says does not help anybody. */
		*reterr =
			r == -ENXIO ? "it is a socket or an unconnected device" : strerror(-r);
		return r;
	}
	r = judge_file(fd, &st, reterr);
	if (r < 0)
		return r;

	r = fd_read_all(fd, CONF_FILE_MAX, &text, &len);
	if (r < 0) {
		*reterr = r == -EFBIG ? "it is larger than 16 MB" : strerror(-r);
		return r;
	}

	free(source->text);
	source->text = text;
	source->len = len;
	*ret_id = (struct source_id){st.st_dev, st.st_ino};
	return 0;
}
