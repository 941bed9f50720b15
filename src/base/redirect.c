#include "base/redirect.h"

const char *const redirect_order_names[] = {
	[REDIRECT_FIRST] = "first",
	[REDIRECT_ROUND_ROBIN] = "round-robin",
	[_REDIRECT_ORDER_MAX] = NULL,
};

const char *const redirect_proxy_names[] = {
	[REDIRECT_PROXY_NONE] = "none",
	[REDIRECT_PROXY_1] = "1",
	[REDIRECT_PROXY_2] = "2",
	[_REDIRECT_PROXY_MAX] = NULL,
};

const char *redirect_refuses(const struct addr *addr)
{
	if (addr->kind == ADDR_UNIX_DGRAM)
		return "a target of unix-dgram could answer only a socket that has a name, "
		       "which a worker cannot give itself";
	if (addr->kind != ADDR_TCP && addr->kind != ADDR_UNIX && addr->kind != ADDR_UDP)
		return "a target is an address of tcp, udp or unix";
	if (addr->kind == ADDR_UNIX)
		return NULL;
	if (addr_is_wildcard(addr))
		return addr->kind == ADDR_UDP
		               ? "a target needs the address of a machine, such as "
		                 "udp:127.0.0.1:53"
		               : "a target needs the address of a machine, such as "
		                 "tcp:127.0.0.1:8080";
	if (addr->kind == ADDR_UDP && addr_is_for_many(addr))
		return "a target is one machine, and that is the address of many";
	return addr_port(addr) == 0 ? "a target needs a port" : NULL;
}

static void put_target(struct wire_writer *wire, const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];
	uint32_t scope = 0;

	if (addr_family(addr) == AF_INET6 && addr->interface[0] != '\0')
		scope = if_nametoindex(addr->interface);
	wire_put_string(wire, addr_format(addr, text));
	wire_put_u32(wire, scope);
}

void redirect_put(struct wire_writer *wire, const struct redirect *redirect)
{
	wire_put_u32(wire, redirect->service);
	wire_put_u32(wire, (uint32_t)redirect->order);
	wire_put_u32(wire, (uint32_t)redirect->proxy);
	wire_put_u64(wire, redirect->connect_timeout);
	wire_put_u32(wire, redirect->awaited);
	wire_put_u64(wire, redirect->await_timeout);
	wire_put_u32(wire, redirect->n_targets);
	for (uint32_t i = 0; i < redirect->n_targets; i++)
		put_target(wire, &redirect->targets[i]);
}

static int parse_target(const char *text, struct addr *ret)
{
	struct addr_spec spec;
	const char *why;

	if (!text || addr_parse(text, &spec, &why) < 0 || spec.host[0] || spec.service[0] ||
		spec.port_first != spec.port_last || redirect_refuses(&spec.addr))
		return -EBADMSG;
	*ret = spec.addr;
	return 0;
}

static int get_target(struct wire_reader *wire, struct addr *ret)
{
	_cleanup_free_ char *text = wire_get_string(wire);
	uint32_t scope = wire_get_u32(wire);

	if (wire->error || parse_target(text, ret) < 0)
		return -EBADMSG;
	if (addr_family(ret) == AF_INET6)
		ret->in6.sin6_scope_id = scope;
	return 0;
}

int redirect_get(const void *data, size_t len, struct addr targets[REDIRECT_TARGETS_MAX],
	struct redirect *ret)
{
	struct wire_reader wire;
	struct redirect redirect = {.targets = targets};
	uint32_t order, proxy;
	int r = 0;

	wire_reader_init(&wire, data, len);
	redirect.service = wire_get_u32(&wire);
	order = wire_get_u32(&wire);
	proxy = wire_get_u32(&wire);
	redirect.connect_timeout = wire_get_u64(&wire);
	redirect.awaited = wire_get_u32(&wire);
	redirect.await_timeout = wire_get_u64(&wire);
	redirect.n_targets = wire_get_count(&wire, 2 * sizeof(uint32_t));
	if (order >= _REDIRECT_ORDER_MAX || proxy >= _REDIRECT_PROXY_MAX ||
		redirect.n_targets == 0 || redirect.n_targets > REDIRECT_TARGETS_MAX ||
		redirect.awaited >= redirect.n_targets)
		return -EBADMSG;
	redirect.order = (enum redirect_order)order;
	redirect.proxy = (enum redirect_proxy)proxy;
	for (uint32_t i = 0; i < redirect.n_targets && r == 0; i++)
		r = get_target(&wire, &targets[i]);
	if (r < 0 || !wire_reader_complete(&wire))
		return -EBADMSG;
	*ret = redirect;
	return 0;
}
