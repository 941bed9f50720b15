/*
 * addr-parse: addr_parse(), the written form of addresses.
 *
 * The functions below return NULL or what is wrong, as a constant phrase.  They
 * fill their part of a result that addr_parse() hands out only when all of them
 * were content.
 */
#include "base/addr-internal.h"
#include "base/own.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* Longest UNIX path or abstract name that can be written: of the path's room
 * one byte is the final NUL, of the name's the leading one. */
#define UNIX_NAME_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

/* What stands before the first colon.  AF_UNSPEC: of either family. */
struct scheme {
	const char *word;
	enum addr_kind kind;
	int family;
};

static const struct scheme schemes[] = {
	{"tcp", ADDR_TCP, AF_UNSPEC},
	{"tcp4", ADDR_TCP, AF_INET},
	{"tcp6", ADDR_TCP, AF_INET6},
	{"mptcp", ADDR_MPTCP, AF_UNSPEC},
	{"mptcp4", ADDR_MPTCP, AF_INET},
	{"mptcp6", ADDR_MPTCP, AF_INET6},
	{"udp", ADDR_UDP, AF_UNSPEC},
	{"udp4", ADDR_UDP, AF_INET},
	{"udp6", ADDR_UDP, AF_INET6},
	{"udplite", ADDR_UDPLITE, AF_UNSPEC},
	{"udplite4", ADDR_UDPLITE, AF_INET},
	{"udplite6", ADDR_UDPLITE, AF_INET6},
	{"unix", ADDR_UNIX, AF_UNIX},
	{"unix-dgram", ADDR_UNIX_DGRAM, AF_UNIX},
	{"unix-seqpacket", ADDR_UNIX_SEQPACKET, AF_UNIX},
	{"vsock", ADDR_VSOCK, AF_VSOCK},
	{"fd", ADDR_FD, AF_UNSPEC},
};

/* Words kept free for later, so that no other meaning ever settles on them. */
static const struct {
	const char *word;
	const char *why;
} reserved[] = {
	{"sctp", "sctp is not supported by this version"},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Printable ASCII but the space. */
static bool is_graph(char c)
{
	return c > ' ' && c < 0x7f;
}

/* The ports of one protocol, and what is said of a text that is none of them. */
struct ports {
	uint32_t max;
	bool named; /* in services(5) */
	const char *bad;
};

static const struct ports ip_ports = {
	.max = UINT16_MAX,
	.named = true,
	.bad = "the port must be a number from 0 to 65535, a range such as 8000-8010, or a "
	       "name of services(5)",
};

static const struct ports vsock_ports = {
	.max = VMADDR_PORT_ANY - 1,
	.bad = "the port of a vsock address must be a number from 0 to 4294967294, or a range "
	       "such as 8000-8010",
};

static const char *parse_port_number(const char *text, const struct ports *ports, uint32_t *ret)
{
	uint64_t value;

	if (text_parse_u64(text, &value) < 0 || value > ports->max)
		return ports->bad;
	*ret = (uint32_t)value;
	return NULL;
}

static const char *parse_port_range(
	const char *text, const char *dash, const struct ports *ports, struct addr_spec *spec)
{
	char first[sizeof "4294967294"];

	if ((size_t)(dash - text) >= sizeof first)
		return ports->bad;
	memcpy(first, text, (size_t)(dash - text));
	first[dash - text] = '\0';

	if (parse_port_number(first, ports, &spec->port_first) ||
		parse_port_number(dash + 1, ports, &spec->port_last))
		return ports->bad;
	if (spec->port_first == 0)
		return "a range of ports cannot begin with 0";
	if (spec->port_last < spec->port_first)
		return "the first port of a range must not be above the last";
	return NULL;
}

/* Letters, digits and what else occurs in services files ("whois++", "z39.50"). */
static const char *parse_service(const char *text, struct addr_spec *spec)
{
	size_t len = strlen(text);

	if (!is_alnum(text[0]))
		return ip_ports.bad;
	for (const char *p = text; *p; p++) {
		if (!is_alnum(*p) && !strchr("-_.+/", *p))
			return ip_ports.bad;
	}
	if (len >= sizeof spec->service)
		return "the name of the port is too long";
	memcpy(spec->service, text, len + 1);
	return NULL;
}

static const char *parse_port(
	const char *text, const struct ports *ports, struct addr_spec *spec)
{
	size_t digits = strspn(text, "0123456789");
	const char *why;

	if (*text == '\0')
		return "the port is missing";
	if (text[digits] == '\0') {
		why = parse_port_number(text, ports, &spec->port_first);
		spec->port_last = spec->port_first;
		return why;
	}
	/* "8000-" is a range left open; "914c-g" and "80-x" may be names. */
	if (digits > 0 && text[digits] == '-' &&
		(is_digit(text[digits + 1]) || !text[digits + 1]))
		return parse_port_range(text, text + digits, ports, spec);
	return ports->named ? parse_service(text, spec) : ports->bad;
}

static const char *parse_scope(const char *name, struct addr *addr)
{
	if (addr->sa.sa_family != AF_INET6 || !addr_takes_scope(&addr->in6.sin6_addr))
		return "only a link-local address takes an interface";
	if (!addr_interface_valid(name))
		return "the name of the interface after the % is not valid";
	strcpy(addr->interface, name);
	return NULL;
}

static const char *check_family(const struct scheme *scheme, int family)
{
	if (scheme->family == AF_INET && family != AF_INET)
		return "this is an IPv6 address, but a scheme that ends in 4, such as tcp4:, "
		       "takes an IPv4 one";
	if (scheme->family == AF_INET6 && family != AF_INET6)
		return "this is an IPv4 address, but a scheme that ends in 6, such as tcp6:, "
		       "takes an IPv6 one";
	return NULL;
}

/* What stood between the brackets. */
static const char *parse_ipv6(const char *text, const struct scheme *scheme, struct addr *addr)
{
	char host[INET6_ADDRSTRLEN];
	const char *scope = strchrnul(text, '%'), *why;
	struct in_addr ip4;
	struct in6_addr ip;

	if ((size_t)(scope - text) >= sizeof host)
		return "this is no IPv6 address";
	memcpy(host, text, (size_t)(scope - text));
	host[scope - text] = '\0';
	if (inet_pton(AF_INET, host, &ip4) == 1)
		return "brackets are for IPv6 addresses; write an IPv4 one without them";
	if (inet_pton(AF_INET6, host, &ip) != 1)
		return "this is no IPv6 address";

	addr_set_ipv6(addr, &ip);
	why = check_family(scheme, addr->sa.sa_family);
	if (why || *scope == '\0')
		return why;
	return parse_scope(scope + 1, addr);
}

/* A last label of digits only is an IPv4 address gone wrong, not a name. */
static const char *parse_host_name(const char *text, struct addr_spec *spec)
{
	const char *dot = strrchr(text, '.'), *label = dot ? dot + 1 : text;

	if (*text == '\0')
		return "the address before the port is missing";
	if (strcmp(text, "*") == 0)
		return "leave out the address and its colon to serve all addresses";
	if (*label != '\0' && label[strspn(label, "0123456789")] == '\0')
		return "an IPv4 address is four numbers from 0 to 255 with dots between them";
	for (const char *p = text; *p; p++) {
		if (!is_alnum(*p) && !strchr("-_.", *p))
			return "this is neither an IP address nor a host name";
	}
	if (!is_alnum(text[0]) || strstr(text, ".."))
		return "this is neither an IP address nor a host name";
	if (strlen(text) >= sizeof spec->host)
		return "the host name is too long";
	strcpy(spec->host, text);
	return NULL;
}

static const char *parse_ipv4_or_name(
	const char *text, const struct scheme *scheme, struct addr_spec *spec)
{
	struct in_addr ip;

	if (inet_pton(AF_INET, text, &ip) != 1) {
		spec->addr.sa.sa_family = (sa_family_t)scheme->family;
		return parse_host_name(text, spec);
	}
	addr_set_ipv4(&spec->addr, &ip);
	return check_family(scheme, AF_INET);
}

static void set_wildcard(const struct scheme *scheme, struct addr *addr)
{
	static const struct in_addr any = {INADDR_ANY};

	if (scheme->family == AF_INET)
		addr_set_ipv4(addr, &any);
	else
		addr_set_ipv6(addr, &in6addr_any);
	addr->dual = scheme->family == AF_UNSPEC;
}

/* Cut `rest` into host and port, both in `copy`; *ret_host is NULL where only
 * a port is written.  *ret_bracketed: the host stood in brackets. */
static const char *split_host(char *copy, char **ret_host, char **ret_port, bool *ret_bracketed)
{
	struct in_addr ip;
	char *end;

	*ret_bracketed = copy[0] == '[';
	if (*ret_bracketed) {
		/* The last one: an interface may have one in its name. */
		end = strrchr(copy, ']');
		if (!end)
			return "the closing bracket of the IPv6 address is missing";
		if (end[1] != ':')
			return "after the bracket a colon and the port are missing, as in "
			       "tcp:[::1]:80";
		*end = '\0';
		*ret_host = copy + 1;
		*ret_port = end + 2;
		return NULL;
	}

	end = strrchr(copy, ':');
	if (!end) {
		if (inet_pton(AF_INET, copy, &ip) == 1)
			return "after the address a colon and the port are missing, as in "
			       "tcp:127.0.0.1:80";
		*ret_host = NULL;
		*ret_port = copy;
		return NULL;
	}
	if (strchr(copy, ':') != end)
		return "an IPv6 address must stand in brackets, as in tcp:[::1]:80";
	*end = '\0';
	*ret_host = copy;
	*ret_port = end + 1;
	return NULL;
}

static const char *parse_inet(
	const char *rest, const struct scheme *scheme, struct addr_spec *spec)
{
	char copy[512], *host, *port;
	const char *why;
	bool bracketed;

	if (strlen(rest) >= sizeof copy)
		return "the address is too long";
	strcpy(copy, rest);

	why = split_host(copy, &host, &port, &bracketed);
	if (why)
		return why;
	if (!host)
		set_wildcard(scheme, &spec->addr);
	else if (bracketed)
		why = parse_ipv6(host, scheme, &spec->addr);
	else
		why = parse_ipv4_or_name(host, scheme, spec);
	if (!why)
		why = parse_port(port, &ip_ports, spec);
	if (!why && spec->port_first == spec->port_last)
		addr_set_port(&spec->addr, spec->port_first);
	return why;
}

/* The number of a machine, or the word for it. */
static const char *parse_cid(const char *text, size_t len, uint32_t *ret)
{
	static const struct {
		const char *word;
		uint32_t cid;
	} words[] = {
		{"any", VMADDR_CID_ANY},
		{"local", VMADDR_CID_LOCAL},
		{"host", VMADDR_CID_HOST},
	};
	char number[sizeof "4294967295"];
	uint64_t value;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strlen(words[i].word) == len && memcmp(text, words[i].word, len) == 0) {
			*ret = words[i].cid;
			return NULL;
		}
	}
	if (len > 0 && len < sizeof number) {
		memcpy(number, text, len);
		number[len] = '\0';
		if (text_parse_u64(number, &value) == 0 && value <= UINT32_MAX) {
			*ret = (uint32_t)value;
			return NULL;
		}
	}
	return "the CID of a vsock address must be a number, any, local or host, as in "
	       "vsock:any:1234";
}

static const char *parse_vsock(const char *rest, struct addr_spec *spec)
{
	const char *colon = strchr(rest, ':'), *why;
	struct addr *addr = &spec->addr;

	addr->vm.svm_family = AF_VSOCK;
	addr->vm.svm_cid = VMADDR_CID_ANY;
	addr->len = sizeof addr->vm;
	if (colon) {
		why = parse_cid(rest, (size_t)(colon - rest), &addr->vm.svm_cid);
		if (why)
			return why;
	}
	why = parse_port(colon ? colon + 1 : rest, &vsock_ports, spec);
	if (!why && spec->port_first == spec->port_last)
		addr_set_port(addr, spec->port_first);
	return why;
}

/* The byte that *text begins with, escaped or not; *text moves behind it. */
static const char *take_byte(const char **text, char *ret)
{
	const char *p = *text;
	int high, low;

	if (p[0] != '\\') {
		*ret = p[0];
		*text = p + 1;
		return NULL;
	}
	if (p[1] == '\\') {
		*ret = '\\';
		*text = p + 2;
		return NULL;
	}
	high = p[1] == 'x' ? text_hex_digit(p[2]) : -1;
	low = high >= 0 ? text_hex_digit(p[3]) : -1;
	if (low < 0)
		return "write a backslash as two, and any other byte as \\x and two digits";
	*ret = (char)(high * 16 + low);
	*text = p + 4;
	return NULL;
}

/* `text` is what follows the @ of an abstract name, or the whole path. */
static const char *parse_unix_name(const char *text, bool abstract, struct addr *addr)
{
	char *name = addr->un.sun_path + abstract;
	const char *why;
	size_t len = 0;

	while (*text) {
		if (len == UNIX_NAME_MAX)
			return "the name of a UNIX socket is at most 107 bytes long";
		why = take_byte(&text, &name[len]);
		if (why)
			return why;
		if (name[len] == '\0' && !abstract)
			return "a path cannot contain a NUL byte";
		len++;
	}
	if (len == 0)
		return "the name after the @ is missing";

	/* A path is counted with its NUL, a name with the one in front of it. */
	addr->un.sun_family = AF_UNIX;
	addr->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	return NULL;
}

static const char *parse_unix(const char *rest, struct addr *addr)
{
	switch (rest[0]) {
	case '@':
		return parse_unix_name(rest + 1, true, addr);
	case '/':
		return parse_unix_name(rest, false, addr);
	case '\0':
		return "the path is missing";
	default:
		return "the path of a UNIX socket must begin with / (or with @ for an abstract "
		       "name)";
	}
}

/* The characters that sd_listen_fds_with_names(3) promises. */
static const char *parse_fd_name(const char *rest, struct addr *addr)
{
	size_t len = strlen(rest);

	if (len == 0)
		return "the name after fd: is missing";
	if (len >= sizeof addr->name)
		return "the name after fd: is at most 63 characters long";
	for (size_t i = 0; i < len; i++) {
		if (rest[i] != ' ' && !is_graph(rest[i]))
			return "the name after fd: must consist of printable ASCII characters";
		if (rest[i] == ':')
			return "the name after fd: cannot contain a colon";
	}
	memcpy(addr->name, rest, len + 1);
	return NULL;
}

/* Why there is no scheme of this name, or no colon where one must be. */
static const char *explain_scheme(const char *text, size_t len)
{
	if (*text == '\0')
		return "the address is empty";
	if (*text == '/' || *text == '@')
		return "a UNIX socket is written unix:/path or unix:@name";
	if (*text == '[')
		return "an IPv6 address is written tcp:[ADDRESS]:PORT";
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
		if (strlen(reserved[i].word) == len && memcmp(text, reserved[i].word, len) == 0)
			return reserved[i].why;
	}
	return "an address begins with its kind, such as tcp: udp: unix: or vsock:, see "
	       "hatchd.conf(5)";
}

static const struct scheme *find_scheme(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (strlen(schemes[i].word) == len && memcmp(text, schemes[i].word, len) == 0)
			return &schemes[i];
	}
	return NULL;
}

/* Find the scheme; *ret_rest is what follows its colon.  A text without any
 * colon is a port of tcp's. */
static const char *split_scheme(
	const char *text, const struct scheme **ret, const char **ret_rest)
{
	const char *colon = strchrnul(text, ':');
	size_t len = (size_t)(colon - text);

	if (*text == '\0' || strchr("/@[", *text))
		return explain_scheme(text, len);
	*ret = *colon ? find_scheme(text, len) : &schemes[0];
	if (!*ret)
		return explain_scheme(text, len);
	*ret_rest = *colon ? colon + 1 : text;
	return NULL;
}

int addr_parse(const char *text, struct addr_spec *ret, const char **reterr_why)
{
	const struct scheme *scheme = NULL;
	const char *rest = NULL, *why;
	struct addr_spec spec;

	/* All bytes, so that results can be compared and written out whole. */
	memset(&spec, 0, sizeof spec);
	why = split_scheme(text, &scheme, &rest);
	if (!why) {
		spec.addr.kind = scheme->kind;
		if (scheme->kind == ADDR_FD)
			why = parse_fd_name(rest, &spec.addr);
		else if (scheme->family == AF_UNIX)
			why = parse_unix(rest, &spec.addr);
		else if (scheme->family == AF_VSOCK)
			why = parse_vsock(rest, &spec);
		else
			why = parse_inet(rest, scheme, &spec);
	}
	if (why) {
		*reterr_why = why;
		return -EINVAL;
	}
	*ret = spec;
	return 0;
}

static bool is_without_host(const char *text)
{
	struct addr_spec spec;
	const char *why;

	return addr_parse(text, &spec, &why) == 0 && spec.host[0] == '\0';
}

bool addr_guess(const char *text, char buf[ADDR_GUESS_MAX])
{
	const char *rest = text, *slashes = strstr(text, "://");
	size_t len;

	if (text[0] == '*' || text[0] == ':')
		rest += strspn(text, "*:");
	len = (size_t)snprintf(buf, ADDR_GUESS_MAX, "%s%.*s%s",
		slashes ? "" : "tcp:", slashes ? (int)(slashes + 1 - rest) : 0, rest,
		slashes ? slashes + 3 : rest);
	if (len >= ADDR_GUESS_MAX)
		return false;
	if (is_without_host(buf))
		return true;

	/* Only the case was wrong. */
	len = (size_t)snprintf(buf, ADDR_GUESS_MAX, "%s", text);
	for (size_t i = 0; i < len && i < ADDR_GUESS_MAX; i++)
		buf[i] = (char)(buf[i] >= 'A' && buf[i] <= 'Z' ? buf[i] + 'a' - 'A' : buf[i]);
	return len < ADDR_GUESS_MAX && is_without_host(buf);
}
