/*
 * arrivals: clients that come at a steady rate, each with words of its own, and that tell of
 * each one who was refused, reset, or not given back what he had said.
 *
 *	arrivals [-r RATE] [-m MOST] [-b BYTES] [-t MSEC] [-k ADDRESS]... [-n LASTING]
 *		[-i MSEC] [ADDRESS]...
 *
 * RATE times a second (100) one comes to the next ADDRESS, says BYTES (100) that nobody else
 * says, ends his side, and is to get the same back, and the end, within -t (10,000).  Not more
 * than MOST (200) are there at a time: the next one comes when there is room.
 *
 * To each -k come LASTING (2) who stay for the whole run: about every -i (100) they say
 * something new and are to get it back, and in the end they are not to miss it.
 *
 * An ADDRESS is tcp:HOST:PORT or udp:HOST:PORT, with HOST an IPv4 address, unix:PATH or
 * unix:@NAME.  By UDP the words are one datagram, and an empty one is the end of a side.
 *
 * It ends at the end of its standard input, when those who are there have been served, with
 * status 1 if somebody was not.  Standard output has lines of JSON.  Of each
 * failure, up to FAILURES_MAX of them,
 *
 *	{"failed": "receive", "error": "ECONNRESET", "address": "tcp:127.0.0.1:80",
 *	 "lasting": false, "number": 17, "turn": 0, "bytes": 0, "begun": 12.5, "at": 12.75}
 *
 * with the step (connect, send, receive; short: the end came first; wrong: other words, or
 * more; late), how many bytes had come back, and when it began and was noticed, in seconds of
 * CLOCK_MONOTONIC.  In the end, and whenever standard input has a line, the totals so far:
 *
 *	{"begun": 9, "served": 8, "there": 0, "settled": 2, "exchanges": 70, "refused": 0,
 *	 "reset": 1, "lost": 0, "wrong": 0, "held": 0, "slowest": 0.002, "seconds": 1.5,
 *	 "over": true}
 *
 * `there` is how many are being served, `settled` how many of those who stay have been, ever,
 * `held` how often nobody could come for want of room,
 * `slowest` the longest way of one that comes and goes, or of one exchange.  Whose connection
 * cannot be made because nobody listens was refused; whoever was neither that nor reset, and
 * heard no wrong words, was lost.
 */
#include "arrivals-place.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define USEC_PER_SEC 1000000
#define TICK_USEC    1000

#define PLACES_MAX   32
#define CLIENTS_MAX  4096
#define BYTES_MIN    40
#define BYTES_MAX    4096
#define EVENTS_MAX   256
#define FAILURES_MAX 1000

/* What is watched besides clients, who are known by their places. */
enum { TIMER = CLIENTS_MAX, INPUT };

enum step { CONNECT, SEND, RECEIVE, SHORT, WRONG, LATE };

static const char *const step_names[] = {
	[CONNECT] = "connect",
	[SEND] = "send",
	[RECEIVE] = "receive",
	[SHORT] = "short",
	[WRONG] = "wrong",
	[LATE] = "late",
};

enum state {
	GONE,
	CONNECTING,
	ASKING,
	RESTING, /* one that lasts, between two exchanges */
	ENDING,  /* one that lasts has ended his side */
};

struct client {
	enum state state;
	int fd;
	bool lasting;
	const struct place *place;
	uint64_t number;
	uint64_t turn;  /* of his exchanges */
	uint64_t begun; /* usec: his connection, or this exchange */
	uint64_t next;  /* usec: the next exchange */
	size_t sent, got;
};

struct options {
	uint64_t rate, interval, patience; /* a second; usec */
	unsigned most, each;
	size_t bytes;
	struct place places[PLACES_MAX], lasting[PLACES_MAX];
	unsigned n_places, n_lasting;
};

struct crowd {
	struct options options;
	int epoll;
	struct client *clients;
	unsigned n_clients; /* places for them */
	unsigned *free;     /* places of nobody who lasts */
	unsigned n_free;
	unsigned n_there;
	bool ending;
	uint64_t started;
	uint64_t paced_from,
		n_paced; /* of the rate: since when, and how many have come since */
	uint64_t begun, served, settled, exchanges, refused, reset, lost, wrong, held, slowest;
	uint64_t n_failures;
};

static uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

/* The machine has no room for these clients: then nothing is found out about the server. */
static void die(const char *what)
{
	fprintf(stderr, "arrivals: unable to %s: %s\n", what, strerror(errno));
	exit(2);
}

/* -------------------------------------------------------------------- words */

/* What nobody else says, and he at no other time. */
static void compose(const struct client *client, char *words, size_t bytes)
{
	int n = snprintf(
		words, bytes, "%016" PRIx64 ".%016" PRIx64 ".", client->number, client->turn);

	for (size_t i = (size_t)n; i < bytes; i++)
		words[i] = (char)('a' + (client->number + client->turn + i) % 26);
	words[bytes - 1] = '\n';
}

static bool is_right(
	const struct crowd *crowd, const struct client *client, const char *heard, size_t n)
{
	char words[BYTES_MAX];

	if (client->got + n > crowd->options.bytes)
		return false;
	if (client->place->kind == SOCK_DGRAM && n != crowd->options.bytes)
		return false;
	compose(client, words, crowd->options.bytes);
	return memcmp(words + client->got, heard, n) == 0;
}

/* ------------------------------------------------------------------ results */

static double seconds(uint64_t usec)
{
	return (double)usec / USEC_PER_SEC;
}

static void tell_totals(const struct crowd *crowd, bool over)
{
	printf("{\"begun\": %" PRIu64 ", \"served\": %" PRIu64 ", \"there\": %u"
	       ", \"settled\": %" PRIu64 ", \"exchanges\": %" PRIu64 ", \"refused\": %" PRIu64
	       ", \"reset\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"wrong\": %" PRIu64
	       ", \"held\": %" PRIu64 ", \"slowest\": %.6f, \"seconds\": %.6f, \"over\": %s}\n",
		crowd->begun, crowd->served, crowd->n_there, crowd->settled, crowd->exchanges,
		crowd->refused, crowd->reset, crowd->lost, crowd->wrong, crowd->held,
		seconds(crowd->slowest), seconds(now_usec() - crowd->started),
		over ? "true" : "false");
	fflush(stdout);
}

static void tell_failure(
	struct crowd *crowd, const struct client *client, enum step step, int error)
{
	if (crowd->n_failures++ >= FAILURES_MAX)
		return;
	printf("{\"failed\": \"%s\", \"error\": \"%s\", \"address\": \"%s\", \"lasting\": %s"
	       ", \"number\": %" PRIu64 ", \"turn\": %" PRIu64 ", \"bytes\": %zu"
	       ", \"begun\": %.6f, \"at\": %.6f}\n",
		step_names[step], error ? strerrorname_np(error) : "", client->place->text,
		client->lasting ? "true" : "false", client->number, client->turn, client->got,
		seconds(client->begun), seconds(now_usec()));
	fflush(stdout);
}

static void count_failure(struct crowd *crowd, enum step step, int error)
{
	if (step == WRONG)
		crowd->wrong++;
	else if (error == ECONNREFUSED || error == ENOENT)
		crowd->refused++;
	else if (error == ECONNRESET || error == EPIPE)
		crowd->reset++;
	else
		crowd->lost++;
}

static void leave(struct crowd *crowd, struct client *client)
{
	close(client->fd);
	client->state = GONE;
	crowd->n_there--;
	if (!client->lasting)
		crowd->free[crowd->n_free++] = (unsigned)(client - crowd->clients);
}

static void fail(struct crowd *crowd, struct client *client, enum step step, int error)
{
	tell_failure(crowd, client, step, error);
	count_failure(crowd, step, error);
	leave(crowd, client);
}

static void note_time(struct crowd *crowd, const struct client *client)
{
	uint64_t taken = now_usec() - client->begun;

	if (taken > crowd->slowest)
		crowd->slowest = taken;
}

static void succeed(struct crowd *crowd, struct client *client)
{
	if (!client->lasting)
		note_time(crowd, client);
	crowd->served++;
	leave(crowd, client);
}

/* --------------------------------------------------------- steps of a client */

static bool is_datagram(const struct client *client)
{
	return client->place->kind == SOCK_DGRAM;
}

static bool is_answered(const struct crowd *crowd, const struct client *client)
{
	return client->got == crowd->options.bytes;
}

static void end_side(const struct client *client)
{
	if (is_datagram(client))
		(void)!send(client->fd, "", 0, MSG_NOSIGNAL);
	else
		shutdown(client->fd, SHUT_WR);
}

static void say(struct crowd *crowd, struct client *client)
{
	size_t bytes = crowd->options.bytes;
	char words[BYTES_MAX];
	ssize_t n;

	compose(client, words, bytes);
	while (client->sent < bytes) {
		n = send(client->fd, words + client->sent, bytes - client->sent, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			fail(crowd, client, SEND, errno);
		if (n < 0)
			return;
		client->sent += (size_t)n;
	}
	if (!client->lasting && !is_datagram(client))
		end_side(client);
}

static void begin_exchange(struct crowd *crowd, struct client *client, uint64_t now)
{
	client->state = ASKING;
	client->turn++;
	client->begun = now;
	client->sent = client->got = 0;
	say(crowd, client);
}

/* Who lasts has nothing more to say, and hears the end if his server has one to say. */
static void begin_to_end(struct crowd *crowd, struct client *client)
{
	client->state = ENDING;
	client->begun = now_usec();
	end_side(client);
	if (is_datagram(client))
		succeed(crowd, client);
}

/* No two of them keep step. */
static uint64_t next_exchange(const struct crowd *crowd, const struct client *client)
{
	uint64_t interval = crowd->options.interval;

	return client->begun + interval / 2 +
	       (client->number * 7919 + client->turn * 104729) % (interval + 1);
}

static void finish_exchange(struct crowd *crowd, struct client *client)
{
	note_time(crowd, client);
	crowd->exchanges++;
	crowd->settled += client->turn == 0;
	client->state = RESTING;
	client->next = next_exchange(crowd, client);
	if (crowd->ending)
		begin_to_end(crowd, client);
}

static void take(struct crowd *crowd, struct client *client, const char *heard, size_t n)
{
	if (client->state == ENDING || !is_right(crowd, client, heard, n)) {
		fail(crowd, client, WRONG, 0);
		return;
	}
	client->got += n;
	if (!is_answered(crowd, client))
		return;
	if (client->lasting) {
		finish_exchange(crowd, client);
	} else if (is_datagram(client)) {
		end_side(client);
		succeed(crowd, client);
	}
}

static void meet_end(struct crowd *crowd, struct client *client)
{
	enum state last = client->lasting ? ENDING : ASKING;

	if (client->state == last && is_answered(crowd, client))
		succeed(crowd, client);
	else
		fail(crowd, client, SHORT, 0);
}

static void hear(struct crowd *crowd, struct client *client)
{
	char heard[BYTES_MAX];
	ssize_t n;

	while (client->state != GONE) {
		n = recv(client->fd, heard, sizeof heard, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			fail(crowd, client, RECEIVE, errno);
		else if (n == 0 && !is_datagram(client))
			meet_end(crowd, client);
		else
			take(crowd, client, heard, (size_t)n);
	}
}

static void watch(const struct crowd *crowd, int fd, unsigned which, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u32 = which};

	if (epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("watch");
}

static void meet_server(struct crowd *crowd, struct client *client)
{
	client->state = ASKING;
	say(crowd, client);
}

/* A UNIX socket whose queue is full says so at once: it is asked again in a moment. */
static void try_to_connect(struct crowd *crowd, struct client *client)
{
	const struct place *place = client->place;
	int r = connect(client->fd, (const struct sockaddr *)&place->name, place->len);

	if (r < 0 && errno == EAGAIN)
		return;
	if (r < 0 && errno == EADDRNOTAVAIL)
		die("connect");
	if (r < 0 && errno != EINPROGRESS) {
		fail(crowd, client, CONNECT, errno);
		return;
	}
	watch(crowd, client->fd, (unsigned)(client - crowd->clients),
		EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	if (r == 0)
		meet_server(crowd, client);
}

static void begin(
	struct crowd *crowd, struct client *client, const struct place *place, bool lasting)
{
	client->fd =
		socket(place->name.ss_family, place->kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		die("open a socket");
	client->state = CONNECTING;
	client->lasting = lasting;
	client->place = place;
	client->number = crowd->begun++;
	client->turn = 0;
	client->begun = now_usec();
	client->sent = client->got = 0;
	crowd->n_there++;
	try_to_connect(crowd, client);
}

static void finish_connecting(struct crowd *crowd, struct client *client, uint32_t events)
{
	int error = 0;
	socklen_t len = sizeof error;

	getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error)
		fail(crowd, client, CONNECT, error);
	else if (events & EPOLLOUT)
		meet_server(crowd, client);
}

static void handle(struct crowd *crowd, struct client *client, uint32_t events)
{
	if (client->state == CONNECTING)
		finish_connecting(crowd, client, events);
	else if (client->state == ASKING && client->sent < crowd->options.bytes)
		say(crowd, client);
	if (client->state != CONNECTING)
		hear(crowd, client);
}

/* ---------------------------------------------------------------- the crowd */

static void look_at(struct crowd *crowd, struct client *client, uint64_t now)
{
	bool waits = client->state != GONE && client->state != RESTING;

	if (waits && now - client->begun > crowd->options.patience)
		fail(crowd, client, LATE, 0);
	else if (client->state == CONNECTING && client->place->name.ss_family == AF_UNIX)
		try_to_connect(crowd, client);
	else if (client->state == RESTING && crowd->ending)
		begin_to_end(crowd, client);
	else if (client->state == RESTING && client->next <= now)
		begin_exchange(crowd, client, now);
}

/* What could not come for want of room does not come all at once later. */
static void begin_due(struct crowd *crowd, uint64_t now)
{
	const struct options *o = &crowd->options;
	uint64_t due = (now - crowd->paced_from) * o->rate / USEC_PER_SEC;

	if (crowd->ending || o->n_places == 0)
		return;
	while (crowd->n_paced < due && crowd->n_free > 0) {
		unsigned which = crowd->free[--crowd->n_free];

		crowd->n_paced++;
		begin(crowd, &crowd->clients[which], &o->places[crowd->begun % o->n_places],
			false);
	}
	if (crowd->n_paced < due) {
		crowd->held++;
		crowd->paced_from = now;
		crowd->n_paced = 0;
	}
}

static void tick(struct crowd *crowd, int timer)
{
	uint64_t expired, now = now_usec();

	(void)!read(timer, &expired, sizeof expired);
	for (unsigned i = 0; i < crowd->n_clients; i++)
		look_at(crowd, &crowd->clients[i], now);
	begin_due(crowd, now);
}

/* Each line is a question, and the end of them is the end. */
static void take_input(struct crowd *crowd)
{
	char text[64];
	ssize_t n = read(STDIN_FILENO, text, sizeof text);

	for (ssize_t i = 0; i < n; i++)
		if (text[i] == '\n')
			tell_totals(crowd, false);
	if (n > 0)
		return;
	crowd->ending = true;
	epoll_ctl(crowd->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
}

/* Clients first: who has come meanwhile may have the place of one who has just gone. */
static void run(struct crowd *crowd, int timer)
{
	struct epoll_event events[EVENTS_MAX];

	while (!crowd->ending || crowd->n_there > 0) {
		int n = epoll_wait(crowd->epoll, events, EVENTS_MAX, -1);
		bool ticks = false;

		for (int i = 0; i < n; i++) {
			uint32_t which = events[i].data.u32;

			if (which < CLIENTS_MAX)
				handle(crowd, &crowd->clients[which], events[i].events);
			else if (which == INPUT)
				take_input(crowd);
			else
				ticks = true;
		}
		if (ticks)
			tick(crowd, timer);
	}
}

static int start_timer(const struct crowd *crowd)
{
	struct itimerspec every = {
		.it_value.tv_nsec = TICK_USEC * 1000,
		.it_interval.tv_nsec = TICK_USEC * 1000,
	};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

	if (fd < 0 || timerfd_settime(fd, 0, &every, NULL) < 0)
		die("have a timer");
	watch(crowd, fd, TIMER, EPOLLIN);
	return fd;
}

static void gather(struct crowd *crowd)
{
	const struct options *o = &crowd->options;
	unsigned n_lasting = o->n_lasting * o->each;

	crowd->n_clients = n_lasting + o->most;
	crowd->clients = calloc(CLIENTS_MAX, sizeof *crowd->clients);
	crowd->free = calloc(CLIENTS_MAX, sizeof *crowd->free);
	crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!crowd->clients || !crowd->free || crowd->epoll < 0)
		die("begin");
	for (unsigned i = n_lasting; i < crowd->n_clients; i++)
		crowd->free[crowd->n_free++] = i;
	crowd->started = crowd->paced_from = now_usec();
	for (unsigned i = 0; i < n_lasting; i++)
		begin(crowd, &crowd->clients[i], &o->lasting[i / o->each], true);
}

static int usage(void)
{
	fprintf(stderr, "Usage: arrivals [-r RATE] [-m MOST] [-b BYTES] [-t MSEC] "
			"[-k ADDRESS]... [-n LASTING] [-i MSEC] [ADDRESS]...\n");
	return 2;
}

static bool add_place(const char *text, struct place *places, unsigned *n)
{
	return *n < PLACES_MAX && place_parse(text, &places[(*n)++]);
}

static bool set(struct options *o, int option, const char *value)
{
	uint64_t number = strtoull(value, NULL, 10);

	switch (option) {
	case 'r':
		o->rate = number;
		return true;
	case 'm':
		o->most = (unsigned)number;
		return number <= CLIENTS_MAX;
	case 'b':
		o->bytes = number;
		return number >= BYTES_MIN && number <= BYTES_MAX;
	case 't':
		o->patience = number * 1000;
		return true;
	case 'k':
		return add_place(value, o->lasting, &o->n_lasting);
	case 'n':
		o->each = (unsigned)number;
		return number > 0 && number <= CLIENTS_MAX;
	case 'i':
		o->interval = number * 1000;
		return true;
	default:
		return false;
	}
}

static bool parse(struct options *o, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "r:m:b:t:k:n:i:")) != -1)
		if (option == '?' || !set(o, option, optarg))
			return false;
	for (int i = optind; i < argc; i++)
		if (!add_place(argv[i], o->places, &o->n_places))
			return false;
	return o->n_places + o->n_lasting > 0 &&
	       o->n_lasting * o->each + o->most <= CLIENTS_MAX;
}

int main(int argc, char **argv)
{
	struct crowd crowd = {
		.options =
			{
				.rate = 100,
				.most = 200,
				.bytes = 100,
				.patience = 10 * USEC_PER_SEC,
				.each = 2,
				.interval = USEC_PER_SEC / 10,
			},
	};

	if (!parse(&crowd.options, argc, argv))
		return usage();
	gather(&crowd);
	watch(&crowd, STDIN_FILENO, INPUT, EPOLLIN);
	run(&crowd, start_timer(&crowd));
	tell_totals(&crowd, true);
	free(crowd.clients);
	free(crowd.free);
	return crowd.n_failures > 0;
}
