/*
 * peer: those who send datagrams to a program of their own, or are passed on.
 *
 * A worker has the socket (hatchd-udp).  It asks about each who is new (CHANNEL_OFFER); here
 * it is decided whether he may come in, as for any client, and if so a child is hatched on one
 * end of a pair of sockets, of which the worker gets the other; or he is the worker's client
 * (master/pass), which passes on what he sends.  Who finds no room is told so, and what he has
 * sent is lost: nobody waits for a service, only for a slot, which is there in a moment.
 *
 * The worker is believed who it is that asks: for rules, limits and the record.  What it could
 * gain by lying is what a client gains who makes up his address.  Questions are numbered, and
 * CHANNEL_OFFERS_MAX of a socket at most are without an answer: a worker that does not keep
 * to that is killed.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_PEER_H
#define HATCHD_MASTER_PEER_H

#include "master/worker.h"

#include <stdbool.h>
#include <stdint.h>

/* What a worker has asked, in that order. */
struct peer_offers;

/* It asks about somebody.  False: it may not, or not that. */
bool peer_offer(struct worker *worker, const struct channel_answer *answer);

/* Answer what can be answered now.  Called in each turn. */
void peer_turn(struct worker *worker, uint64_t now);

/* Nobody wants the answers any more; NULL is fine.  Returns NULL. */
struct peer_offers *peer_forget(struct peer_offers *offers);

#endif
