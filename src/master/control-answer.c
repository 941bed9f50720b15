#include "master/control-answer.h"

#include "base/json.h"
#include "master/control-change.h"
#include "master/control-lines.h"
#include "master/control-orphan.h"
#include "master/master.h"
#include "master/service.h"

/* Services, or parts of one, in one go: each may have to be read from the image. */
#define PIECES_MAX 16

/* Places of the table of children, in one go: most may be free. */
#define PLACES_MAX 256

static bool has_room(const struct json *json)
{
	return json->size - json->len >= CONTROL_PIECE_MAX;
}

/* --------------------------------------------------------------------- the end */

static void put_end(struct control_answer *answer, struct json *json)
{
	json_open(json, NULL, '{');
	json_bool(json, "end", true);
	json_bool(json, "reloaded", answer->reloaded);
	json_close(json, '}');
	json_end_line(json);
	answer->phase = CONTROL_OVER;
}

static void put_error(struct json *json, const char *why)
{
	json_open(json, NULL, '{');
	json_text(json, "error", why);
	json_close(json, '}');
	json_end_line(json);
}

/* And no more than that. */
static void put_refusal(struct control_answer *answer, struct json *json, const char *why)
{
	put_error(json, why);
	answer->phase = CONTROL_OVER;
}

/* As it was understood. */
static void put_source(struct json *json, const struct control_request *request)
{
	char who[ADDR_NET_TEXT_MAX];

	json_text(json, "source", addr_net_format(&request->who, who));
}

/* -------------------------------------------------------------------- services */

/* Where the service stands whose line has begun; `n_services`: nowhere. */
static size_t find_place(const struct control_answer *answer, const struct master *master)
{
	size_t i = 0;

	while (i < master->n_services && master->services[i]->number != answer->number)
		i++;
	return i;
}

static void finish_service(struct control_answer *answer, struct json *json)
{
	control_end_service(json);
	answer->phase = answer->request.service[0] ? CONTROL_END : CONTROL_SERVICES;
}

/* Those of its addresses that there is room for.  Every one of them, or the end. */
static void put_addresses(struct control_answer *answer, struct json *json,
	const struct service *service, const struct service_conf *conf)
{
	while (has_room(json)) {
		if (control_put_address(json, service, conf, answer->address++))
			continue;
		finish_service(answer, json);
		return;
	}
}

static void go_on_with_service(
	struct control_answer *answer, struct json *json, const struct master *master)
{
	_cleanup_service_conf_ struct service_conf *owned = NULL;
	const struct service *service = master->services[answer->place];

	put_addresses(answer, json, service, control_look_at_conf(service, &owned));
}

/* The line of the next service, or as much of it as there is room for. */
static void put_service(
	struct control_answer *answer, struct json *json, struct service *service, uint64_t now)
{
	_cleanup_service_conf_ struct service_conf *owned = NULL;
	const struct service_conf *conf;

	service->told_to |= answer->bit;
	if (answer->request.question == CONTROL_METRICS) {
		control_put_service_metrics(json, service);
		return;
	}
	conf = control_look_at_conf(service, &owned);
	answer->number = service->number;
	answer->address = 0;
	answer->phase = CONTROL_ADDRESSES;
	control_begin_service(json, service, conf, now);
	put_addresses(answer, json, service, conf);
}

static void put_next_service(struct control_answer *answer, struct json *json,
	const struct master *master, uint64_t now)
{
	while (answer->next < master->n_services &&
		(master->services[answer->next]->told_to & answer->bit))
		answer->next++;
	if (answer->next >= master->n_services) {
		answer->phase = CONTROL_END;
		return;
	}
	answer->place = answer->next++;
	put_service(answer, json, master->services[answer->place], now);
}

/* Go to the one service that is asked for. */
static void find_service(
	struct control_answer *answer, struct json *json, const struct master *master)
{
	size_t i = 0;

	while (i < master->n_services &&
		!service_is_called(master->services[i], answer->request.service))
		i++;
	answer->next = i;
	answer->phase = CONTROL_SERVICES;
	if (i < master->n_services)
		return;
	put_refusal(answer, json, "no such service");
}

/* Nobody has been told of. */
static void forget_bits(const struct control_answer *answer, const struct master *master)
{
	for (size_t i = 0; i < master->n_services; i++)
		master->services[i]->told_to &= (uint8_t)~answer->bit;
}

static void begin_services(
	struct control_answer *answer, struct json *json, const struct master *master)
{
	if (answer->request.service[0])
		find_service(answer, json, master);
	else
		answer->phase = CONTROL_SERVICES;
}

/* ----------------------------------------------------------------- connections */

static bool is_asked_for(const struct control_answer *answer, const struct child *child)
{
	return control_is_connection(child) &&
	       (!answer->request.service[0] ||
		       service_is_called(child->service, answer->request.service));
}

/* Who is there all the time stays at his place, and is told of once. */
static void put_connections(struct control_answer *answer, struct json *json,
	const struct master *master, uint64_t now)
{
	for (int i = 0; i < PLACES_MAX && has_room(json); i++) {
		const struct child *child;

		if (answer->next_child >= child_table_places(master->children)) {
			answer->phase = CONTROL_END;
			return;
		}
		child = child_table_at(master->children, answer->next_child++);
		if (child && is_asked_for(answer, child))
			control_put_connection(json, child, now);
	}
}

/* ------------------------------------------------------------------------ bans */

static void put_bans(
	struct control_answer *answer, struct json *json, struct master *master, uint64_t now)
{
	if (!control_put_bans(
		    json, &answer->request, &answer->bans, master, CONTROL_PIECE_MAX, now))
		answer->phase = CONTROL_END;
}

static void begin_unban(
	struct control_answer *answer, struct json *json, struct master *master, uint64_t now)
{
	if (!answer->may_change) {
		put_refusal(answer, json, CONTROL_ONLY_ROOT);
		return;
	}
	control_unban(master, &answer->request, &answer->bans, now);
	answer->phase = CONTROL_LIFT;
}

/* There may be more to lift; if not, it is said how many there were. */
static void go_on_with_unban(
	struct control_answer *answer, struct json *json, struct master *master, uint64_t now)
{
	if (control_unban_some(master, &answer->request, &answer->bans, now))
		return;
	if (answer->bans.lifted == 0) {
		put_refusal(answer, json, "no such ban");
		return;
	}
	json_open(json, NULL, '{');
	json_bool(json, "done", true);
	put_source(json, &answer->request);
	json_number(json, "lifted", answer->bans.lifted);
	json_close(json, '}');
	json_end_line(json);
	answer->phase = CONTROL_END;
}

/* ------------------------------------------------------------------- and others */

static void put_help(struct control_answer *answer, struct json *json)
{
	for (int i = 0; i < _CONTROL_QUESTION_MAX; i++) {
		const struct control_help *help =
			control_request_help((enum control_question)i);

		json_open(json, NULL, '{');
		json_text(json, "request", help->usage);
		json_text(json, "does", help->does);
		json_bool(json, "changes", help->changes);
		json_close(json, '}');
		json_end_line(json);
	}
	answer->phase = CONTROL_END;
}

static void put_change(
	struct control_answer *answer, struct json *json, struct master *master, uint64_t now)
{
	const char *why = answer->may_change ? control_change(master, &answer->request, now)
	                                     : CONTROL_ONLY_ROOT;

	if (why) {
		put_refusal(answer, json, why);
		return;
	}
	json_open(json, NULL, '{');
	json_bool(json, "done", true);
	if (answer->request.question == CONTROL_BAN)
		put_source(json, &answer->request);
	json_close(json, '}');
	json_end_line(json);
	answer->phase = CONTROL_END;
}

/* What was asked for is done by the reload that begins after it. */
static void begin_reload(
	struct control_answer *answer, struct json *json, struct master *master, uint64_t now)
{
	const struct reload *reload = &master->reload;

	if (!answer->may_change || master->leaving) {
		put_refusal(answer, json,
			master->leaving ? "hatchd is stopping" : CONTROL_ONLY_ROOT);
		return;
	}
	answer->awaited = reload_next(reload);
	answer->phase = CONTROL_AWAIT;
	reload_request(master, now);
}

static void put_reload(struct control_answer *answer, struct json *json,
	const struct master *master, uint64_t now)
{
	json_open(json, NULL, '{');
	control_put_reload(json, &master->reload, now);
	json_close(json, '}');
	json_end_line(json);
	answer->phase = CONTROL_END;
}

/* --------------------------------------------------------------------- orphans */

static void begin_orphans(
	struct control_answer *answer, struct json *json, struct master *master, uint64_t now)
{
	bool changes = control_request_help(answer->request.question)->changes;
	const char *why = CONTROL_ONLY_ROOT;

	if (!changes || answer->may_change)
		why = control_ask_orphans(master, &answer->request, now, &answer->awaited);
	if (why)
		put_refusal(answer, json, why);
	else
		answer->phase = CONTROL_AWAIT;
}

static void put_orphans_told(struct control_answer *answer, struct json *json)
{
	const char *why = control_put_orphans_told(
		json, &answer->request, answer->result, answer->n_told);

	if (why)
		put_refusal(answer, json, why);
	else
		answer->phase = answer->request.question == CONTROL_ORPHANS ? CONTROL_LEFT
		                                                            : CONTROL_END;
}

static void put_orphans(
	struct control_answer *answer, struct json *json, const struct master *master)
{
	while (has_room(json))
		if (!control_put_orphan(json, master, &answer->request, &answer->last_orphan)) {
			answer->phase = CONTROL_END;
			return;
		}
}

/* If there is the service that is asked about, if one is. */
static void begin_with(struct control_answer *answer, struct json *json,
	const struct master *master, enum control_phase phase)
{
	answer->phase = phase;
	if (!answer->request.service[0] || control_knows(master, answer->request.service))
		return;
	put_refusal(answer, json, "no such service");
}

static void put_first(
	struct control_answer *answer, struct json *json, struct master *master, uint64_t now)
{
	switch (answer->request.question) {
	case CONTROL_HELP:
		put_help(answer, json);
		break;
	case CONTROL_STATUS:
		control_put_status(json, master, now);
		answer->phase = CONTROL_END;
		break;
	case CONTROL_LIST:
		begin_services(answer, json, master);
		break;
	case CONTROL_CONNECTIONS:
		begin_with(answer, json, master, CONTROL_CHILDREN);
		break;
	case CONTROL_METRICS:
		control_put_metrics(json, master, now);
		answer->phase = CONTROL_SERVICES;
		break;
	case CONTROL_BANS:
		begin_with(answer, json, master, CONTROL_BANNED);
		break;
	case CONTROL_RELOAD:
		begin_reload(answer, json, master, now);
		break;
	case CONTROL_UNBAN:
		begin_unban(answer, json, master, now);
		break;
	case CONTROL_ORPHANS:
	case CONTROL_END_ORPHANS:
	case CONTROL_KILL_ORPHANS:
		begin_orphans(answer, json, master, now);
		break;
	default:
		put_change(answer, json, master, now);
		break;
	}
}

static void put_awaited(
	struct control_answer *answer, struct json *json, struct master *master, uint64_t now)
{
	if (control_answer_waits(answer, master))
		return;
	control_answer_hear(answer, master);
	if (control_is_about_orphans(&answer->request))
		put_orphans_told(answer, json);
	else
		put_reload(answer, json, master, now);
}

static void put_piece(
	struct control_answer *answer, struct json *json, struct master *master, uint64_t now)
{
	switch (answer->phase) {
	case CONTROL_BEGIN:
		put_first(answer, json, master, now);
		break;
	case CONTROL_CHILDREN:
		put_connections(answer, json, master, now);
		break;
	case CONTROL_BANNED:
		put_bans(answer, json, master, now);
		break;
	case CONTROL_LIFT:
		go_on_with_unban(answer, json, master, now);
		break;
	case CONTROL_AWAIT:
		put_awaited(answer, json, master, now);
		break;
	case CONTROL_LEFT:
		put_orphans(answer, json, master);
		break;
	case CONTROL_SERVICES:
		put_next_service(answer, json, master, now);
		break;
	case CONTROL_ADDRESSES:
		go_on_with_service(answer, json, master);
		break;
	case CONTROL_END:
		put_end(answer, json);
		break;
	case CONTROL_OVER:
		break;
	}
}

/* There was a reload: services stand elsewhere, and some are gone.  A line that has begun is
 * ended without its service. */
static void find_way_back(
	struct control_answer *answer, struct json *json, const struct master *master)
{
	answer->generation = master->generation;
	answer->reloaded = true;
	answer->next = 0;
	if (answer->phase != CONTROL_ADDRESSES)
		return;
	answer->place = find_place(answer, master);
	if (answer->place == master->n_services)
		finish_service(answer, json);
}

static bool has_come(const struct control_answer *answer, const struct master *master)
{
	return control_is_about_orphans(&answer->request)
	               ? control_knows_orphans(master, answer->awaited)
	               : reload_ended(&master->reload) >= answer->awaited;
}

bool control_answer_waits(const struct control_answer *answer, const struct master *master)
{
	return answer->phase == CONTROL_AWAIT && !master->leaving && !has_come(answer, master);
}

/* Others may ask until he is told; where hatchd stops there is no result. */
void control_answer_hear(struct control_answer *answer, const struct master *master)
{
	if (answer->phase != CONTROL_AWAIT || answer->heard ||
		!control_is_about_orphans(&answer->request))
		return;
	answer->heard = true;
	answer->result = control_find_orphans_told(master, answer->awaited, &answer->n_told);
}

/* All of them, so that each has to remember that it was told. */
static bool walks_services(const struct control_request *request)
{
	return request->question == CONTROL_METRICS ||
	       (request->question == CONTROL_LIST && !request->service[0]);
}

void control_answer_begin(struct control_answer *answer, const struct master *master,
	const struct control_request *request, bool may_change, uint8_t bit)
{
	*answer = (struct control_answer){
		.request = *request,
		.may_change = may_change,
		.generation = master->generation,
	};
	if (!walks_services(request))
		return;
	answer->bit = bit;
	forget_bits(answer, master);
}

static bool may_go_on(const struct control_answer *answer, const struct master *master)
{
	return answer->phase != CONTROL_OVER && !control_answer_waits(answer, master);
}

void control_answer_drop(const struct control_answer *answer, struct master *master)
{
	if (answer->phase == CONTROL_AWAIT && !answer->heard &&
		control_is_about_orphans(&answer->request))
		orphans_leave(&master->orphans, answer->awaited);
}

size_t control_answer_write(struct control_answer *answer, struct master *master, char *buf,
	size_t size, uint64_t now)
{
	struct json json;

	json_init(&json, buf, size);
	json.comma = answer->comma;
	if (answer->generation != master->generation)
		find_way_back(answer, &json, master);
	for (int i = 0; i < PIECES_MAX && may_go_on(answer, master) && has_room(&json); i++)
		put_piece(answer, &json, master, now);
	answer->comma = json.comma;
	return json.len;
}

size_t control_answer_error(const char *why, char *buf, size_t size)
{
	struct json json;

	json_init(&json, buf, size);
	put_error(&json, why);
	return json.len;
}
