/*
 * hatchctl connect: standard input and output, connected to an address.
 */
#include "base/addr.h"
#include "base/fd.h"
#include "base/text.h"
#include "base/tls-programs.h"
#include "hatchctl/command.h"
#include "hatchctl/connect/connect-internal.h"
#include "hatchctl/connect/dial.h"
#include "hatchctl/connect/exchange.h"
#include "hatchctl/connect/pump.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void connect_narrate_event(const char *event)
{
	fprintf(stderr, "%s\n", event);
}

static void _printf_(2, 3) narrate(const struct connect *c, const char *format, ...)
{
	va_list args;

	if (!c->verbose)
		return;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* One attempt; what it came to is told when somebody listens. */
static int try_address(const struct connect *c, struct addr *addr, int *ret_fd)
{
	enum addr_kind kind = addr->kind;
	_cleanup_close_ int fd = -EBADF;
	char endpoint[ADDR_TEXT_MAX];
	int r;

	narrate(c, "socket %s", addr_protocol_name(addr));
	r = dial_socket(addr, &fd);
	if (addr->kind != kind)
		narrate(c, "no MPTCP here: socket %s", addr_protocol_name(addr));
	if (r >= 0) {
		narrate(c, "connect %s", addr_format_endpoint(addr, endpoint));
		r = dial_connect(fd, addr);
	}
	if (r >= 0)
		r = fd_set_nonblock(fd, true);
	if (r < 0) {
		narrate(c, "no connection: %s", strerror(-r));
		return r;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

/* The first place, from *next on, that can be had; *next moves behind it. */
static int connect_next(
	const struct connect *c, const struct dial_list *list, size_t *next, int *ret_fd)
{
	int r = -ENOENT;

	while (*next < list->n_addrs) {
		r = try_address(c, &list->addrs[(*next)++], ret_fd);
		if (r >= 0)
			return r;
	}
	return r;
}

int connect_dial(const struct connect *c, struct dial_list *list, size_t *next, int *ret_fd)
{
	const char *why;
	int r;

	if (dial_look_up(&c->spec, list, &why) < 0)
		return command_failed("unable to look up %s: %s", c->text, why);
	r = connect_next(c, list, next, ret_fd);
	if (r < 0)
		return command_failed("unable to connect to %s: %s", c->text, strerror(-r));
	return COMMAND_DONE;
}

int connect_report(const struct connect *c, enum pump_place where, int error)
{
	char wait[TEXT_NUMBER_MAX];

	switch (where) {
	case PUMP_NOWHERE:
		return COMMAND_DONE;
	case PUMP_INPUT:
		return command_failed("unable to read standard input: %s", strerror(error));
	case PUMP_OUTPUT:
		if (error == EPIPE)
			return COMMAND_FAILED; /* whoever closed it knows */
		return command_failed(
			"unable to write to standard output: %s", strerror(error));
	case PUMP_PEER_READ:
		if (error == ETIMEDOUT && addr_socktype(&c->spec.addr) != SOCK_STREAM)
			return command_failed("unable to read from %s: no answer within %s",
				c->text, text_format_duration(c->wait, wait));
		return command_failed("unable to read from %s: %s", c->text, strerror(error));
	case PUMP_PEER_WRITE:
		return command_failed("unable to write to %s: %s", c->text, strerror(error));
	}
	return COMMAND_FAILED;
}

static int talk_in_stream(const struct connect *c, int peer)
{
	_cleanup_pump_ struct pump *pump = NULL;

	pump = pump_new(STDIN_FILENO, STDOUT_FILENO, peer);
	if (!pump)
		return command_failed("unable to talk to %s: %s", c->text, strerror(ENOMEM));

	pump->ends_with_answer = isatty(STDIN_FILENO);
	pump->narrate = c->verbose ? connect_narrate_event : NULL;
	pump_run(pump);
	return connect_report(c, pump->broken, pump->error);
}

static size_t message_max(const struct addr *addr)
{
	return addr_is_ip(addr) ? EXCHANGE_UDP_MAX : EXCHANGE_UNIX_MAX;
}

/*
 * Nobody knows whether a datagram socket is served before the first message
 * is refused: only then comes the next place's turn.
 */
static int talk_in_messages(
	const struct connect *c, const struct dial_list *list, size_t next, int peer)
{
	_cleanup_exchange_ struct exchange *x = NULL;
	_cleanup_close_ int other = -EBADF;
	int r;

	x = exchange_new(STDOUT_FILENO);
	if (!x)
		return command_failed("unable to talk to %s: %s", c->text, strerror(ENOMEM));

	x->input = STDIN_FILENO;
	x->peer = peer;
	x->has_end = !addr_is_datagram(&c->spec.addr);
	x->message_max = message_max(&c->spec.addr);
	x->wait = c->wait;
	x->narrate = c->verbose ? connect_narrate_event : NULL;

	r = exchange_run(x);
	while (r == -ECONNREFUSED && next < list->n_addrs) {
		narrate(c, "no connection: %s", strerror(-r));
		other = fd_close(other);
		if (connect_next(c, list, &next, &other) < 0 || !exchange_restart(x, other))
			break;
		r = exchange_run(x);
	}
	return connect_report(c, x->broken, x->error);
}

static int talk(const struct connect *c)
{
	_cleanup_dial_list_ struct dial_list list = {0};
	_cleanup_close_ int peer = -EBADF;
	size_t next = 0;

	if (connect_dial(c, &list, &next, &peer) != COMMAND_DONE)
		return COMMAND_FAILED;
	if (addr_socktype(&c->spec.addr) == SOCK_STREAM)
		return talk_in_stream(c, peer);
	return talk_in_messages(c, &list, next, peer);
}

/* The words have been looked at, so it finds no mistake in them. */
static int become_tls(const struct connect *c, char **argv)
{
	char path[PATH_MAX], why[TLS_PROGRAM_WHY_MAX];

	if (tls_program_find(TLS_PROGRAM_CONNECT, NULL, path, why) < 0)
		return command_failed("unable to connect to %s: %s", c->text, why);
	execv(path, argv);
	return command_failed("unable to run %s: %s", path, strerror(errno));
}

int command_connect(int argc, char **argv)
{
	struct connect c;
	int r;

	r = connect_parse(argc, argv, &c);
	if (r != COMMAND_DONE || c.helped)
		return r;
	return c.is_tls ? become_tls(&c, argv) : talk(&c);
}
