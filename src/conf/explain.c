#include "conf/explain.h"

#include "base/redirect.h"
#include "base/text.h"
#include "conf/explain-internal.h"
#include "conf/print.h"
#include "conf/worker.h"

#include <string.h>
#include <time.h>

/* Width of the words at the beginning of lines. */
#define WORD_WIDTH 13

void explain_put_word(const struct explain *e, const char *word)
{
	fprintf(e->out, "%-*s", WORD_WIDTH, word);
}

void explain_put_origin(const struct explain *e, const struct origin *origin)
{
	if (!origin->file)
		return;
	fprintf(e->out, "%s", origin->file);
	if (origin->line > 0)
		fprintf(e->out, ":%u", origin->line);
}

void explain_put_given(const struct explain *e, const struct conf_option *option)
{
	if (service_conf_given(e->service, option))
		explain_put_origin(e, service_conf_given_at(e->service, option));
	else
		fputs("default", e->out);
}

void explain_put_by(const struct explain *e, const struct conf_option *option)
{
	fprintf(e->out, ", by %s, ", option->name);
	explain_put_given(e, option);
	fputc('\n', e->out);
}

/* But for what a terminal obeys, as it is. */
static int put_text(const struct explain *e, const char *text)
{
	size_t size = 4 * strlen(text) + 1;
	_cleanup_free_ char *shown = malloc(size);

	if (!shown)
		return -ENOMEM;
	fputs(text_escape(text, strlen(text), shown, size), e->out);
	return 0;
}

/* As it would be written in a file, so that it shows where each ends. */
static int put_word_of_list(const struct explain *e, const char *text)
{
	_cleanup_free_ char *quoted = print_quote(text);

	return quoted ? put_text(e, quoted) : -ENOMEM;
}

static int put_list(const struct explain *e, const char *word, char *const *values)
{
	int r = 0;

	explain_put_word(e, word);
	for (size_t i = 0; values && values[i] && r == 0; i++) {
		fputs(i > 0 ? " " : "", e->out);
		r = put_word_of_list(e, values[i]);
	}
	fputc('\n', e->out);
	return r;
}

/*
 * Where he comes in.
 */

/* Whether a client of that sort can have called that address. */
static bool can_call(const struct access_peer *peer, const struct service_conf *service,
	const struct addr *addr)
{
	/* What the service manager hands over may be anything. */
	if (addr->kind == ADDR_FD)
		return true;
	switch (peer->who.family) {
	case ADDR_SOURCE_IPV4:
		return addr_takes_ipv4(addr, service->v6only);
	case ADDR_SOURCE_IPV6:
		return addr_family(addr) == AF_INET6;
	case ADDR_SOURCE_VSOCK:
		return addr_family(addr) == AF_VSOCK;
	default:
		return addr_family(addr) == AF_UNIX;
	}
}

static const struct addr *find_own_address(
	const struct explain *e, const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_listen; i++) {
		if (can_call(&e->peer.peer, service, &service->listen[i].addr))
			return &service->listen[i].addr;
	}
	/* A proxy speaks for clients of any sort, wherever it comes in itself. */
	for (size_t i = 0; service_conf_has_proxies(service) && i < service->n_listen; i++) {
		if (!addr_is_datagram(&service->listen[i].addr))
			return &service->listen[i].addr;
	}
	return NULL;
}

/* Where he can give the name of the service, if he cannot come to it. */
static const struct addr *find_mux_address(struct explain *e)
{
	const struct addr *addr = NULL;

	for (size_t i = 0; i < e->conf->n_services && !addr; i++) {
		const struct service_conf *mux = e->conf->services[i];

		if (mux->disable || mux->sensor || mux->builtin != BUILTIN_TCPMUX)
			continue;
		addr = find_own_address(e, mux);
		e->mux = addr ? mux : NULL;
	}
	return addr;
}

/* Where he can ask for it, at the socket of another service. */
static const struct addr *find_host_address(struct explain *e)
{
	const struct addr *addr = NULL;

	for (size_t i = 0; i < e->conf->n_services && !addr; i++) {
		const struct service_conf *host = e->conf->services[i];

		if (host->disable || strcmp(host->name, e->service->tls_host) != 0)
			continue;
		addr = find_own_address(e, host);
		e->mux = addr ? host : NULL;
	}
	return addr;
}

static const struct addr *find_address(struct explain *e)
{
	const struct addr *addr = find_own_address(e, e->service);

	if (!addr && service_conf_has_mux(e->service))
		addr = find_mux_address(e);
	if (!addr && service_conf_is_tls_guest(e->service))
		addr = find_host_address(e);
	return addr;
}

bool explain_is_counted(const struct explain *e)
{
	return !(service_conf_is_builtin(e->service) && e->addr && addr_is_udp(e->addr));
}

bool explain_is_seen(const struct explain *e)
{
	return !e->service->wait || addr_shows_sender(e->addr);
}

/*
 * What he would find.
 */

static void put_user(const struct explain *e)
{
	const struct service_conf *service = e->service;

	explain_put_word(e, "user");
	if (!service->change_identity) {
		fprintf(e->out, "who hatchd is\n");
		return;
	}
	fprintf(e->out, "%s, number %u, group %u",
		service->user ? service->user : "hatchd's own", service->uid, service->gid);
	for (size_t i = 0; i < service->n_groups; i++)
		fprintf(e->out, "%s%u", i > 0 ? ", " : ", and groups ",
			service->groups_list[i]);
	fputc('\n', e->out);
}

/* Whoever asks has another environment than the master, which has them. */
static bool is_passed(const struct service_conf *service, const char *assignment)
{
	for (char **name = service->pass_env; name && *name; name++) {
		size_t len = strlen(*name);

		if (strncmp(*name, assignment, len) == 0 && assignment[len] == '=')
			return !strv_env_get(service->env, *name);
	}
	return false;
}

static int put_environment(const struct explain *e)
{
	int r = 0;

	for (char **entry = e->service->base_env; entry && *entry && r == 0; entry++) {
		explain_put_word(e, "environment");
		if (is_passed(e->service, *entry))
			fprintf(e->out, "%.*s, as hatchd has it", (int)strcspn(*entry, "="),
				*entry);
		else
			r = put_text(e, *entry);
		fputc('\n', e->out);
	}
	explain_put_word(e, "environment");
	fputs("and what there is to say of his connection, see hatchd(8)\n", e->out);
	return r;
}

static int put_program(const struct explain *e)
{
	int r;

	explain_put_word(e, "program");
	fprintf(e->out, "%s\n", e->service->path ? e->service->path : "(none)");
	r = put_list(e, "arguments", e->service->argv);
	if (r < 0)
		return r;
	put_user(e);
	explain_put_word(e, "directory");
	fprintf(e->out, "%s%s%s\n", e->service->directory, e->service->chroot ? " below " : "",
		e->service->chroot ? e->service->chroot : "");
	return put_environment(e);
}

static void put_target(const struct explain *e, size_t i)
{
	const struct service_conf *service = e->service;
	const struct addr *addr = &service->targets[i];
	const char *name = service->target_names ? service->target_names[i] : "";
	char text[ADDR_TEXT_MAX];

	if (name[0] == '\0')
		fputs(addr_format(addr, text), e->out);
	else
		fprintf(e->out, "tcp%s:%s:%u",
			addr_family(addr) == AF_INET ? "4"
			: addr->dual                 ? ""
						     : "6",
			name, addr_port(addr));
}

/* What the service manager hands over is of the one kind or the other. */
static bool is_his_target(const struct explain *e, const struct addr *target)
{
	return e->addr->kind == ADDR_FD ||
	       addr_is_datagram(target) == addr_is_datagram(e->addr);
}

/* Those for clients like him; returns how many. */
static size_t list_targets(const struct explain *e)
{
	const struct service_conf *service = e->service;
	const char *join = service->redirect_order == REDIRECT_FIRST ? ", else " : " or ";
	size_t n = 0;

	for (size_t i = 0; i < service->n_targets; i++) {
		if (!is_his_target(e, &service->targets[i]))
			continue;
		fputs(n++ > 0 ? join : "", e->out);
		put_target(e, i);
	}
	return n;
}

/* "redirect to tcp:127.0.0.1:8080, else unix:/run/app.sock, in hatchd-relay as " */
static void put_targets(const struct explain *e)
{
	const struct service_conf *service = e->service;
	const struct addr *kind = e->addr->kind == ADDR_FD ? &service->targets[0] : e->addr;
	bool datagrams = addr_is_datagram(kind);

	fputs("redirect to ", e->out);
	if (list_targets(e) > 1 && service->redirect_order != REDIRECT_FIRST)
		fputs(" in turns", e->out);
	if (service->send_proxy != REDIRECT_PROXY_NONE && !datagrams)
		fprintf(e->out, ", which is told who he is (PROXY version %s)",
			redirect_proxy_names[service->send_proxy]);
	fprintf(e->out, ", in %s as ", datagrams ? "hatchd-udp" : "hatchd-relay");
}

/* As whom a worker runs: with `uid`, as that user if it is not nobody's. */
static void put_who(const struct explain *e, const char *user, uid_t uid)
{
	if (!e->conf->worker_identity)
		fputs("who hatchd is", e->out);
	else if (worker_id_unprivileged(uid))
		fprintf(e->out, "nobody at all (uid %u)", uid);
	else
		fprintf(e->out, "user %s (uid %u)", user, uid);
}

static void put_worker(const struct explain *e)
{
	const struct service_conf *service = e->service;
	char text[ADDR_TEXT_MAX];

	explain_put_word(e, "program");
	if (service_conf_is_redirect(service))
		put_targets(e);
	else
		fprintf(e->out, "built-in %s, in hatchd-%s as ",
			builtin_names[service->builtin],
			service->builtin == BUILTIN_TCPMUX ? "front" : "builtin");
	put_who(e, WORKER_USER, e->conf->worker_uid);
	fputc('\n', e->out);
	if (service_conf_has_backend(service)) {
		explain_put_word(e, "backend");
		fprintf(e->out, "started on demand, and takes clients at %s\n",
			addr_format(&service->targets[service->backend_target], text));
	}
	if (!service->reply)
		return;
	explain_put_word(e, "says");
	if (service->builtin == BUILTIN_TCPMUX) {
		fprintf(e->out, "%zu bytes of names to who asks for HELP\n",
			service->reply_len);
		return;
	}
	fprintf(e->out, "%s%zu bytes of %s\n",
		service->builtin == BUILTIN_QOTD ? "a quotation out of " : "",
		service->reply_len, service->text_file ? service->text_file : "text");
}

/* What is agreed with him first: a guest's is that of its host. */
static void put_tls(const struct explain *e)
{
	const struct service_conf *service =
		service_conf_is_tls_guest(e->service) ? e->mux : e->service;
	struct tm tm;
	time_t end;
	char day[32] = "";

	if (!service || !service_conf_has_tls(service))
		return;
	explain_put_word(e, "tls");
	fprintf(e->out, "%s or newer, in hatchd-tls as ",
		tls_version_names[service->tls_min_version]);
	put_who(e, WORKER_TLS_USER, e->conf->tls_worker_uid);
	if (service->tls_verify != TLS_VERIFY_NONE)
		fprintf(e->out, "; a certificate of his is %s",
			tls_verify_names[service->tls_verify]);
	end = (time_t)service->tls_not_after;
	if (end > 0 && gmtime_r(&end, &tm) && strftime(day, sizeof day, "%Y-%m-%d", &tm) > 0)
		fprintf(e->out, "; certificates are valid until %s", day);
	fputc('\n', e->out);
}

static int print_all(const struct explain *e)
{
	int status, r;

	explain_put_word(e, "service");
	fprintf(e->out, "%s, ", e->service->name);
	explain_put_origin(e, &e->service->origin);
	fputc('\n', e->out);
	status = explain_verdict(e);
	/* Nothing else is of any interest where nothing is ever started. */
	if (status < 0 || !e->addr || e->service->condition || e->service->sensor)
		return status;
	r = explain_limits(e);
	put_tls(e);
	if (r == 0 && service_conf_has_worker(e->service))
		put_worker(e);
	if (r == 0 && service_conf_runs_program(e->service))
		r = put_program(e);
	return r < 0 ? r : status;
}

static const struct service_conf *find_service(
	const struct conf *conf, const char *name, FILE *err)
{
	char shown[DIAG_SHOWN_MAX];

	diag_shown(name, strlen(name), shown);
	for (size_t i = 0; i < conf->n_services; i++) {
		if (strcmp(conf->services[i]->name, name) != 0)
			continue;
		if (!conf->services[i]->disable)
			return conf->services[i];
		fprintf(err, "hatchd: service '%s' is disabled\n", shown);
		return NULL;
	}
	fprintf(err, "hatchd: no service '%s'\n", shown);
	return NULL;
}

int explain_print(const struct conf *conf, const char *service, const char *address,
	int64_t now, FILE *out, FILE *err)
{
	struct explain e = {.conf = conf, .now = now, .out = out};
	struct identities identities;
	char shown[DIAG_SHOWN_MAX];
	const char *why = "";
	int r;

	e.service = find_service(conf, service, err);
	if (!e.service)
		return EXPLAIN_UNKNOWN;
	identities_init(&identities);
	r = explain_peer_read(address, &identities, &e.peer, &why);
	identities_done(&identities);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		fprintf(err, "hatchd: '%s' is no client: %s\n",
			diag_shown(address, strlen(address), shown), why);
		return EXPLAIN_UNKNOWN;
	}
	e.addr = find_address(&e);
	return print_all(&e);
}
