#include "master/announce.h"

#include "base/clock.h"
#include "base/log.h"
#include "master/gate.h"
#include "master/master.h"
#include "master/service.h"

#include <stdio.h>
#include <string.h>

static const char *who_can_reach(const struct addr *addr)
{
	if (addr_family(addr) == AF_UNIX)
		return addr_is_abstract(addr)
		               ? "every user of this machine"
		               : "users of this machine that may write to that file";
	if (addr_is_loopback(addr))
		return "this machine only";
	if (addr_family(addr) == AF_VSOCK)
		return "the host of this machine and its virtual machines";
	return "anybody who can reach this machine";
}

static void announce_service(const struct service *service)
{
	const char *rules = gate_has_rules(service) ? ", as only_from and no_access say" : "";
	const char *files =
		gate_has_wrappers(service) ? ", as hosts.allow and hosts.deny say" : "";
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < service->n_listeners; i++) {
		const struct addr *addr = listener_addr(service->listeners[i]);

		if (addr)
			log_notice("listening on %s, open to %s%s%s", addr_format(addr, text),
				who_can_reach(addr), rules, files);
	}
}

static size_t count_listeners(const struct master *master)
{
	size_t n = 0;

	for (size_t i = 0; i < master->n_services; i++)
		for (size_t j = 0; j < master->services[i]->n_listeners; j++)
			n += master->services[i]->listeners[j]->fd >= 0;
	return n;
}

static size_t count_served(const struct master *master)
{
	size_t n = 0;

	for (size_t i = 0; i < master->n_services; i++)
		n += service_is_served(master->services[i]);
	return n;
}

void announce_listeners(const struct master *master)
{
	size_t served = count_served(master), waiting = master->n_services - served;

	if (master->cmdline->adhoc) {
		for (size_t i = 0; i < master->n_services; i++)
			announce_service(master->services[i]);
		return;
	}
	if (master->n_services == 0) {
		log_notice("no service is configured: serving nobody");
		return;
	}
	log_notice("ready: %zu service%s on %zu address%s", served, served == 1 ? "" : "s",
		count_listeners(master), count_listeners(master) == 1 ? "" : "es");
	if (waiting > 0)
		log_warning("%zu service%s not served, see above", waiting,
			waiting == 1 ? "" : "s");
}

/* ------------------------------------------------------------- the service manager */

/* Without a look at all services, and so with processes of backends. */
static size_t count_clients(const struct master *master)
{
	return master_clients(master) + master->callers.ledgers.n;
}

static const char *describe(const struct master *master, char buf[ANNOUNCE_TEXT_MAX])
{
	size_t n = drain_left(master);
	char connections[64] = "";

	if (n > 0)
		snprintf(connections, sizeof connections, ", %zu connection%s", n,
			n == 1 ? "" : "s");
	snprintf(buf, ANNOUNCE_TEXT_MAX, "Serving %zu of %zu services%s%s",
		count_served(master), master->n_services, connections,
		master->reload.failed ? "; the last reload failed" : "");
	return buf;
}

static void note(struct master *master)
{
	master->announced.clients = count_clients(master);
	master->announced.again = false;
	master->announced.due = USEC_INFINITY;
}

void announce_status(struct master *master, const char *state)
{
	log_flush();
	note(master);
	notify_send(
		master->notify, "%sSTATUS=%s", state, describe(master, master->announced.text));
}

void announce_again(struct master *master)
{
	master->announced.again = true;
}

/* While something else is going on it is told of that, and at the end of it how we are. */
static bool is_in_between(const struct master *master)
{
	return master->leaving || (master->reload.ended && master->reload.full);
}

static void look(struct master *master)
{
	struct announced *announced = &master->announced;
	char text[ANNOUNCE_TEXT_MAX], message[sizeof "STATUS=" + ANNOUNCE_TEXT_MAX];

	note(master);
	if (strcmp(describe(master, text), announced->text) == 0)
		return;
	snprintf(message, sizeof message, "STATUS=%s", text);
	if (notify_pass(master->notify, message, -EBADF))
		strcpy(announced->text, text);
	else
		announced->again = true;
}

void announce_turn(struct master *master, uint64_t now)
{
	struct announced *announced = &master->announced;

	if (is_in_between(master) || notify_error(master->notify) == -ENOTCONN)
		announced->due = USEC_INFINITY;
	else if (now >= announced->due)
		look(master);
	else if (announced->due == USEC_INFINITY &&
		 (announced->again || count_clients(master) != announced->clients))
		announced->due = now + ANNOUNCE_EVERY;
}
