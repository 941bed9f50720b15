/*
 * records: things of one length between two processes, of which neither waits for the other.
 *
 * What a channel (os/channel) and what is asked over one (os/lookup) have in common, whatever
 * their records say: requests are packets of a SOCK_SEQPACKET pair, with descriptors on
 * request, and answers go through a pipe that does not block, several at once, which cannot
 * carry any.  Whether a record makes sense is for whoever knows what it is.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_RECORDS_H
#define HATCHD_OS_RECORDS_H

#include <limits.h>
#include <stddef.h>

/* Descriptors with one request. */
#define RECORDS_FDS_MAX 2

/*
 * A request of `size` bytes, with copies of `n_fds` descriptors, up to RECORDS_FDS_MAX.  0;
 * -EAGAIN: the other side has not read what was sent before; -EPIPE: it is gone; other negative
 * errno: no memory, or too many descriptors are on their way.
 */
int records_send(int fd, const void *request, size_t size, const int *fds, size_t n_fds);

/*
 * The next request, of `size` bytes, with up to `max_fds` descriptors, which are the caller's
 * and close-on-exec; how many there are in *ret_n, on failure too.  More than that are closed
 * by the kernel.  0; -EAGAIN: there is none now; -EPIPE: the other side is gone, or has sent
 * nothing; -EBADMSG: it has another length; -EMFILE: the request is there, but not all of its
 * descriptors.
 */
int records_take(int fd, void *ret, size_t size, int *ret_fds, size_t max_fds, size_t *ret_n);

/* As many as go into a pipe whole, whoever else writes there. */
#define RECORDS_ANSWERS_MAX(type) (PIPE_BUF / sizeof(type))

/* So many answers of `size` bytes, all or none, PIPE_BUF bytes at most.  0; -EAGAIN: later, the
 * other side has not read; -EPIPE: it is gone. */
int records_answer(int fd, const void *answers, size_t size, size_t n);

/* Up to `max` answers; how many.  0: there are none now; -EPIPE: there will be no more;
 * -EBADMSG: one is torn, which an honest writer's never is. */
int records_receive(int fd, void *ret, size_t size, size_t max);

#endif
