#include "workers/work.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "base/text.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

/* Events, and requests, in one turn. */
#define EVENT_BATCH   64
#define REQUEST_BATCH 32

/* Time, in one turn, in which events of those are handled whose steps are much work. */
#define COSTLY_TIME (2 * USEC_PER_MSEC)

/* Events of sessions are numbered from here on: place by place, descriptor by descriptor. */
#define FIRST_SESSION (CHANNEL_ANSWERS_FD + 1)

struct work {
	const struct work_kind *kind;
	int epoll_fd;
	bool draining; /* nothing more will come */
	bool orphan;   /* there is nobody to answer to */
	bool alone;    /* nobody says anything any more */

	uint32_t places;
	struct work_session **sessions; /* by place; NULL: free */
	uint32_t n_sessions;
	struct heap due;
	uint64_t costly_until; /* usec, in this turn; 0: there has been none */

	/* A ring of answers that have not been written yet: one for each place, READY, and a
	 * PONG; and as many offers as there are places. */
	struct channel_answer *unsent;
	uint32_t unsent_room, unsent_first, n_unsent;
	bool waits_to_send;
};

/* ------------------------------------------------------------------ answers */

static int wait_to_send(struct work *work, bool wait)
{
	struct epoll_event event = {.events = EPOLLOUT, .data.u64 = CHANNEL_ANSWERS_FD};

	if (work->waits_to_send == wait)
		return 0;
	work->waits_to_send = wait;
	if (epoll_ctl(work->epoll_fd, wait ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, CHANNEL_ANSWERS_FD,
		    &event) < 0)
		return -errno;
	return 0;
}

/* Those at the head of the ring that lie side by side and go into one write. */
static uint32_t how_many_at_once(const struct work *work)
{
	uint32_t n = work->unsent_room - work->unsent_first;

	if (n > work->n_unsent)
		n = work->n_unsent;
	return n < CHANNEL_ANSWERS_MAX ? n : CHANNEL_ANSWERS_MAX;
}

/* Without the master nobody wants them. */
static int send_some(struct work *work, uint32_t n)
{
	const struct channel_answer *first = &work->unsent[work->unsent_first];
	int r = work->orphan ? 0 : channel_answer(CHANNEL_ANSWERS_FD, first, n);

	if (r == -EPIPE) {
		work->orphan = work->draining = true;
		r = 0;
	}
	return r;
}

static int send_unsent(struct work *work)
{
	while (work->n_unsent > 0) {
		uint32_t n = how_many_at_once(work);
		int r = send_some(work, n);

		if (r < 0)
			return r == -EAGAIN ? wait_to_send(work, true) : r;
		work->unsent_first = (work->unsent_first + n) % work->unsent_room;
		work->n_unsent -= n;
	}
	/* Most times it is its first bytes that are used, and no others. */
	work->unsent_first = 0;
	return wait_to_send(work, false);
}

/* Written at the end of the turn, all at once: each write wakes the master, who would do a
 * turn of his own for each. */
static int answer(struct work *work, const struct channel_answer *answer)
{
	if (work->n_unsent >= work->unsent_room)
		return -EPROTO; /* there are more than the master has asked for */
	work->unsent[(work->unsent_first + work->n_unsent++) % work->unsent_room] = *answer;
	return 0;
}

static void answer_init(struct channel_answer *ret, enum channel_answer_kind kind)
{
	memset(ret, 0, sizeof *ret);
	ret->version = CHANNEL_VERSION;
	ret->kind = (uint16_t)kind;
}

/* ----------------------------------------------------------------- sessions */

/* Of those within it, the ones that are over, or all. */
static int tell_clients(struct work *work, struct work_session *session, bool all)
{
	struct channel_answer done;
	int r = 0;

	while (r == 0 && work->kind->client_done) {
		answer_init(&done, CHANNEL_DONE);
		if (!work->kind->client_done(session, all, &done))
			break;
		r = answer(work, &done);
	}
	return r;
}

/* It leaves the set by being closed: nobody else has a copy. */
static int end(struct work *work, struct work_session *session, bool ended)
{
	int r = tell_clients(work, session, true);
	struct channel_answer done;

	if (r < 0)
		return r;
	answer_init(&done, CHANNEL_DONE);
	done.session = session->id;
	work->sessions[session->id.place] = NULL;
	work->n_sessions--;
	heap_remove(&work->due, &session->due);
	/* The master may still have its copy. */
	for (unsigned i = 0; i < work->kind->n_fds; i++)
		if (session->events[i] != 0)
			epoll_ctl(work->epoll_fd, EPOLL_CTL_DEL, work->kind->fd(session, i),
				NULL);
	work->kind->end(session, ended, &done);
	return answer(work, &done);
}

static int wait_for(struct work *work, struct work_session *session, unsigned which)
{
	uint64_t place = session->id.place;
	struct epoll_event event = {
		.events = work->kind->events(session, which),
		.data.u64 = FIRST_SESSION + place * WORK_FDS + which,
	};
	int operation = EPOLL_CTL_MOD;

	if (session->events[which] == event.events)
		return 0;
	if (session->events[which] == 0)
		operation = EPOLL_CTL_ADD;
	else if (event.events == 0)
		operation = EPOLL_CTL_DEL;
	if (epoll_ctl(work->epoll_fd, operation, work->kind->fd(session, which), &event) < 0)
		return -errno;
	session->events[which] = event.events;
	return 0;
}

static int wait_for_all(struct work *work, struct work_session *session)
{
	int r = 0;

	for (unsigned i = 0; i < work->kind->n_fds && r == 0; i++)
		r = wait_for(work, session, i);
	return r;
}

void work_closed(struct work_session *session, unsigned which)
{
	session->events[which] = 0;
}

static void note_due(struct work *work, struct work_session *session)
{
	uint64_t due = work->kind->due(session);

	if (due == USEC_INFINITY)
		heap_remove(&work->due, &session->due);
	else
		heap_put(&work->due, &session->due, due);
}

/* While the ring has room for them besides what must be said. */
static int take_offers(struct work *work, struct work_session *session)
{
	struct channel_answer offer;
	int r = 0;

	while (r == 0 && work->kind->offer && work->n_unsent < work->places) {
		answer_init(&offer, CHANNEL_OFFER);
		offer.session = session->id;
		if (!work->kind->offer(session, &offer))
			break;
		r = answer(work, &offer);
	}
	return r;
}

static bool awaits(const struct work *work, const struct work_session *session)
{
	return work->kind->for_master || (work->kind->awaits && work->kind->awaits(session));
}

/* It has done its step, and goes on or does not. */
static int after(struct work *work, struct work_session *session, bool goes_on)
{
	int r;

	if (!goes_on)
		return end(work, session, false);
	r = tell_clients(work, session, false);
	if (r == 0)
		r = take_offers(work, session);
	if (r < 0)
		return r;
	if (work->alone && awaits(work, session))
		return end(work, session, true);
	note_due(work, session);
	/* One that cannot be waited for is given up: that is its loss, not the others'. */
	return wait_for_all(work, session) < 0 ? end(work, session, true) : 0;
}

static int step(
	struct work *work, struct work_session *session, unsigned which, uint32_t events)
{
	return after(work, session, work->kind->go(session, which, events));
}

/* ----------------------------------------------------------------- requests */

static int refuse(
	struct work *work, const struct channel_session *id, enum channel_result result)
{
	struct channel_answer done;

	answer_init(&done, CHANNEL_DONE);
	done.session = *id;
	done.result = (uint32_t)result;
	return answer(work, &done);
}

static int serve(struct work *work, const struct channel_request *request, int fds[], size_t n)
{
	uint32_t place = request->session.place;
	struct work_session *session;

	if (place >= work->places || work->sessions[place] ||
		n != (request->has_text ? 2U : 1U))
		return -EPROTO;
	session = work->kind->begin(request, take_fd(&fds[0]), n > 1 ? fds[1] : -EBADF);
	if (!session)
		return refuse(work, &request->session, CHANNEL_REFUSED);
	session->id = request->session;
	work->sessions[place] = session;
	work->n_sessions++;
	return step(work, session, 0, 0);
}

/* NULL: it has ended meanwhile. */
static struct work_session *find(const struct work *work, const struct channel_session *id)
{
	struct work_session *session =
		id->place < work->places ? work->sessions[id->place] : NULL;

	return session && session->id.connection == id->connection ? session : NULL;
}

static int end_asked(struct work *work, const struct channel_session *id)
{
	struct work_session *session = find(work, id);

	if (session)
		return end(work, session, true);
	if (work->kind->end_client)
		session = work->kind->end_client(id);
	return session ? after(work, session, true) : 0;
}

/* Who has been let in to a session that has ended meanwhile has ended with it. */
static int miss(struct work *work, const struct channel_request *request)
{
	if (request->client.connection == 0)
		return 0;
	return refuse(work, &request->client, CHANNEL_ENDED);
}

static int verdict(struct work *work, const struct channel_request *request, int *fd)
{
	struct work_session *session = find(work, &request->session);

	if (!work->kind->verdict)
		return -EPROTO;
	if (!session)
		return miss(work, request);
	return after(work, session, work->kind->verdict(session, request, fd));
}

static int give_up(struct work *work, const struct channel_session *id)
{
	struct work_session *session = find(work, id);

	if (!work->kind->give_up)
		return -EPROTO;
	return session ? after(work, session, work->kind->give_up(session)) : 0;
}

static bool ends_now(const struct work *work, const struct work_session *session, bool orphaned)
{
	if (orphaned && awaits(work, session))
		return true;
	return work->kind->lasts && work->kind->lasts(session);
}

/* Nothing more will come; from a master who has gone, nor will anything be taken. */
static int drain(struct work *work, bool orphaned)
{
	int r = 0;

	work->draining = true;
	work->alone |= orphaned;
	for (uint32_t i = 0; i < work->places && r >= 0; i++)
		if (work->sessions[i] && ends_now(work, work->sessions[i], orphaned))
			r = end(work, work->sessions[i], true);
	return r;
}

static int pong(struct work *work)
{
	struct channel_answer here;

	answer_init(&here, CHANNEL_PONG);
	return answer(work, &here);
}

static int follow(struct work *work, const struct channel_request *request, int fds[], size_t n)
{
	switch (request->kind) {
	case CHANNEL_SERVE:
		return serve(work, request, fds, n);
	case CHANNEL_END:
		return end_asked(work, &request->session);
	case CHANNEL_PING:
		return pong(work);
	case CHANNEL_VERDICT:
		return verdict(work, request, &fds[0]);
	case CHANNEL_GIVE_UP:
		return give_up(work, &request->session);
	default:
		return drain(work, false);
	}
}

/* 1: one was taken; 0: there is none. */
static int take_request(struct work *work)
{
	int fds[CHANNEL_FDS_MAX] = {-EBADF, -EBADF};
	struct channel_request request;
	size_t n;
	int r = channel_take(CHANNEL_REQUESTS_FD, &request, fds, &n);

	if (r == -EAGAIN)
		return 0;
	if (r == -EPIPE) {
		epoll_ctl(work->epoll_fd, EPOLL_CTL_DEL, CHANNEL_REQUESTS_FD, NULL);
		return drain(work, true);
	}
	if (r == -EMFILE && request.kind == CHANNEL_SERVE)
		r = refuse(work, &request.session, CHANNEL_REFUSED);
	else if (r == -EMFILE || r == 0)
		r = follow(work, &request, fds, n);
	for (size_t i = 0; i < CHANNEL_FDS_MAX; i++)
		fd_close(fds[i]);
	return r < 0 ? r : 1;
}

static int take_requests(struct work *work)
{
	int r = 1;

	for (int i = 0; i < REQUEST_BATCH && r > 0; i++)
		r = take_request(work);
	return r;
}

/* ------------------------------------------------------------------ the loop */

/* It is reported again. */
static bool has_to_wait(struct work *work, const struct work_session *session)
{
	uint64_t now;

	if (!work->kind->is_costly || !work->kind->is_costly(session))
		return false;
	now = clock_monotonic();
	if (work->costly_until == 0)
		work->costly_until = now + COSTLY_TIME;
	return now >= work->costly_until;
}

static int handle(struct work *work, const struct epoll_event *event)
{
	struct work_session *session;
	uint64_t number;

	if (event->data.u64 == CHANNEL_REQUESTS_FD)
		return 0; /* they are taken at the end of the turn */
	if (event->data.u64 == CHANNEL_ANSWERS_FD)
		return send_unsent(work);
	/* One before it in this batch may have ended it. */
	number = event->data.u64 - FIRST_SESSION;
	session = work->sessions[number / WORK_FDS];
	if (!session || has_to_wait(work, session))
		return 0;
	return step(work, session, (unsigned)(number % WORK_FDS), event->events);
}

static bool has_requests(const struct epoll_event *events, int n)
{
	for (int i = 0; i < n; i++)
		if (events[i].data.u64 == CHANNEL_REQUESTS_FD)
			return true;
	return false;
}

/* NULL: nobody is. */
static struct work_session *find_due(const struct work *work, uint64_t now)
{
	struct heap_node *first = heap_first(&work->due);

	if (!first || first->key > now)
		return NULL;
	return (struct work_session *)((char *)first - offsetof(struct work_session, due));
}

/* What is costly has a share of its own here: one of them at least goes on in each turn, and so
 * do all that are due behind it. */
static int look_at_due(struct work *work, uint64_t now)
{
	int r = 0;

	work->costly_until = 0;
	for (int i = 0; i < EVENT_BATCH && r >= 0; i++) {
		struct work_session *session = find_due(work, now);

		if (!session || has_to_wait(work, session))
			break;
		r = step(work, session, 0, 0);
	}
	return r;
}

static int patience(const struct work *work)
{
	const struct heap_node *first = heap_first(&work->due);
	uint64_t now;

	if (!first)
		return -1;
	now = clock_monotonic();
	if (first->key <= now)
		return 0;
	if (first->key - now > 3600 * USEC_PER_SEC)
		return 3600 * 1000;
	return (int)((first->key - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}

/* Also what has ended before something went wrong is told. */
static int end_turn(struct work *work, int r)
{
	int sent = work->waits_to_send ? 0 : send_unsent(work);

	return r < 0 ? r : sent;
}

static int turn(struct work *work)
{
	struct epoll_event events[EVENT_BATCH];
	int n = epoll_wait(work->epoll_fd, events, EVENT_BATCH, patience(work)), r = 0;

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	work->costly_until = 0;
	for (int i = 0; i < n && r >= 0; i++)
		r = handle(work, &events[i]);
	if (r >= 0 && heap_first(&work->due))
		r = look_at_due(work, clock_monotonic());
	/* Last: a place that has come free in this turn may be somebody else's then, and what
	 * was seen before is not his. */
	if (r >= 0 && has_requests(events, n))
		r = take_requests(work);
	return end_turn(work, r);
}

int work_run(struct work *work)
{
	struct channel_answer ready;
	int r;

	answer_init(&ready, CHANNEL_READY);
	r = answer(work, &ready);
	if (r >= 0)
		r = send_unsent(work);
	while (r >= 0 && !(work->draining && work->n_sessions == 0 && work->n_unsent == 0))
		r = turn(work);
	return r;
}

/* ------------------------------------------------------------- begin and end */

static int watch_requests(struct work *work)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = CHANNEL_REQUESTS_FD};

	work->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (work->epoll_fd < 0 ||
		epoll_ctl(work->epoll_fd, EPOLL_CTL_ADD, CHANNEL_REQUESTS_FD, &event) < 0)
		return -errno;
	return 0;
}

int work_new(const struct work_kind *kind, uint32_t places, struct work **ret)
{
	struct work *work = calloc(1, sizeof *work);
	int r = -ENOMEM;

	if (!work)
		return r;
	/* Who has left is told by an error. */
	signal(SIGPIPE, SIG_IGN);
	work->kind = kind;
	work->epoll_fd = -EBADF;
	work->places = places;
	work->sessions = calloc(places, sizeof(struct work_session *));
	work->unsent_room = 2 * places + 2;
	work->unsent = calloc(work->unsent_room, sizeof *work->unsent);
	if (work->sessions && work->unsent && heap_reserve(&work->due, places) == 0)
		r = watch_requests(work);
	if (r < 0) {
		work_free(work);
		return r;
	}
	*ret = work;
	return 0;
}

struct work *work_free(struct work *work)
{
	struct channel_answer unused;

	if (!work)
		return NULL;
	for (uint32_t i = 0; work->sessions && i < work->places; i++)
		if (work->sessions[i])
			work->kind->end(work->sessions[i], true, &unused);
	fd_close(work->epoll_fd);
	heap_done(&work->due);
	free(work->sessions);
	free(work->unsent);
	free(work);
	return NULL;
}

uint32_t work_places(int argc, char **argv)
{
	uint32_t places;

	if (argc != 2 || text_parse_u32(argv[1], &places) < 0 || places > WORK_PLACES_MAX)
		return 0;
	return places;
}

void work_begin(const char *name)
{
	prctl(PR_SET_NAME, name);
	close(CHANNEL_PROGRAM_FD);
}
