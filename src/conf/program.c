#include "conf/program.h"

#include "conf/merge.h"
#include "conf/place.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SHELL_PATH "/bin/sh"

/* The kernel reads as much of a script's first line, and follows as many
 * scripts whose interpreters are scripts. */
#define INTERPRETER_MAX   256
#define INTERPRETER_DEPTH 5

/* As execvp(3) searches without PATH. */
#define SEARCH_DEFAULT "/bin:/usr/bin"

/* What is started for its clients, or the backend; NULL: the other of the two is given. */
static char **exec_of(const struct service_conf *service)
{
	return service_conf_has_backend(service) ? service->backend_exec : service->exec;
}

static const char *shell_of(const struct service_conf *service)
{
	return service_conf_has_backend(service) ? service->backend_shell : service->shell;
}

int program_prepare(struct service_conf *service)
{
	_cleanup_strv_ char **argv = NULL;
	const char *shell = shell_of(service), *path = shell ? SHELL_PATH : exec_of(service)[0];
	char *name;
	int r;

	r = shell ? 0 : strv_copy(exec_of(service), &argv);
	if (r == 0 && shell)
		r = strv_add(&argv, "sh");
	if (r == 0 && shell)
		r = strv_add(&argv, "-c");
	if (r == 0 && shell)
		r = strv_add(&argv, shell);
	if (r < 0)
		return r;

	if (service->argv0) {
		name = strdup(service->argv0);
		if (!name)
			return -ENOMEM;
		free(argv[0]);
		argv[0] = name;
	}
	service->path = strdup(path);
	if (!service->path)
		return -ENOMEM;
	service->argv = take_ptr(argv);
	return 0;
}

static const struct origin *program_origin(const struct service_conf *service)
{
	if (service_conf_has_backend(service))
		return service_conf_origin(
			service, service->backend_shell ? "backend.shell" : "backend.exec");
	return service_conf_origin(service, service->shell ? "shell" : "exec");
}

/* Why the open file cannot be run, or 0. */
static int judge_executable(int fd)
{
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return -EACCES;
	return 0;
}

/*
 * "/usr/bin/tr a-z A-Z" is what a shell would take.  Where there is no such
 * file, tell how it is written here; fresh text, "" or NULL.
 */
static char *suggest_list(const struct service_conf *service, const struct report *report)
{
	const char *word = shell_of(service) ? "" : exec_of(service)[0];
	char *hint = NULL, *out;
	bool last_blank = false;

	if (!strchr(word, ' '))
		return strdup("");
	if (report->adhoc) {
		if (asprintf(&hint, "; without quotes it is -- %s", word) < 0)
			return NULL;
		return hint;
	}
	hint = malloc(2 * strlen(word) + 64);
	if (!hint)
		return NULL;
	out = stpcpy(hint, "; arguments stand in a list: { ");
	for (; *word; word++) {
		if (*word == ' ' && !last_blank)
			out = stpcpy(out, ", ");
		else if (*word != ' ')
			*out++ = *word;
		last_blank = *word == ' ';
	}
	stpcpy(out, " }");
	return hint;
}

/*
 * Command line: search as execvp(3) does.
 */

/* DIRECTORY/NAME, made absolute; an empty directory is the current one. */
static char *join(const char *cwd, const char *directory, size_t len, const char *name)
{
	char *path = NULL;
	int r;

	while (len == 0 && strncmp(name, "./", 2) == 0)
		name += 2;
	if (len == 0)
		r = asprintf(&path, "%s/%s", cwd, name);
	else if (directory[0] == '/')
		r = asprintf(&path, "%.*s/%s", (int)len, directory, name);
	else
		r = asprintf(&path, "%s/%.*s/%s", cwd, (int)len, directory, name);
	return r < 0 ? NULL : path;
}

/* 0 with *ret, -ENOENT, -EACCES (found, but not to be run) or -ENOMEM. */
static int search(const char *name, const struct build_context *context, char **ret)
{
	const char *dirs = strv_env_get(context->environ, "PATH");
	int result = -ENOENT;

	for (const char *at = dirs ? dirs : SEARCH_DEFAULT; at;) {
		size_t len = strcspn(at, ":");
		_cleanup_free_ char *path = join(context->cwd, at, len, name);
		_cleanup_close_ int fd = -EBADF;
		int r;

		if (!path)
			return -ENOMEM;
		fd = place_open(NULL, path);
		r = judge_executable(fd);
		if (r == 0) {
			*ret = take_ptr(path);
			return 0;
		}
		/* It is there; a folder that may not be searched says nothing. */
		if (r == -EACCES && fd >= 0)
			result = r;
		at = at[len] ? at + len + 1 : NULL;
	}
	return result;
}

/* Make the path absolute; `exec` follows, so that it can be put into a file. */
static int locate(struct service_conf *service, const struct build_context *context,
	struct report *report)
{
	_cleanup_free_ char *path = NULL;
	const char *name = service->exec[0];
	char *copy;
	int r = 0;

	if (name[0] == '/')
		return 0;
	if (service->chroot) {
		report_mistake(report, program_origin(service),
			"with --chroot, the program must be an absolute path in there");
		return -ENOENT;
	}
	if (strchr(name, '/')) {
		path = join(context->cwd, "", 0, name);
		r = path ? 0 : -ENOMEM;
	} else {
		r = search(name, context, &path);
	}
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		_cleanup_free_ char *hint = suggest_list(service, report);

		report->program_error = -r;
		report_mistake(report, program_origin(service),
			r == -EACCES ? "'%s' is in PATH, but may not be executed%s"
				     : "there is no program '%s' in PATH%s",
			name, hint ? hint : "");
		return -ENOENT;
	}

	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	free(service->exec[0]);
	service->exec[0] = copy;
	free(service->path);
	service->path = take_ptr(path);
	return 0;
}

/*
 * Scripts.
 */

/* The interpreter of a script, cut out of its first line; NULL for others. */
static const char *find_interpreter(int path_fd, char *buf, size_t size)
{
	_cleanup_close_ int fd = -EBADF;
	char link[32], *start;
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", path_fd);
	fd = open(link, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	n = pread(fd, buf, size - 1, 0);
	if (n < 2 || memcmp(buf, "#!", 2) != 0)
		return NULL;

	buf[n] = '\0';
	start = buf + 2 + strspn(buf + 2, " \t");
	start[strcspn(start, " \t\n")] = '\0';
	return start[0] == '/' ? start : NULL;
}

/*
 * Why the program at `path` cannot be run, or 0 with the interpreter of a script
 * in *ret_interpreter, fresh; NULL if it is none.  Asked once per memo.
 */
static int look_at(
	struct memo *memo, const char *root, const char *path, char **ret_interpreter)
{
	_cleanup_free_ char *question = place_question("program", root, path);
	_cleanup_close_ int fd = -EBADF;
	const char *found = NULL;
	char buf[INTERPRETER_MAX];
	int r;

	*ret_interpreter = NULL;
	if (memo_recall(memo, question, &r, ret_interpreter))
		return r;

	fd = place_open(root, path);
	r = judge_executable(fd);
	if (r == 0)
		found = find_interpreter(fd, buf, sizeof buf);
	memo_remember(memo, question, r, found);
	*ret_interpreter = found ? strdup(found) : NULL;
	return r;
}

static void check_interpreter(struct service_conf *service, const char *interpreter,
	struct memo *memo, struct report *report)
{
	_cleanup_free_ char *next = NULL;
	char shown[DIAG_SHOWN_MAX];
	int r;

	if (!interpreter)
		return;
	r = look_at(memo, service->chroot, interpreter, &next);
	if (r == 0)
		return;
	report->program_error = -r;
	report_condition(report, service, program_origin(service),
		"the script %s needs '%s': %s", service->path,
		diag_shown(interpreter, strlen(interpreter), shown), strerror(-r));
}

static void report_no_program(struct service_conf *service, int error, struct report *report)
{
	_cleanup_free_ char *hint = suggest_list(service, report);

	report->program_error = error;
	report_condition(report, service, program_origin(service), "no program %s%s%s%s%s",
		service->path, service->chroot ? " in chroot" : "", error == ENOENT ? "" : ": ",
		error == ENOENT ? "" : strerror(error), hint ? hint : "");
}

int program_check(struct service_conf *service, const struct build_context *context,
	struct memo *memo, struct report *report)
{
	_cleanup_free_ char *interpreter = NULL;
	int r;

	if (context->adhoc && service->exec) {
		r = locate(service, context, report);
		if (r < 0)
			return r == -ENOMEM ? r : 0;
	}

	r = look_at(memo, service->chroot, service->path, &interpreter);
	if (r < 0)
		report_no_program(service, -r, report);
	else
		check_interpreter(service, interpreter, memo, report);
	return 0;
}

/* The program, and what runs it if it is a script.  True with the place in *ret. */
static bool others_may_write(const struct service_conf *service,
	const struct place_owners *owners, struct memo *memo, char **ret)
{
	_cleanup_free_ char *path = strdup(service->path);

	for (int i = 0; path && i <= INTERPRETER_DEPTH; i++) {
		char *next;

		if (place_writable_by_others(memo, service->chroot, path, owners, ret))
			return true;
		look_at(memo, service->chroot, path, &next);
		free(path);
		path = next;
	}
	return false;
}

void program_check_writers(
	struct service_conf *service, struct memo *memo, struct report *report)
{
	const struct place_owners owners = {service->uid, service->gid};
	const struct origin *origin = program_origin(service);
	_cleanup_free_ char *where = NULL;

	if (!others_may_write(service, &owners, memo, &where))
		return;
	if (service->uid == 0)
		report_mistake(report, origin,
			"the service runs as root, but others than root may write to %s",
			where ? where : service->path);
	else
		report_warning(report, origin, "others than root and its user may write to %s",
			where ? where : service->path);
}

/* Standard error is opened by the child, in its root directory. */
static void no_directory(struct service_conf *service, const char *option,
	const char *directory, int r, struct report *report)
{
	report_condition(report, service, service_conf_origin(service, option),
		"no directory %s%s%s", directory, r == -ENOENT ? "" : ": ",
		r == -ENOENT ? "" : strerror(-r));
}

static int check_stderr_directory(
	struct service_conf *service, struct memo *memo, struct report *report)
{
	_cleanup_free_ char *parent = NULL;
	int r;

	if (service->stderr_kind != STDERR_FILE)
		return 0;
	parent = place_parent(service->stderr_to);
	if (!parent)
		return -ENOMEM;
	r = place_check_directory(memo, service->chroot, parent);
	if (r < 0)
		no_directory(service, "stderr", parent, r, report);
	return 0;
}

int program_check_directories(
	struct service_conf *service, struct memo *memo, struct report *report)
{
	int r;

	if (service->chroot) {
		r = place_check_directory(memo, NULL, service->chroot);
		if (r < 0) {
			no_directory(service, "chroot", service->chroot, r, report);
			return 0;
		}
	}
	r = place_check_directory(memo, service->chroot, service->directory);
	if (r < 0)
		no_directory(service, "directory", service->directory, r, report);
	return check_stderr_directory(service, memo, report);
}
