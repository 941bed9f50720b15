#include "master/admitted.h"

#include "master/caller.h"
#include "master/findings.h"
#include "master/master.h"
#include "master/overdue.h"
#include "master/readiness.h"
#include "master/service.h"
#include "master/tally.h"
#include "master/waiting.h"

#include <assert.h>

struct child *admitted_note(struct conn *conn, uint64_t now)
{
	struct service *service = conn->service;
	struct master *master = service->master;
	struct child *child = child_new(master->children);

	assert(child); /* master/serve has looked */
	if (conn->number == 0)
		conn->number = master->next_connection++;
	child->service = service;
	child->setup = setup_hold(service->setup);
	child->connection = conn->number;
	child->born = now;
	child->came_by_ip = conn->listener->is_ip;
	child->on_pair = conn->pair >= 0;
	child->peer = conn->peer;
	child->local = conn->local;
	child->peer_cred = conn->peer_cred;
	child->source = conn->source;
	child->findings = findings_hold(conn->findings);
	/* Without memory for that he is known by fewer names. */
	(void)child_learn_ends(child, conn);
	overdue_begin(child, conn, now);
	return child;
}

void admitted_count(struct child *child)
{
	struct service *service = child->service;

	service_add_child(service, child);
	if (child->source.family != ADDR_SOURCE_NONE &&
		sources_add(service->master->sources, service->number, &child->source) < 0)
		child->source.family = ADDR_SOURCE_NONE;
}

void admitted_forget(struct child *child, uint64_t now)
{
	struct service *service = child->service;
	struct master *master = service->master;

	if (child->source.family != ADDR_SOURCE_NONE)
		sources_remove(master->sources, service->number, &child->source, now);
	service_remove_child(service, child);
	tally_forget(child);
	if (child->carrier)
		caller_left(child->carrier, now);
	readiness_close(child, now);
	if (child->listener)
		service_update(child->listener->service);
	/* It was told to end because its socket is somebody else's now, who may be
	 * waiting for the address. */
	if (child->unwanted)
		waiting_hurry(master, now);
	child_free(master->children, child);
	service_update(service);
	if (service->retired && !service->first)
		master->retired_changed = true;
	master->slot_came_free = true;
}
