#include "os/sockopt.h"

#include "base/clock.h"
#include "base/own.h"
#include "conf/options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

/* Beside the sort of sockets that the table of options tells. */
enum version {
	ANY,
	ONLY_IPV4, /* sockets that take clients of IPv4 */
	ONLY_IPV6, /* sockets that take clients of IPv6 */
};

/* One option with the value that a service wants it to have. */
struct setting {
	const char *option; /* as the configuration names it */
	const char *name;   /* as the kernel's manual does */
	int level, number;
	enum version version;
	int value;
	int unset;        /* the value if nothing is asked for: not set on a new socket */
	const char *text; /* instead of `value`; NULL: nothing is asked for */
	bool textual;
};

#define SETTINGS_MAX 32

#define SOCKOPT(level_, number_) .name = #number_, .level = (level_), .number = (number_)

/* Whether an address of IPv6 takes clients of IPv4 as well. */
static bool is_v6only(const struct service_conf *service, const struct addr *addr)
{
	return service->v6only < 0 ? !addr->dual : service->v6only;
}

static int seconds(uint64_t usec)
{
	return (int)(usec / USEC_PER_SEC);
}

/* Rounded up: no time at all would mean another thing. */
static int milliseconds(uint64_t usec)
{
	return (int)((usec + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}

/* What these two options call the kernel's own choice. */
static int or_minus_one(uint32_t value)
{
	return value > 0 ? (int)value : -1;
}

/* THE table.  In the order in which they are set. */
static size_t list_settings(const struct service_conf *service, const struct addr *addr,
	struct setting ret[SETTINGS_MAX])
{
	const struct setting settings[] = {
		/* clang-format off */
		{ "send_buffer", SOCKOPT(SOL_SOCKET, SO_SNDBUF), ANY,
		  .value = (int)service->send_buffer },
		{ "receive_buffer", SOCKOPT(SOL_SOCKET, SO_RCVBUF), ANY,
		  .value = (int)service->receive_buffer },
		{ "reuse_port", SOCKOPT(SOL_SOCKET, SO_REUSEPORT), ANY,
		  .value = service->reuse_port },
		{ "free_bind", SOCKOPT(IPPROTO_IP, IP_FREEBIND), ANY,
		  .value = service->free_bind },
		{ "transparent", SOCKOPT(IPPROTO_IP, IP_TRANSPARENT), ONLY_IPV4,
		  .value = service->transparent },
		{ "transparent", SOCKOPT(IPPROTO_IPV6, IPV6_TRANSPARENT), ONLY_IPV6,
		  .value = service->transparent },
		{ "v6only", SOCKOPT(IPPROTO_IPV6, IPV6_V6ONLY), ONLY_IPV6,
		  .value = is_v6only(service, addr), .unset = -1 },
		{ "bind_to_device", SOCKOPT(SOL_SOCKET, SO_BINDTODEVICE), ANY,
		  .text = service->bind_to_device, .textual = true },
		{ "mark", SOCKOPT(SOL_SOCKET, SO_MARK), ANY,
		  .value = (int)service->mark },
		{ "tos", SOCKOPT(IPPROTO_IP, IP_TOS), ONLY_IPV4,
		  .value = (int)service->tos },
		{ "tos", SOCKOPT(IPPROTO_IPV6, IPV6_TCLASS), ONLY_IPV6,
		  .value = (int)service->tos },
		/* Behind IP_TOS, which chooses a priority of its own; so nobody but the
		 * kernel knows what it is when nothing is asked for. */
		{ "priority", SOCKOPT(SOL_SOCKET, SO_PRIORITY), ANY,
		  .value = (int)service->priority },
		{ "ttl", SOCKOPT(IPPROTO_IP, IP_TTL), ONLY_IPV4,
		  .value = or_minus_one(service->ttl), .unset = -1 },
		{ "ttl", SOCKOPT(IPPROTO_IPV6, IPV6_UNICAST_HOPS), ONLY_IPV6,
		  .value = or_minus_one(service->ttl), .unset = -1 },
		{ "broadcast", SOCKOPT(SOL_SOCKET, SO_BROADCAST), ANY,
		  .value = service->broadcast },
		{ "keepalive", SOCKOPT(SOL_SOCKET, SO_KEEPALIVE), ANY,
		  .value = service->keepalive },
		{ "keepalive_time", SOCKOPT(IPPROTO_TCP, TCP_KEEPIDLE), ANY,
		  .value = seconds(service->keepalive_time) },
		{ "keepalive_interval", SOCKOPT(IPPROTO_TCP, TCP_KEEPINTVL), ANY,
		  .value = seconds(service->keepalive_interval) },
		{ "keepalive_probes", SOCKOPT(IPPROTO_TCP, TCP_KEEPCNT), ANY,
		  .value = (int)service->keepalive_probes },
		{ "nodelay", SOCKOPT(IPPROTO_TCP, TCP_NODELAY), ANY,
		  .value = service->nodelay },
		{ "defer_accept", SOCKOPT(IPPROTO_TCP, TCP_DEFER_ACCEPT), ANY,
		  .value = seconds(service->defer_accept) },
		{ "fast_open", SOCKOPT(IPPROTO_TCP, TCP_FASTOPEN), ANY,
		  .value = (int)service->fast_open },
		{ "user_timeout", SOCKOPT(IPPROTO_TCP, TCP_USER_TIMEOUT), ANY,
		  .value = milliseconds(service->user_timeout) },
		{ "congestion", SOCKOPT(IPPROTO_TCP, TCP_CONGESTION), ANY,
		  .text = service->congestion, .textual = true },
		/* clang-format on */
	};

	_Static_assert(ARRAY_SIZE(settings) <= SETTINGS_MAX, "a setting without a place");
	memcpy(ret, settings, sizeof settings);
	return ARRAY_SIZE(settings);
}

/* Whether an address of that kind has it. */
static bool is_for(
	const struct service_conf *service, const struct addr *addr, const struct setting *s)
{
	bool ipv6 = addr_family(addr) == AF_INET6;

	if (s->version == ONLY_IPV6 && !ipv6)
		return false;
	if (s->version == ONLY_IPV4 && ipv6 && is_v6only(service, addr))
		return false;
	return conf_option_concerns(conf_option_find(s->option), addr);
}

static bool is_asked_for(const struct setting *s)
{
	return s->textual ? s->text != NULL : s->value != s->unset;
}

static void name_step(const struct setting *s, char step[SOCKOPT_STEP_MAX])
{
	if (s->number == SO_BINDTODEVICE && s->level == SOL_SOCKET)
		snprintf(step, SOCKOPT_STEP_MAX, "bind to interface %.16s for", s->text);
	else if (s->textual)
		snprintf(step, SOCKOPT_STEP_MAX, "set %.16s to %.16s on", s->name, s->text);
	else
		snprintf(step, SOCKOPT_STEP_MAX, "set %s on", s->name);
}

static int set_option(int fd, const struct setting *s, char reterr_step[SOCKOPT_STEP_MAX])
{
	const void *value = s->textual ? (const void *)s->text : &s->value;
	size_t len = s->textual ? strlen(s->text) + 1 : sizeof s->value;
	int error;

	if (setsockopt(fd, s->level, s->number, value, (socklen_t)len) == 0)
		return 0;
	error = errno;
	name_step(s, reterr_step);
	/* What the kernel calls a file is a congestion control. */
	return s->textual && error == ENOENT ? -ENOPKG : -error;
}

int sockopt_apply(int fd, const struct service_conf *service, const struct addr *addr,
	char reterr_step[SOCKOPT_STEP_MAX])
{
	struct setting settings[SETTINGS_MAX];
	size_t n = list_settings(service, addr, settings);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (is_asked_for(&settings[i]) && is_for(service, addr, &settings[i]))
			r = set_option(fd, &settings[i], reterr_step);
	}
	return r;
}

void sockopt_finish(int fd, const struct service_conf *service, const struct addr *addr)
{
	int priority = (int)service->priority;

	if (priority > 0 && addr_is_tcp(addr))
		setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority);
}

/* Whether the open socket has to be told.  What nobody asks for is told only where
 * it is something else now: some options take a right even to say nothing. */
static bool is_due(int fd, const struct setting *s)
{
	unsigned flags = conf_option_find(s->option)->flags;
	int value = s->value;
	socklen_t len = sizeof value;

	if (!(flags & OPTION_SOCKET_LIVE))
		return false;
	if (is_asked_for(s))
		return true;
	if (flags & OPTION_SOCKET_STICKY)
		return false;
	return getsockopt(fd, s->level, s->number, &value, &len) == 0 && value != s->value;
}

int sockopt_adjust(int fd, const struct service_conf *service, const struct addr *addr,
	char reterr_step[SOCKOPT_STEP_MAX])
{
	struct setting settings[SETTINGS_MAX];
	size_t n = list_settings(service, addr, settings);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (is_for(service, addr, &settings[i]) && is_due(fd, &settings[i]))
			r = set_option(fd, &settings[i], reterr_step);
	}
	return r;
}
