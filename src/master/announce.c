#include "master/announce.h"

#include "base/log.h"
#include "master/gate.h"
#include "master/service.h"

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

void announce(const struct master *master)
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

void announce_status(const struct master *master, const char *state)
{
	log_flush();
	notify_send(master->notify, "%sSTATUS=Serving %zu of %zu services%s", state,
		count_served(master), master->n_services,
		master->reload.failed ? "; the last reload failed" : "");
}
