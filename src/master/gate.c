#include "master/gate.h"

#include "base/clock.h"
#include "master/findings.h"
#include "master/master.h"
#include "master/service.h"
#include "master/steer.h"
#include "os/load_average.h"
#include "policy/cert.h"

#include <string.h>
#include <sys/socket.h>

/* The kernel computes it anew every five seconds.  By the time of the request, so that
 * gate_before() and gate_ask() agree. */
static uint32_t current_load(struct master *master, uint64_t now)
{
	if (master->load_at == 0 || now - master->load_at >= USEC_PER_SEC) {
		master->load_at = now;
		master->load = load_average();
	}
	return master->load;
}

/* What is known before anybody is accepted. */
static struct admit_request request_of(const struct service *service, uint64_t now)
{
	struct master *master = service->master;
	const struct service_conf *conf = service->setup->conf;
	struct admit_request request = {
		.total = master_clients(master),
		.total_limit = master->budget.total_instances,
		.instances = service->n_children,
		.instances_limit = service->instances,
		.per_source_limit = UINT32_MAX,
		.now = now,
		.sensor = service->sensor,
		.load = conf->max_load == COUNT_UNLIMITED ? 0 : current_load(master, now),
		.max_load = conf->max_load,
	};

	if (service->pace) {
		request.rate = service->pace->limit;
		request.bucket = service->pace->bucket;
	}
	return request;
}

/* The rules about who may come in; NULL: there are none.  What is retired is in the
 * image no longer, and has no clients either. */
static const uint8_t *rules_of(const struct service *service)
{
	if (service->retired || !service->master->image)
		return NULL;
	return image_access(service->master->image, service->index);
}

/* All groups of a UNIX client, of which SO_PEERCRED has but the first. */
static void learn_groups(
	const struct conn *conn, uint32_t groups[ACCESS_GROUPS_MAX], struct access_peer *peer)
{
	socklen_t len = (ACCESS_GROUPS_MAX - 1) * sizeof *groups;

	groups[0] = conn->peer_cred.gid;
	peer->groups = groups;
	peer->n_groups = 1;
	if (getsockopt(conn->fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &len) < 0)
		peer->more_groups = true;
	else
		peer->n_groups += len / sizeof *groups;
}

static enum access_verdict ask_rules(const struct conn *conn, const uint8_t *rules)
{
	uint32_t groups[ACCESS_GROUPS_MAX];
	struct access_peer peer = {0};

	if (!rules)
		return ACCESS_OK;
	if (addr_family(&conn->local) != AF_UNIX) {
		addr_source(&conn->peer, 32, 128, &peer.who);
	} else {
		addr_source_uid(conn->peer_cred.uid, &peer.who);
		if (access_wants_groups(rules))
			learn_groups(conn, groups, &peer);
	}
	return access_ask(rules, &peer).verdict;
}

/* Who is in no rule may be let in by his name, which is not known before it was asked for
 * (master/inquiry).  Where nobody asks, he has none. */
static bool is_let_in_by_name(const struct conn *conn)
{
	const struct service_conf *conf = conn->service->setup->conf;

	if (!conf->names || !service_conf_asks_names(conf) || conn->listener->is_datagram)
		return false;
	return !conn->findings || findings_match(conn->findings, conf->names);
}

/* The same by his certificate, of which nothing is known before hands are shaken. */
static bool is_let_in_by_certificate(const struct conn *conn)
{
	const struct service_conf *conf = conn->service->setup->conf;
	struct cert_client client;

	if (!conf->certs || conn->listener->is_datagram)
		return false;
	if (!conn->tls_facts)
		return service_conf_has_tls(conf);
	return cert_client_read(conn->tls_facts, conn->tls_facts_len, &client) == 0 &&
	       cert_match(&client, conf->certs);
}

static enum access_verdict ask_access(const struct conn *conn)
{
	enum access_verdict verdict = ask_rules(conn, rules_of(conn->service));

	if (verdict != ACCESS_NOT_LISTED)
		return verdict;
	return is_let_in_by_certificate(conn) || is_let_in_by_name(conn) ? ACCESS_OK : verdict;
}

/* The rules of hosts.allow and hosts.deny; NULL: they are not kept. */
static const uint8_t *wrappers_of(const struct service *service)
{
	if (service->retired || !service->master->image)
		return NULL;
	return image_wrappers(service->master->image, service->index);
}

/* What nobody will find out is unsure, and keeps him out where it matters. */
static enum wrappers_name name_state_of(const struct conn *conn)
{
	if (!addr_is_ip(&conn->peer) || conn->peer.len == 0)
		return WRAPPERS_NAME_NONE;
	if (conn->findings)
		return conn->findings->name_state;
	return service_conf_asks_names(conn->service->setup->conf) &&
	                       !conn->listener->is_datagram
	               ? WRAPPERS_NAME_UNASKED
	               : WRAPPERS_NAME_UNSURE;
}

static enum wrappers_user user_state_of(const struct conn *conn)
{
	if (conn->findings)
		return conn->findings->user_state;
	if (!addr_is_ip(&conn->peer) || conn->peer.len == 0 || conn->reached.len > 0 ||
		conn->listener->is_datagram)
		return WRAPPERS_USER_NOBODY;
	return service_conf_asks_ident(conn->service->setup->conf) ? WRAPPERS_USER_UNASKED
	                                                           : WRAPPERS_USER_NOBODY;
}

static struct wrappers_answer ask_wrappers(const struct conn *conn, const uint8_t *table)
{
	struct wrappers_client client = {
		.local_unsure = addr_is_ip(&conn->local) && addr_is_wildcard(&conn->local),
		.port = addr_is_ip(&conn->local) ? (uint16_t)addr_port(&conn->local) : 0,
		.name_state = name_state_of(conn),
		.user_state = user_state_of(conn),
	};

	if (conn->findings) {
		client.name = conn->findings->name;
		client.user = conn->findings->user;
	}
	if (addr_is_ip(&conn->peer) && conn->peer.len > 0)
		addr_source(&conn->peer, 32, 128, &client.peer);
	if (addr_is_ip(&conn->local))
		addr_source(&conn->local, 32, 128, &client.local);
	return wrappers_ask(table, &client);
}

/* What depends on his name or his user does not keep him out before these were asked for
 * (master/inquiry): then it is asked again. */
static bool is_denied_by_wrappers(const struct conn *conn)
{
	const uint8_t *table = wrappers_of(conn->service);

	return table && ask_wrappers(conn, table).verdict == WRAPPERS_DENIED;
}

/* For whom a proxy speaks nobody is asked; any other one does not lack it before that. */
static bool lacks_user(const struct conn *conn)
{
	if (conn->service->setup->conf->ident != IDENT_USE_REQUIRED)
		return false;
	return conn->findings ? !conn->findings->user : conn->reached.len > 0;
}

static bool lacks_target(const struct conn *conn)
{
	const struct service_conf *conf = conn->service->setup->conf;

	return conf->target_names && conn->findings && conn->findings->n_targets == 0;
}

/* As what it is banned from all services, however these tell sources apart. */
static struct addr_source source_everywhere(const struct conn *conn)
{
	struct addr_source source = conn->source;

	if (addr_source_is_ip(&conn->source))
		addr_source(&conn->peer, ADDR_SOURCE_PREFIX4, ADDR_SOURCE_PREFIX6, &source);
	return source;
}

/* Until when; 0: he is not. */
static uint64_t banned_everywhere(const struct conn *conn)
{
	const struct sources *sources = conn->service->master->sources;
	struct addr_source source;

	if (!sources_any_everywhere(sources))
		return 0;
	source = source_everywhere(conn);
	return sources_look(sources, SOURCES_EVERYWHERE, &source).banned_until;
}

/* All bits of his address, or his user: a net may be any part of it. */
static struct addr_source whole_source(const struct conn *conn)
{
	struct addr_source source = conn->source;

	if (addr_source_is_ip(&conn->source))
		addr_source(&conn->peer, 32, 128, &source);
	return source;
}

/* Until when operators keep him out of the service of that name, NULL: of all; 0: they do
 * not. */
static uint64_t banned_by_operators(const struct conn *conn, const char *service, uint64_t now)
{
	struct bans *bans = &conn->service->master->banned;
	struct addr_source source;

	if (!bans_any(bans))
		return 0;
	source = whole_source(conn);
	return bans_until(bans, &source, service, now);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* By the clock on the wall, which may have jumped. */
static bool is_closed(const struct service *service)
{
	const struct hours *hours = service->setup->conf->hours;
	const struct hours_zone *zone = &image_conf(service->master->image)->zone;

	return hours && !hours_open(hours, hours_local(zone, clock_wall().tv_sec));
}

/* What is known of the one who asks. */
static void add_source(const struct conn *conn, struct admit_request *request)
{
	const struct service *service = conn->service;
	const struct sources *sources = service->master->sources;
	struct source_facts facts = sources_look(sources, service->number, &conn->source);
	const char *name = service->setup->conf->name;

	request->access = ask_access(conn);
	request->from_source = facts.count;
	/* The children of a service that waits are nobody's in particular. */
	if (!service->wait)
		request->per_source_limit = steer_per_source(service);
	request->source_rate = *steer_per_source_rate(service);
	if (facts.until > request->now)
		request->source_bucket = facts.bucket;
	request->banned_until = later(facts.banned_until,
		later(banned_everywhere(conn), banned_by_operators(conn, name, request->now)));
	/* That takes longest, and makes no difference to whom others keep out. */
	if (request->access == ACCESS_OK && request->banned_until <= request->now)
		request->hosts_denied = is_denied_by_wrappers(conn);
}

enum admit_verdict gate_before(const struct service *service, uint64_t now)
{
	struct admit_request request = request_of(service, now);

	return admit(&request);
}

/* What holds for all services alone. */
static struct admit_request request_before_choice(const struct service *service, uint64_t now)
{
	struct master *master = service->master;

	return (struct admit_request){
		.total = master_clients(master),
		.total_limit = master->budget.total_instances,
		.instances_limit = UINT32_MAX,
		.per_source_limit = UINT32_MAX,
		.max_load = COUNT_UNLIMITED,
		.now = now,
	};
}

enum admit_verdict gate_before_choice(const struct service *service, uint64_t now)
{
	struct admit_request request;

	if (!service->for_several)
		return gate_before(service, now);
	request = request_before_choice(service, now);
	return admit(&request);
}

enum admit_verdict gate_choice(const struct conn *conn, uint64_t now)
{
	struct admit_request request;

	if (!conn->service->for_several)
		return gate_ask(conn, now);
	request = request_before_choice(conn->service, now);
	request.banned_until =
		later(banned_everywhere(conn), banned_by_operators(conn, NULL, now));
	return admit(&request);
}

enum admit_verdict gate_ask(const struct conn *conn, uint64_t now)
{
	const struct service *service = conn->service;
	struct admit_request request = request_of(service, now);

	request.closed = is_closed(service);
	request.no_user = lacks_user(conn);
	request.no_target = lacks_target(conn);
	if (!service->wait || conn->source.family != ADDR_SOURCE_NONE)
		add_source(conn, &request);
	return admit(&request);
}

bool gate_believes(const struct conn *conn)
{
	const struct service *service = conn->service;
	const uint8_t *proxies;

	if (service->retired || !service->master->image)
		return false;
	proxies = image_proxy_from(service->master->image, service->index);
	return proxies && ask_rules(conn, proxies) == ACCESS_OK;
}

enum admit_verdict gate_first(const struct conn *conn, uint64_t now)
{
	int use = conn->service->setup->conf->proxy_protocol;

	if (use != PROXY_USE_NO && gate_believes(conn))
		return ADMIT_OK;
	return use == PROXY_USE_REQUIRED ? ADMIT_PROXY_FROM : gate_choice(conn, now);
}

void gate_count(const struct conn *conn, uint64_t now)
{
	struct service *service = conn->service;
	const struct limit *limit = steer_per_source_rate(service);

	service_count_client(service, now);
	if (conn->source.family != ADDR_SOURCE_NONE && limit_is_set(limit))
		sources_charge(
			service->master->sources, service->number, &conn->source, limit, now);
}

bool gate_has_rules(const struct service *service)
{
	return rules_of(service) != NULL;
}

bool gate_has_wrappers(const struct service *service)
{
	return wrappers_of(service) != NULL;
}

bool gate_minds_sources(const struct service *service)
{
	return rules_of(service) || wrappers_of(service) ||
	       limit_is_set(steer_per_source_rate(service)) ||
	       sources_any_everywhere(service->master->sources) ||
	       bans_any(&service->master->banned);
}

/* Any user of this machine can connect as 127.0.0.1, or from the address that he connects
 * to, and what is relayed by it comes from there. */
static bool is_this_machine(const struct conn *conn)
{
	struct addr_source peer, local;

	addr_source(&conn->peer, 32, 128, &peer);
	addr_source(&conn->local, 32, 128, &local);
	if (addr_source_is_localhost(&peer))
		return true;
	/* The interface of an address that was written is not known by its number. */
	return addr_is_ip(&conn->peer) && peer.family == local.family &&
	       memcmp(peer.bytes, local.bytes, sizeof peer.bytes) == 0;
}

static bool bans_from_all(const struct service *service)
{
	return service->sensor || service->setup->conf->ban_scope == BAN_ALL;
}

/* For how long one who was refused for that is to be refused for everything; 0: not. */
static uint64_t ban_for(const struct conn *conn, enum admit_verdict verdict)
{
	const struct service *service = conn->service;
	const struct service_conf *conf = service->setup->conf;

	if (conn->source.family == ADDR_SOURCE_NONE ||
		(bans_from_all(service) && is_this_machine(conn)))
		return 0;
	if (verdict == ADMIT_SENSOR)
		return conf->ban_time;
	if (verdict == ADMIT_PER_SOURCE || verdict == ADMIT_PER_SOURCE_RATE)
		return conf->overflow_source;
	return 0;
}

static void ban(const struct conn *conn, uint64_t duration, uint64_t now)
{
	const struct service *service = conn->service;
	const struct service_conf *conf = service->setup->conf;
	struct addr_source everywhere = source_everywhere(conn);
	uint64_t until = now + duration;
	struct addr_net who;

	if (bans_from_all(service)) {
		addr_net_of(&everywhere, ADDR_SOURCE_PREFIX4, ADDR_SOURCE_PREFIX6, &who);
		sources_ban(service->master->sources, SOURCES_EVERYWHERE, &who, until, now);
	} else {
		addr_net_of(&conn->source, conf->source_prefix4, conf->source_prefix6, &who);
		sources_ban(service->master->sources, service->number, &who, until, now);
	}
}

uint64_t gate_ban(const struct conn *conn, enum admit_verdict verdict, uint64_t now)
{
	uint64_t duration = ban_for(conn, verdict);

	if (duration > 0)
		ban(conn, duration, now);
	return duration;
}
