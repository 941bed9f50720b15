#include "base/hostname.h"
#include "base/text.h"
#include "hatchctl/command.h"
#include "hatchctl/connect/connect-internal.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* How long to wait for the answer to a datagram: long for a network, short for a person. */
#define WAIT_DEFAULT (UINT64_C(2) * 1000 * 1000)

static const char help[] =
	"Usage: hatchctl connect [-v] [--wait DURATION] ADDRESS\n"
	"       hatchctl connect [-v] [TLS OPTION...] tls:HOST:PORT\n"
	"\n"
	"Send standard input to ADDRESS and write the answer to standard output.\n"
	"\n"
	"  7777, tcp:7777           this machine, over IPv6 or else IPv4\n"
	"  tcp:HOST:PORT            a name, an IPv4 address, or an IPv6 one in [ ]\n"
	"  tcp4: tcp6:              over that version of IP only\n"
	"  tls: tls4: tls6:         as tcp:, with TLS; HOST is verified\n"
	"  udp: udp4: udp6:         datagrams; also udplite:\n"
	"  mptcp:                   TCP over several paths, or over one\n"
	"  unix:/path unix:@name    a UNIX socket; also unix-dgram: unix-seqpacket:\n"
	"  vsock:CID:PORT           a virtual machine, or `host`, or `local`\n"
	"\n"
	"  -v, --verbose            tell each step on standard error\n"
	"  -w, --wait DURATION      datagrams: wait that long for an answer (2s)\n"
	"  -h, --help               this text\n"
	"\n"
	"TLS:\n"
	"      --ca FILE            trust those in FILE, and not those the system trusts\n"
	"      --certificate FILE   show this one if the server asks for one\n"
	"      --key FILE           the key to it, if that is not in the same file\n"
	"      --servername NAME    ask for NAME, and verify it, instead of HOST\n"
	"      --alpn PROTOCOL      offer that; may be given several times, best first\n"
	"      --insecure           do not verify who answers\n"
	"\n"
	"Exit status: 0 done, 1 no connection, or it broke, or no datagram came back,\n"
	"2 the command line is wrong.\n";

/* Values of the options that have no letter. */
enum {
	OPTION_ALPN = 256,
	OPTION_CA,
	OPTION_CERTIFICATE,
	OPTION_INSECURE,
	OPTION_KEY,
	OPTION_SERVERNAME,
};

static bool is_tls(const char *text)
{
	return strncmp(text, "tls", 3) == 0 && text[3] != '\0' && strchr(":46", text[3]);
}

/* `plain` is the same address without TLS. */
static int misspelt(const struct connect *c, const char *plain, const char *why)
{
	char near[ADDR_GUESS_MAX];

	if (addr_guess(plain, near) && (!c->is_tls || strncmp(near, "tcp", 3) == 0))
		return command_misused("connect", "invalid address '%s'; did you mean '%s%s'?",
			c->text, c->is_tls ? "tls" : "", c->is_tls ? near + 3 : near);
	return command_misused("connect", "invalid address '%s': %s", c->text, why);
}

/* TLS is what is spoken at an address of TCP, which is written the same way. */
static int parse_spelling(struct connect *c, const char *text)
{
	char plain[ADDR_TEXT_MAX];
	const char *why;

	c->text = text;
	c->is_tls = is_tls(text);
	if (!c->is_tls)
		return addr_parse(text, &c->spec, &why) < 0 ? misspelt(c, text, why)
		                                            : COMMAND_DONE;
	if (strlen(text) >= sizeof plain)
		return command_misused("connect", "invalid address '%s': %s", text,
			"it is longer than any address");
	snprintf(plain, sizeof plain, "tcp%s", text + 3);
	return addr_parse(plain, &c->spec, &why) < 0 ? misspelt(c, plain, why) : COMMAND_DONE;
}

static int parse_address(struct connect *c, const char *text)
{
	int r = parse_spelling(c, text);

	if (r != COMMAND_DONE)
		return r;
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

static bool is_ip(const char *text)
{
	struct addr_prefix prefix;

	return !strchr(text, '/') && addr_parse_prefix(text, &prefix) == 0;
}

/* A name gets the spelling that certificates have, without a dot at its end. */
static int parse_server(struct connect *c, const char *text)
{
	char name[HOSTNAME_ROOM];

	if (hostname_read(text, name) == 0)
		snprintf(c->server, sizeof c->server, "%s", name);
	else if (is_ip(text))
		snprintf(c->server, sizeof c->server, "%s", text);
	else
		return command_misused("connect",
			"invalid name '%s': write that of a host, or an IP address", text);
	return COMMAND_DONE;
}

static int add_protocol(struct connect *c, const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > TLS_PROTOCOL_MAX)
		return command_misused("connect",
			"invalid protocol '%s': write 1 to %d characters", name,
			TLS_PROTOCOL_MAX);
	if (c->tls.n_alpn == ARRAY_SIZE(c->tls.alpn))
		return command_misused("connect", "there are more than %zu protocols",
			ARRAY_SIZE(c->tls.alpn));
	c->tls.alpn[c->tls.n_alpn++] = name;
	return COMMAND_DONE;
}

static int take_tls_option(struct connect *c, int option)
{
	switch (option) {
	case OPTION_ALPN:
		return add_protocol(c, optarg);
	case OPTION_CA:
		c->tls.ca = optarg;
		break;
	case OPTION_CERTIFICATE:
		c->tls.certificate = optarg;
		break;
	case OPTION_INSECURE:
		c->tls.insecure = true;
		break;
	case OPTION_KEY:
		c->tls.key = optarg;
		break;
	case OPTION_SERVERNAME:
		return parse_server(c, optarg);
	}
	return COMMAND_DONE;
}

static int take_option(struct connect *c, int option)
{
	switch (option) {
	case 'h':
		c->helped = true;
		return command_print(help);
	case 'v':
		c->verbose = true;
		return COMMAND_DONE;
	case 'w':
		if (text_parse_duration(optarg, &c->wait) < 0)
			return command_misused("connect",
				"invalid duration '%s': write 2s, 500ms or 1min", optarg);
		return COMMAND_DONE;
	default:
		return take_tls_option(c, option);
	}
}

static int parse_options(struct connect *c, int argc, char **argv)
{
	static const struct option options[] = {
		{"alpn", required_argument, NULL, OPTION_ALPN},
		{"ca", required_argument, NULL, OPTION_CA},
		{"certificate", required_argument, NULL, OPTION_CERTIFICATE},
		{"help", no_argument, NULL, 'h'},
		{"insecure", no_argument, NULL, OPTION_INSECURE},
		{"key", required_argument, NULL, OPTION_KEY},
		{"servername", required_argument, NULL, OPTION_SERVERNAME},
		{"verbose", no_argument, NULL, 'v'},
		{"wait", required_argument, NULL, 'w'},
		{NULL, 0, NULL, 0},
	};
	int result, which = 0, r = COMMAND_DONE;

	while (r == COMMAND_DONE && !c->helped &&
		(result = getopt_long(argc, argv, ":hvw:", options, &which)) != -1) {
		if (result == '?' || result == ':')
			return command_bad_option("connect", result, argv, options);
		if (result >= OPTION_ALPN)
			c->tls_option = options[which].name;
		r = take_option(c, result);
	}
	return r;
}

/* Without a host it is this machine, which calls itself so. */
static void choose_server(struct connect *c)
{
	const struct addr_spec *spec = &c->spec;
	char host[ADDR_TEXT_MAX];

	c->tls.name = c->server;
	if (c->server[0] != '\0')
		return;
	if (spec->host[0] == '\0' && addr_is_wildcard(&spec->addr)) {
		strcpy(c->server, "localhost");
	} else if (spec->host[0] == '\0') {
		/* Certificates know no interfaces. */
		addr_format_host(&spec->addr, host);
		snprintf(c->server, sizeof c->server, "%.*s", (int)strcspn(host, "%"), host);
	} else if (hostname_read(spec->host, c->server) < 0) {
		strcpy(c->server, spec->host);
	}
}

static int check_tls(struct connect *c)
{
	if (!c->is_tls && c->tls_option)
		return command_misused("connect",
			"the option '--%s' is for addresses of TLS, such as tls:HOST:PORT",
			c->tls_option);
	if (c->tls.key && !c->tls.certificate)
		return command_misused("connect", "'--key' is the key to a certificate, which "
						  "'--certificate' names");
	c->tls.narrate = c->verbose ? connect_narrate_event : NULL;
	if (c->is_tls)
		choose_server(c);
	return COMMAND_DONE;
}

int connect_parse(int argc, char **argv, struct connect *c)
{
	int r;

	*c = (struct connect){.wait = WAIT_DEFAULT};
	r = parse_options(c, argc, argv);
	if (r != COMMAND_DONE || c->helped)
		return r;
	if (argc - optind < 1)
		return command_misused("connect", "the address is missing");
	if (argc - optind > 1)
		return command_misused("connect",
			"unexpected argument '%s': there is one address", argv[optind + 1]);
	r = parse_address(c, argv[optind]);
	return r == COMMAND_DONE ? check_tls(c) : r;
}
