#include "workers/udp/hub.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "workers/udp/pair.h"
#include "workers/udp/peers.h"
#include "workers/udp/queue.h"
#include "workers/udp/sender.h"

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

struct session {
	struct peer peer; /* first */
	struct sender sender;
	struct queue queue; /* while he waits */
	int fd;             /* our end of the pair, owned; -EBADF: he waits */
	uint64_t last;      /* when a datagram has gone either way; usec */
};

struct hub {
	int fd;       /* owned */
	int epoll_fd; /* owned: all pairs */
	uint64_t timeout;
	bool per_datagram;
	struct sender_socket socket;
	struct peers peers;
	size_t queued; /* bytes that wait */
	struct hub_counts counts;
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
	hub->per_datagram = setup->per_datagram;
	r = begin(hub, setup, fd);
	if (r < 0) {
		hub_free(hub);
		return r;
	}
	hub->fd = fd;
	*ret = hub;
	return 0;
}

/* Who is in no list any more. */
static void session_free(struct hub *hub, struct session *session)
{
	if (!session)
		return;
	hub->queued -= session->queue.bytes;
	queue_clear(&session->queue);
	/* The master may still have its copy, which keeps it in the set. */
	if (session->fd >= 0)
		epoll_ctl(hub->epoll_fd, EPOLL_CTL_DEL, session->fd, NULL);
	fd_close(session->fd);
	free(session);
}

static void end_session(struct hub *hub, struct session *session)
{
	peers_remove(&hub->peers, &session->peer);
	session_free(hub, session);
}

struct hub *hub_free(struct hub *hub)
{
	struct session *session;

	if (!hub)
		return NULL;
	while ((session = (struct session *)peers_any(&hub->peers)))
		end_session(hub, session);
	peers_done(&hub->peers);
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
	} else if (errno == EMSGSIZE) {
		hub->counts.too_long++;
	} else {
		hub->counts.failed++;
	}
}

/* What the program has said, so many messages.  False: it will say no more. */
static bool hear(struct hub *hub, struct session *session, struct hub_room *room, unsigned most,
	uint64_t now)
{
	for (unsigned i = 0; i < most; i++) {
		ssize_t n = pair_receive(session->fd, room->said, sizeof room->said);

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
			end_session(hub, session);
	}
}

/* --------------------------------------------------------------- to the programs */

/* False: it has ended. */
static bool pass_on(
	struct hub *hub, struct session *session, const void *bytes, size_t len, uint64_t now)
{
	switch (pair_send(session->fd, bytes, len)) {
	case 0:
		session->last = now;
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
		return false;
	}
}

/* It gets no more, and has its time to say what it has to say. */
static void end_input(struct hub *hub, struct session *session, uint64_t now)
{
	pair_shut(session->fd);
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
		goes_on = goes_on && pass_on(hub, session, item->bytes, item->len, now);
		free(item);
	}
	return goes_on;
}

/* ----------------------------------------------------------------------- arrivals */

static void keep(struct hub *hub, struct session *session, const void *bytes, size_t len)
{
	if (hub->queued + len > HUB_QUEUED_MAX || queue_put(&session->queue, bytes, len) < 0)
		hub->counts.refused++;
	else
		hub->queued += len;
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
		session_free(hub, gone);
	}
}

static struct session *make_session(const struct sender *sender, uint64_t now)
{
	struct session *session = calloc(1, sizeof *session);

	if (!session)
		return NULL;
	session->sender = *sender;
	session->fd = -EBADF;
	session->last = now;
	return session;
}

/* Somebody new. */
static void begin_session(struct hub *hub, const struct sender *sender,
	const struct peer_key *key, const void *bytes, size_t len, uint64_t now)
{
	struct session *session = make_session(sender, now);
	struct addr_source source;
	struct peer *gone = NULL;

	sender_source(sender, &source);
	make_room(hub, &source, len);
	if (!session || peers_add(&hub->peers, &session->peer, key, hub->per_datagram, &source,
				&gone) < 0) {
		hub->counts.failed++;
		free(session);
		return;
	}
	if (gone)
		hub->counts.refused += ((struct session *)gone)->queue.n;
	session_free(hub, (struct session *)gone);
	keep(hub, session, bytes, len);
}

/* False: his program has ended, and he is as new. */
static bool give(struct hub *hub, struct hub_room *room, struct session *session,
	const void *bytes, size_t len, uint64_t now)
{
	if (session->peer.state == PEER_REFUSED) {
		hub->counts.refused++;
	} else if (session->peer.state == PEER_WAITING) {
		keep(hub, session, bytes, len);
	} else if (!pass_on(hub, session, bytes, len, now)) {
		hear(hub, session, room, LAST_MAX, now);
		end_session(hub, session);
		return false;
	}
	return true;
}

static void take(struct hub *hub, struct hub_room *room, unsigned i, uint64_t now)
{
	struct msghdr *message = &room->in[i].msg_hdr;
	size_t len = room->in[i].msg_len;
	struct session *session;
	struct sender sender;
	struct peer_key key;

	hub->counts.received++;
	hub->counts.bytes_in += len;
	if (message->msg_flags & MSG_TRUNC) {
		hub->counts.too_long++;
		return;
	}
	if (!sender_learn(&hub->socket, message, &sender)) {
		hub->counts.failed++;
		return;
	}
	sender_key(&sender, &key);
	session = (struct session *)peers_find(&hub->peers, &key);
	if (!session || !give(hub, room, session, room->slots[i], len, now))
		begin_session(hub, &sender, &key, room->slots[i], len, now);
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
	session_free(hub, (struct session *)peers_refuse(&hub->peers, &session->peer, until));
}

static void open_session(
	struct hub *hub, struct session *session, struct hub_room *room, uint64_t now)
{
	peers_open(&hub->peers, &session->peer);
	session->last = now;
	if (!pass_queue(hub, session, now)) {
		hear(hub, session, room, LAST_MAX, now);
		end_session(hub, session);
	} else if (hub->per_datagram) {
		end_input(hub, session, now);
	} else {
		set_due(hub, session);
	}
}

/* False: he has to do without his program, which finds that nobody is there. */
static bool take_pair(struct hub *hub, struct session *session, int *fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};

	if (*fd < 0 || epoll_ctl(hub->epoll_fd, EPOLL_CTL_ADD, *fd, &event) < 0)
		return false;
	session->fd = take_fd(fd);
	return true;
}

void hub_verdict(struct hub *hub, const struct channel_request *request, int *fd,
	struct hub_room *room, uint64_t now)
{
	struct session *session;
	struct peer *peer;

	/* Who has gone since has a program that nobody speaks to: it ends. */
	if (!peers_answer(&hub->peers, request->ticket, &peer) || !peer)
		return;
	session = (struct session *)peer;
	if (request->verdict == CHANNEL_ADMITTED && take_pair(hub, session, fd))
		open_session(hub, session, room, now);
	else if (request->verdict == CHANNEL_NOT_ALLOWED)
		refuse(hub, session, now + HUB_REFUSED_FOR);
	else
		refuse(hub, session, now + HUB_BUSY_FOR);
}

/* ------------------------------------------------------------------------- time */

uint64_t hub_due(const struct hub *hub)
{
	return peers_due(&hub->peers);
}

/* It is looked at when it could have been silent for so long, so a datagram costs nothing. */
static void look(struct hub *hub, struct session *session, uint64_t now)
{
	if (session->peer.state != PEER_OPEN)
		end_session(hub, session);
	else if (now - session->last < hub->timeout)
		set_due(hub, session);
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
