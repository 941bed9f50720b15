/*
 * talk: the conversation with an identd: connect to it from the address that the connection
 * in question came to, ask, and read the answer (workers/lookup/ident).
 *
 * A machine that never waits: it goes on when its socket is ready, and does a bounded
 * amount of work each time.  It knows no epoll and no clock; both are the caller's, and so
 * is the end of its time.
 *
 * Who refuses the connection has no identd, and that is an answer: there is none.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_LOOKUP_TALK_H
#define HATCHD_WORKERS_LOOKUP_TALK_H

#include "os/lookup.h"

#include <stdbool.h>
#include <stdint.h>

/* RFC 1413, 3. */
#define TALK_PORT 113

struct talk;

/* Begin to connect, to `port` of the peer; `question` is LOOKUP_IDENT.  0 or a negative
 * errno, where talk_facts_of() says what that means. */
int talk_new(const struct lookup_question *question, uint16_t port, struct talk **ret);

/* Closes the socket.  Returns NULL. */
struct talk *talk_free(struct talk *talk);

/* Go on: its socket is ready.  False: it is over. */
bool talk_go(struct talk *talk);

/* What it waits for (EPOLLIN or EPOLLOUT), and on what. */
uint32_t talk_events(const struct talk *talk);
int talk_fd(const struct talk *talk);

/* When it is over: what was found. */
void talk_facts(const struct talk *talk, struct lookup_facts *ret);

/* The same of a connection that could not be had. */
void talk_facts_of(int error, struct lookup_facts *ret);

#endif
