/*
 * load: many clients in one thread.  Each connects, reads to the end, checks
 * that it was "hello\n", and begins again; for a time, or for a number of
 * connections.
 *
 *	load [-c CLIENTS] [-t SECONDS] [-w WARMUP] [-n CONNECTIONS] [-p PORTS]
 *		[-e TEXT | -q TEXT | -l] [-s SOURCE] [-d ADDRESS] [-i MSEC] [-y] [-u] PORT
 *
 * goes to 127.0.0.1, or that ADDRESS of the machine, over PORTS ports from PORT on in turn.
 * With -e another text is to come, with -q each client first sends that text, ends its
 * side, and is to get the same back; with -l it is any one line, which ends in CR LF.  With
 * -s it comes from that IPv4 address of the machine, with -i each client begins at most
 * once in so many milliseconds, with -y everybody else who waits for its processor has it
 * after each step of a connection.  With -u it goes by UDP: each is a socket of its own that
 * sends one datagram and is answered by one; what is lost is a timeout.  It ends earlier at
 * SIGTERM, after the connections that are open, and prints the line of times.h.
 *
 * `total` includes what ended before and after the counted time.  Errors are
 * counted by kind on standard error.  Each connection is closed with a reset
 * once its end has been read, so that neither side keeps it in TIME_WAIT and
 * ports do not run out.
 */
#include "times.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection that takes longer has failed, and a datagram is lost. */
#define PATIENCE          (10 * USEC_PER_SEC)
#define PATIENCE_DATAGRAM USEC_PER_SEC

/* Where datagrams come from. */
#define FIRST_PORT 10000
#define N_PORTS    50000

/* Longest answer that can be expected. */
#define TEXT_MAX 4096

#define EVENTS_MAX 256

/* Longest sleep. */
#define LOOK_MSEC 1000

enum failure { FAIL_CONNECT, FAIL_RESET, FAIL_WRONG, FAIL_TIMEOUT, N_FAILURES };

static const char *const failure_names[N_FAILURES] = {
	[FAIL_CONNECT] = "connect",
	[FAIL_RESET] = "reset",
	[FAIL_WRONG] = "wrong answer",
	[FAIL_TIMEOUT] = "timeout",
};

struct options {
	unsigned clients;
	unsigned ports;
	double seconds;
	double warmup;
	uint64_t connections; /* 0: no limit */
	uint64_t interval;    /* usec between two connections of a client; 0: at once */
	const char *text;     /* NULL: any line */
	size_t text_len;
	bool asks;             /* the text is sent first */
	struct in_addr source; /* 0.0.0.0: whichever the kernel chooses */
	struct in_addr address;
	bool yields;
	bool datagrams;
	uint16_t port;
};

struct client {
	int fd;           /* -1: at rest */
	uint64_t started; /* usec */
	uint64_t next;    /* usec: when it begins again; 0: it does not */
	size_t sent, got;
	char last; /* of what it got */
	int error; /* errno of its question; 0: none */
	bool wrong;
};

struct load {
	struct options options;
	int epoll;
	struct client *clients;
	unsigned n_busy;
	uint64_t n_begun;
	uint64_t counted_from; /* usec: what ends in this span is counted */
	uint64_t counted_to;
	struct times times; /* of each that is counted */
	uint64_t last_end;
	uint64_t errors[N_FAILURES];
};

static volatile sig_atomic_t told_to_end;

static void on_term(int signal)
{
	(void)signal;
	told_to_end = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "load: unable to %s: %s\n", what, strerror(errno));
	exit(1);
}

/* The port is chosen at connect, so that the same may go to several destinations. */
static void bind_to_source(int fd, struct in_addr source)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = source};

	setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&sin, sizeof sin) < 0)
		die("bind to the source");
}

/* Each from the next port, so that none comes again while its session is about to end. */
static void bind_to_next_port(int fd, struct in_addr address, uint64_t number)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = address};

	sin.sin_port = htons((uint16_t)(FIRST_PORT + number % N_PORTS));
	(void)!bind(fd, (struct sockaddr *)&sin, sizeof sin);
}

static int open_socket(const struct load *load)
{
	static const struct linger reset = {.l_onoff = 1, .l_linger = 0};
	int kind = load->options.datagrams ? SOCK_DGRAM : SOCK_STREAM;
	int fd = socket(AF_INET, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("open a socket");
	if (load->options.datagrams)
		bind_to_next_port(fd, load->options.address, load->n_begun);
	else
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	if (load->options.source.s_addr != 0)
		bind_to_source(fd, load->options.source);
	return fd;
}

/* A question that cannot be sent is as lost as any: nobody answers it. */
static int open_connection(const struct load *load)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	int fd = open_socket(load);

	sin.sin_port =
		htons((uint16_t)(load->options.port + load->n_begun % load->options.ports));
	sin.sin_addr = load->options.address;
	if (connect(fd, (struct sockaddr *)&sin, sizeof sin) < 0 && errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	if (load->options.datagrams)
		(void)!send(fd, "?", 1, MSG_NOSIGNAL);
	return fd;
}

static bool may_begin(const struct load *load, uint64_t now)
{
	if (load->options.connections && load->n_begun >= load->options.connections)
		return false;
	return now < load->counted_to && !told_to_end;
}

static bool is_asking(const struct load *load, const struct client *client)
{
	return load->options.asks && client->error == 0 &&
	       client->sent < load->options.text_len;
}

/* Send what the socket takes, and end our side behind the last byte.  The kernel tells an
 * error once, so it is kept. */
static void ask(const struct load *load, struct client *client)
{
	const struct options *o = &load->options;
	ssize_t n = send(client->fd, o->text + client->sent, o->text_len - client->sent,
		MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		client->error = errno;
	if (n < 0)
		return;
	client->sent += (size_t)n;
	if (!is_asking(load, client))
		shutdown(client->fd, SHUT_WR);
}

static void watch(const struct load *load, struct client *client, int operation)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = client};

	if (is_asking(load, client))
		event.events |= EPOLLOUT;
	if (epoll_ctl(load->epoll, operation, client->fd, &event) < 0)
		die("watch a socket");
}

/* Begin the client's next connection, if there is to be one. */
static void begin(struct load *load, struct client *client, uint64_t now)
{
	client->fd = -1;
	client->next = 0;
	while (may_begin(load, now)) {
		client->fd = open_connection(load);
		load->n_begun++;
		if (client->fd >= 0)
			break;
		load->errors[FAIL_CONNECT]++;
		now = times_now();
	}
	if (client->fd < 0)
		return;

	client->started = now;
	client->sent = client->got = 0;
	client->last = 0;
	client->error = 0;
	client->wrong = false;
	load->n_busy++;
	/* On this machine most are through with connecting by now. */
	if (is_asking(load, client))
		ask(load, client);
	watch(load, client, EPOLL_CTL_ADD);
}

static void finish(struct load *load, struct client *client)
{
	uint64_t now = times_now();

	close(client->fd);
	client->fd = -1;
	load->n_busy--;
	client->next = client->started + load->options.interval;
	if (client->next <= now)
		begin(load, client, now);
}

/* Those whose time has come begin; returns when the next one does, UINT64_MAX: none. */
static uint64_t begin_the_rested(struct load *load, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < load->options.clients; i++) {
		struct client *client = &load->clients[i];

		if (client->fd >= 0 || client->next == 0)
			continue;
		if (client->next <= now || !may_begin(load, now))
			begin(load, client, now);
		else if (client->next < next)
			next = client->next;
	}
	return next;
}

/* How long to wait for events, in milliseconds; rounded up, so that nobody spins. */
static int patience(uint64_t next, uint64_t now)
{
	if (next >= now + LOOK_MSEC * UINT64_C(1000))
		return LOOK_MSEC;
	return (int)((next - now + 999) / 1000);
}

static void fail(struct load *load, struct client *client, enum failure why)
{
	load->errors[why]++;
	finish(load, client);
}

static void succeed(struct load *load, struct client *client)
{
	uint64_t now = times_now();

	if (now >= load->counted_from && now < load->counted_to) {
		times_add(&load->times, now - client->started);
		load->last_end = now;
	}
	finish(load, client);
}

/* Nothing may come behind its end. */
static void take_line(struct client *client, const char *buf, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (client->last == '\n' || (buf[i] == '\n' && client->last != '\r'))
			client->wrong = true;
		client->last = buf[i];
	}
}

static void take(struct load *load, struct client *client, const char *buf, size_t n)
{
	const struct options *o = &load->options;

	if (!o->text)
		take_line(client, buf, n);
	else if (client->got + n > o->text_len || memcmp(buf, o->text + client->got, n) != 0)
		client->wrong = true;
	else
		client->got += n;
}

static bool is_answered(const struct load *load, const struct client *client)
{
	if (client->wrong || is_asking(load, client))
		return false;
	if (!load->options.text)
		return client->last == '\n';
	return client->got == load->options.text_len;
}

/* One datagram is all of the answer. */
static void handle_datagram(struct load *load, struct client *client)
{
	char buf[TEXT_MAX];
	ssize_t n = recv(client->fd, buf, sizeof buf, 0);

	if (n >= 0) {
		take(load, client, buf, (size_t)n);
		if (is_answered(load, client))
			succeed(load, client);
		else
			fail(load, client, FAIL_WRONG);
	} else if (errno != EAGAIN && errno != EINTR) {
		fail(load, client, errno == ECONNREFUSED ? FAIL_CONNECT : FAIL_RESET);
	}
}

static void handle(struct load *load, struct client *client)
{
	char buf[TEXT_MAX];
	ssize_t n;
	int error;

	if (is_asking(load, client)) {
		ask(load, client);
		watch(load, client, EPOLL_CTL_MOD);
	}
	while ((n = recv(client->fd, buf, sizeof buf, 0)) > 0)
		take(load, client, buf, (size_t)n);

	error = client->error ? client->error : n < 0 ? errno : 0;
	if (error == 0 && is_answered(load, client))
		succeed(load, client);
	else if (error == 0)
		fail(load, client, FAIL_WRONG);
	else if (error == ECONNREFUSED)
		fail(load, client, FAIL_CONNECT);
	else if (error != EAGAIN && error != EINTR)
		fail(load, client, FAIL_RESET);
}

static void look_for_late_ones(struct load *load, uint64_t now)
{
	uint64_t patience_usec = load->options.datagrams ? PATIENCE_DATAGRAM : PATIENCE;

	for (unsigned i = 0; i < load->options.clients; i++) {
		struct client *client = &load->clients[i];

		if (client->fd >= 0 && now - client->started > patience_usec)
			fail(load, client, FAIL_TIMEOUT);
	}
}

static void run(struct load *load)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t looked = times_now(), now = looked, next = UINT64_MAX;
	int n;

	load->counted_from = looked + (uint64_t)(load->options.warmup * USEC_PER_SEC);
	load->counted_to =
		load->counted_from + (uint64_t)(load->options.seconds * USEC_PER_SEC);
	load->last_end = load->counted_from;
	for (unsigned i = 0; i < load->options.clients; i++)
		begin(load, &load->clients[i], looked);

	while (load->n_busy > 0 || next != UINT64_MAX) {
		n = epoll_wait(load->epoll, events, EVENTS_MAX, patience(next, now));
		for (int i = 0; i < n; i++) {
			if (load->options.datagrams)
				handle_datagram(load, events[i].data.ptr);
			else
				handle(load, events[i].data.ptr);
			if (load->options.yields)
				sched_yield();
		}
		now = times_now();
		if (load->options.interval > 0)
			next = begin_the_rested(load, now);
		if (now - looked < USEC_PER_SEC)
			continue;
		look_for_late_ones(load, now);
		looked = now;
	}
}

static void report(struct load *load)
{
	uint64_t errors = 0;
	double seconds = load->options.seconds;

	for (size_t i = 0; i < N_FAILURES; i++) {
		errors += load->errors[i];
		if (load->errors[i])
			fprintf(stderr, "load: %s: %llu\n", failure_names[i],
				(unsigned long long)load->errors[i]);
	}
	if (load->options.connections)
		seconds = (double)(load->last_end - load->counted_from) / USEC_PER_SEC;
	times_report(&load->times, seconds, load->n_begun, errors);
}

static int usage(void)
{
	fprintf(stderr, "Usage: load [-c CLIENTS] [-t SECONDS] [-w WARMUP] [-n CONNECTIONS] "
			"[-p PORTS] [-e TEXT | -q TEXT | -l] [-s SOURCE] [-d ADDRESS] "
			"[-i MSEC] [-y] [-u] PORT\n");
	return 2;
}

static bool parse(struct options *o, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "c:t:w:n:p:e:q:ls:d:i:yu")) != -1) {
		switch (option) {
		case 'c':
			o->clients = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 't':
			o->seconds = strtod(optarg, NULL);
			break;
		case 'w':
			o->warmup = strtod(optarg, NULL);
			break;
		case 'n':
			o->connections = strtoull(optarg, NULL, 10);
			break;
		case 'p':
			o->ports = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'e':
			o->text = optarg;
			break;
		case 'q':
			o->text = optarg;
			o->asks = true;
			break;
		case 'l':
			o->text = NULL;
			break;
		case 's':
			if (inet_pton(AF_INET, optarg, &o->source) != 1)
				return false;
			break;
		case 'd':
			if (inet_pton(AF_INET, optarg, &o->address) != 1)
				return false;
			break;
		case 'i':
			o->interval = strtoull(optarg, NULL, 10) * 1000;
			break;
		case 'y':
			o->yields = true;
			break;
		case 'u':
			o->datagrams = true;
			break;
		default:
			return false;
		}
	}
	if (argc - optind != 1 || o->clients == 0 || o->ports == 0 || (o->datagrams && o->asks))
		return false;
	o->port = (uint16_t)strtoul(argv[optind], NULL, 10);
	o->text_len = o->text ? strlen(o->text) : 0;
	return true;
}

int main(int argc, char **argv)
{
	struct load load = {
		.options =
			{
				.clients = 1,
				.ports = 1,
				.seconds = 1,
				.text = "hello\n",
				.address.s_addr = htonl(INADDR_LOOPBACK),
			},
	};

	if (!parse(&load.options, argc, argv))
		return usage();
	signal(SIGTERM, on_term);
	load.clients = calloc(load.options.clients, sizeof *load.clients);
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!load.clients || load.epoll < 0)
		die("begin");
	run(&load);
	report(&load);
	free(load.clients);
	return 0;
}
