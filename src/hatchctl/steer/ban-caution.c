#include "hatchctl/steer/ban-caution.h"

#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>

static bool say(const struct addr_net *who, const char *of_whom, char why[BAN_CAUTION_MAX])
{
	char text[ADDR_NET_TEXT_MAX];

	snprintf(why, BAN_CAUTION_MAX, "%s %s", addr_net_format(who, text), of_whom);
	return true;
}

/* The first word is where he has come from: that address with all its bits. */
static bool learn_login(const char *login, struct addr_net *ret)
{
	int len = login ? (int)strcspn(login, " ") : 0;
	char text[ADDR_NET_TEXT_MAX];

	snprintf(text, sizeof text, "%.*s/128", len, login ? login : "");
	if (addr_net_parse(text, ret) == 0)
		return true;
	snprintf(text, sizeof text, "%.*s/32", len, login ? login : "");
	return addr_net_parse(text, ret) == 0;
}

static bool holds_login(
	const struct addr_net *who, const char *login, char why[BAN_CAUTION_MAX])
{
	char text[ADDR_NET_TEXT_MAX + 64], from[ADDR_NET_TEXT_MAX];
	struct addr_net net;

	if (!learn_login(login, &net) || !addr_net_holds(who, &net))
		return false;
	snprintf(text, sizeof text, "holds %s, from where you are logged in",
		addr_net_format(&net, from));
	return say(who, text, why);
}

static bool is_of_interface(const struct ifaddrs *entry, struct addr_net *ret)
{
	int family = entry->ifa_addr ? entry->ifa_addr->sa_family : AF_UNSPEC;
	struct addr_source source;
	struct addr addr;

	if (family != AF_INET && family != AF_INET6)
		return false;
	addr_from_sockaddr(ADDR_TCP, entry->ifa_addr,
		family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6),
		&addr);
	addr_source(&addr, 32, 128, &source);
	addr_net_of(&source, 32, 128, ret);
	return true;
}

/* Who writes one of our addresses with all its bits means it. */
static bool holds_this_machine(const struct addr_net *who, char why[BAN_CAUTION_MAX])
{
	char text[ADDR_NET_TEXT_MAX + 64], ours[ADDR_NET_TEXT_MAX];
	struct ifaddrs *all, *entry;
	struct addr_net net;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (entry = all; entry && !found; entry = entry->ifa_next)
		found = is_of_interface(entry, &net) && who->bits < net.bits &&
		        addr_net_holds(who, &net);
	freeifaddrs(all);
	if (!found)
		return false;
	snprintf(text, sizeof text, "holds %s, which is this machine",
		addr_net_format(&net, ours));
	return say(who, text, why);
}

bool ban_caution(
	const struct addr_net *who, bool of_all, const char *login, char why[BAN_CAUTION_MAX])
{
	if (!addr_source_is_ip(&who->source))
		return false;
	if (who->bits == 0 && of_all)
		return say(who, "is everybody, and from all services", why);
	return holds_login(who, login, why) || holds_this_machine(who, why);
}
