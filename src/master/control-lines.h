/*
 * control-lines: what each line of an answer says.
 *
 * hatchd-control(7) describes them.  A line has room in CONTROL_PIECE_MAX, but for the one of
 * a service, whose addresses may be many: it is begun, gets them one by one, and is ended.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_CONTROL_LINES_H
#define HATCHD_MASTER_CONTROL_LINES_H

#include "base/json.h"
#include "conf/conf.h"

/* Grows when something is told otherwise than before. */
#define CONTROL_PROTOCOL 2

/* To those who may look, and not change anything. */
#define CONTROL_ONLY_ROOT "only root may do that"

struct child;
struct master;
struct reload;
struct service;

/* The line about hatchd itself. */
void control_put_status(struct json *json, const struct master *master, uint64_t now);

/* Members that say since when hatchd runs. */
void control_put_since(struct json *json, const struct master *master, uint64_t now);

/* The member `orphans`: how many an earlier hatchd has left. */
void control_put_n_orphans(struct json *json, const struct master *master);

/* The member `reload` of a line: how the last one went. */
void control_put_reload(struct json *json, const struct reload *reload, uint64_t now);

/* The member `refused`: clients by reason, _ADMIT_MAX of them; NULL: none. */
void control_put_refused(struct json *json, const uint64_t *refused);

/* What a service says, without taking the place of one that is called: *owned holds it if it
 * had to be read.  NULL: it cannot be read now, and the line says less. */
const struct service_conf *control_look_at_conf(
	const struct service *service, struct service_conf **owned);

/* The member `service`; `conf` is needed for the one of a command line alone, and may be NULL.
 */
void control_put_name(
	struct json *json, const struct service *service, const struct service_conf *conf);

/* The member `instances`. */
void control_put_instances(struct json *json, const struct service *service);

/* Whether there is a service of that name, be it one that was removed and has children. */
bool control_knows(const struct master *master, const char *name);

/* The line of a service, as far as its addresses; `conf` may be NULL. */
void control_begin_service(struct json *json, const struct service *service,
	const struct service_conf *conf, uint64_t now);

/* Its address with that number.  False: it has no more. */
bool control_put_address(struct json *json, const struct service *service,
	const struct service_conf *conf, uint32_t i);

void control_end_service(struct json *json);

/* What is counted: the line of all services there were, and of one that there is. */
void control_put_metrics(struct json *json, const struct master *master, uint64_t now);
void control_put_service_metrics(struct json *json, const struct service *service);

/* Whether it is one for whom somebody has come; not a worker, or what it is given. */
bool control_is_connection(const struct child *child);

/* His line. */
void control_put_connection(struct json *json, const struct child *child, uint64_t now);

#endif
