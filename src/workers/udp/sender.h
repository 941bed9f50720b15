/*
 * sender: who has sent a datagram, and how he is answered.
 *
 * Of IP it is an address and a port, and which of our addresses he has written to: that is
 * where answers leave from, and who writes to two of them is two.  Of UNIX datagrams it is
 * the name that his socket is bound to, and his user, which the kernel tells; who has bound
 * his socket to no name is told from others by his process, and cannot be answered.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_UDP_SENDER_H
#define HATCHD_WORKERS_UDP_SENDER_H

#include "os/channel.h"
#include "workers/pktinfo.h"
#include "workers/udp/peers.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Room for all that is read with a datagram.  Of a UNIX one it is the sender's user, and for
 * descriptors that came along there is no room, so that the kernel drops them. */
union sender_control {
	union pktinfo_in ip;
	uint8_t user[CMSG_SPACE(sizeof(struct ucred))];
};

/* The same of an answer. */
union sender_answer {
	union pktinfo_out ip;
};

union sender_name {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

/* What is to be known of the socket. */
struct sender_socket {
	sa_family_t family; /* AF_INET, AF_INET6 or AF_UNIX */
	uint16_t port;
	pid_t own; /* of UNIX: who we are */
};

struct sender {
	union sender_name name;
	socklen_t name_len;
	bool is_ip;
	struct endpoint from, to; /* of IP */
	bool from_there;          /* answers leave from `to`: it is one machine's address */
	int hops;                 /* of IP: that this datagram had left; 0: not known */
	struct ucred user;        /* of UNIX; uid (uid_t)-1: not known */
};

/* Have the kernel say what is needed; our own process is `own`.  0 or a negative errno;
 * -EPROTONOSUPPORT for a socket that has no such senders. */
int sender_begin(int fd, pid_t own, struct sender_socket *ret);

/* How much of the control data of a message may be filled. */
size_t sender_control_len(const struct sender_socket *socket);

/* Of a message that was received whole.  False: it is not known, or it is an answer of ours,
 * or what it says it comes from is no one machine's port, so that nobody can be answered.
 * Whoever has a socket of UNIX says what it is called, and may have said the name of one that
 * we read. */
bool sender_learn(
	const struct sender_socket *socket, struct msghdr *message, struct sender *ret);

/* By what he is told from others. */
void sender_key(const struct sender *sender, struct peer_key *ret);

/* Among whom he has to find room: a /24 of IPv4, a /64 of IPv6, a user. */
void sender_source(const struct sender *sender, struct addr_source *ret);

/* What the master is told of him. */
void sender_facts(const struct sender *sender, struct channel_facts *ret);

/* Can anything be sent to him at all? */
bool sender_has_name(const struct sender *sender);

/* Address a message to him; `sender` and `control` are to stay until it is sent. */
void sender_address(
	struct sender *sender, struct msghdr *message, union sender_answer *control);

#endif
