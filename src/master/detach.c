#include "master/detach.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/own.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#define EXIT_FAILED 1

void detach_open_log(const struct cmdline *cmdline)
{
	log_open(cmdline->daemon ? LOG_TARGET_SYSTEM : LOG_TARGET_AUTO, "hatchd",
		cmdline->verbose > 0 ? LOG_DEBUG : LOG_INFO);
	log_echo(cmdline->daemon);
}

/*
 * The caller's process.  It can be interrupted, as every command; the daemon then
 * finds that nobody waits.
 */
static _Noreturn void wait_for_report(int report, pid_t between)
{
	uint8_t status = EXIT_FAILED;
	sigset_t none;
	ssize_t n;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	waitpid(between, NULL, 0);
	do
		n = read(report, &status, 1);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		log_error("unable to start: the daemon ended before it was ready");
	_exit(status);
}

static int send_status(int fd, int status)
{
	uint8_t byte = (uint8_t)status;

	return write(fd, &byte, 1) < 0 ? -errno : 0;
}

/* A session without a terminal; and who leads none cannot acquire one. */
static void leave_session(int report)
{
	pid_t pid;

	if (setsid() < 0)
		log_warning("unable to start a session: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		return;
	if (pid < 0) {
		log_error("unable to start a process: %s", strerror(errno));
		send_status(report, EXIT_FAILED);
	}
	_exit(0);
}

/* Returns in the grandchild, with the end of the pipe that it reports to. */
static int go_to_background(void)
{
	_cleanup_close_ int reader = -EBADF, writer = -EBADF;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	reader = ends[0];
	writer = ends[1];
	log_flush();
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		writer = fd_close(writer);
		wait_for_report(reader, pid);
	}
	leave_session(writer);
	return take_fd(&writer);
}

static int take_pid_file(const char *path, struct pid_file *ret)
{
	pid_t owner = 0;
	int r = pid_file_open(path, ret, &owner);

	if (r == -EBUSY && owner > 0)
		log_error("unable to start: hatchd is already running as process %d (pid file "
			  "%s)",
			(int)owner, path);
	else if (r == -EBUSY)
		log_error("unable to start: hatchd is already running (pid file %s)", path);
	else if (r < 0)
		log_error("unable to write pid file %s: %s", path, pid_file_strerror(r));
	return r;
}

int detach_start(const struct cmdline *cmdline, struct detach *detach)
{
	int r;

	if (cmdline->daemon) {
		r = go_to_background();
		if (r < 0) {
			log_error("unable to go to the background: %s", strerror(-r));
			return r;
		}
		detach->report = r;
	}
	return cmdline->pid_file ? take_pid_file(cmdline->pid_file, &detach->pid_file) : 0;
}

void detach_resume(void)
{
	log_echo(false);
}

/* A number that is too low is in nobody's way for long. */
void detach_resume_pid_file(
	const struct cmdline *cmdline, int fd, int floor, struct detach *detach)
{
	const char *path = cmdline->pid_file;
	int r;

	if (fd < 0 || !path) {
		fd_close(fd);
		return;
	}
	r = pid_file_resume(path, fd, &detach->pid_file);
	if (r < 0)
		log_warning("unable to look after pid file %s: %s, leaving it there at the end",
			path, pid_file_strerror(r));
	(void)pid_file_move_up(&detach->pid_file, floor);
}

int detach_move_up(struct detach *detach, int floor)
{
	return pid_file_move_up(&detach->pid_file, floor);
}

/* Nobody waits from here on. */
static int report(struct detach *detach, int status)
{
	int r = send_status(detach->report, status);

	detach->report = fd_close(detach->report);
	return r;
}

int detach_ready(struct detach *detach, int null_fd)
{
	int r;

	if (detach->report < 0)
		return 0;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (dup2(null_fd, fd) < 0)
			return -errno;
	log_echo(false);
	r = report(detach, 0);
	if (r < 0)
		log_error("unable to start: whoever started it has not waited");
	return r;
}

void detach_end(struct detach *detach, int status)
{
	pid_file_close(&detach->pid_file);
	if (detach->report < 0)
		return;
	log_flush();
	report(detach, status);
}
