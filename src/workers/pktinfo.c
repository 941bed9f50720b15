#include "workers/pktinfo.h"

#include "base/own.h"

#include <string.h>

static int switch_on(int fd, int level, int name)
{
	static const int on = 1;

	return setsockopt(fd, level, name, &on, sizeof on) < 0 ? -errno : 0;
}

/* A socket of IPv6 may have clients of IPv4, of which IPv6 does not say all. */
static int have_kernel_tell(int fd, sa_family_t family)
{
	int r;

	r = switch_on(fd, IPPROTO_IP, IP_PKTINFO);
	if (r == 0)
		r = switch_on(fd, IPPROTO_IP, IP_RECVTTL);
	if (r < 0 || family == AF_INET)
		return r;
	r = switch_on(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
	if (r < 0)
		return r;
	return switch_on(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT);
}

static int learn_port(int fd, uint16_t *ret, sa_family_t *ret_family)
{
	union {
		struct sockaddr sa;
		struct sockaddr_storage storage;
	} name;
	socklen_t len = sizeof name;
	struct endpoint own;

	if (getsockname(fd, &name.sa, &len) < 0)
		return -errno;
	if (!endpoint_from_sockaddr(&name.sa, len, &own))
		return -EPROTONOSUPPORT;
	*ret = own.port;
	*ret_family = name.sa.sa_family;
	return 0;
}

int pktinfo_begin(int fd, uint16_t *ret_port, sa_family_t *ret_family)
{
	sa_family_t family = AF_UNSPEC;
	uint16_t port = 0;
	int r;

	r = learn_port(fd, &port, &family);
	if (r == 0)
		r = have_kernel_tell(fd, family);
	if (r < 0)
		return r;
	*ret_port = port;
	*ret_family = family;
	return 0;
}

static void learn_ipv4(const struct cmsghdr *c, struct pktinfo *info)
{
	struct in_pktinfo said;

	if (c->cmsg_type == IP_TTL) {
		memcpy(&info->hops, CMSG_DATA(c), sizeof info->hops);
	} else if (c->cmsg_type == IP_PKTINFO) {
		memcpy(&said, CMSG_DATA(c), sizeof said);
		info->to.ip = endpoint_ipv4(said.ipi_addr);
		info->to.interface = 0;
		/* Where it was sent, and what the kernel would send from.  The latter is not
		 * known of what came before we asked for it; but to send from an address
		 * that is not its own, the kernel refuses. */
		info->broadcast = said.ipi_spec_dst.s_addr != 0 &&
		                  said.ipi_spec_dst.s_addr != said.ipi_addr.s_addr;
		info->known = true;
	}
}

/* Of IPv4, this says where it went, but not whether that was broadcast. */
static void learn_ipv6(const struct cmsghdr *c, struct pktinfo *info)
{
	struct in6_pktinfo said;

	if (c->cmsg_type == IPV6_HOPLIMIT) {
		memcpy(&info->hops, CMSG_DATA(c), sizeof info->hops);
	} else if (c->cmsg_type == IPV6_PKTINFO) {
		memcpy(&said, CMSG_DATA(c), sizeof said);
		if (IN6_IS_ADDR_V4MAPPED(&said.ipi6_addr))
			return;
		info->to.ip = said.ipi6_addr;
		if (IN6_IS_ADDR_LINKLOCAL(&said.ipi6_addr))
			info->to.interface = said.ipi6_ifindex;
		info->known = true;
	}
}

bool pktinfo_learn(struct msghdr *message, uint16_t port, struct pktinfo *ret)
{
	*ret = (struct pktinfo){.to.port = port};
	if (message->msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return false;
	if (!endpoint_from_sockaddr(message->msg_name, message->msg_namelen, &ret->from))
		return false;
	ret->family = ((struct sockaddr *)message->msg_name)->sa_family;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == IPPROTO_IP)
			learn_ipv4(c, ret);
		else if (c->cmsg_level == IPPROTO_IPV6)
			learn_ipv6(c, ret);
	}
	return ret->known;
}

static void put_control(
	struct msghdr *message, int level, int type, const void *value, size_t len)
{
	struct cmsghdr *c =
		(struct cmsghdr *)((uint8_t *)message->msg_control + message->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), value, len);
	message->msg_controllen += CMSG_SPACE(len);
}

static void put_hops(struct msghdr *message, int level, int type, int hops)
{
	if (hops > 0)
		put_control(message, level, type, &hops, sizeof hops);
}

void pktinfo_answer_from(struct msghdr *message, const struct endpoint *from, int hops)
{
	struct in6_pktinfo info6 = {from->ip, from->interface};
	struct in_pktinfo info4 = {0};

	message->msg_controllen = 0;
	if (IN6_IS_ADDR_V4MAPPED(&from->ip)) {
		memcpy(&info4.ipi_spec_dst, from->ip.s6_addr + 12, sizeof info4.ipi_spec_dst);
		put_control(message, IPPROTO_IP, IP_PKTINFO, &info4, sizeof info4);
		put_hops(message, IPPROTO_IP, IP_TTL, hops);
		return;
	}
	put_control(message, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
	put_hops(message, IPPROTO_IPV6, IPV6_HOPLIMIT, hops);
}

void pktinfo_put_hops(struct msghdr *message, sa_family_t family, int hops)
{
	message->msg_controllen = 0;
	if (family == AF_INET6)
		put_hops(message, IPPROTO_IPV6, IPV6_HOPLIMIT, hops);
	else
		put_hops(message, IPPROTO_IP, IP_TTL, hops);
}
