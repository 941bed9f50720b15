#include "hatchctl/run-hatchd.h"

#include "base/fd.h"
#include "base/own.h"
#include "base/sibling.h"
#include "hatchctl/command.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static const char name[] = "hatchd";

/* Its name and the words, which are the caller's: exec has no type for what is not written
 * to.  NULL: there is no memory. */
static char **make_argv(const char *const *words)
{
	const char **argv;
	size_t n = 0;

	while (words[n])
		n++;
	argv = calloc(n + 2, sizeof *argv);
	if (!argv)
		return NULL;
	argv[0] = name;
	memcpy(argv + 1, words, n * sizeof *argv);
	return (char **)argv;
}

int run_hatchd_instead(const char *const *words)
{
	_cleanup_free_ char **argv = make_argv(words);
	char path[PATH_MAX];
	int r = argv ? sibling_find(name, SBINDIR, path) : -ENOMEM;

	if (r < 0) {
		command_failed("unable to find hatchd: %s", strerror(-r));
		return COMMAND_USAGE;
	}
	execv(path, argv);
	command_failed("unable to run %s: %s", path, strerror(errno));
	return COMMAND_USAGE;
}

/* Both outputs to `out`, no input, and no signal blocked. */
static int spawn(const char *path, char **argv, int out, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int r;

	sigemptyset(&none);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}
	r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	for (int fd = 1; fd <= 2 && r == 0; fd++)
		r = posix_spawn_file_actions_adddup2(&actions, out, fd);
	if (r == 0)
		r = posix_spawnattr_setsigmask(&attributes, &none);
	if (r == 0)
		r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	if (r == 0)
		r = posix_spawn(ret, path, &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* Its exit status, or 128+N; or a negative errno.  Its outputs have ended, so it is about to
 * end itself. */
static int wait_for(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Its exit status, and all it has said. */
static int run(const char *path, char **argv, char **ret_said)
{
	_cleanup_close_ int in = -EBADF, out = -EBADF;
	int fds[2], r, ended;
	size_t len;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	in = fds[0];
	out = fds[1];
	r = spawn(path, argv, out, &pid);
	if (r < 0)
		return r;
	out = fd_close(out);
	r = fd_read_all(in, RUN_HATCHD_SAID_MAX, ret_said, &len);
	in = fd_close(in);
	ended = wait_for(pid);
	return r < 0 ? r : ended;
}

int run_hatchd(const char *const *words, char **ret_said, int *ret_status)
{
	_cleanup_free_ char **argv = make_argv(words);
	_cleanup_free_ char *said = NULL;
	char path[PATH_MAX];
	int r = argv ? sibling_find(name, SBINDIR, path) : -ENOMEM;

	if (r == 0)
		r = run(path, argv, &said);
	if (r < 0)
		return r;
	*ret_said = take_ptr(said);
	*ret_status = r;
	return 0;
}
