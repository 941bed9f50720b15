/*
 * notice_socket: where one program, and who runs with it, says how it is (sd_notify(3)).
 *
 * A datagram socket with an abstract name that is guessed by nobody: it is reached from any
 * root directory and by any user, needs no folder that could be in somebody's way, and leaves
 * nothing behind.  A name is no secret, though, since /proc/net/unix has it for everybody of
 * the same network namespace.  So the kernel says with each message who has sent it, and whom
 * to believe is the caller's to decide.
 *
 * Whoever sends can send descriptors along (sd_notify_barrier(3) does).  Each of them is taken
 * in, for the caller to have closed by somebody who may wait: what there is no room for, the
 * kernel would close right here, and what it is of decides how long that takes.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_NOTICE_SOCKET_H
#define HATCHD_OS_NOTICE_SOCKET_H

#include "policy/notice.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Room for a name as NOTIFY_SOCKET has it, NUL included: "@hatchd/notify/0123456789abcdef". */
#define NOTICE_SOCKET_NAME_MAX 32

/* As many as the kernel lets anybody send at once. */
#define NOTICE_FDS_MAX 253

struct notice_mail {
	pid_t pid;  /* of who has sent it; 0: he cannot be seen from here */
	bool whole; /* all of it is in `text` */
	size_t len;
	char text[NOTICE_MAX]; /* not terminated */
	size_t n_fds;
	int fds[NOTICE_FDS_MAX]; /* the caller's to close; close-on-exec */
};

/* A new socket, non-blocking and close-on-exec, with its name; or a negative errno. */
int notice_socket_open(char ret_name[NOTICE_SOCKET_NAME_MAX]);

/* The next message.  1; 0: there is none; or a negative errno. */
int notice_socket_take(int fd, struct notice_mail *ret);

#endif
