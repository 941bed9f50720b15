#include "master/control-change.h"

#include "base/log.h"
#include "conf/rate.h"
#include "master/account.h"
#include "master/announce.h"
#include "master/control-ban.h"
#include "master/control-lines.h"
#include "master/drain.h"
#include "master/master.h"
#include "master/overdue.h"
#include "master/service.h"
#include "master/steer.h"

#include <inttypes.h>
#include <stdio.h>

static struct service *find_service(const struct master *master, const char *name)
{
	for (size_t i = 0; i < master->n_services; i++)
		if (service_is_called(master->services[i], name))
			return master->services[i];
	return NULL;
}

static const char *disable(struct service *service, uint64_t now)
{
	bool is_new = service->state != SERVICE_DISABLED;

	if (!steer_disable(service, now))
		return "it serves nobody now";
	if (!is_new)
		return NULL;
	follow_service(service, "disabled", NULL);
	announce_status(service->master, "");
	log_notice("%sdisabled at the control socket, %u %s", service->label,
		service->n_children, service->n_children == 1 ? "child" : "children");
	return NULL;
}

static const char *enable(struct service *service, uint64_t now)
{
	if (service->state != SERVICE_DISABLED)
		return NULL;
	if (service->master->leaving)
		return "hatchd is stopping";
	log_notice("%senabled at the control socket", service->label);
	steer_enable(service, now);
	follow_service(service, "enabled", NULL);
	announce_status(service->master, "");
	return NULL;
}

static int set_limit(struct service *service, const struct control_request *request)
{
	switch (request->limit) {
	case CONTROL_INSTANCES:
		return steer_set_instances(service, request->count);
	case CONTROL_PER_SOURCE:
		return steer_set_per_source(service, request->count);
	case CONTROL_RATE:
		return steer_set_rate(service, &request->rate);
	default:
		return steer_set_per_source_rate(service, &request->rate);
	}
}

static const char *describe_value(
	const struct control_request *request, char buf[RATE_TEXT_MAX])
{
	if (request->limit == CONTROL_RATE || request->limit == CONTROL_PER_SOURCE_RATE)
		return rate_format(&request->rate, buf);
	if (request->count == COUNT_UNLIMITED)
		return "unlimited";
	snprintf(buf, RATE_TEXT_MAX, "%" PRIu32, request->count);
	return buf;
}

static const char *set(struct service *service, const struct control_request *request)
{
	char value[RATE_TEXT_MAX];

	if (set_limit(service, request) < 0)
		return "there is no memory for it";
	log_notice("%s%s is %s until a reload", service->label,
		control_limit_name(request->limit), describe_value(request, value));
	return NULL;
}

static const char *change_service(
	struct master *master, const struct control_request *request, uint64_t now)
{
	struct service *service = find_service(master, request->service);

	if (!service)
		return "no such service";
	switch (request->question) {
	case CONTROL_DISABLE:
		return disable(service, now);
	case CONTROL_ENABLE:
		return enable(service, now);
	default:
		return set(service, request);
	}
}

static const char *kill_connection(struct master *master, uint64_t connection, uint64_t now)
{
	struct child *child = child_table_find(master->children, connection);
	char who[ACCOUNT_WHO_MAX];

	if (!child || !control_is_connection(child))
		return "no such connection";
	log_notice("%s%s is ended at the control socket", child->service->label,
		account_who_child(child, who));
	overdue_end(child, LIFETIME_KILLED, now);
	return NULL;
}

/* Who asks again has another deadline. */
static const char *drain(
	struct master *master, const struct control_request *request, uint64_t now)
{
	const struct drain_request how = {
		.timeout = request->duration,
		.kills = request->kills,
	};

	if (master->stopping)
		return "hatchd is stopping";
	log_notice("draining is asked for at the control socket");
	drain_begin(master, &how, now);
	return NULL;
}

/* Whatever the level is, this is told. */
static const char *set_log_level(int priority)
{
	log_set_max_priority(LOG_NOTICE > priority ? LOG_NOTICE : priority);
	log_notice("log level set at the control socket");
	log_set_max_priority(priority);
	return NULL;
}

const char *control_change(
	struct master *master, const struct control_request *request, uint64_t now)
{
	switch (request->question) {
	case CONTROL_KILL:
		return kill_connection(master, request->connection, now);
	case CONTROL_BAN:
		return control_ban(master, request, now);
	case CONTROL_UPGRADE:
		/* What becomes of it can be seen in the answer to status. */
		return upgrade_request(master, now);
	case CONTROL_LOG_LEVEL:
		return set_log_level(request->priority);
	case CONTROL_DRAIN:
		return drain(master, request, now);
	default:
		return change_service(master, request, now);
	}
}
