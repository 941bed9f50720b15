/*
 * tcp-end: what has gone over a TCP connection that is over.
 *
 * The kernel tells whoever listens of each TCP socket of the network name space that it
 * forgets (sock_diag(7)), with the number that it was known by for good (SO_COOKIE) and what
 * it had counted; no right is needed for that.  It counts an end of input or output like a
 * byte: that one is taken off here, as far as can be known.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_TCP_END_H
#define HATCHD_BASE_TCP_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/inet_diag.h>

/* What its program has read, and what its client's machine has said that it has. */
struct tcp_bytes {
	uint64_t in, out;
};

struct tcp_end {
	uint64_t cookie;
	struct tcp_bytes bytes;
	bool vague; /* `in` may have the client's end of input: see tcp_end_settle() */
	uint8_t family;
	struct inet_diag_sockid id; /* as the kernel names it */
};

/* A message of the kernel is not longer; one that is would be cut. */
#define TCP_END_MAX 1024

/*
 * A descriptor to hear of ends with, which blocks, close-on-exec.  `room` bytes of them are
 * kept, if we are root; else as many as anybody may have.  May wait for a module of
 * the kernel.  Negative errno on failure.
 */
int tcp_end_open(int room);

/* Understand one message.  -EBADMSG: it is of another kind, or damaged; -EOPNOTSUPP: the
 * kernel does not say how many bytes it were. */
int tcp_end_read(const void *message, size_t len, struct tcp_end *ret);

/*
 * What the kernel counts (struct tcp_info, or that of MPTCP) in the body of a message of
 * `len` bytes, at least those of *body, or NULL.
 */
const void *tcp_end_find_info(const struct inet_diag_msg *body, size_t len, size_t *ret_len);

/*
 * Whose end came first is not in the message.  If it was our side's, then the kernel
 * remembers the connection for a while (TIME_WAIT): ask for that, with a descriptor of
 * tcp_diag_open().  Where it does not, the client's came first, was read and is taken off.  To
 * be called at once: a client who resets his side makes the kernel forget sooner.
 */
void tcp_end_settle(int diag_fd, struct tcp_end *end);

/*
 * Of a connection that still exists, in that state (of enum of <netinet/tcp.h>), from the
 * counts of the kernel: `unread` are those bytes that the program has not taken.
 */
struct tcp_bytes tcp_bytes_of(int state, uint64_t received, uint32_t unread, uint64_t acked);

#endif
