/*
 * detach: a process of its own in the background, and the one that waits for it.
 *
 * With --daemon our caller gets back the control when somebody is served, and
 * not before: its process waits at a pipe until the daemon says so, or says
 * with which status it has failed.  What goes wrong until then is told on the
 * caller's standard error.  With --pid-file there is one of us only.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_DETACH_H
#define HATCHD_MASTER_DETACH_H

#include "conf/cmdline.h"
#include "os/pid_file.h"

struct detach {
	int report; /* pipe to the caller's process; -EBADF: nobody waits */
	struct pid_file pid_file;
};

#define DETACH_NONE                                         \
	(struct detach)                                     \
	{                                                   \
		.report = -EBADF, .pid_file = PID_FILE_NONE \
	}

/* Open the log where `cmdline` wants it.  The first to be called. */
void detach_open_log(const struct cmdline *cmdline);

/*
 * Leave the caller's session if `cmdline` says so, and take the pid file.  To be
 * called after inherited_take(), which gives us clean signals and, because
 * LISTEN_PID is our caller's process, our sockets; and before there are threads.
 * Returns in the daemon only.  On failure, which has been logged, a negative
 * errno; detach_end() is still to be called.
 */
int detach_start(const struct cmdline *cmdline, struct detach *detach);

/* We are that process already (master/resume): nobody waits. */
void detach_resume(void);

/* The descriptor of our pid file (-EBADF: there is none), which the image of hatchd before us
 * has locked, is taken over, with a number of at least `floor`.  Where its folder is not what
 * it was, the file stays when we end, which is told. */
void detach_resume_pid_file(
	const struct cmdline *cmdline, int fd, int floor, struct detach *detach);

/* Keep out of the numbers below `floor`, which children need. */
int detach_move_up(struct detach *detach, int floor);

/*
 * We serve.  Lets go of the terminal, where there is a daemon: `null_fd` takes
 * the place of the standard descriptors; and of the process that waits.
 * Negative errno if that is gone: whoever started us has given up on us.
 */
int detach_ready(struct detach *detach, int null_fd);

/* Remove the pid file, and hand `status` to whoever still waits. */
void detach_end(struct detach *detach, int status);

#endif
