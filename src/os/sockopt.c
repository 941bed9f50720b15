#include "os/sockopt.h"

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
		{ "v6only", SOCKOPT(IPPROTO_IPV6, IPV6_V6ONLY), ONLY_IPV6,
		  .value = is_v6only(service, addr), .unset = -1 },
		{ "bind_to_device", SOCKOPT(SOL_SOCKET, SO_BINDTODEVICE), ANY,
		  .text = service->bind_to_device, .textual = true },
		{ "keepalive", SOCKOPT(SOL_SOCKET, SO_KEEPALIVE), ANY,
		  .value = service->keepalive },
		{ "nodelay", SOCKOPT(IPPROTO_TCP, TCP_NODELAY), ANY,
		  .value = service->nodelay },
		/* clang-format on */
	};

	_Static_assert(ARRAY_SIZE(settings) <= SETTINGS_MAX, "a setting without a place");
	memcpy(ret, settings, sizeof settings);
	return ARRAY_SIZE(settings);
}

static bool has(
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
	else
		snprintf(step, SOCKOPT_STEP_MAX, "set %s on", s->name);
}

static int set(int fd, const struct setting *s, char reterr_step[SOCKOPT_STEP_MAX])
{
	const void *value = s->textual ? (const void *)s->text : &s->value;
	size_t len = s->textual ? strlen(s->text) + 1 : sizeof s->value;

	if (setsockopt(fd, s->level, s->number, value, (socklen_t)len) == 0)
		return 0;
	name_step(s, reterr_step);
	return -errno;
}

int sockopt_apply(int fd, const struct service_conf *service, const struct addr *addr,
	char reterr_step[SOCKOPT_STEP_MAX])
{
	struct setting settings[SETTINGS_MAX];
	size_t n = list_settings(service, addr, settings);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (is_asked_for(&settings[i]) && has(service, addr, &settings[i]))
			r = set(fd, &settings[i], reterr_step);
	}
	return r;
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
		if (has(service, addr, &settings[i]) && is_due(fd, &settings[i]))
			r = set(fd, &settings[i], reterr_step);
	}
	return r;
}
