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

int worker_settle(struct identities *identities, const struct build_context *context,
	struct conf *conf, struct report *report)
{
	const struct service_conf *service = find_first(conf);
	uid_t uid;
	gid_t gid;
	int r;

	if (!service || context->uid != 0)
		return 0;
	conf->worker_identity = true;
	conf->worker_uid = WORKER_UNPRIVILEGED;
	conf->worker_gid = WORKER_UNPRIVILEGED;

	r = identity_find_login(identities, WORKER_USER, &uid, &gid);
	if (r == -ENOENT || r == -ENOMEM)
		return r == -ENOMEM ? r : 0;
	if (r < 0) {
		report_warning(report, service_conf_origin(service, why(service)),
			"unable to look up user '%s', using number %d: %s", WORKER_USER,
			WORKER_UNPRIVILEGED, strerror(-r));
	} else if (!worker_id_valid(uid) || !worker_id_valid(gid)) {
		report_warning(report, service_conf_origin(service, why(service)),
			"user '%s' is root or in its group, using number %d instead",
			WORKER_USER, WORKER_UNPRIVILEGED);
	} else {
		conf->worker_uid = uid;
		conf->worker_gid = gid;
	}
	return 0;
}
