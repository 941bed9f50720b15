/*
 * hub_internal: what the files of a hub share.
 */
#ifndef HATCHD_WORKERS_UDP_HUB_INTERNAL_H
#define HATCHD_WORKERS_UDP_HUB_INTERNAL_H

#include "workers/udp/hub.h"
#include "workers/udp/onward.h"
#include "workers/udp/peers.h"
#include "workers/udp/queue.h"
#include "workers/udp/sender.h"

struct session {
	struct peer peer; /* first */
	struct sender sender;
	struct queue queue; /* while he waits */
	/* Our end of the pair, or of a way to a target, owned; -EBADF: he waits. */
	struct onward_way way;
	uint64_t last; /* when a datagram has gone either way; usec */

	/* Of one who is passed on. */
	struct channel_session client; /* connection 0: there is nothing to tell of him */
	enum channel_result result;
	uint64_t bytes_in, bytes_out;
	struct session *next_over;
};

struct hub {
	int fd;       /* owned */
	int epoll_fd; /* owned: all pairs, and ways to targets */
	uint64_t timeout;
	bool per_datagram;
	struct sender_socket socket;
	struct peers peers;
	size_t queued; /* bytes that wait */
	struct hub_counts counts;

	struct onward *onward;         /* owned; NULL: programs */
	struct session *first_over;    /* owned: clients who are over, in no other list */
	struct channel_session missed; /* one who never had a way; connection 0: none */
	enum channel_result why_missed;
};

/* Have the set tell what comes from there.  0 or a negative errno. */
int hub_watch(const struct hub *hub, struct session *session, int fd);

/* Somebody who is in no list any more; NULL is fine. */
void hub_free_session(struct hub *hub, struct session *session);

/* He is over; a client is kept until he has been told of. */
void hub_end_session(struct hub *hub, struct session *session);

/* One of those who are to be told of, the caller's; NULL: there is none. */
struct session *hub_take_over(struct hub *hub);

/* Who has been let in gets a way to a target.  False: there is none, and that is told. */
bool hub_find_way(struct hub *hub, struct session *session,
	const struct channel_request *request, uint64_t now);

/* Who has been let in never gets one: that is told, before there can be another one. */
void hub_miss(
	struct hub *hub, const struct channel_request *request, enum channel_result result);

/* His target is not there, or there is no way to it any more. */
void hub_note_failed(struct hub *hub, struct session *session, int error, uint64_t now);

#endif
