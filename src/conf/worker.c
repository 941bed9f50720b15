#include "conf/worker.h"

#include "conf/merge.h"

#include <string.h>

static bool needs_worker(const struct service_conf *service)
{
	return service_conf_has_worker(service) || service_conf_has_front(service);
}

/* The first service that needs one; NULL: none does. */
static const struct service_conf *find_one(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_services; i++) {
		const struct service_conf *service = conf->services[i];

		if (!service->disable && needs_worker(service))
			return service;
	}
	return NULL;
}

int worker_settle(struct identities *identities, const struct build_context *context,
	struct conf *conf, struct report *report)
{
	const struct service_conf *service = find_one(conf);
	const char *option;
	uid_t uid;
	gid_t gid;
	int r;

	if (!service || context->uid != 0)
		return 0;
	option = service_conf_is_redirect(service) ? "redirect" : "builtin";
	conf->worker_identity = true;
	conf->worker_uid = WORKER_UNPRIVILEGED;
	conf->worker_gid = WORKER_UNPRIVILEGED;

	r = identity_find_login(identities, WORKER_USER, &uid, &gid);
	if (r == -ENOENT || r == -ENOMEM)
		return r == -ENOMEM ? r : 0;
	if (r < 0) {
		report_warning(report, service_conf_origin(service, option),
			"unable to look up user '%s', using number %d: %s", WORKER_USER,
			WORKER_UNPRIVILEGED, strerror(-r));
	} else if (!worker_id_valid(uid) || !worker_id_valid(gid)) {
		report_warning(report, service_conf_origin(service, option),
			"user '%s' is root or in its group, using number %d instead",
			WORKER_USER, WORKER_UNPRIVILEGED);
	} else {
		conf->worker_uid = uid;
		conf->worker_gid = gid;
	}
	return 0;
}
