/*
 * notice_socket: where one program, and who runs with it, says how it is (sd_notify(3)).
 *
 * A datagram socket in a folder (os/notice_folder), where it is had by those who were told its
 * name; or with an abstract one, which is reached from any root directory, needs no folder, and
 * leaves nothing behind, but is no secret: /proc/net/unix has it for everybody of the same
 * network namespace, and he can send.  So the kernel says with each message who has sent it,
 * and whom to believe is the caller's to decide.
 *
 * Whoever sends can send descriptors along (sd_notify_barrier(3) does), and they may be of
 * anything: to close one can take as long as he likes, and while it lies in our table every
 * child that is started closes a copy of it.  So none is ever taken in.  A message is only
 * looked at here; where descriptors are with it, it is for somebody who may wait to throw it
 * away (os/closer).
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_NOTICE_SOCKET_H
#define HATCHD_OS_NOTICE_SOCKET_H

#include "os/notice_folder.h"
#include "policy/notice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where a socket is. */
struct notice_name {
	uint64_t number;            /* in its folder; 0: it is abstract */
	char text[NOTICE_PATH_MAX]; /* as NOTIFY_SOCKET has it: a path, or one with '@' */
};

struct notice_mail {
	pid_t pid;  /* of who has sent it; 0: he cannot be seen from here */
	uid_t uid;  /* his */
	int64_t at; /* nsec, when he has: another one is another message, the same one hardly
	               ever; 0: nobody knows */
	bool whole; /* all of it is in `text` */
	bool laden; /* descriptors are with it */
	size_t len;
	char text[NOTICE_MAX]; /* not terminated */
};

/* A new socket in that folder (NULL: an abstract one), non-blocking and close-on-exec, with its
 * name; or a negative errno, beyond what system calls say as of notice_folder_bind(). */
int notice_socket_open(const char *folder, struct notice_name *ret);

/* Look at the next message, which stays.  1; 0: there is none; or a negative errno. */
int notice_socket_look(int fd, struct notice_mail *ret);

/* Throw that one away; not if it is laden. */
void notice_socket_drop(int fd);

#endif
