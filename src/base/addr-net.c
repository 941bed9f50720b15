#include "base/addr-net.h"

#include "base/addr-internal.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Of a user id, and of a CID. */
#define NUMBER_BITS 32

/* A shorter prefix holds others than link-local addresses. */
#define LINK_LOCAL_BITS 10

static unsigned width_of(const struct addr_net *net)
{
	return net->source.family == ADDR_SOURCE_IPV6 ? ADDR_NET_BITS_MAX : NUMBER_BITS;
}

static bool is_link_local(const struct addr_net *net)
{
	return net->bits >= LINK_LOCAL_BITS && addr_source_is_link_local(&net->source);
}

/* ------------------------------------------------------------------------- to read */

static int parse_number(const char *text, enum addr_source_family family, struct addr_net *ret)
{
	struct addr_net net = {.source.family = (uint8_t)family, .bits = NUMBER_BITS};
	uint32_t number;

	if (text_parse_u32(text, &number) < 0 || number == UINT32_MAX)
		return -ENOENT;
	memcpy(net.source.bytes, &number, sizeof number);
	*ret = net;
	return 0;
}

/* By its name, or by the number that stands for one that has none. */
static int parse_interface(const char *text, uint32_t *ret)
{
	if (text_parse_u32(text, ret) < 0)
		*ret = if_nametoindex(text);
	return *ret == 0 ? -ENODEV : 0;
}

/* Who gives no length means one who comes from there. */
static int parse_prefix(const char *text, struct addr_net *net)
{
	struct addr_prefix prefix;
	int r = addr_parse_prefix(text, &prefix);

	if (r < 0)
		return r;
	net->source.family = prefix.family;
	memcpy(net->source.bytes, prefix.bytes, sizeof prefix.bytes);
	net->bits = prefix.bits;
	if (prefix.family == ADDR_SOURCE_IPV6 && !strchr(text, '/') && !is_link_local(net))
		net->bits = ADDR_SOURCE_PREFIX6;
	addr_clear_behind(net->source.bytes, net->bits);
	return 0;
}

/* ADDRESS%INTERFACE/BITS: take the interface out of it. */
static int parse_scoped(const char *text, const char *percent, struct addr_net *net)
{
	char name[IF_NAMESIZE], rest[ADDR_NET_TEXT_MAX];
	size_t len = strcspn(percent + 1, "/");
	uint32_t scope;
	int r;

	if (len >= sizeof name || strlen(text) >= sizeof rest)
		return -ENOENT;
	memcpy(name, percent + 1, len);
	name[len] = '\0';
	snprintf(rest, sizeof rest, "%.*s%s", (int)(percent - text), text, percent + 1 + len);
	r = parse_prefix(rest, net);
	if (r == 0 && !is_link_local(net))
		r = -ENODEV;
	if (r == 0)
		r = parse_interface(name, &scope);
	if (r == 0)
		memcpy(net->source.scope, &scope, sizeof scope);
	return r;
}

static int parse_ip(const char *text, struct addr_net *ret)
{
	const char *percent = strchr(text, '%');
	struct addr_net net = {0};
	int r = percent ? parse_scoped(text, percent, &net) : parse_prefix(text, &net);

	if (r == 0)
		*ret = net;
	return r;
}

int addr_net_parse(const char *text, struct addr_net *ret)
{
	if (strncmp(text, "uid:", 4) == 0)
		return parse_number(text + 4, ADDR_SOURCE_UNIX, ret);
	if (strncmp(text, "vsock:", 6) == 0)
		return parse_number(text + 6, ADDR_SOURCE_VSOCK, ret);
	return parse_ip(text, ret);
}

void addr_net_of(const struct addr_source *source, unsigned prefix4, unsigned prefix6,
	struct addr_net *ret)
{
	struct addr_net net = {.source = *source};

	net.bits = (uint8_t)width_of(&net);
	if (addr_source_is_ip(source) && !addr_source_is_link_local(source))
		net.bits = (uint8_t)(source->family == ADDR_SOURCE_IPV4 ? prefix4 : prefix6);
	*ret = net;
}

/* ------------------------------------------------------------------------- to write */

static const char *format_ip(const struct addr_net *net, char buf[ADDR_NET_TEXT_MAX])
{
	bool is_ipv4 = net->source.family == ADDR_SOURCE_IPV4;
	bool is_usual = net->bits == width_of(net) && (is_ipv4 || is_link_local(net));
	char host[INET6_ADDRSTRLEN], name[IF_NAMESIZE] = "", bits[sizeof "/128"] = "";
	uint32_t scope;

	inet_ntop(is_ipv4 ? AF_INET : AF_INET6, net->source.bytes, host, sizeof host);
	memcpy(&scope, net->source.scope, sizeof scope);
	if (scope != 0)
		addr_interface_name(scope, name);
	if (!is_usual)
		snprintf(bits, sizeof bits, "/%u", net->bits);
	snprintf(buf, ADDR_NET_TEXT_MAX, "%s%s%s%s", host, scope ? "%" : "", name, bits);
	return buf;
}

const char *addr_net_format(const struct addr_net *net, char buf[ADDR_NET_TEXT_MAX])
{
	bool is_user = net->source.family == ADDR_SOURCE_UNIX;
	uint32_t number;

	if (addr_source_is_ip(&net->source))
		return format_ip(net, buf);
	memcpy(&number, net->source.bytes, sizeof number);
	snprintf(buf, ADDR_NET_TEXT_MAX, "%s:%u", is_user ? "uid" : "vsock", number);
	return buf;
}

/* ----------------------------------------------------------------------- to compare */

void addr_net_cut(uint8_t bytes[16], unsigned bits)
{
	addr_clear_behind(bytes, bits);
}

static bool begin_alike(const struct addr_net *a, const struct addr_net *b, unsigned bits)
{
	uint8_t left[16], right[16];

	memcpy(left, a->source.bytes, sizeof left);
	memcpy(right, b->source.bytes, sizeof right);
	addr_clear_behind(left, bits);
	addr_clear_behind(right, bits);
	return a->source.family == b->source.family && memcmp(left, right, sizeof left) == 0;
}

static bool has_scope(const struct addr_net *net)
{
	static const uint8_t none[sizeof net->source.scope];

	return memcmp(net->source.scope, none, sizeof none) != 0;
}

static bool is_same_scope(const struct addr_net *a, const struct addr_net *b)
{
	return memcmp(a->source.scope, b->source.scope, sizeof a->source.scope) == 0;
}

bool addr_net_overlap(const struct addr_net *a, const struct addr_net *b)
{
	unsigned bits = a->bits < b->bits ? a->bits : b->bits;

	return begin_alike(a, b, bits) &&
	       (!has_scope(a) || !has_scope(b) || is_same_scope(a, b));
}

bool addr_net_holds(const struct addr_net *net, const struct addr_net *inner)
{
	return net->bits <= inner->bits && begin_alike(net, inner, net->bits) &&
	       (!has_scope(net) || is_same_scope(net, inner));
}
