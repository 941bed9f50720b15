#include "workers/udp/hub_internal.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "workers/udp/pair.h"

#include <string.h>
#include <sys/epoll.h>

/* Datagrams, programs that have something to say, messages of one of them, and sessions whose
 * time has come, in one turn. */
#define ARRIVE_BATCH  64
#define ANSWER_BATCH  64
#define MESSAGE_BATCH 16
#define DUE_BATCH     64

/* Messages of a program that has ended, which are all there are. */
#define LAST_MAX 1024

/* More than any datagram of UDP has. */
#define SLOT 65536

/* On its way from a peer. */
struct datagram {
	const void *bytes;
	size_t len;
	int hops; /* see struct sender */
};

struct hub_room {
	struct mmsghdr in[ARRIVE_BATCH];
	struct iovec pieces[ARRIVE_BATCH];
	union sender_name names[ARRIVE_BATCH];
	union sender_control controls[ARRIVE_BATCH];
	uint8_t slots[ARRIVE_BATCH][SLOT];
	uint8_t said[SLOT];
};

struct hub_room *hub_room_new(void)
{
	struct hub_room *room = calloc(1, sizeof *room);

	for (unsigned i = 0; room && i < ARRIVE_BATCH; i++) {
		room->pieces[i] = (struct iovec){room->slots[i], SLOT};
		room->in[i].msg_hdr.msg_iov = &room->pieces[i];
		room->in[i].msg_hdr.msg_iovlen = 1;
		room->in[i].msg_hdr.msg_name = &room->names[i];
		room->in[i].msg_hdr.msg_control = &room->controls[i];
	}
	return room;
}

struct hub_room *hub_room_free(struct hub_room *room)
{
	free(room);
	return NULL;
}

/* ------------------------------------------------------------------ begin and end */

static int begin(struct hub *hub, const struct hub_setup *setup, int fd)
{
	int r = sender_begin(fd, setup->own, &hub->socket);

	if (r == 0)
		r = peers_init(&hub->peers, setup->key, CHANNEL_OFFERS_MAX);
	if (r < 0)
		return r;
	hub->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return hub->epoll_fd < 0 ? -errno : 0;
}

int hub_new(const struct hub_setup *setup, int fd, struct hub **ret)
{
	struct hub *hub = calloc(1, sizeof *hub);
	int r;

	if (!hub)
		return -ENOMEM;
	hub->fd = hub->epoll_fd = -EBADF;
	hub->timeout = setup->timeout;
	hub->per_datagram = setup->per_datagram && !setup->onward;
	r = begin(hub, setup, fd);
	if (r < 0) {
		hub_free(hub);
		return r;
	}
	hub->fd = fd;
	hub->onward = setup->onward;
	*ret = hub;
	return 0;
}

struct hub *hub_free(struct hub *hub)
{
	struct session *session;

	if (!hub)
		return NULL;
	while ((session = (struct session *)peers_any(&hub->peers)))
		hub_end_session(hub, session);
	while ((session = hub_take_over(hub)))
		hub_free_session(hub, session);
	peers_done(&hub->peers);
	onward_free(hub->onward);
	fd_close(hub->epoll_fd);
	fd_close(hub->fd);
	free(hub);
	return NULL;
}

/* ----------------------------------------------------------------------- answers */

static void answer(struct hub *hub, struct session *session, void *bytes, size_t len)
{
	struct iovec piece = {.iov_base = bytes, .iov_len = len};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
	union sender_answer control;

	if (!sender_has_name(&session->sender)) {
		hub->counts.failed++;
		return;
	}
	sender_address(&session->sender, &message, &control);
	if (sendmsg(hub->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
		hub->counts.sent++;
		hub->counts.bytes_out += len;
		session->bytes_out += len;
	} else if (errno == EMSGSIZE) {
		hub->counts.too_long++;
	} else {
		hub->counts.failed++;
	}
}

/* One message.  -EMSGSIZE: it is too long, and lost; -EAGAIN: there is none now; -EPIPE: there
 * will be no more. */
static ssize_t hear_one(
	struct hub *hub, struct session *session, struct hub_room *room, uint64_t now)
{
	ssize_t n;

	if (!hub->onward)
		return pair_receive(session->way.fd, room->said, sizeof room->said);
	n = onward_receive(hub->onward, &session->way, room->said, sizeof room->said);
	if (n >= 0 || n == -EAGAIN || n == -EMSGSIZE)
		return n;
	hub_note_failed(hub, session, (int)-n, now);
	return -EPIPE;
}

/* What the other side has said, so many messages.  False: it will say no more. */
static bool hear(struct hub *hub, struct session *session, struct hub_room *room, unsigned most,
	uint64_t now)
{
	for (unsigned i = 0; i < most; i++) {
		ssize_t n = hear_one(hub, session, room, now);

		if (n == -EAGAIN || n == -EPIPE)
			return n == -EAGAIN;
		session->last = now;
		if (n == -EMSGSIZE)
			hub->counts.too_long++;
		else
			answer(hub, session, room->said, (size_t)n);
	}
	return true;
}

void hub_answer(struct hub *hub, struct hub_room *room, uint64_t now)
{
	struct epoll_event events[ANSWER_BATCH];
	int n = epoll_wait(hub->epoll_fd, events, ANSWER_BATCH, 0);

	for (int i = 0; i < n; i++) {
		struct session *session = events[i].data.ptr;

		if (!hear(hub, session, room, MESSAGE_BATCH, now))
			hub_end_session(hub, session);
	}
}

/* --------------------------------------------------------------- to the programs */

static int send_one(
	const struct hub *hub, const struct session *session, const struct datagram *datagram)
{
	const struct onward_way *way = &session->way;

	if (!hub->onward)
		return pair_send(way->fd, datagram->bytes, datagram->len);
	return onward_send(way, datagram->bytes, datagram->len, datagram->hops);
}

/* False: it has ended. */
static bool pass_on(
	struct hub *hub, struct session *session, const struct datagram *datagram, uint64_t now)
{
	int r = send_one(hub, session, datagram);

	switch (r) {
	case 0:
		session->last = now;
		session->bytes_in += datagram->len;
		return true;
	case -EAGAIN:
		hub->counts.unread++;
		return true;
	case -EMSGSIZE:
		hub->counts.too_long++;
		return true;
	case -ENOBUFS:
		hub->counts.failed++;
		return true;
	default:
		if (hub->onward)
			hub_note_failed(hub, session, -r, now);
		return false;
	}
}

/* It gets no more, and has its time to say what it has to say. */
static void end_input(struct hub *hub, struct session *session, uint64_t now)
{
	pair_shut(session->way.fd);
	peers_end(&hub->peers, &session->peer);
	peers_set_due(&hub->peers, &session->peer,
		hub->timeout == USEC_INFINITY ? USEC_INFINITY : now + hub->timeout);
}

static void set_due(struct hub *hub, struct session *session)
{
	peers_set_due(&hub->peers, &session->peer,
		hub->timeout == USEC_INFINITY ? USEC_INFINITY : session->last + hub->timeout);
}

/* What waits.  False: the program has ended. */
static bool pass_queue(struct hub *hub, struct session *session, uint64_t now)
{
	bool goes_on = true;
	struct queued *item;

	hub->queued -= session->queue.bytes;
	while ((item = queue_take(&session->queue))) {
		const struct datagram datagram = {item->bytes, item->len, session->sender.hops};

		goes_on = goes_on && pass_on(hub, session, &datagram, now);
		free(item);
	}
	return goes_on;
}

/* ----------------------------------------------------------------------- arrivals */

static void keep(struct hub *hub, struct session *session, const struct datagram *datagram)
{
	if (hub->queued + datagram->len > HUB_QUEUED_MAX ||
		queue_put(&session->queue, datagram->bytes, datagram->len) < 0)
		hub->counts.refused++;
	else
		hub->queued += datagram->len;
}

/* Those who have waited for longest make room for his datagram. */
static void make_room(struct hub *hub, const struct addr_source *source, size_t len)
{
	struct session *gone = NULL;

	while (hub->queued + len > HUB_QUEUED_MAX) {
		gone = (struct session *)peers_evict(&hub->peers, source);
		if (!gone)
			return;
		hub->counts.refused += gone->queue.n;
		hub_free_session(hub, gone);
	}
}

static bool is_same(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && memcmp(&a->ip, &b->ip, sizeof a->ip) == 0;
}

/* Neither a target nor this socket is a client: by one datagram that somebody has forged, a
 * target would get its own answers as questions, for ever. */
static bool may_come(const struct hub *hub, const struct sender *sender)
{
	return !hub->onward || (!is_same(&sender->from, &sender->to) &&
				       !onward_is_target(hub->onward, &sender->from));
}

static struct session *make_session(const struct sender *sender, uint64_t now)
{
	struct session *session = calloc(1, sizeof *session);

	if (!session)
		return NULL;
	session->sender = *sender;
	session->way.fd = -EBADF;
	session->last = now;
	return session;
}

/* Somebody new. */
static void begin_session(struct hub *hub, const struct sender *sender,
	const struct peer_key *key, const struct datagram *datagram, uint64_t now)
{
	struct session *session = may_come(hub, sender) ? make_session(sender, now) : NULL;
	struct addr_source source;
	struct peer *gone = NULL;

	if (!session) {
		hub->counts.failed++;
		return;
	}
	sender_source(sender, &source);
	make_room(hub, &source, datagram->len);
	if (peers_add(&hub->peers, &session->peer, key, hub->per_datagram, &source, &gone) <
		0) {
		hub->counts.failed++;
		free(session);
		return;
	}
	if (gone)
		hub->counts.refused += ((struct session *)gone)->queue.n;
	hub_free_session(hub, (struct session *)gone);
	keep(hub, session, datagram);
}

/* False: his program has ended, and he is as new. */
static bool give(struct hub *hub, struct hub_room *room, struct session *session,
	const struct datagram *datagram, uint64_t now)
{
	if (session->peer.state == PEER_REFUSED) {
		hub->counts.refused++;
	} else if (session->peer.state == PEER_WAITING) {
		keep(hub, session, datagram);
	} else if (!pass_on(hub, session, datagram, now)) {
		hear(hub, session, room, LAST_MAX, now);
		hub_end_session(hub, session);
		return false;
	}
	return true;
}

/* Not if that would be its last hop. */
static bool may_go_on(const struct hub *hub, const struct sender *sender)
{
	return !hub->onward || sender->hops > 1;
}

static void take(struct hub *hub, struct hub_room *room, unsigned i, uint64_t now)
{
	struct msghdr *message = &room->in[i].msg_hdr;
	struct datagram datagram = {room->slots[i], room->in[i].msg_len, 0};
	struct session *session;
	struct sender sender;
	struct peer_key key;

	hub->counts.received++;
	hub->counts.bytes_in += datagram.len;
	if (message->msg_flags & MSG_TRUNC) {
		hub->counts.too_long++;
		return;
	}
	if (!sender_learn(&hub->socket, message, &sender) || !may_go_on(hub, &sender)) {
		hub->counts.failed++;
		return;
	}
	datagram.hops = sender.hops;
	sender_key(&sender, &key);
	session = (struct session *)peers_find(&hub->peers, &key);
	if (!session || !give(hub, room, session, &datagram, now))
		begin_session(hub, &sender, &key, &datagram, now);
}

/* The kernel has written how much of each it has used. */
static int receive(const struct hub *hub, struct hub_room *room)
{
	int n;

	for (unsigned i = 0; i < ARRIVE_BATCH; i++) {
		room->in[i].msg_hdr.msg_namelen = sizeof room->names[i];
		room->in[i].msg_hdr.msg_controllen = sender_control_len(&hub->socket);
	}
	n = recvmmsg(hub->fd, room->in, ARRIVE_BATCH, MSG_DONTWAIT, NULL);
	if (n >= 0)
		return n;
	/* Others are about one datagram, or the answer to one, or will not last. */
	return errno == EBADF || errno == ENOTSOCK ? -errno : 0;
}

bool hub_arrive(struct hub *hub, struct hub_room *room, uint64_t now)
{
	int n = receive(hub, room);

	for (int i = 0; i < n; i++)
		take(hub, room, (unsigned)i, now);
	return n >= 0;
}

/* ----------------------------------------------------------------------- the master */

bool hub_offer(struct hub *hub, struct channel_answer *ret)
{
	struct session *session = (struct session *)peers_ask(&hub->peers, &ret->ticket);

	if (session)
		sender_facts(&session->sender, &ret->facts);
	return session;
}

static void refuse(struct hub *hub, struct session *session, uint64_t until)
{
	hub->counts.refused += session->queue.n;
	hub->queued -= session->queue.bytes;
	queue_clear(&session->queue);
	hub_free_session(
		hub, (struct session *)peers_refuse(&hub->peers, &session->peer, until));
}

/* False: he has ended again. */
static bool open_session(
	struct hub *hub, struct session *session, struct hub_room *room, uint64_t now)
{
	peers_open(&hub->peers, &session->peer);
	session->last = now;
	if (!pass_queue(hub, session, now)) {
		hear(hub, session, room, LAST_MAX, now);
		hub_end_session(hub, session);
		return false;
	}
	if (hub->per_datagram)
		end_input(hub, session, now);
	else
		set_due(hub, session);
	return true;
}

/* False: he has to do without his program, which finds that nobody is there. */
static bool take_pair(struct hub *hub, struct session *session, int *fd)
{
	if (*fd < 0 || hub_watch(hub, session, *fd) < 0)
		return false;
	session->way.fd = take_fd(fd);
	return true;
}

static bool let_in(struct hub *hub, struct session *session,
	const struct channel_request *request, int *fd, uint64_t now)
{
	if (request->verdict != CHANNEL_ADMITTED)
		return false;
	return hub->onward ? hub_find_way(hub, session, request, now)
	                   : take_pair(hub, session, fd);
}

struct session *hub_verdict(struct hub *hub, const struct channel_request *request, int *fd,
	struct hub_room *room, uint64_t now)
{
	struct session *session;
	struct peer *peer;

	/* Who has gone since has a program that nobody speaks to: it ends. */
	if (!peers_answer(&hub->peers, request->ticket, &peer) || !peer) {
		hub_miss(hub, request, CHANNEL_ENDED);
		return NULL;
	}
	session = (struct session *)peer;
	if (let_in(hub, session, request, fd, now))
		return open_session(hub, session, room, now) && hub->onward ? session : NULL;
	if (request->verdict == CHANNEL_NOT_ALLOWED)
		refuse(hub, session, now + HUB_REFUSED_FOR);
	else
		refuse(hub, session, now + HUB_BUSY_FOR);
	return NULL;
}

/* ------------------------------------------------------------------------- time */

uint64_t hub_due(const struct hub *hub)
{
	return peers_due(&hub->peers);
}

/* It is looked at when it could have been silent for so long, so a datagram costs nothing.  A
 * target is not told: who sends again then comes to it from another port. */
static void look(struct hub *hub, struct session *session, uint64_t now)
{
	if (session->peer.state != PEER_OPEN)
		hub_end_session(hub, session);
	else if (now - session->last < hub->timeout)
		set_due(hub, session);
	else if (hub->onward)
		hub_end_session(hub, session);
	else
		end_input(hub, session, now);
}

void hub_look(struct hub *hub, uint64_t now)
{
	for (unsigned i = 0; i < DUE_BATCH; i++) {
		struct peer *peer = peers_overdue(&hub->peers, now);

		if (!peer)
			return;
		look(hub, (struct session *)peer, now);
	}
}

int hub_fd(const struct hub *hub)
{
	return hub->fd;
}

int hub_answers_fd(const struct hub *hub)
{
	return hub->epoll_fd;
}

const struct hub_counts *hub_counts(const struct hub *hub)
{
	return &hub->counts;
}
