/*
 * post: a socket of datagrams that hatchd-builtin serves until it is told to end.
 *
 * Who may be answered is looked up for each datagram, in the rules of the service
 * (only_from, no_access), which came with the socket: the master sees no datagram but the
 * first.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_BUILTIN_POST_H
#define HATCHD_WORKERS_BUILTIN_POST_H

#include "base/builtin.h"
#include "workers/builtin/datagrams.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct post;

struct post_setup {
	enum service_builtin kind;
	const uint8_t *rules; /* a table of policy/access, copied; of no bytes: everybody */
	size_t rules_len;
	const uint8_t *text; /* quotations, or the answer; copied */
	size_t text_len;
};

/* 0, and `fd` is the post's; a negative errno, and it is still the caller's: -EBADMSG: these
 * are no rules; else as datagrams_new(). */
int post_new(const struct post_setup *setup, int fd, struct post **ret);

/* Closes the socket.  Returns NULL. */
struct post *post_free(struct post *post);

/* Answer what is there, a bounded number.  False: it is no socket any more. */
bool post_go(struct post *post);

int post_fd(const struct post *post);
const struct datagrams_counts *post_counts(const struct post *post);

#endif
