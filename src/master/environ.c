#include "master/environ.h"

#include "base/own.h"
#include "base/strv.h"
#include "base/tls-facts.h"
#include "master/findings.h"
#include "os/channel.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Writes entries into the plan's own storage; the first overflow sticks. */
struct writer {
	struct spawn_plan *plan;
	bool overflow;
};

static _printf_(2, 3) void add(struct writer *w, const char *format, ...)
{
	struct spawn_plan *plan = w->plan;
	size_t room = SPAWN_TEXT_MAX - plan->text_used;
	char *entry = plan->text + plan->text_used;
	va_list args;
	int len;

	if (w->overflow || plan->n_env >= SPAWN_ENV_MAX) {
		w->overflow = true;
		return;
	}

	va_start(args, format);
	len = vsnprintf(entry, room, format, args);
	va_end(args);
	if (len < 0 || (size_t)len >= room) {
		w->overflow = true;
		return;
	}
	plan->envp[plan->n_env++] = entry;
	plan->text_used += (unsigned)len + 1;
}

static void add_prepared(struct writer *w, char *const *env)
{
	for (; env && *env; env++) {
		if (w->plan->n_env >= SPAWN_ENV_MAX) {
			w->overflow = true;
			return;
		}
		w->plan->envp[w->plan->n_env++] = *env;
	}
}

/* One end of the connection as the dialects name it. */
struct end {
	char host[ADDR_TEXT_MAX];
	unsigned port;
};

static void describe(const struct addr *addr, struct end *ret)
{
	addr_format_host(addr, ret->host);
	ret->port = addr_port(addr);
}

static void add_local(struct writer *w, const char *proto, const struct end *local)
{
	add(w, "%sLOCALIP=%s", proto, local->host);
	add(w, "%sLOCALPORT=%u", proto, local->port);
	add(w, "SERVER_ADDR=%s", local->host);
	add(w, "SERVER_PORT=%u", local->port);
}

static void add_remote(struct writer *w, const char *proto, const struct end *remote)
{
	add(w, "%sREMOTEIP=%s", proto, remote->host);
	add(w, "%sREMOTEPORT=%u", proto, remote->port);
	add(w, "REMOTE_ADDR=%s", remote->host);
	add(w, "REMOTE_PORT=%u", remote->port);
}

/* Where his name is not known it is his address, as RFC 3875 has it. */
static void add_findings(
	struct writer *w, const char *proto, const char *host, const struct findings *findings)
{
	const char *name = findings ? findings->name : NULL;
	const char *user = findings ? findings->user : NULL;

	add(w, "REMOTE_HOST=%s", name ? name : host);
	if (name)
		add(w, "%sREMOTEHOST=%s", proto, name);
	if (!user)
		return;
	add(w, "REMOTE_INFO=%s", user);
	add(w, "%sREMOTEINFO=%s", proto, user);
}

static void add_socat(struct writer *w, const struct end *local, const struct end *remote)
{
	add(w, "SOCAT_SOCKADDR=%s", local->host);
	add(w, "SOCAT_SOCKPORT=%u", local->port);
	if (!remote)
		return;
	add(w, "SOCAT_PEERADDR=%s", remote->host);
	add(w, "SOCAT_PEERPORT=%u", remote->port);
}

static void add_ncat(
	struct writer *w, const char *proto, const struct end *local, const struct end *remote)
{
	add(w, "NCAT_PROTO=%s", proto);
	add(w, "NCAT_LOCAL_ADDR=%s", local->host);
	add(w, "NCAT_LOCAL_PORT=%u", local->port);
	if (!remote)
		return;
	add(w, "NCAT_REMOTE_ADDR=%s", remote->host);
	add(w, "NCAT_REMOTE_PORT=%u", remote->port);
}

/* A program of TCP's does not notice that there may be several paths. */
static const char *proto_of(const struct addr *addr)
{
	switch (addr->kind) {
	case ADDR_UDP:
		return "UDP";
	case ADDR_UDPLITE:
		return "UDPLITE";
	default:
		return "TCP";
	}
}

static void add_ip(struct writer *w, const struct conn *conn, uint32_t dialects)
{
	const char *proto = proto_of(&conn->local);
	struct end local, remote_end, *remote = NULL;

	describe(&conn->local, &local);
	if (conn->peer.len > 0) {
		describe(&conn->peer, &remote_end);
		remote = &remote_end;
	}

	add(w, "PROTO=%s", proto);
	add_local(w, proto, &local);
	if (remote) {
		add_remote(w, proto, remote);
		add_findings(w, proto, remote->host, conn->findings);
	}
	if (dialects & ENV_SOCAT)
		add_socat(w, &local, remote);
	if (dialects & ENV_NCAT)
		add_ncat(w, proto, &local, remote);
}

/* The CID alone; "any" for a listener that takes all. */
static void describe_vsock(const struct addr *addr, struct end *ret)
{
	char host[ADDR_TEXT_MAX];

	describe(addr, ret);
	strcpy(host, ret->host + strlen("vsock:"));
	strcpy(ret->host, host);
}

static void add_vsock(struct writer *w, const struct conn *conn, uint32_t dialects)
{
	struct end local, remote_end, *remote = NULL;
	char host[ADDR_TEXT_MAX];

	describe_vsock(&conn->local, &local);
	add(w, "PROTO=VSOCK");
	add(w, "VSOCKLOCALCID=%s", local.host);
	add(w, "VSOCKLOCALPORT=%u", local.port);
	add(w, "SERVER_ADDR=%s", addr_format_host(&conn->local, host));
	add(w, "SERVER_PORT=%u", local.port);
	if (conn->peer.len > 0) {
		describe_vsock(&conn->peer, &remote_end);
		remote = &remote_end;
		add(w, "VSOCKREMOTECID=%s", remote->host);
		add(w, "VSOCKREMOTEPORT=%u", remote->port);
		add(w, "REMOTE_ADDR=%s", addr_format_host(&conn->peer, host));
		add(w, "REMOTE_PORT=%u", remote->port);
		add(w, "REMOTE_HOST=%s", host);
	}
	if (dialects & ENV_SOCAT)
		add_socat(w, &local, remote);
	if (dialects & ENV_NCAT)
		add_ncat(w, "VSOCK", &local, remote);
}

static void add_unix(struct writer *w, const struct conn *conn)
{
	char path[ADDR_TEXT_MAX];

	add(w, "PROTO=IPC");
	add(w, "IPCLOCALPATH=%s", addr_format_host(&conn->local, path));
	if (conn->peer_cred.uid == (uid_t)-1)
		return;
	add(w, "IPCREMOTEEUID=%u", conn->peer_cred.uid);
	add(w, "IPCREMOTEEGID=%u", conn->peer_cred.gid);
	/* A peer in another pid name space has no number here. */
	if (conn->peer_cred.pid > 0)
		add(w, "IPCREMOTEPID=%d", conn->peer_cred.pid);
}

/* What is not fit for a line of text is not passed on. */
static void add_authority(struct writer *w, const struct conn *conn)
{
	char text[CHANNEL_AUTHORITY_MAX + 1];

	if (conn->authority_len == 0 || conn->authority_len >= sizeof text)
		return;
	for (size_t i = 0; i < conn->authority_len; i++)
		text[i] = (char)(conn->authority[i] > ' ' && conn->authority[i] < 0x7f
					 ? conn->authority[i]
					 : '?');
	text[conn->authority_len] = '\0';
	add(w, "PROXY_AUTHORITY=%s", text);
}

/* Who has told us who the client is. */
static void add_proxy(struct writer *w, const struct conn *conn)
{
	struct end proxy;

	if (conn->proxy.len > 0 && addr_is_ip(&conn->proxy)) {
		describe(&conn->proxy, &proxy);
		add(w, "PROXY_ADDR=%s", proxy.host);
		add(w, "PROXY_PORT=%u", proxy.port);
	}
	add_authority(w, conn);
}

/* What was agreed with him, and who he is by his certificate; it was checked when it came. */
static void add_tls(struct writer *w, const struct conn *conn)
{
	const char *line = NULL;

	while (conn->tls_facts &&
		(line = tls_facts_next(conn->tls_facts, conn->tls_facts_len, line)))
		add(w, "%s", line);
}

/* RFC 3875 names that are not there already. */
static void add_cgi(struct writer *w, const struct conn *conn)
{
	char host[ADDR_TEXT_MAX];

	add(w, "GATEWAY_INTERFACE=CGI/1.1");
	add(w, "SERVER_SOFTWARE=hatchd/%s", PACKAGE_VERSION);
	add(w, "SERVER_NAME=%s", addr_format_host(&conn->local, host));
}

/* fd names as sd_listen_fds(3) wants them: separated by colons. */
static void add_listen_fds(struct writer *w, const struct service *service)
{
	struct spawn_plan *plan = w->plan;
	char *pid;

	add(w, "LISTEN_FDS=%u", service->n_listeners);
	pid = plan->text + plan->text_used;
	add(w, "LISTEN_PID=%0*d", OWN_PID_ROOM - 1, 0);
	plan->listen_pid = w->overflow ? NULL : pid + strlen("LISTEN_PID=");

	add(w, "LISTEN_FDNAMES=%s", service->setup->conf->name);
	if (w->overflow)
		return;
	for (size_t i = 1; i < service->n_listeners; i++) {
		size_t room = SPAWN_TEXT_MAX - plan->text_used;
		int len = snprintf(plan->text + plan->text_used - 1, room + 1, ":%s",
			service->setup->conf->name);

		if (len < 0 || (size_t)len > room) {
			w->overflow = true;
			return;
		}
		plan->text_used += (unsigned)len;
	}
}

int environ_fill(
	const struct conn *conn, const struct service_conf *conf, struct spawn_plan *plan)
{
	struct writer w = {.plan = plan};

	add_prepared(&w, conf->base_env);
	add(&w, "HATCHD_CONNECTION=%llu", (unsigned long long)conn->number);
	if (addr_is_ip(&conn->local))
		add_ip(&w, conn, conf->env_dialect);
	else if (addr_family(&conn->local) == AF_VSOCK)
		add_vsock(&w, conn, conf->env_dialect);
	else
		add_unix(&w, conn);
	add_proxy(&w, conn);
	add_tls(&w, conn);
	if (conf->env_dialect & ENV_CGI)
		add_cgi(&w, conn);
	if (conf->wait && conf->pass_as == PASS_LISTEN_FDS)
		add_listen_fds(&w, conn->service);
	return w.overflow ? -E2BIG : 0;
}
