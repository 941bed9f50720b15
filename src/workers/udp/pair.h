/*
 * pair: one end of the pair of sockets between us and a program, which carries a datagram
 * as a message, both ways, whole.
 *
 * The program has the other end.  It may send descriptors along, which are not taken: there
 * is no room for them, and the kernel drops them.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_UDP_PAIR_H
#define HATCHD_WORKERS_UDP_PAIR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* 0; -EAGAIN: the program has not read what was sent before; -EMSGSIZE; -ENOBUFS: no memory
 * now; -EPIPE: it does not read any more. */
int pair_send(int fd, const void *bytes, size_t len);

/* Of messages that fit: how many bytes, 0 as well.  -EAGAIN: there is none now; -EMSGSIZE:
 * one did not fit and is gone; -EPIPE: there will be no more.  Empty messages right before the
 * end are taken for it: the kernel shows no difference. */
ssize_t pair_receive(int fd, void *bytes, size_t size);

/* Nothing more will be sent. */
void pair_shut(int fd);

#endif
