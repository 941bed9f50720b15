/*
 * peers: all who send to one socket of datagrams, and how far each has come.
 *
 *	waiting   his first datagrams lie here; the master is to be asked, or has been
 *	refused   the master has said no, and is not asked again for a moment
 *	open      a program is there for him
 *	ending    its input is at its end; he is as new as if there were none
 *
 * Who sends may be anybody, as often as he likes and under any name.  So all that is known of
 * those who are not open is bounded: when PEERS_WAITING_MAX wait, the oldest of the /24 of
 * IPv4 or /64 of IPv6 that has the most goes (policy/pending); of those refused the oldest
 * is forgotten first.  How many may be open or ending is for the master to say.  Finding one
 * takes the same time whatever names there are, because the hash has a secret key.
 *
 * What a peer is, else, and his memory, are the caller's.  No system calls.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_UDP_PEERS_H
#define HATCHD_WORKERS_UDP_PEERS_H

#include "base/addr.h"
#include "base/heap.h"
#include "policy/pending.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

/* Who may wait at a time, and how many may be remembered as refused. */
#define PEERS_WAITING_MAX 256
#define PEERS_REFUSED_MAX 1024

enum peer_state {
	PEER_NONE, /* in no table */
	PEER_WAITING,
	PEER_REFUSED,
	PEER_OPEN,
	PEER_ENDING,
};

/* What tells one from the other: two ends of IP, or the name of a UNIX socket and its user. */
#define PEER_KEY_MAX 128

struct peer_key {
	uint8_t len;
	uint8_t bytes[PEER_KEY_MAX];
};

/* What the table has of each; all zero: in none. */
struct peer {
	struct pending_node pending; /* first; while he waits */
	struct heap_node due;        /* when something is to be done about him */
	enum peer_state state;
	bool offered; /* the master has been asked, and has not answered */
	bool hashed;  /* can be found by his key */
	struct peer_key key;
	uint64_t hash;
	struct peer *next_in_chain;
	struct peer *next, *prev; /* of all, or of those that are refused, oldest first */
	struct peer *next_unasked, *prev_unasked; /* of those to be offered, oldest first */
};

struct peers_list {
	struct peer *first, *last;
};

struct peers {
	struct pending waiting;
	struct heap due;
	struct peer **chains; /* owned */
	size_t mask;          /* chains - 1, a power of two minus one */
	size_t n;             /* in here */
	uint32_t n_refused;
	struct peers_list all;     /* but those refused */
	struct peers_list refused; /* the oldest first */
	struct peers_list unasked;
	uint32_t n_asked; /* questions without an answer */
	uint32_t most_asked;
	uint32_t next_ticket;
	struct peer **asked; /* owned: by ticket modulo most_asked; NULL: he has gone */
};

/* Empty, with a secret of its own; so many questions at a time.  0 or -ENOMEM. */
int peers_init(struct peers *peers, const uint8_t key[16], uint32_t most_asked);

/* Release what it has; the peers are the caller's. */
void peers_done(struct peers *peers);

/* Who waits, is refused, or is open, of that name; NULL: he is new. */
struct peer *peers_find(const struct peers *peers, const struct peer_key *key);

/*
 * He waits from now on.  `alone`: he cannot be found, so that the next datagram of that name
 * is somebody else's.  Who has to go for him is in *ret_gone, out of all lists (NULL: nobody).
 * 0; -ENOMEM, and he is in none.
 */
int peers_add(struct peers *peers, struct peer *peer, const struct peer_key *key, bool alone,
	const struct addr_source *source, struct peer **ret_gone);

/* One of those who wait goes, so that there is more memory for one of that source: out of all
 * lists; NULL: nobody waits. */
struct peer *peers_evict(struct peers *peers, const struct addr_source *source);

/* The next to ask about, and by what number; NULL: there is none, or enough has been asked. */
struct peer *peers_ask(struct peers *peers, uint32_t *ret_ticket);

/* The answer to that.  False: there was no such question.  *ret is NULL if he has gone since.
 * The caller opens, refuses or removes him. */
bool peers_answer(struct peers *peers, uint32_t ticket, struct peer **ret);

/* Who waited has a program. */
void peers_open(struct peers *peers, struct peer *peer);

/* Who waited is to be refused until then.  Who is forgotten for that is returned, out of all
 * lists; it can be himself: he could not be found, and another one of his name can.  NULL:
 * nobody. */
struct peer *peers_refuse(struct peers *peers, struct peer *peer, uint64_t until);

/* Who was open is found no more. */
void peers_end(struct peers *peers, struct peer *peer);

/* Out of all lists, whatever he was. */
void peers_remove(struct peers *peers, struct peer *peer);

/* Look at him then; USEC_INFINITY: never. */
void peers_set_due(struct peers *peers, struct peer *peer, uint64_t due);

/* When the first is due; USEC_INFINITY: nobody is. */
uint64_t peers_due(const struct peers *peers);

/* Who is due first, if that is not after `now`, or NULL. */
struct peer *peers_overdue(const struct peers *peers, uint64_t now);

/* Anyone; NULL: it is empty. */
struct peer *peers_any(const struct peers *peers);

#endif
