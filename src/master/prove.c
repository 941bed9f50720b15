#include "master/prove.h"

#include "base/fd.h"
#include "base/own.h"
#include "master/handover/handover.h"
#include "master/loader.h"
#include "master/resume.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is in there is gone through to the end. */
static int read_handover(void)
{
	_cleanup_handover_ struct handover handover = {0};
	int r = handover_read(PROVE_HANDOVER_FD, &handover);

	if (r == 0)
		r = resume_check(&handover);
	if (r == 0)
		return 0;
	/* That passes by itself; the others say that it takes a start. */
	if (r == -ENOMEM)
		return LOADER_NOT_RUN;
	return r == -EPROTONOSUPPORT ? LOADER_OTHER_HANDOVER : LOADER_BAD_HANDOVER;
}

int prove_identify(int fd, struct prove_answer *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	ret->dev = st.st_dev;
	ret->ino = st.st_ino;
	ret->changed = (uint64_t)st.st_ctim.tv_sec * 1000000000 + (uint64_t)st.st_ctim.tv_nsec;
	return 0;
}

static int say_who(void)
{
	_cleanup_close_ int self = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	struct prove_answer answer = {.version = PACKAGE_VERSION};
	int r = self < 0 ? -errno : prove_identify(self, &answer);

	if (r < 0)
		return r;
	return write(PROVE_ANSWER_FD, &answer, sizeof answer) < 0 ? -errno : 0;
}

int prove(char **argv)
{
	int status = read_handover(), r;

	if (status != 0)
		return status;
	r = say_who();
	if (r < 0) {
		fprintf(stderr, "hatchd: unable to answer: %s\n", strerror(-r));
		return LOADER_NOT_RUN;
	}
	fd_close_range(PROVE_HANDOVER_FD, INT_MAX);
	argv[1] = argv[0];
	r = loader_exec(argv + 1);
	fprintf(stderr, "hatchd: unable to run the loader: %s\n", strerror(-r));
	return LOADER_NOT_RUN;
}
