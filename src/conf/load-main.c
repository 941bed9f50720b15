/*
 * hatchd-load: one short run per load, so that neither the configuration
 * language nor the name service is ever mapped into the master.
 */
#include "conf/load.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

int main(int argc, char **argv)
{
	struct cmdline cmdline;
	int status = LOAD_OK;

	if (cmdline_parse(argc, argv, &cmdline, stderr) < 0)
		return LOAD_UNKNOWN;

	switch (cmdline.mode) {
	case CMDLINE_HELP:
		cmdline_help(stdout);
		break;
	case CMDLINE_VERSION:
		puts("hatchd-load " PACKAGE_VERSION);
		break;
	default:
		status = load_run(&cmdline, stdout, stderr);
		break;
	}
	cmdline_done(&cmdline);
	if (fflush(stdout) != 0 && status == LOAD_OK)
		status = LOAD_UNKNOWN;
	return status;
}
