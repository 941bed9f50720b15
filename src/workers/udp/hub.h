/*
 * hub: one socket of datagrams, and a program for each of those who send to it, or a way to
 * somebody else's socket (workers/udp/onward).
 *
 * A peer's first datagrams wait until the master has said whether he may come in, and has
 * started a program for him.  From then on his datagrams are messages that the program reads,
 * and each message that it writes is a datagram to him, from the address that he has written
 * to.  Boundaries stay, both ways, and nobody waits for anybody: what a program does not
 * read, or the socket does not take at once, is lost, as datagrams are, and counted.
 *
 * A session is at its end when for `timeout` no datagram has gone either way: the program
 * gets the end of its input, what it still says goes to the peer, and after another `timeout`
 * the pair is closed.  It is over at once when the program has let go of its end.
 *
 * Who is passed on is a client whom the master knows (`client` of his VERDICT), and who is
 * told of when he is over (hub_client_done).  He is after that time without a datagram, when
 * the target is not there any more, and when the hub ends.  He is sent what the target sends,
 * and nothing else: whoever makes up an address has nobody answered by us.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_UDP_HUB_H
#define HATCHD_WORKERS_UDP_HUB_H

#include "os/channel.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Datagrams of all who wait for the master, in bytes. */
#define HUB_QUEUED_MAX (4U << 20)

/* Who was refused is not asked about again for so long, and who found no room for this;
 * usec. */
#define HUB_REFUSED_FOR UINT64_C(1000000)
#define HUB_BUSY_FOR    UINT64_C(200000)

struct hub_setup {
	uint64_t timeout;      /* usec; USEC_INFINITY: none */
	bool per_datagram;     /* a program for each datagram: its input ends with it */
	uint8_t key[16];       /* any bytes that nobody knows */
	pid_t own;             /* whose UNIX datagrams are answers of ours, and not taken */
	struct onward *onward; /* the hub's, if it is made; NULL: programs */
};

/* Datagrams; what was received is passed on or one of those below. */
struct hub_counts {
	uint64_t received, bytes_in;
	uint64_t sent, bytes_out;
	uint64_t refused; /* their senders are, or they found no room to wait in */
	uint64_t unread;  /* by a program that does not keep up, or not taken on their way on */
	uint64_t too_long; /* either way */
	uint64_t failed;   /* the kernel did not take them, or did not say from whom they are,
	                      or they have been passed on too often, or come from where
	                      they would go */
};

/* Where datagrams are read to, for one hub after the other.  NULL: no memory. */
struct hub_room;
struct hub_room *hub_room_new(void);
struct hub_room *hub_room_free(struct hub_room *room);

struct hub;

/* 0, and `fd` is the hub's; or a negative errno, and it is still the caller's:
 * -EPROTONOSUPPORT for a socket of another kind, -ENOMEM, or what the kernel says. */
int hub_new(const struct hub_setup *setup, int fd, struct hub **ret);

/* Close the socket, and what programs have: they get the end of their input.  Returns NULL. */
struct hub *hub_free(struct hub *hub);

/* The socket: readable when hub_arrive() has something to do. */
int hub_fd(const struct hub *hub);

/* Readable when hub_answer() has. */
int hub_answers_fd(const struct hub *hub);

/* Take what has come, a bounded number.  False: it is no socket any more. */
bool hub_arrive(struct hub *hub, struct hub_room *room, uint64_t now);

/* Pass on what programs say, a bounded number. */
void hub_answer(struct hub *hub, struct hub_room *room, uint64_t now);

/* When hub_look() is to be called; USEC_INFINITY: never. */
uint64_t hub_due(const struct hub *hub);

/* Sessions whose time has come, a bounded number. */
void hub_look(struct hub *hub, uint64_t now);

/* Whom to ask the master about next: his `ticket` and `facts`.  False: nobody now. */
bool hub_offer(struct hub *hub, struct channel_answer *ret);

/* One of those who are passed on; the hub's. */
struct session;

/* What has become of him.  *fd is our end of what his program has, and is taken by making it
 * -EBADF; it can be missing.  Returns whose way is open now; NULL: nobody's. */
struct session *hub_verdict(struct hub *hub, const struct channel_request *request, int *fd,
	struct hub_room *room, uint64_t now);

/* A client who is over since the last call, or with `all` any: `session`, `result` and bytes
 * of *ret say who, and how it was.  With `all` the hub is of no use for anything any more but
 * hub_free().  False: there is none. */
bool hub_client_done(struct hub *hub, bool all, struct channel_answer *ret);

/* He is to end, and then to be told of as above.  False: that is somebody of another number
 * by now, or he has ended. */
bool hub_end_client(struct hub *hub, struct session *session, uint64_t connection);

const struct hub_counts *hub_counts(const struct hub *hub);

#endif
