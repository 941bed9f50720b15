#include "master/control-orphan.h"

#include "master/master.h"

#include <errno.h>
#include <string.h>

bool control_is_about_orphans(const struct control_request *request)
{
	return request->question == CONTROL_ORPHANS ||
	       request->question == CONTROL_END_ORPHANS ||
	       request->question == CONTROL_KILL_ORPHANS;
}

static enum orphan_order_kind kind_of(const struct control_request *request)
{
	switch (request->question) {
	case CONTROL_END_ORPHANS:
		return ORPHAN_END;
	case CONTROL_KILL_ORPHANS:
		return ORPHAN_KILL;
	default:
		return ORPHAN_LOOK;
	}
}

const char *control_ask_orphans(struct master *master, const struct control_request *request,
	uint64_t now, uint64_t *ret_number)
{
	if (master->stopping)
		return "hatchd is stopping";
	return orphans_ask(master, kind_of(request), request->service, now, ret_number);
}

bool control_knows_orphans(const struct master *master, uint64_t number)
{
	return orphans_answer(&master->orphans, number);
}

int control_find_orphans_told(
	const struct master *master, uint64_t number, uint32_t *ret_n_told)
{
	const struct orphans_request *told = orphans_answer(&master->orphans, number);

	if (!told)
		return -ECANCELED;
	*ret_n_told = told->n_told;
	return told->result;
}

const char *control_put_orphans_told(
	struct json *json, const struct control_request *request, int result, uint32_t n_told)
{
	if (result == -ECANCELED)
		return "hatchd is stopping";
	if (result < 0)
		return "it is not known what others have left";
	if (request->question == CONTROL_ORPHANS)
		return NULL;
	json_open(json, NULL, '{');
	json_bool(json, "done", true);
	json_number(json, "told", n_told);
	json_close(json, '}');
	json_end_line(json);
	return NULL;
}

/* Its environment may say anything, and is its own. */
static const char *service_of(const struct orphan *orphan)
{
	return service_name_valid(orphan->service) ? orphan->service : NULL;
}

static void put(struct json *json, const struct orphan *orphan)
{
	json_open(json, NULL, '{');
	json_text(json, "service", service_of(orphan));
	if (orphan->connection > 0)
		json_number(json, "connection", orphan->connection);
	else
		json_null(json, "connection");
	json_number(json, "pid", (uint64_t)orphan->pid);
	if (orphan->uid == (uid_t)-1)
		json_null(json, "uid");
	else
		json_number(json, "uid", orphan->uid);
	json_number(json, "age_usec", orphan->age);
	json_text(json, "command", orphan->command);
	json_close(json, '}');
	json_end_line(json);
}

bool control_put_orphan(struct json *json, const struct master *master,
	const struct control_request *request, pid_t *last)
{
	const struct orphan *orphan = orphans_next(&master->orphans, *last);

	if (!orphan)
		return false;
	*last = orphan->pid;
	if (!request->service[0] || strcmp(orphan->service, request->service) == 0)
		put(json, orphan);
	return true;
}
