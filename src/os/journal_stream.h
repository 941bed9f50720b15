/*
 * journal_stream: a descriptor whose lines go into the journal.
 *
 * What sd_journal_stream_fd(3) does, but for that it connects without waiting:
 * where the queue of the journal's socket is full, because it has stopped
 * accepting, the library's call sleeps (I2); and it cannot name the unit.  What is
 * sent first is what any writer to that socket sends: a line each for identifier,
 * unit, priority, whether lines may begin with <N>, and three times no for forwarding.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_JOURNAL_STREAM_H
#define HATCHD_OS_JOURNAL_STREAM_H

#include <stddef.h>

/* Where the journal listens. */
#define JOURNAL_STREAM_PATH "/run/systemd/journal/stdout"

/*
 * A blocking descriptor, close-on-exec, for the standard error of programs.
 * `unit` (or NULL) is that of the writers: the journal looks each of them up, and
 * takes this word for it where the writer has ended before.  It believes only root.
 * `priority` is that of lines without one of their own (LOG_INFO).  -EAGAIN: the
 * journal accepts nobody now; other negative errno as of socket, connect, send.
 */
int journal_stream_open(
	const char *path, const char *identifier, const char *unit, int priority);

#endif
