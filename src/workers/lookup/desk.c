#include "workers/lookup/desk.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "policy/pending.h"
#include "policy/siphash.h"
#include "workers/lookup/cache.h"
#include "workers/lookup/outbox.h"
#include "workers/lookup/talk.h"

#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>

_Static_assert(DESK_FDS <= LOOKUP_FDS_MAX, "the master lets it have so many");

/* Events, requests, and things that are due, in one turn. */
#define BATCH 64

#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

struct flight;

/* A question of the master's, by its place. */
struct asked {
	struct channel_session id;
	uint32_t what;
	struct flight *flight; /* NULL: the place is free */
	struct asked *next;    /* of the same flight */
	struct heap_node late; /* when its patience is over */
};

struct flight {
	struct pending_node node; /* of its source */
	struct heap_node due;
	struct desk *desk;
	struct lookup_question question;
	bool open;
	uint64_t end;        /* usec */
	struct asked *asked; /* who wants to know; may be nobody */
	struct lane *lane;   /* owned */
	struct talk *talk;   /* owned; NULL: it asks for names */
};

/* What the set waits for on a descriptor, and for whom; 0: that one is not in it. */
struct watched {
	struct flight *flight;
	uint32_t events;
};

struct desk {
	int epoll_fd;
	bool draining; /* nothing more will be asked */
	bool waits_to_send;
	uint16_t ident_port;
	uint64_t flight_time;

	uint32_t places, n_asked;
	struct asked *asked;
	struct heap late; /* of asked */

	struct flight flights[DESK_FLIGHTS];
	struct pending pending;
	struct heap due; /* of flights */
	struct watched watched[DESK_FDS];

	struct cache *cache;
	struct outbox outbox;
};

/* ---------------------------------------------------------------------- the set */

static int set_events(struct desk *desk, int fd, uint32_t before, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};
	int operation = before == 0   ? EPOLL_CTL_ADD
	                : events == 0 ? EPOLL_CTL_DEL
	                              : EPOLL_CTL_MOD;

	return epoll_ctl(desk->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

/* What cannot be waited for ends when its time is over. */
static void watch(void *arg, int fd, uint32_t events)
{
	struct flight *flight = arg;
	struct watched *watched;
	int r;

	if (fd < 0 || fd >= DESK_FDS)
		return;
	watched = &flight->desk->watched[fd];
	if (watched->events == events)
		return;
	r = set_events(flight->desk, fd, watched->events, events);
	*watched = (struct watched){.flight = flight, .events = r < 0 ? 0 : events};
}

/* ---------------------------------------------------------------------- answers */

static void answer_init(struct lookup_answer *ret, enum lookup_answer_kind kind)
{
	memset(ret, 0, sizeof *ret);
	ret->version = LOOKUP_VERSION;
	ret->kind = (uint16_t)kind;
}

static int say(struct desk *desk, enum lookup_answer_kind kind)
{
	struct lookup_answer answer;

	answer_init(&answer, kind);
	return outbox_add(&desk->outbox, &answer);
}

static void leave_flight(struct asked *asked)
{
	struct asked **link = &asked->flight->asked;

	while (*link != asked)
		link = &(*link)->next;
	*link = asked->next;
	asked->flight = NULL;
}

static int tell(struct desk *desk, const struct channel_session *id, uint32_t what,
	const struct lookup_facts *facts)
{
	struct lookup_answer answer;

	answer_init(&answer, LOOKUP_DONE);
	answer.session = *id;
	answer.what = what;
	answer.facts = *facts;
	return outbox_add(&desk->outbox, &answer);
}

static int settle(struct desk *desk, struct asked *asked, const struct lookup_facts *facts)
{
	leave_flight(asked);
	heap_remove(&desk->late, &asked->late);
	desk->n_asked--;
	return tell(desk, &asked->id, asked->what, facts);
}

/* ---------------------------------------------------------------------- flights */

static void land(struct flight *flight)
{
	struct desk *desk = flight->desk;

	if (flight->talk)
		watch(flight, talk_fd(flight->talk), 0);
	flight->talk = talk_free(flight->talk);
	lane_stop(flight->lane);
	pending_remove(&desk->pending, &flight->node);
	heap_remove(&desk->due, &flight->due);
	flight->open = false;
}

/* Everybody who wants to know gets to know that. */
static int finish(struct flight *flight, const struct lookup_facts *facts)
{
	int r = 0;

	while (flight->asked && r == 0)
		r = settle(flight->desk, flight->asked, facts);
	land(flight);
	return r;
}

static int finish_without(struct flight *flight, enum lookup_result result)
{
	const struct lookup_facts facts = {.result = (uint16_t)result};

	return finish(flight, &facts);
}

/* Users are not kept: no connection is asked about twice. */
static int finish_talk(struct flight *flight)
{
	struct lookup_facts facts;

	talk_facts(flight->talk, &facts);
	return finish(flight, &facts);
}

static int finish_lane(struct flight *flight, uint64_t now)
{
	cache_put(flight->desk->cache, &flight->question, lane_facts(flight->lane),
		lane_ttl(flight->lane), now);
	return finish(flight, lane_facts(flight->lane));
}

static void note_due(struct flight *flight, uint64_t now)
{
	uint64_t due = flight->talk ? USEC_INFINITY : lane_due(flight->lane);

	due = due < flight->end - now ? now + due : flight->end;
	heap_put(&flight->desk->due, &flight->due, due);
}

/* It has done a step. */
static int after(struct flight *flight, bool is_over, uint64_t now)
{
	if (is_over)
		return flight->talk ? finish_talk(flight) : finish_lane(flight, now);
	if (now >= flight->end)
		return finish_without(flight, LOOKUP_LATE);
	if (flight->talk)
		watch(flight, talk_fd(flight->talk), talk_events(flight->talk));
	note_due(flight, now);
	return 0;
}

static int step(struct flight *flight, int fd, uint32_t events, uint64_t now)
{
	bool is_over;

	if (flight->talk) {
		is_over = events != 0 && !talk_go(flight->talk);
	} else {
		lane_go(flight->lane, fd, events);
		is_over = lane_is_over(flight->lane);
	}
	return after(flight, is_over, now);
}

static int begin_talk(struct flight *flight, uint64_t now)
{
	struct lookup_facts facts;
	int r = talk_new(&flight->question, flight->desk->ident_port, &flight->talk);

	if (r == 0)
		return after(flight, false, now);
	talk_facts_of(r, &facts);
	return finish(flight, &facts);
}

static int begin_lane(struct flight *flight, uint64_t now)
{
	lane_ask(flight->lane, &flight->question);
	return after(flight, lane_is_over(flight->lane), now);
}

static int begin(struct flight *flight, uint64_t now)
{
	return flight->question.what == LOOKUP_IDENT ? begin_talk(flight, now)
	                                             : begin_lane(flight, now);
}

/* Each name that the configuration has is one for itself: together they would be the source
 * that has the most, and strangers who are one each would drive them out. */
static void find_source(const struct desk *desk, const struct lookup_question *question,
	struct addr_source *ret)
{
	uint64_t name;
	struct addr peer;

	memset(ret, 0, sizeof *ret);
	if (question->what == LOOKUP_ADDRESSES_OF) {
		name = siphash(question->name, sizeof question->name, desk->pending.key);
		memcpy(ret->bytes, &name, sizeof name);
		return;
	}
	lookup_address_to(&question->peer, &peer);
	addr_source(&peer, ADDR_SOURCE_PREFIX4, ADDR_SOURCE_PREFIX6, ret);
}

static int make_room(struct desk *desk, const struct addr_source *source)
{
	const struct pending_limits limits = {
		.all = DESK_FLIGHTS,
		.per_source = DESK_FLIGHTS_PER_SOURCE,
	};
	struct pending_node *gone;
	int r = 0;

	while (r == 0 && (gone = pending_make_room(&desk->pending, source, &limits)))
		r = finish_without(container_of(gone, struct flight, node), LOOKUP_CROWDED);
	return r;
}

/* The same question, or (NULL) one that is free: there are few of them. */
static struct flight *find_flight(struct desk *desk, const struct lookup_question *question)
{
	for (size_t i = 0; i < DESK_FLIGHTS; i++) {
		struct flight *flight = &desk->flights[i];

		if (flight->open != (question != NULL))
			continue;
		if (!question || memcmp(&flight->question, question, sizeof *question) == 0)
			return flight;
	}
	return NULL;
}

/* There is room; nothing is asked yet. */
static struct flight *take_flight(struct desk *desk, const struct lookup_question *question,
	const struct addr_source *source, uint64_t now)
{
	struct flight *flight = find_flight(desk, NULL);

	flight->question = *question;
	flight->open = true;
	flight->end = now + desk->flight_time;
	pending_add(&desk->pending, &flight->node, source);
	return flight;
}

/* --------------------------------------------------------------------- questions */

static void join(struct flight *flight, const struct lookup_request *request, uint64_t now)
{
	struct desk *desk = flight->desk;
	struct asked *asked = &desk->asked[request->session.place];
	uint64_t patience = request->patience;

	if (patience > desk->flight_time)
		patience = desk->flight_time;
	asked->id = request->session;
	asked->what = request->question.what;
	asked->flight = flight;
	asked->next = flight->asked;
	flight->asked = asked;
	desk->n_asked++;
	heap_put(&desk->late, &asked->late, now + patience);
}

static int take_off(struct desk *desk, const struct lookup_request *request, uint64_t now)
{
	const struct lookup_question *question = &request->question;
	struct addr_source source;
	struct flight *flight;
	int r;

	find_source(desk, question, &source);
	r = make_room(desk, &source);
	if (r < 0)
		return r;
	flight = take_flight(desk, question, &source, now);
	join(flight, request, now);
	return begin(flight, now);
}

static int ask(struct desk *desk, const struct lookup_request *request)
{
	const struct lookup_question *question = &request->question;
	uint64_t now = clock_monotonic();
	const struct lookup_facts *known;
	struct flight *flight;

	if (request->session.place >= desk->places ||
		desk->asked[request->session.place].flight)
		return -EPROTO;
	known = cache_find(desk->cache, question, now);
	if (known)
		return tell(desk, &request->session, question->what, known);
	flight = find_flight(desk, question);
	if (!flight)
		return take_off(desk, request, now);
	join(flight, request, now);
	return 0;
}

static int settle_without(struct desk *desk, struct asked *asked, enum lookup_result result)
{
	const struct lookup_facts facts = {.result = (uint16_t)result};
	struct flight *flight = asked->flight;
	int r = settle(desk, asked, &facts);

	/* What an identd says is of no use to the next one. */
	if (flight->talk && !flight->asked)
		land(flight);
	return r;
}

/* It may have been answered meanwhile. */
static int forget(struct desk *desk, const struct channel_session *id)
{
	struct asked *asked = id->place < desk->places ? &desk->asked[id->place] : NULL;

	if (!asked || !asked->flight || asked->id.connection != id->connection)
		return 0;
	return settle_without(desk, asked, LOOKUP_FORGOTTEN);
}

static int follow(struct desk *desk, const struct lookup_request *request)
{
	switch (request->kind) {
	case LOOKUP_ASK:
		return ask(desk, request);
	case LOOKUP_FORGET:
		return forget(desk, &request->session);
	case LOOKUP_PING:
		return say(desk, LOOKUP_PONG);
	default:
		desk->draining = true;
		return 0;
	}
}

/* Without the master nobody wants to know anything. */
static int take_requests(struct desk *desk)
{
	struct lookup_request request;
	int r = 0;

	for (int i = 0; i < BATCH && r == 0; i++) {
		r = lookup_take(CHANNEL_REQUESTS_FD, &request);
		if (r == 0)
			r = follow(desk, &request);
	}
	if (r == -EPIPE)
		desk->outbox.orphan = true;
	return r == -EAGAIN || r == -EPIPE ? 0 : r;
}

/* ------------------------------------------------------------------------ the loop */

static int look_at_due(struct desk *desk, uint64_t now)
{
	struct heap_node *first;
	int r = 0;

	for (int i = 0; i < BATCH && r == 0; i++) {
		first = heap_first(&desk->due);
		if (!first || first->key > now)
			break;
		r = step(container_of(first, struct flight, due), -1, 0, now);
	}
	return r;
}

static int look_at_late(struct desk *desk, uint64_t now)
{
	struct heap_node *first;
	int r = 0;

	for (int i = 0; i < BATCH && r == 0; i++) {
		first = heap_first(&desk->late);
		if (!first || first->key > now)
			break;
		r = settle_without(desk, container_of(first, struct asked, late), LOOKUP_LATE);
	}
	return r;
}

/* Milliseconds, or -1: nothing is due. */
static int patience(const struct desk *desk)
{
	const struct heap_node *due = heap_first(&desk->due), *late = heap_first(&desk->late);
	uint64_t now, first = due ? due->key : USEC_INFINITY;

	if (late && late->key < first)
		first = late->key;
	if (first == USEC_INFINITY)
		return -1;
	now = clock_monotonic();
	if (first <= now)
		return 0;
	/* Nothing is further away than the end of a flight. */
	return (int)((first - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}

static int handle(struct desk *desk, const struct epoll_event *event, uint64_t now)
{
	int fd = event->data.fd;
	const struct watched *watched;

	if (fd == CHANNEL_REQUESTS_FD || fd == CHANNEL_ANSWERS_FD)
		return 0; /* at the end of the turn */
	/* One before it in this batch may have ended it. */
	watched = &desk->watched[fd];
	if (watched->events == 0 || !watched->flight->open)
		return 0;
	return step(watched->flight, fd, event->events, now);
}

static bool has_requests(const struct epoll_event *events, int n)
{
	for (int i = 0; i < n; i++)
		if (events[i].data.fd == CHANNEL_REQUESTS_FD)
			return true;
	return false;
}

static int send_answers(struct desk *desk)
{
	int r = outbox_send(&desk->outbox);
	bool wait = r == -EAGAIN;

	if (r < 0 && !wait)
		return r;
	if (wait == desk->waits_to_send)
		return 0;
	desk->waits_to_send = wait;
	return set_events(desk, CHANNEL_ANSWERS_FD, wait ? 0 : EPOLLOUT, wait ? EPOLLOUT : 0);
}

static int turn(struct desk *desk)
{
	struct epoll_event events[BATCH];
	int n = epoll_wait(desk->epoll_fd, events, BATCH, patience(desk)), r = 0;
	uint64_t now = clock_monotonic();

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n && r == 0; i++)
		r = handle(desk, &events[i], now);
	if (r == 0)
		r = look_at_due(desk, now);
	if (r == 0)
		r = look_at_late(desk, now);
	if (r == 0 && has_requests(events, n))
		r = take_requests(desk);
	return r == 0 ? send_answers(desk) : r;
}

static bool is_done(const struct desk *desk)
{
	if (desk->outbox.orphan)
		return true;
	return desk->draining && desk->n_asked == 0 && desk->outbox.n == 0;
}

int desk_run(struct desk *desk)
{
	int r = say(desk, LOOKUP_READY);

	if (r == 0)
		r = send_answers(desk);
	while (r == 0 && !is_done(desk))
		r = turn(desk);
	return r;
}

/* ------------------------------------------------------------------- begin and end */

static int open_lanes(struct desk *desk, const struct desk_setup *setup)
{
	int r = 0;

	for (size_t i = 0; i < DESK_FLIGHTS && r == 0; i++) {
		struct flight *flight = &desk->flights[i];
		const struct lane_setup lane = {
			.sources = setup->sources,
			.hosts = setup->hosts,
			.servers = setup->servers,
			.try_msec = setup->try_msec,
			.watch = watch,
			.arg = flight,
		};

		flight->desk = desk;
		r = lane_new(&lane, &flight->lane);
	}
	return r;
}

static int make_tables(struct desk *desk, const struct desk_setup *setup)
{
	int r;

	memcpy(desk->pending.key, setup->key, sizeof setup->key);
	desk->asked = calloc(setup->places, sizeof *desk->asked);
	if (!desk->asked)
		return -ENOMEM;
	r = pending_reserve(&desk->pending, DESK_FLIGHTS);
	if (r == 0)
		r = heap_reserve(&desk->due, DESK_FLIGHTS);
	if (r == 0)
		r = heap_reserve(&desk->late, setup->places);
	if (r == 0)
		r = cache_new(DESK_CACHE, setup->key, &desk->cache);
	if (r == 0)
		r = outbox_init(&desk->outbox, setup->places);
	return r;
}

static int open_set(struct desk *desk)
{
	desk->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (desk->epoll_fd < 0)
		return -errno;
	return set_events(desk, CHANNEL_REQUESTS_FD, 0, EPOLLIN);
}

int desk_new(const struct desk_setup *setup, struct desk **ret)
{
	struct desk *desk = calloc(1, sizeof *desk);
	int r;

	if (!desk)
		return -ENOMEM;
	desk->epoll_fd = -EBADF;
	desk->places = setup->places;
	desk->ident_port = setup->ident_port;
	desk->flight_time = setup->flight_time;
	r = make_tables(desk, setup);
	if (r == 0)
		r = open_lanes(desk, setup);
	if (r == 0)
		r = open_set(desk);
	if (r < 0) {
		desk_free(desk);
		return r;
	}
	*ret = desk;
	return 0;
}

struct desk *desk_free(struct desk *desk)
{
	if (!desk)
		return NULL;
	for (size_t i = 0; i < DESK_FLIGHTS; i++) {
		talk_free(desk->flights[i].talk);
		lane_free(desk->flights[i].lane);
	}
	fd_close(desk->epoll_fd);
	pending_done(&desk->pending);
	heap_done(&desk->due);
	heap_done(&desk->late);
	cache_free(desk->cache);
	outbox_done(&desk->outbox);
	free(desk->asked);
	free(desk);
	return NULL;
}
