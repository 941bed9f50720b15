#include "master/control-ban.h"

#include "base/log.h"
#include "base/text.h"
#include "master/master.h"
#include "master/service.h"

#include <stdio.h>
#include <string.h>

_Static_assert(BANS_SERVICE_MAX == SERVICE_NAME_MAX, "each service can be banned from");

/* Places of the table of sources, in one go: most may be of nobody who is banned. */
#define PLACES_MAX 256

/* Bans that are lifted in one go: each takes some microseconds. */
#define LIFTS_MAX 16

/* Services that are looked at in one go, to find the name of one. */
#define LOOKS_MAX 4096

static struct service *find_service(const struct master *master, const char *name)
{
	for (size_t i = 0; i < master->n_services; i++)
		if (service_is_called(master->services[i], name))
			return master->services[i];
	return NULL;
}

/* Its label is the name and ": ", but for the one of a command line. */
static void copy_name(struct service *service, char name[BANS_SERVICE_MAX + 1])
{
	const char *text = service->label[0] ? service->label : service_name(service);

	snprintf(name, BANS_SERVICE_MAX + 1, "%.*s", (int)strcspn(text, ":"), text);
}

/* --------------------------------------------------------------------- to be banned */

static void tell_ban(const struct service *service, const struct control_request *request)
{
	char who[ADDR_NET_TEXT_MAX], text[TEXT_NUMBER_MAX];
	bool ends = request->duration > 0;

	log_notice("%s%s is banned%s at the control socket, %s%s",
		service ? service->label : "", addr_net_format(&request->who, who),
		service ? "" : " from all services", ends ? "for " : "until that is lifted",
		ends ? text_format_elapsed(request->duration, text) : "");
}

const char *control_ban(
	struct master *master, const struct control_request *request, uint64_t now)
{
	struct ban ban = {.who = request->who,
		.until = request->duration > 0 ? now + request->duration : UINT64_MAX};
	struct service *service = NULL;

	if (request->service[0]) {
		service = find_service(master, request->service);
		if (!service)
			return "no such service";
		copy_name(service, ban.service);
	}
	switch (bans_put(&master->banned, &ban, now)) {
	case 0:
		tell_ban(service, request);
		return NULL;
	case -ENOSPC:
		return "there are as many bans as there may be";
	default:
		return "there is no memory for it";
	}
}

/* ---------------------------------------------------------------------- to be let in */

/* Once, as soon as there is one. */
static void tell_lift(const struct control_request *request, const struct ban_walk *walk)
{
	bool of_one = request->service[0];
	char who[ADDR_NET_TEXT_MAX];

	if (walk->lifted > 0)
		return;
	log_notice("bans of %s%s%s are lifted at the control socket",
		addr_net_format(&request->who, who), of_one ? " from " : "",
		of_one ? request->service : "");
}

void control_unban(struct master *master, const struct control_request *request,
	struct ban_walk *walk, uint64_t now)
{
	const char *service = request->service[0] ? request->service : NULL;
	size_t n = bans_lift(&master->banned, &request->who, service, now);

	*walk = (struct ban_walk){0};
	if (n > 0)
		tell_lift(request, walk);
	walk->lifted = n;
}

/* Bans of a service have its number, which may have changed hands. */
static bool is_of(const struct source_ban *ban, const struct service *service)
{
	return service && ban->service == service->number;
}

/* Somebody who counts as a whole network is meant by each of its addresses. */
bool control_unban_some(struct master *master, const struct control_request *request,
	struct ban_walk *walk, uint64_t now)
{
	bool of_one = request->service[0];
	const struct service *service = of_one ? find_service(master, request->service) : NULL;
	size_t end = sources_places(master->sources);
	struct source_ban ban;
	int lifts = 0;

	for (int i = 0; i < PLACES_MAX && lifts < LIFTS_MAX && walk->next_source < end; i++) {
		size_t place = walk->next_source++;

		if (!sources_banned_at(master->sources, place, now, &ban) ||
			!addr_net_overlap(&request->who, &ban.who) ||
			(of_one && !is_of(&ban, service)))
			continue;
		sources_lift_at(master->sources, place);
		tell_lift(request, walk);
		walk->lifted++;
		lifts++;
	}
	return walk->next_source < end;
}

/* -------------------------------------------------------------------------- who is */

static void put_ban(struct json *json, const struct ban *ban, bool by_rule, uint64_t now)
{
	char who[ADDR_NET_TEXT_MAX];

	json_open(json, NULL, '{');
	json_text(json, "service", ban->service[0] ? ban->service : NULL);
	json_text(json, "source", addr_net_format(&ban->who, who));
	if (ban->until == UINT64_MAX)
		json_null(json, "left_usec");
	else
		json_number(json, "left_usec", ban->until - now);
	json_text(json, "by", by_rule ? "rule" : "operator");
	json_close(json, '}');
	json_end_line(json);
}

/* Who is banned from all services is banned from that one. */
static bool is_asked_for(const struct ban *ban, const struct control_request *request)
{
	return !request->service[0] || !ban->service[0] ||
	       strcmp(ban->service, request->service) == 0;
}

/* The next of an operator; false: there is none. */
static bool put_of_operators(struct json *json, const struct control_request *request,
	struct ban_walk *walk, struct master *master, uint64_t now)
{
	const struct ban *ban =
		bans_next(&master->banned, walk->begun ? &walk->last : NULL, now);

	if (!ban)
		return false;
	walk->begun = true;
	walk->last = *ban;
	if (is_asked_for(ban, request))
		put_ban(json, ban, false, now);
	return true;
}

/* Where those that are banned one after the other are of the same service, or of one of the
 * next, it is found at once. */
static struct service *find_number(
	const struct master *master, uint64_t number, struct ban_walk *walk, int *looks)
{
	for (size_t i = 0; i < master->n_services; i++) {
		size_t place = (walk->service_place + i) % master->n_services;

		++*looks;
		if (master->services[place]->number != number)
			continue;
		walk->service_place = place;
		return master->services[place];
	}
	for (struct service *s = master->retired; s; s = s->next_retired, ++*looks)
		if (s->number == number)
			return s;
	return NULL;
}

/* What they are banned from is no more, and neither is the ban, as nobody comes there. */
static bool learn_service(struct master *master, const struct source_ban *banned,
	struct ban_walk *walk, struct ban *ban, int *looks)
{
	struct service *service;

	ban->service[0] = '\0';
	if (banned->service == SOURCES_EVERYWHERE)
		return true;
	service = find_number(master, banned->service, walk, looks);
	if (service)
		copy_name(service, ban->service);
	return service;
}

/* Who is at the next place of the table. */
static void put_of_rules(struct json *json, const struct control_request *request,
	struct ban_walk *walk, struct master *master, int *looks, uint64_t now)
{
	struct source_ban banned;
	struct ban ban;

	if (!sources_banned_at(master->sources, walk->next_source++, now, &banned))
		return;
	ban.who = banned.who;
	ban.until = banned.until;
	if (learn_service(master, &banned, walk, &ban, looks) && is_asked_for(&ban, request))
		put_ban(json, &ban, true, now);
}

bool control_put_bans(struct json *json, const struct control_request *request,
	struct ban_walk *walk, struct master *master, size_t room, uint64_t now)
{
	int looks = 0;

	for (int i = 0; i < PLACES_MAX && looks < LOOKS_MAX; i++) {
		if (json->size - json->len < room)
			return true;
		if (!walk->past_operators) {
			walk->past_operators =
				!put_of_operators(json, request, walk, master, now);
			continue;
		}
		if (walk->next_source >= sources_places(master->sources))
			return false;
		put_of_rules(json, request, walk, master, &looks, now);
	}
	return true;
}
