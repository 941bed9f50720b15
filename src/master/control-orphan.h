/*
 * control-orphan: requests about what an earlier hatchd has left (master/orphans).
 *
 * Each is answered when its search is over; who only looks, also by a search that was a moment
 * before.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_CONTROL_ORPHAN_H
#define HATCHD_MASTER_CONTROL_ORPHAN_H

#include "base/json.h"
#include "master/control-request.h"

#include <sys/types.h>

struct master;

/* Whether it is one of these. */
bool control_is_about_orphans(const struct control_request *request);

/* Begin with one of them.  NULL, and it has that number; or why not, a constant phrase. */
const char *control_ask_orphans(struct master *master, const struct control_request *request,
	uint64_t now, uint64_t *ret_number);

/* Whether the one with that number is over. */
bool control_knows_orphans(const struct master *master, uint64_t number);

/* What became of it, as orphans_request has it; -ECANCELED: hatchd stops before it is over. */
int control_find_orphans_told(
	const struct master *master, uint64_t number, uint32_t *ret_n_told);

/* Say that.  NULL; or why nothing became of it, a constant phrase. */
const char *control_put_orphans_told(
	struct json *json, const struct control_request *request, int result, uint32_t n_told);

/* The next one that is asked for, with a higher pid than *last, which becomes his.  False:
 * there is none. */
bool control_put_orphan(struct json *json, const struct master *master,
	const struct control_request *request, pid_t *last);

#endif
