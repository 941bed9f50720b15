#include "workers/endpoint.h"

#include "base/own.h"

#include <string.h>

/* Where the address of IPv4 lies in the mapped one. */
#define IPV4_AT 12

struct in6_addr endpoint_ipv4(struct in_addr ip)
{
	struct in6_addr mapped = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

	memcpy(mapped.s6_addr + IPV4_AT, &ip, sizeof ip);
	return mapped;
}

static struct in_addr ipv4_of(const struct in6_addr *mapped)
{
	struct in_addr ip;

	memcpy(&ip, mapped->s6_addr + IPV4_AT, sizeof ip);
	return ip;
}

bool endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct endpoint *ret)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (len >= sizeof in6 && sa->sa_family == AF_INET6) {
		memcpy(&in6, sa, sizeof in6);
		*ret = (struct endpoint){
			in6.sin6_addr, in6.sin6_scope_id, ntohs(in6.sin6_port)};
		return true;
	}
	if (len >= sizeof in && sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof in);
		*ret = (struct endpoint){endpoint_ipv4(in.sin_addr), 0, ntohs(in.sin_port)};
		return true;
	}
	return false;
}

socklen_t endpoint_to_sockaddr(
	const struct endpoint *endpoint, sa_family_t family, struct sockaddr_in6 *ret)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};

	*ret = (struct sockaddr_in6){
		.sin6_family = AF_INET6,
		.sin6_port = htons(endpoint->port),
		.sin6_addr = endpoint->ip,
		.sin6_scope_id = endpoint->interface,
	};
	if (family == AF_INET6)
		return sizeof *ret;
	in.sin_addr = ipv4_of(&endpoint->ip);
	memcpy(ret, &in, sizeof in);
	return sizeof in;
}

static bool is_small_service(uint16_t port)
{
	static const uint16_t ports[] = {7, 9, 13, 17, 19, 37};

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
		if (ports[i] == port)
			return true;
	return false;
}

/* Multicast, reserved, broadcast to all (224.0.0.0/3); or "this network" (0.0.0.0/8). */
static bool is_single_ipv4(const struct in6_addr *mapped)
{
	uint8_t first = mapped->s6_addr[IPV4_AT];

	return first != 0 && first < 224;
}

bool endpoint_is_single(const struct in6_addr *ip)
{
	if (IN6_IS_ADDR_V4MAPPED(ip))
		return is_single_ipv4(ip);
	return !IN6_IS_ADDR_UNSPECIFIED(ip) && !IN6_IS_ADDR_MULTICAST(ip);
}

bool endpoint_may_answer(const struct endpoint *from, const struct endpoint *to)
{
	if (from->port == 0 || from->port == to->port || is_small_service(from->port))
		return false;
	return endpoint_is_single(&from->ip) && endpoint_is_single(&to->ip);
}
