#include "workers/udp/peers.h"

#include "base/clock.h"
#include "base/own.h"
#include "policy/siphash.h"

#include <assert.h>
#include <string.h>

#define CHAINS_MIN 64

int peers_init(struct peers *peers, const uint8_t key[16], uint32_t most_asked)
{
	*peers = (struct peers){.mask = CHAINS_MIN - 1, .most_asked = most_asked};
	memcpy(peers->waiting.key, key, sizeof peers->waiting.key);
	peers->chains = calloc(CHAINS_MIN, sizeof(struct peer *));
	peers->asked = calloc(most_asked, sizeof(struct peer *));
	if (peers->chains && peers->asked &&
		pending_reserve(&peers->waiting, PEERS_WAITING_MAX) == 0)
		return 0;
	peers_done(peers);
	return -ENOMEM;
}

void peers_done(struct peers *peers)
{
	pending_done(&peers->waiting);
	heap_done(&peers->due);
	free(peers->chains);
	free(peers->asked);
	*peers = (struct peers){0};
}

/* --------------------------------------------------------------------- lists */

static void append(struct peers_list *list, struct peer *peer)
{
	peer->next = NULL;
	peer->prev = list->last;
	if (list->last)
		list->last->next = peer;
	else
		list->first = peer;
	list->last = peer;
}

static void unlink_from(struct peers_list *list, struct peer *peer)
{
	if (peer->prev)
		peer->prev->next = peer->next;
	else
		list->first = peer->next;
	if (peer->next)
		peer->next->prev = peer->prev;
	else
		list->last = peer->prev;
	peer->next = peer->prev = NULL;
}

static bool is_unasked(const struct peer *peer)
{
	return peer->state == PEER_WAITING && !peer->offered;
}

static void append_unasked(struct peers *peers, struct peer *peer)
{
	struct peers_list *list = &peers->unasked;

	peer->next_unasked = NULL;
	peer->prev_unasked = list->last;
	if (list->last)
		list->last->next_unasked = peer;
	else
		list->first = peer;
	list->last = peer;
}

static void unlink_unasked(struct peers *peers, struct peer *peer)
{
	struct peers_list *list = &peers->unasked;

	if (peer->prev_unasked)
		peer->prev_unasked->next_unasked = peer->next_unasked;
	else
		list->first = peer->next_unasked;
	if (peer->next_unasked)
		peer->next_unasked->prev_unasked = peer->prev_unasked;
	else
		list->last = peer->prev_unasked;
	peer->next_unasked = peer->prev_unasked = NULL;
}

/* ---------------------------------------------------------------------- names */

static bool has_key(const struct peer *peer, const struct peer_key *key)
{
	return peer->key.len == key->len && memcmp(peer->key.bytes, key->bytes, key->len) == 0;
}

static uint64_t hash_of(const struct peers *peers, const struct peer_key *key)
{
	return siphash(key->bytes, key->len, peers->waiting.key);
}

static struct peer *find(const struct peers *peers, const struct peer_key *key, uint64_t hash)
{
	struct peer *peer = peers->chains[hash & peers->mask];

	while (peer && !(peer->hash == hash && has_key(peer, key)))
		peer = peer->next_in_chain;
	return peer;
}

struct peer *peers_find(const struct peers *peers, const struct peer_key *key)
{
	return find(peers, key, hash_of(peers, key));
}

static void put_into_chain(struct peers *peers, struct peer *peer)
{
	struct peer **chain = &peers->chains[peer->hash & peers->mask];

	peer->next_in_chain = *chain;
	*chain = peer;
	peer->hashed = true;
}

static void take_out_of_chain(struct peers *peers, struct peer *peer)
{
	struct peer **link = &peers->chains[peer->hash & peers->mask];

	if (!peer->hashed)
		return;
	while (*link != peer)
		link = &(*link)->next_in_chain;
	*link = peer->next_in_chain;
	peer->next_in_chain = NULL;
	peer->hashed = false;
}

static void move_to_new_chains(struct peers *peers, const struct peers_list *list)
{
	for (struct peer *peer = list->first; peer; peer = peer->next)
		if (peer->hashed)
			put_into_chain(peers, peer);
}

/* Without memory for it chains are longer, and that is all. */
static void grow_chains(struct peers *peers)
{
	size_t n = (peers->mask + 1) * 2;
	struct peer **chains;

	if (peers->n <= peers->mask)
		return;
	chains = calloc(n, sizeof(struct peer *));
	if (!chains)
		return;
	free(peers->chains);
	peers->chains = chains;
	peers->mask = n - 1;
	move_to_new_chains(peers, &peers->all);
	move_to_new_chains(peers, &peers->refused);
}

/* Everybody may be due. */
static int reserve(struct peers *peers)
{
	size_t room = peers->due.room;

	if (peers->n < room)
		return 0;
	return heap_reserve(&peers->due, room ? room * 2 : CHAINS_MIN);
}

/* --------------------------------------------------------------------- to wait */

/* Who has to go so that fewer wait than that. */
static struct peer *make_room(
	struct peers *peers, const struct addr_source *source, size_t most)
{
	const struct pending_limits limits = {
		.all = (uint32_t)most,
		.per_source = PEERS_WAITING_MAX,
	};
	struct peer *gone = (struct peer *)pending_make_room(&peers->waiting, source, &limits);

	if (gone)
		peers_remove(peers, gone);
	return gone;
}

struct peer *peers_evict(struct peers *peers, const struct addr_source *source)
{
	size_t n = peers->waiting.n;

	return n > 0 ? make_room(peers, source, n) : NULL;
}

int peers_add(struct peers *peers, struct peer *peer, const struct peer_key *key, bool alone,
	const struct addr_source *source, struct peer **ret_gone)
{
	if (reserve(peers) < 0)
		return -ENOMEM;
	*ret_gone = make_room(peers, source, PEERS_WAITING_MAX);
	*peer = (struct peer){.state = PEER_WAITING, .key = *key};
	peer->hash = hash_of(peers, key);
	append(&peers->all, peer);
	append_unasked(peers, peer);
	peers->n++;
	grow_chains(peers);
	if (!alone)
		put_into_chain(peers, peer);
	pending_add(&peers->waiting, &peer->pending, source);
	return 0;
}

struct peer *peers_ask(struct peers *peers, uint32_t *ret_ticket)
{
	struct peer *peer = peers->unasked.first;

	/* Those before it may be answered later. */
	if (!peer || peers->n_asked >= peers->most_asked)
		return NULL;
	unlink_unasked(peers, peer);
	peer->offered = true;
	*ret_ticket = peers->next_ticket++;
	peers->asked[*ret_ticket % peers->most_asked] = peer;
	peers->n_asked++;
	return peer;
}

/* Answers come in the order of the questions. */
bool peers_answer(struct peers *peers, uint32_t ticket, struct peer **ret)
{
	struct peer **asked;

	if (peers->n_asked == 0 || ticket != peers->next_ticket - peers->n_asked)
		return false;
	asked = &peers->asked[ticket % peers->most_asked];
	peers->n_asked--;
	*ret = take_ptr(*asked);
	if (*ret)
		(*ret)->offered = false;
	return true;
}

/* He is asked about no more. */
static void leave_waiting(struct peers *peers, struct peer *peer)
{
	if (is_unasked(peer) && (peer->prev_unasked || peers->unasked.first == peer))
		unlink_unasked(peers, peer);
	pending_remove(&peers->waiting, &peer->pending);
	for (uint32_t i = 0; peer->offered && i < peers->most_asked; i++)
		if (peers->asked[i] == peer)
			peers->asked[i] = NULL;
	peer->offered = false;
}

/* ----------------------------------------------------------------- what follows */

void peers_open(struct peers *peers, struct peer *peer)
{
	leave_waiting(peers, peer);
	peer->state = PEER_OPEN;
}

struct peer *peers_refuse(struct peers *peers, struct peer *peer, uint64_t until)
{
	struct peer *gone = NULL;

	leave_waiting(peers, peer);
	if (!peer->hashed && find(peers, &peer->key, peer->hash)) {
		peers_remove(peers, peer);
		return peer;
	}
	if (peers->n_refused >= PEERS_REFUSED_MAX) {
		gone = peers->refused.first;
		peers_remove(peers, gone);
	}
	unlink_from(&peers->all, peer);
	append(&peers->refused, peer);
	peers->n_refused++;
	peer->state = PEER_REFUSED;
	if (!peer->hashed)
		put_into_chain(peers, peer);
	peers_set_due(peers, peer, until);
	return gone;
}

void peers_end(struct peers *peers, struct peer *peer)
{
	take_out_of_chain(peers, peer);
	peer->state = PEER_ENDING;
}

void peers_remove(struct peers *peers, struct peer *peer)
{
	if (peer->state == PEER_NONE)
		return;
	if (peer->state == PEER_WAITING)
		leave_waiting(peers, peer);
	take_out_of_chain(peers, peer);
	heap_remove(&peers->due, &peer->due);
	unlink_from(peer->state == PEER_REFUSED ? &peers->refused : &peers->all, peer);
	peers->n_refused -= peer->state == PEER_REFUSED;
	peers->n--;
	peer->state = PEER_NONE;
}

void peers_set_due(struct peers *peers, struct peer *peer, uint64_t due)
{
	if (due == USEC_INFINITY)
		heap_remove(&peers->due, &peer->due);
	else
		heap_put(&peers->due, &peer->due, due);
}

uint64_t peers_due(const struct peers *peers)
{
	const struct heap_node *first = heap_first(&peers->due);

	return first ? first->key : USEC_INFINITY;
}

struct peer *peers_overdue(const struct peers *peers, uint64_t now)
{
	struct heap_node *first = heap_first(&peers->due);

	if (!first || first->key > now)
		return NULL;
	return (struct peer *)((char *)first - offsetof(struct peer, due));
}

struct peer *peers_any(const struct peers *peers)
{
	return peers->all.first ? peers->all.first : peers->refused.first;
}
