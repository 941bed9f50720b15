/*
 * control-ban: whom operators ban, whom they let in again, and who is banned.
 *
 * Bans of operators are few (policy/bans); those that came about by rules are found by going
 * through the places of master->sources, some at a time.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_CONTROL_BAN_H
#define HATCHD_MASTER_CONTROL_BAN_H

#include "base/json.h"
#include "master/control-request.h"
#include "policy/bans.h"

#include <stddef.h>
#include <stdint.h>

struct master;

/* How far somebody who asks has got; all zero: nowhere. */
struct ban_walk {
	bool past_operators; /* all of their bans have been told */
	bool begun;
	struct ban last;      /* of these, that was told last, if one was */
	size_t next_source;   /* the place in master->sources that comes next */
	size_t service_place; /* in master->services, of the service found last */
	uint64_t lifted;
};

/* Ban them.  NULL: it is done; else why not, a constant phrase. */
const char *control_ban(
	struct master *master, const struct control_request *request, uint64_t now);

/* Lift what operators have banned; control_unban_some() does the rest. */
void control_unban(struct master *master, const struct control_request *request,
	struct ban_walk *walk, uint64_t now);

/* Lift some bans that came about by rules: a bounded number of sources is looked at.  False:
 * that was all. */
bool control_unban_some(struct master *master, const struct control_request *request,
	struct ban_walk *walk, uint64_t now);

/* Lines of some who are banned, while `room` bytes are free: a bounded number of sources, and
 * of services, is looked at.  False: that was all. */
bool control_put_bans(struct json *json, const struct control_request *request,
	struct ban_walk *walk, struct master *master, size_t room, uint64_t now);

#endif
