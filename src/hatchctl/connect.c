/*
 * hatchctl connect: standard input and output, connected to an address.
 */
#include "base/addr.h"
#include "base/fd.h"
#include "base/text.h"
#include "hatchctl/command.h"
#include "hatchctl/dial.h"
#include "hatchctl/exchange.h"
#include "hatchctl/pump.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* How long to wait for the answer to a datagram: long for a network, short for a person. */
#define WAIT_DEFAULT (UINT64_C(2) * 1000 * 1000)

static const char help[] =
	"Usage: hatchctl connect [-v] [--wait DURATION] ADDRESS\n"
	"\n"
	"Send standard input to ADDRESS and write the answer to standard output.\n"
	"\n"
	"  7777, tcp:7777           this machine, over IPv6 or else IPv4\n"
	"  tcp:HOST:PORT            a name, an IPv4 address, or an IPv6 one in [ ]\n"
	"  tcp4: tcp6:              over that version of IP only\n"
	"  udp: udp4: udp6:         datagrams; also udplite:\n"
	"  mptcp:                   TCP over several paths, or over one\n"
	"  unix:/path unix:@name    a UNIX socket; also unix-dgram: unix-seqpacket:\n"
	"  vsock:CID:PORT           a virtual machine, or `host`, or `local`\n"
	"\n"
	"  -v, --verbose            tell each step on standard error\n"
	"  -w, --wait DURATION      datagrams: wait that long for an answer (2s)\n"
	"  -h, --help               this text\n"
	"\n"
	"Exit status: 0 done, 1 no connection, or it broke, or no datagram came back,\n"
	"2 the command line is wrong.\n";

struct connect {
	const char *text; /* the address as the user wrote it */
	struct addr_spec spec;
	uint64_t wait; /* usec */
	bool verbose;
	bool helped; /* there is nothing left to do */
};

static void narrate_event(const char *event)
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

static int misspelt(const char *text, const char *why)
{
	char near[ADDR_GUESS_MAX];

	if (addr_guess(text, near))
		return command_misused(
			"connect", "invalid address '%s'; did you mean '%s'?", text, near);
	return command_misused("connect", "invalid address '%s': %s", text, why);
}

static int parse_address(struct connect *c, const char *text)
{
	const char *why;

	c->text = text;
	if (addr_parse(text, &c->spec, &why) < 0)
		return misspelt(text, why);
	if (c->spec.addr.kind == ADDR_FD)
		return command_misused("connect", "invalid address '%s': %s", text,
			"only a service can be handed a socket by name");
	if (c->spec.port_first != c->spec.port_last)
		return command_misused("connect", "invalid address '%s': %s", text,
			"a connection goes to one port, not to a range");
	if (addr_port_space(&c->spec.addr) && c->spec.service[0] == '\0' &&
		c->spec.port_first == 0)
		return command_misused("connect", "invalid address '%s': %s", text,
			"nobody listens on port 0");
	return COMMAND_DONE;
}

static int parse_options(struct connect *c, int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"verbose", no_argument, NULL, 'v'},
		{"wait", required_argument, NULL, 'w'},
		{NULL, 0, NULL, 0},
	};
	int result;

	while ((result = getopt_long(argc, argv, ":hvw:", options, NULL)) != -1) {
		switch (result) {
		case 'h':
			c->helped = true;
			return command_print(help);
		case 'v':
			c->verbose = true;
			break;
		case 'w':
			if (text_parse_duration(optarg, &c->wait) < 0)
				return command_misused("connect",
					"invalid duration '%s': write 2s, 500ms or 1min",
					optarg);
			break;
		default:
			return command_bad_option("connect", result, argv, options);
		}
	}

	if (argc - optind < 1)
		return command_misused("connect", "the address is missing");
	if (argc - optind > 1)
		return command_misused("connect",
			"unexpected argument '%s': there is one address", argv[optind + 1]);
	return parse_address(c, argv[optind]);
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

static int report(const struct connect *c, enum pump_place where, int error)
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
	pump->narrate = c->verbose ? narrate_event : NULL;
	pump_run(pump);
	return report(c, pump->broken, pump->error);
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
	x->narrate = c->verbose ? narrate_event : NULL;

	r = exchange_run(x);
	while (r == -ECONNREFUSED && next < list->n_addrs) {
		narrate(c, "no connection: %s", strerror(-r));
		other = fd_close(other);
		if (connect_next(c, list, &next, &other) < 0 || !exchange_restart(x, other))
			break;
		r = exchange_run(x);
	}
	return report(c, x->broken, x->error);
}

int command_connect(int argc, char **argv)
{
	struct connect c = {.wait = WAIT_DEFAULT};
	_cleanup_dial_list_ struct dial_list list = {0};
	_cleanup_close_ int peer = -EBADF;
	const char *why;
	size_t next = 0;
	int r;

	r = parse_options(&c, argc, argv);
	if (r != COMMAND_DONE || c.helped)
		return r;

	if (dial_look_up(&c.spec, &list, &why) < 0)
		return command_failed("unable to look up %s: %s", c.text, why);

	r = connect_next(&c, &list, &next, &peer);
	if (r < 0)
		return command_failed("unable to connect to %s: %s", c.text, strerror(-r));

	if (addr_socktype(&c.spec.addr) == SOCK_STREAM)
		return talk_in_stream(&c, peer);
	return talk_in_messages(&c, &list, next, peer);
}
