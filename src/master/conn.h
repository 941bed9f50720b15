/*
 * conn: a client in hand, from accept to spawn or close: who he is, and whose
 * descriptor it is.
 *
 * What hatchd lacks may show only after a client was accepted: clone(2) finds no
 * process, no memory, no descriptor.  Such a client is not dropped.  His listener holds
 * him, at most one each, and looks at no other client until he is served: that is
 * tried again when the pause ends that his service makes.  He goes with his listener.
 * Only where hatchd drains there may be others behind him (master/behind).
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_CONN_H
#define HATCHD_MASTER_CONN_H

#include "base/addr.h"
#include "master/listener.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct child;
struct findings;

/* Lives on the caller's stack. */
struct conn {
	struct listener *listener; /* that he came to */
	struct service *service;   /* whose client he is */
	int fd;                    /* owned; wait = yes: the listener's own, borrowed */
	uint64_t number;
	uint64_t accepted; /* usec, monotonic: when he was; 0: he was not */
	struct addr peer;  /* len 0 and kind of the socket where unknown */
	struct addr local;
	struct ucred peer_cred; /* UNIX; uid (uid_t)-1: unknown */
	struct addr_source source;
	bool is_caller; /* master/caller keeps him, and a worker may have had the connection */
	bool held;      /* he is kept for later */
	uint64_t taken; /* bytes that he has sent and that a worker has taken */

	/* Of a client who speaks TLS. */
	int pair; /* owned; what his program gets in the connection's place: one end of a stream
	             pair, whose other one is hatchd-tls's; -EBADF: there is none */
	const char *tls_facts; /* base/tls-facts; borrowed; NULL: none are known */
	size_t tls_facts_len;

	struct child *child; /* who serves him, once somebody does; borrowed */

	/* Of a client who has come through a proxy. */
	struct addr proxy;        /* its address; len 0: unknown, or there is none */
	struct addr reached;      /* ours that the proxy has connected to */
	const uint8_t *authority; /* host that he has asked it for; borrowed, any bytes */
	uint16_t authority_len;   /* 0: not said */

	struct findings
		*findings; /* what was looked up about him; borrowed; NULL: nothing yet */
};

/* Accept one.  1: there he is; 0: none is waiting; else a negative errno. */
int conn_accept(struct listener *listener, struct conn *conn);

/* The program will accept, or receive, for itself: the socket itself. */
void conn_of_socket(struct listener *listener, struct conn *conn);

/* Who sends datagrams there, to a program of his own: there is no connection yet, and who he
 * is is the caller's to say. */
void conn_of_peer(struct listener *listener, struct conn *conn);

/* What is to be the standard input and output of who serves him; borrowed. */
int conn_program_fd(const struct conn *conn);

/* Whom the client counts as, once his address is known; a UNIX one as his user. */
void conn_learn_source(struct conn *conn);

/* Close the connection, and what his program would have got instead. */
void conn_drop(const struct conn *conn, uint64_t now);

/* Keep him for later: the connection is the listener's from now on, or stays the caller's. */
void conn_hold(struct conn *conn);

/* The same at a socket that is about to be closed, behind those who are held.  0, or
 * -ENOMEM: he is dropped. */
int conn_hold_behind(const struct conn *conn);

/* How many are held. */
size_t conn_count_held(const struct listener *listener);

/* Is somebody held?  Of those behind him the first is when he was taken. */
bool conn_next_held(struct listener *listener);

/* Take the one that is held.  False: he has left without being served, nobody knows any
 * more who he was, and the descriptor is the caller's to drop. */
bool conn_take_held(struct listener *listener, struct conn *conn);

/* Give them up. */
void conn_drop_held(struct listener *listener, uint64_t now);

#endif
