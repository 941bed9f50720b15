#include "base/text.h"
#include "hatchctl/command.h"
#include "hatchctl/connect-internal.h"

#include <getopt.h>

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

int connect_parse(int argc, char **argv, struct connect *c)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"verbose", no_argument, NULL, 'v'},
		{"wait", required_argument, NULL, 'w'},
		{NULL, 0, NULL, 0},
	};
	int result;

	*c = (struct connect){.wait = WAIT_DEFAULT};
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
