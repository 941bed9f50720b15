#include "master/introduce.h"

#include "base/fd.h"
#include "base/front.h"
#include "base/own.h"
#include "master/gate.h"
#include "master/master.h"
#include "master/service.h"

#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/uio.h>

unsigned introduce_tasks(const struct conn *conn)
{
	const struct service_conf *conf = conn->service->setup->conf;
	unsigned tasks = 0;

	if (conf->proxy_protocol != PROXY_USE_NO && gate_believes(conn))
		tasks |= FRONT_PROXY;
	if (tasks && conf->proxy_protocol == PROXY_USE_OPTIONAL)
		tasks |= FRONT_PROXY_OPTIONAL;
	if (conf->builtin == BUILTIN_TCPMUX)
		tasks |= FRONT_MUX;
	return tasks;
}

bool introduce_has_banners(const struct service *service)
{
	const struct service_conf *conf = service->setup->conf;

	return conf->banner_text || conf->banner_success_text || conf->banner_fail_text;
}

static struct front_bytes bytes(const char *text, size_t len)
{
	return (struct front_bytes){.data = (const uint8_t *)text, .len = text ? len : 0};
}

/* A name on each line, as the loader has written them; changes `text`. */
static int split_names(char *text, char ***ret)
{
	char *rest = NULL;

	for (char *name = strtok_r(text, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest))
		if (strv_add(ret, name) < 0)
			return -ENOMEM;
	return 0;
}

static int names_of(const struct service_conf *conf, char ***ret)
{
	_cleanup_free_ char *text = conf->reply ? strndup(conf->reply, conf->reply_len) : NULL;

	if (!conf->reply)
		return 0;
	return text ? split_names(text, ret) : -ENOMEM;
}

static int make_file(const struct master *master, const struct front_text *text)
{
	struct wire_writer w;
	int r;

	wire_writer_init(&w);
	r = front_text_write(text, &w);
	if (r == 0) {
		const struct iovec part = {.iov_base = w.data, .iov_len = w.len};

		r = fd_new_memory("hatchd-text", &part, 1);
	}
	wire_writer_done(&w);
	return r < 0 ? r : master_move_up(master, r);
}

int introduce_text(struct service *service)
{
	const struct service_conf *conf = service->setup->conf;
	_cleanup_strv_ char **names = NULL;
	struct front_text text = {
		.banner = bytes(conf->banner_text, conf->banner_text_len),
		.success = bytes(conf->banner_success_text, conf->banner_success_text_len),
		.fail = bytes(conf->banner_fail_text, conf->banner_fail_text_len),
	};
	int r = 0;

	if (service->setup->front_text >= 0)
		return 0;
	if (conf->builtin == BUILTIN_TCPMUX)
		r = names_of(conf, &names);
	text.names = names;
	if (r == 0 && !front_text_is_empty(&text))
		r = service->setup->front_text = make_file(service->master, &text);
	return r < 0 ? r : 0;
}

/* ------------------------------------------------------------------ what it says */

/* Of the kind that the socket is of, unless it is no IP: then the proxy's clients are TCP's. */
static bool to_addr(
	const struct conn *conn, const struct channel_address *address, struct addr *ret)
{
	enum addr_kind kind = addr_is_ip(&conn->local) ? conn->local.kind : ADDR_TCP;
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_port = htons(address->port),
	};
	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(address->port),
	};

	memcpy(&in.sin_addr, address->ip, sizeof in.sin_addr);
	memcpy(&in6.sin6_addr, address->ip, sizeof in6.sin6_addr);
	if (address->family == AF_INET)
		addr_from_sockaddr(kind, (struct sockaddr *)&in, sizeof in, ret);
	else if (address->family == AF_INET6)
		addr_from_sockaddr(kind, (struct sockaddr *)&in6, sizeof in6, ret);
	return address->family != 0;
}

static bool may_say(unsigned tasks, const struct channel_facts *facts)
{
	/* A user is said of who sends datagrams. */
	if (facts->peer.family == AF_UNIX)
		return false;
	if (!(tasks & FRONT_PROXY) &&
		(facts->peer.family || facts->local.family || facts->authority_len > 0))
		return false;
	/* A name, if it is a tcpmux's client, and then always. */
	return !(tasks & FRONT_MUX) == !facts->service[0];
}

bool introduce_learn(struct conn *conn, unsigned tasks, const struct channel_facts *facts)
{
	struct addr peer, local;

	if (!may_say(tasks, facts))
		return false;
	if (!to_addr(conn, &facts->peer, &peer))
		return true;
	conn->proxy = conn->peer;
	conn->reached = conn->local;
	conn->peer = peer;
	conn->peer_cred.uid = (uid_t)-1; /* that was the proxy's */
	if (to_addr(conn, &facts->local, &local))
		conn->local = local;
	return true;
}

/* "name: " is what it is told by, but at a command line, where there is one service. */
static bool is_called(const struct service *service, const char *name)
{
	size_t len = strlen(name);

	return strncasecmp(service->label, name, len) == 0 &&
	       strcmp(service->label + len, ": ") == 0;
}

struct service *introduce_service(const struct master *master, const char *name)
{
	const struct image *image = master->image;
	size_t n = image_n_services(image);

	for (size_t i = image_find_mux(image, name, 0); i < n;
		i = image_find_mux(image, name, i + 1))
		if (is_called(master->services[i], name))
			return master->services[i];
	return NULL;
}

/* What its own configuration says: whose guest it is. */
static bool is_guest_of(struct service *service, const struct service *host)
{
	const struct service_conf *conf = service_setup(service) ? service->setup->conf : NULL;

	return conf && conf->tls_host && service_is_called(host, conf->tls_host);
}

struct service *introduce_guest(const struct conn *conn, const char *name)
{
	const struct master *master = conn->service->master;
	const struct image *image = master->image;
	size_t n = image_n_services(image);

	for (size_t i = image_find_guest(image, name, 0); i < n;
		i = image_find_guest(image, name, i + 1))
		if (is_called(master->services[i], name) &&
			is_guest_of(master->services[i], conn->service))
			return master->services[i];
	return NULL;
}
