/*
 * hatchd-load: one short run per load, so that neither the configuration
 * language nor the name service is ever mapped into the master.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "conf/load.h"
#include "conf/self-signed.h"

#include <stdlib.h>
#include <string.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

static int priority_of(const char *line)
{
	if (strstr(line, ": error: "))
		return LOG_ERR;
	return strstr(line, ": warning: ") ? LOG_WARNING : LOG_NOTICE;
}

/* A daemon's standard error leads nowhere: what is wrong goes to the log, line by
 * line. */
static int load_to_log(const struct cmdline *cmdline, struct load **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *err = open_memstream(&text, &len);
	int status;

	if (!err)
		return LOAD_UNKNOWN;
	status = load_run(cmdline, stdout, err, ret);
	if (fclose(err) != 0 || !text)
		return status;
	log_open(LOG_TARGET_SYSTEM, "hatchd", LOG_INFO);
	for (char *rest = text, *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
		if (line[0])
			log_message(priority_of(line), "%s", line);
	log_close();
	return status;
}

static int write_certificate(const struct cmdline *cmdline)
{
	if (HAVE_TLS)
		return self_signed(cmdline->certified, clock_wall().tv_sec, stdout, stderr);
	fputs("hatchd: this hatchd was built without TLS (--without-tls)\n", stderr);
	return LOAD_UNKNOWN;
}

int main(int argc, char **argv)
{
	/* Ends with the process: thousands of services are not freed one by one
	 * first.  Static, so that who looks for leaks sees that it is held. */
	static struct load *load;
	struct cmdline cmdline;
	int status = LOAD_OK;

	if (cmdline_parse(argc, argv, &cmdline, stderr) < 0)
		return LOAD_UNKNOWN;

	switch (cmdline.mode) {
	case CMDLINE_HELP:
		cmdline_help(stdout);
		break;
	case CMDLINE_SELF_SIGNED:
		status = write_certificate(&cmdline);
		break;
	case CMDLINE_VERSION:
		puts("hatchd-load " PACKAGE_VERSION);
		break;
	default:
		status = cmdline.to_log ? load_to_log(&cmdline, &load)
		                        : load_run(&cmdline, stdout, stderr, &load);
		break;
	}
	cmdline_done(&cmdline);
	if (fflush(stdout) != 0 && status == LOAD_OK)
		status = LOAD_UNKNOWN;
	return status;
}
