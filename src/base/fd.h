/*
 * fd: what the standard calls leave to say twice about a descriptor.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_FD_H
#define HATCHD_BASE_FD_H

#include <stdbool.h>
#include <stddef.h>

/* Close if open; always returns -EBADF, so that `x = fd_close(x)` forgets it. */
int fd_close(int fd);

/*
 * Set or clear O_NONBLOCK.  The flag belongs to the open file description,
 * so every process that shares it sees the change.  Negative errno on failure.
 */
int fd_set_nonblock(int fd, bool on);

/*
 * Move a descriptor to the lowest free number that is at least `floor`,
 * close-on-exec.  The old number is closed.  Returns the new number; on
 * failure a negative errno, and the old one stays open and owned.
 */
int fd_move_up(int fd, int floor);

/*
 * Open descriptors 0, 1 and 2 on /dev/null where they are closed, so that no
 * socket can ever be mistaken for standard error.  Negative errno on failure.
 */
int fd_fill_stdio(void);

/*
 * Close all descriptors from `first` to `last`, where a system call filter
 * refuses close_range(2) too.  Without /proc as well, only those below the soft
 * limit and 2^20.  For a process without threads.
 */
void fd_close_range(int first, int last);

/*
 * Connect a UNIX socket to the one that is bound to `path`, which is a name in the file
 * system.  The socket stays the caller's, and decides by O_NONBLOCK whether this waits
 * while the queue of a stream is full: if not, -EAGAIN.  -ENAMETOOLONG if the path has
 * no room in an address (107 bytes), else negative errno as of connect(2).
 */
int fd_connect_unix(int fd, const char *path);

/*
 * A file in memory of that name (memfd_create(2)) with the parts one behind the other,
 * close-on-exec, to be read from its beginning.  The caller's; negative errno on failure.
 */
struct iovec;
int fd_new_memory(const char *name, const struct iovec *parts, size_t n);

/*
 * Read a whole file of at most `max` bytes through an open descriptor into
 * fresh memory, which the caller frees; one NUL is added that *ret_len does
 * not count.  -EFBIG when there is more.
 */
int fd_read_all(int fd, size_t max, char **ret_text, size_t *ret_len);

/* Write all of it, in as many calls as that takes: for files, and what waits.  0 or a negative
 * errno, and then a part may have been written. */
int fd_write_all(int fd, const void *data, size_t len);

#endif
