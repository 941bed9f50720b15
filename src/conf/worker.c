#include "conf/worker.h"

#include "conf/merge.h"

#include <string.h>

/* By what option it needs one; NULL: it does not.  What the service manager hands over may be
 * a socket of datagrams. */
static const char *why(const struct service_conf *service)
{
	if (service->disable)
		return NULL;
	if (service_conf_is_builtin(service))
		return "builtin";
	if (service_conf_is_redirect(service))
		return "redirect";
	if (service_conf_has_front(service))
		return "proxy_protocol";
	if (service_conf_has_tls(service))
		return "tls.certificate";
	if (service_conf_asks_names(service))
		return "resolve";
	if (service_conf_asks_ident(service))
		return "ident";
	for (size_t i = 0; i < service->n_listen; i++) {
		const struct addr *addr = &service->listen[i].addr;

		if (service_conf_has_peers(service, addr) ||
			(addr->kind == ADDR_FD && !service->wait))
			return "listen";
	}
	return NULL;
}

/* The first service that needs one; NULL: none does. */
static const struct service_conf *find_first(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_services; i++)
		if (why(conf->services[i]))
			return conf->services[i];
	return NULL;
}

/* The first that has keys; NULL: none does. */
static const struct service_conf *find_tls(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_services; i++)
		if (!conf->services[i]->disable && service_conf_has_tls(conf->services[i]))
			return conf->services[i];
	return NULL;
}

/* Who it is to be. */
struct identity {
	const char *user;
	uid_t otherwise; /* as user and as group where there is no such user */
	uid_t taken;     /* a number that it must not have; 0: any but root's will do */
};

/* `at`: by what it is needed.  0 or -ENOMEM. */
static int settle(struct identities *identities, const struct identity *who,
	const struct origin *at, struct report *report, uid_t *ret_uid, gid_t *ret_gid)
{
	uid_t uid;
	gid_t gid;
	int r;

	*ret_uid = *ret_gid = who->otherwise;
	r = identity_find_login(identities, who->user, &uid, &gid);
	if (r == -ENOENT || r == -ENOMEM)
		return r == -ENOMEM ? r : 0;
	if (r < 0) {
		report_warning(report, at, "unable to look up user '%s', using number %u: %s",
			who->user, who->otherwise, strerror(-r));
	} else if (!worker_id_valid(uid) || !worker_id_valid(gid)) {
		report_warning(report, at,
			"user '%s' is root or in its group, using number %u instead", who->user,
			who->otherwise);
	} else if (uid == who->taken) {
		report_warning(report, at,
			"user '%s' has the number of other workers, using number %u instead",
			who->user, who->otherwise);
	} else {
		*ret_uid = uid;
		*ret_gid = gid;
	}
	return 0;
}

static int settle_others(struct identities *identities, const struct service_conf *service,
	struct conf *conf, struct report *report)
{
	const struct identity who = {.user = WORKER_USER, .otherwise = WORKER_UNPRIVILEGED};

	return settle(identities, &who, service_conf_origin(service, why(service)), report,
		&conf->worker_uid, &conf->worker_gid);
}

/* Behind the others, to be none of them: one of the two numbers is always left. */
static int settle_tls(struct identities *identities, const struct service_conf *service,
	struct conf *conf, struct report *report)
{
	const struct identity who = {
		.user = WORKER_TLS_USER,
		.otherwise = conf->worker_uid != WORKER_TLS_UNPRIVILEGED
	                             ? WORKER_TLS_UNPRIVILEGED
	                             : WORKER_UNPRIVILEGED,
		.taken = conf->worker_uid,
	};

	return settle(identities, &who, service_conf_origin(service, "tls.certificate"), report,
		&conf->tls_worker_uid, &conf->tls_worker_gid);
}

/* Who has the number of a process can stop it, and more than that where it has a hole. */
static void check_users(const struct conf *conf, bool tls, struct report *report)
{
	for (size_t i = 0; i < conf->n_services; i++) {
		const struct service_conf *service = conf->services[i];

		if (service->disable || service->condition || !service->change_identity)
			continue;
		if (service->uid == conf->worker_uid ||
			(tls && service->uid == conf->tls_worker_uid))
			report_warning(report, service_conf_origin(service, "user"),
				"user: that is who processes of hatchd are that clients reach; "
				"use another one");
	}
}

int worker_settle(struct identities *identities, const struct build_context *context,
	struct conf *conf, struct report *report)
{
	const struct service_conf *first = find_first(conf), *tls = find_tls(conf);
	int r;

	if (!first || context->uid != 0)
		return 0;
	conf->worker_identity = true;
	r = settle_others(identities, first, conf, report);
	if (r == 0 && tls)
		r = settle_tls(identities, tls, conf, report);
	if (r == 0)
		check_users(conf, tls, report);
	return r;
}
