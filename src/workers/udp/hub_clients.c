/*
 * hub_clients: those of a hub who are passed on, and whom the master knows.
 */
#include "workers/udp/hub_internal.h"

#include "base/fd.h"
#include "base/own.h"

#include <sys/epoll.h>

/* The master may still have its copy, which keeps it in the set. */
static void close_way(const struct hub *hub, struct session *session)
{
	if (session->way.fd >= 0)
		epoll_ctl(hub->epoll_fd, EPOLL_CTL_DEL, session->way.fd, NULL);
	session->way.fd = fd_close(session->way.fd);
}

void hub_free_session(struct hub *hub, struct session *session)
{
	if (!session)
		return;
	hub->queued -= session->queue.bytes;
	queue_clear(&session->queue);
	close_way(hub, session);
	free(session);
}

void hub_end_session(struct hub *hub, struct session *session)
{
	peers_remove(&hub->peers, &session->peer);
	if (session->client.connection == 0) {
		hub_free_session(hub, session);
		return;
	}
	close_way(hub, session);
	session->next_over = hub->first_over;
	hub->first_over = session;
}

struct session *hub_take_over(struct hub *hub)
{
	struct session *session = hub->first_over;

	if (session)
		hub->first_over = session->next_over;
	return session;
}

void hub_note_failed(struct hub *hub, struct session *session, int error, uint64_t now)
{
	session->result = session->way.heard ? CHANNEL_TARGET_RESET : CHANNEL_UNREACHABLE;
	onward_failed(hub->onward, &session->way, error, now);
}

int hub_watch(const struct hub *hub, struct session *session, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};

	return epoll_ctl(hub->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void hub_miss(
	struct hub *hub, const struct channel_request *request, enum channel_result result)
{
	hub->missed = request->client;
	hub->why_missed = result;
}

bool hub_find_way(struct hub *hub, struct session *session,
	const struct channel_request *request, uint64_t now)
{
	int r = onward_open(hub->onward, &session->way, now);

	if (r == 0)
		r = hub_watch(hub, session, session->way.fd);
	if (r < 0) {
		session->way.fd = fd_close(session->way.fd);
		hub_miss(hub, request,
			r == -EHOSTUNREACH ? CHANNEL_UNREACHABLE : CHANNEL_REFUSED);
		return false;
	}
	session->client = request->client;
	session->result = CHANNEL_FINISHED;
	return true;
}

/* --------------------------------------------------------------------- clients */

/* Who was missed is told of first. */
static bool take_missed(struct hub *hub, struct channel_answer *ret)
{
	if (hub->missed.connection == 0)
		return false;
	ret->session = hub->missed;
	ret->result = (uint32_t)hub->why_missed;
	hub->missed = (struct channel_session){0};
	return true;
}

/* Any, or one who is none. */
static void end_any(struct hub *hub)
{
	struct session *session;

	while (!hub->first_over && (session = (struct session *)peers_any(&hub->peers))) {
		session->result = CHANNEL_ENDED;
		hub_end_session(hub, session);
	}
}

bool hub_client_done(struct hub *hub, bool all, struct channel_answer *ret)
{
	struct session *session;

	if (take_missed(hub, ret))
		return true;
	if (all)
		end_any(hub);
	session = hub_take_over(hub);
	if (!session)
		return false;
	ret->session = session->client;
	ret->result = (uint32_t)session->result;
	ret->bytes_in = session->bytes_in;
	ret->bytes_out = session->bytes_out;
	hub_free_session(hub, session);
	return true;
}

bool hub_end_client(struct hub *hub, struct session *session, uint64_t connection)
{
	if (session->peer.state != PEER_OPEN || session->client.connection != connection)
		return false;
	session->result = CHANNEL_ENDED;
	hub_end_session(hub, session);
	return true;
}
