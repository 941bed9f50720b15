/*
 * output: write to a descriptor that was given to us, without ever blocking
 * and without changing it.
 *
 * Standard output is shared with other processes (the shell, the next one in
 * the pipeline), so O_NONBLOCK, which belongs to the open file and not to the
 * descriptor, may not be set on it.  Instead the caller waits for POLLOUT,
 * and then no more is written than is certain to fit: into a pipe, PIPE_BUF.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_CONNECT_OUTPUT_H
#define HATCHD_HATCHCTL_CONNECT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct output {
	int fd;       /* -EBADF after output_close() */
	size_t chunk; /* most bytes of one write */
	bool socket;
};

/* `fd` is borrowed until output_close(), if that is called. */
void output_init(struct output *output, int fd);

/*
 * Write some of `data` (at least one byte), after poll(2) has said POLLOUT.
 * Returns how many bytes were written, 0 to try again later, or a negative
 * errno.  A closed pipe raises SIGPIPE, as in every filter, unless that is
 * ignored.
 */
ssize_t output_write(const struct output *output, const char *data, size_t len);

/*
 * Tell the reader that this was all.  Where the output is the same socket as
 * `input`, only its writing half ends: closing would not, the other
 * descriptor keeps it open.  0 or a negative errno.
 */
int output_close(struct output *output, int input);

#endif
