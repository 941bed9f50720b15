#include "hatchctl/show/attempt.h"

#include "base/clock.h"
#include "hatchctl/connect/dial.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* How long somebody may take: to let us in, to tell, and to answer a datagram. */
#define PATIENCE          (5 * USEC_PER_SEC)
#define PATIENCE_DATAGRAM (2 * USEC_PER_SEC)

/* What no event tells is asked for again after that time, and then more and more seldom. */
#define LOOK_FIRST (2 * USEC_PER_MSEC)
#define LOOK_LAST  (200 * USEC_PER_MSEC)

struct client {
	const struct attempt_at *at;
	struct attempt *attempt;
	int fd;                   /* ours; owned */
	char self[ADDR_TEXT_MAX]; /* as hatchd calls us */
	bool datagram;
	uint64_t began; /* usec, monotonic */
	uint64_t pause; /* usec until something is asked for again */
	uint64_t pid;   /* of its process; 0: there is none */
};

const char *attempt_word(enum attempt_result result)
{
	static const char *const words[] = {
		[ATTEMPT_SERVED] = "served",
		[ATTEMPT_PENDING] = "pending",
		[ATTEMPT_UNTOLD] = "untold",
		[ATTEMPT_REFUSED] = "refused",
		[ATTEMPT_FAILED] = "failed",
	};

	return words[result];
}

/* 1, for `return`: it is over. */
static int _printf_(3, 4)
	end(struct client *client, enum attempt_result result, const char *format, ...)
{
	struct attempt *attempt = client->attempt;
	va_list args;

	attempt->result = result;
	attempt->usec = clock_monotonic() - client->began;
	va_start(args, format);
	vsnprintf(attempt->detail, sizeof attempt->detail, format, args);
	va_end(args);
	return 1;
}

/* ------------------------------------------------------------------ the connection */

static int wait_until_connected(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(int);
	int error = 0, n;

	n = poll(&poll_fd, 1, (int)(PATIENCE / USEC_PER_MSEC));
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static int connect_to(struct addr *addr, int *ret_fd)
{
	_cleanup_close_ int fd = -EBADF;
	int r = dial_socket(addr, &fd);

	if (r < 0)
		return r;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	r = dial_connect(fd, addr);
	if (r == -EINPROGRESS)
		r = wait_until_connected(fd);
	if (r < 0)
		return r;
	if (addr_is_datagram(addr) && send(fd, "", 0, 0) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* By the address of our end, or by who we are. */
static int name_self(struct client *client, const struct addr *addr)
{
	struct sockaddr_storage storage;
	socklen_t len = sizeof storage;
	struct addr self;

	if (addr_family(addr) == AF_UNIX) {
		snprintf(client->self, sizeof client->self, "uid %u pid %d",
			(unsigned)geteuid(), (int)getpid());
		return 0;
	}
	if (getsockname(client->fd, (struct sockaddr *)&storage, &len) < 0)
		return -errno;
	addr_from_sockaddr(addr->kind, (struct sockaddr *)&storage, len, &self);
	addr_format_endpoint(&self, client->self);
	return 0;
}

/* At the first of the places that lets us in. */
static int dial(struct client *client, const struct addr_spec *spec)
{
	_cleanup_dial_list_ struct dial_list list = {0};
	const char *why = "there is no such place";
	int r = dial_look_up(spec, &list, &why);

	if (r < 0)
		return end(client, ATTEMPT_FAILED, "%s", why);
	r = -ENOENT;
	for (size_t i = 0; i < list.n_addrs && r < 0; i++) {
		client->datagram = addr_is_datagram(&list.addrs[i]);
		r = connect_to(&list.addrs[i], &client->fd);
		if (r == 0)
			r = name_self(client, &list.addrs[i]);
	}
	return r < 0 ? end(client, ATTEMPT_FAILED, "unable to connect: %s", strerror(-r)) : 0;
}

static int go_there(struct client *client, const char *address)
{
	struct addr_spec spec;
	const char *why;

	if (addr_parse(address, &spec, &why) < 0)
		return end(client, ATTEMPT_FAILED, "%s", why);
	if (spec.addr.kind == ADDR_FD)
		return end(client, ATTEMPT_UNTOLD,
			"it is not known where the service manager listens");
	return dial(client, &spec);
}

/* ------------------------------------------------------------------ what is told */

/* Ours, or that of the one child that has the socket itself. */
static bool is_ours(const struct client *client, struct json_value line)
{
	_cleanup_free_ char *peer = json_to_string(json_get(line, "peer"));
	uint64_t connection = json_to_number(json_get(line, "connection"));

	if (client->attempt->connection > 0)
		return connection == client->attempt->connection;
	return !peer || (strcmp(peer, client->self) == 0 && connection > client->at->after);
}

static int served(struct client *client, struct json_value line)
{
	_cleanup_free_ char *worker = json_to_string(json_get(line, "worker"));

	if (client->pid > 0)
		return end(client, ATTEMPT_SERVED, "process %" PRIu64, client->pid);
	return end(client, ATTEMPT_SERVED, "%s", worker ? worker : "hatchd");
}

/* A program has still to be executed then. */
static int opened(struct client *client, struct json_value line)
{
	client->attempt->connection = json_to_number(json_get(line, "connection"));
	client->pid = json_to_number(json_get(line, "pid"));
	client->pause = 0;
	return client->pid > 0 ? 0 : served(client, line);
}

static int take_event(struct client *client, struct json_value line)
{
	_cleanup_free_ char *event = json_to_string(json_get(line, "event"));
	_cleanup_free_ char *reason = json_to_string(json_get(line, "reason"));

	if (!event || !json_get(line, "connection").at || !is_ours(client, line))
		return 0;
	if (strcmp(event, "open") == 0)
		return opened(client, line);
	if (strcmp(event, "close") == 0 && client->attempt->connection > 0)
		return served(client, line);
	if (strcmp(event, "refused") == 0)
		return end(client, ATTEMPT_REFUSED, "%s", reason ? reason : "?");
	if (strcmp(event, "failed") == 0)
		return end(client, ATTEMPT_FAILED, "unable to start the program: %s",
			reason ? reason : "?");
	return 0;
}

/* ------------------------------------------------------------------ what is asked */

static int ask(const struct attempt_at *at, const char *question, struct answer *ret)
{
	_cleanup_question_ struct question q;
	char request[128];
	int r;

	question_init(&q, true);
	snprintf(request, sizeof request, "%s %s\n", question, at->service);
	r = question_ask(&q, at->path, request);
	while (r == 0)
		r = question_read(&q, ret);
	return r < 0 ? r : 0;
}

static bool is_running(struct json_value line)
{
	_cleanup_free_ char *state = json_to_string(json_get(line, "state"));

	return state && strcmp(state, "starting") != 0;
}

/* Is the program executed, or is there one that has the socket itself? */
static int look_at_connections(struct client *client)
{
	_cleanup_answer_ struct answer answer = {0};
	int r = ask(client->at, "connections", &answer);

	for (size_t i = 0; r == 0 && i < answer.n_lines; i++) {
		struct json_value line = answer.lines[i];

		if (!is_ours(client, line) || !is_running(line))
			continue;
		client->pid = json_to_number(json_get(line, "pid"));
		return served(client, line);
	}
	return r;
}

static int look_at_pending(struct client *client)
{
	_cleanup_answer_ struct answer answer = {0};
	int r = ask(client->at, "list", &answer);

	if (r < 0 || answer.n_lines == 0 ||
		json_to_number(json_get(answer.lines[0], "pending")) == 0)
		return r;
	return end(client, ATTEMPT_PENDING, "%s",
		client->at->has_tls ? "TLS was not begun"
				    : "a header, a name or a look-up is waited for");
}

/* One that has taken nothing yet may do so with the next event. */
static int look(struct client *client)
{
	int r = look_at_connections(client);

	client->pause = 2 * client->pause + LOOK_FIRST;
	if (client->pause > LOOK_LAST)
		client->pause = LOOK_LAST;
	if (r == 0 && client->attempt->connection == 0 && client->at->has_pending)
		r = look_at_pending(client);
	return r;
}

/* It may have become full, also by those who were there before in this very test. */
static int blame_state(struct client *client)
{
	_cleanup_answer_ struct answer answer = {0};
	_cleanup_free_ char *state = NULL;
	int r = ask(client->at, "list", &answer);

	if (r == 0 && answer.n_lines > 0)
		state = json_to_string(json_get(answer.lines[0], "state"));
	return r < 0 ? r
	             : end(client, ATTEMPT_FAILED, "connected, and nobody took it: %s",
			       state ? state : "no such service");
}

static int give_up(struct client *client)
{
	if (client->attempt->connection > 0)
		return end(client, ATTEMPT_FAILED, "the program is not executed yet");
	if (client->datagram)
		return end(client, ATTEMPT_UNTOLD, "sent, and not answered");
	return blame_state(client);
}

/* An answer, or what the kernel has heard of the datagram. */
static int hear(struct client *client)
{
	char byte;

	if (recv(client->fd, &byte, sizeof byte, 0) < 0)
		return end(client, ATTEMPT_FAILED, "%s", strerror(errno));
	return end(client, ATTEMPT_SERVED, "answered");
}

static int watch(struct client *client)
{
	uint64_t patience = client->datagram ? PATIENCE_DATAGRAM : PATIENCE;
	int other = client->datagram ? client->fd : -EBADF, r = 0;

	while (r == 0) {
		uint64_t now = clock_monotonic();
		struct json_value line;

		if (now - client->began > patience)
			return give_up(client);
		r = watch_next(client->at->watch, other, now + client->pause, &line);
		if (r == WATCH_EVENT)
			r = take_event(client, line);
		else if (r == WATCH_OTHER)
			r = hear(client);
		else if (r == WATCH_TIME)
			r = look(client);
	}
	return r;
}

int attempt_make(const struct attempt_at *at, const char *address, struct attempt *ret)
{
	struct client client = {.at = at,
		.attempt = ret,
		.fd = -EBADF,
		.began = clock_monotonic(),
		.pause = LOOK_FIRST};
	int r;

	ret->connection = 0;
	r = go_there(&client, address);
	if (r == 0)
		r = watch(&client);
	own_close(&client.fd);
	return r < 0 ? r : 0;
}
