/*
 * hatchd-load: one short run per load, so that neither the configuration
 * language nor the name service is ever mapped into the master.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "conf/load.h"
#include "conf/self-signed.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

/* How long a reload waits for who reads what is wrong, in usec. */
#define PATIENCE USEC_PER_SEC

static int priority_of(const char *line)
{
	if (strstr(line, ": error: "))
		return LOG_ERR;
	return strstr(line, ": warning: ") ? LOG_WARNING : LOG_NOTICE;
}

/* Line by line. */
static void tell_log(char *text, size_t len)
{
	(void)len;
	log_open(LOG_TARGET_SYSTEM, "hatchd", LOG_INFO);
	for (char *rest = text, *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
		if (line[0])
			log_message(priority_of(line), "%s", line);
	log_close();
}

static void on_tick(int number)
{
	(void)number;
}

/*
 * Whoever has the other end may have stopped reading, or be gone: that is no reason not
 * to reload.  The ticks end a write that waits for him, and what he has not taken is lost.
 * Standard error is shared with the master and its children, so it cannot be made
 * non-blocking instead.
 */
static void tell_whoever_reads(char *text, size_t len)
{
	const struct sigaction action = {.sa_handler = on_tick};
	const struct itimerval tick = {.it_interval = {.tv_sec = 1}, .it_value = {.tv_sec = 1}};
	uint64_t until = clock_monotonic() + PATIENCE;
	ssize_t n;

	signal(SIGPIPE, SIG_IGN);
	if (sigaction(SIGALRM, &action, NULL) < 0 || setitimer(ITIMER_REAL, &tick, NULL) < 0)
		return;
	while (len > 0 && clock_monotonic() < until) {
		n = write(STDERR_FILENO, text, len);
		if (n < 0)
			break;
		text += n;
		len -= (size_t)n;
	}
}

/* What is wrong is told when all is read, by `tell`. */
static int load_and_tell(
	const struct cmdline *cmdline, void (*tell)(char *text, size_t len), struct load **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *err = open_memstream(&text, &len);
	int status;

	if (!err)
		return LOAD_UNKNOWN;
	status = load_run(cmdline, stdout, err, ret);
	if (fclose(err) == 0 && text)
		tell(text, len);
	return status;
}

static int load(const struct cmdline *cmdline, struct load **ret)
{
	bool reloads = cmdline->in_force_fd >= 0;

	/* A daemon's standard error leads nowhere. */
	if (cmdline->to_log)
		return load_and_tell(cmdline, tell_log, ret);
	/* A terminal is somebody who looks, and wants colours. */
	if (reloads && !isatty(STDERR_FILENO))
		return load_and_tell(cmdline, tell_whoever_reads, ret);
	return load_run(cmdline, stdout, stderr, ret);
}

int main(int argc, char **argv)
{
	/* Ends with the process: thousands of services are not freed one by one
	 * first.  Static, so that who looks for leaks sees that it is held. */
	static struct load *loaded;
	struct cmdline cmdline;
	int status = LOAD_OK;

	if (cmdline_parse(argc, argv, &cmdline, stderr) < 0)
		return LOAD_UNKNOWN;

	switch (cmdline.mode) {
	case CMDLINE_HELP:
		cmdline_help(stdout);
		break;
	case CMDLINE_SELF_SIGNED:
		status = self_signed(cmdline.certified, clock_wall().tv_sec, stdout, stderr);
		break;
	case CMDLINE_VERSION:
		puts("hatchd-load " PACKAGE_VERSION);
		break;
	default:
		status = load(&cmdline, &loaded);
		break;
	}
	cmdline_done(&cmdline);
	if (fflush(stdout) != 0 && status == LOAD_OK)
		status = LOAD_UNKNOWN;
	return status;
}
