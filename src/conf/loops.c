#include "conf/loops.h"

#include "base/own.h"
#include "base/text.h"
#include "conf/diag.h"
#include "conf/merge.h"
#include "conf/textmap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* One service, on the way that its clients take: those who connect, or those who send
 * datagrams. */
struct node {
	const struct service_conf *service;
	bool datagrams;
	struct node *from; /* who came here first; NULL: nobody */
	size_t next;       /* target that is to be followed */
	enum { NEW, ON_THE_WAY, DONE } state;
};

struct loops {
	struct textmap places; /* where clients come in, to struct node */
	struct node *nodes;
	size_t n;
	struct report *report;
};

#define KEY_MAX (ADDR_TEXT_MAX + 16)

/* ---------------------------------------------------------------- who is where */

static void place_key(const struct addr *addr, char buf[KEY_MAX])
{
	const char *space = addr_is_path(addr) ? "path" : addr_port_space(addr);

	if (space)
		addr_format_endpoint(addr, stpcpy(stpcpy(buf, space), " "));
	else
		addr_format(addr, buf);
}

/* All addresses of that version of IP. */
static void all_key(const struct addr *addr, uint32_t version, char buf[KEY_MAX])
{
	buf = stpcpy(stpcpy(buf, addr_port_space(addr)), " all ");
	buf = stpcpy(text_put_u32(buf, version), " ");
	text_put_u32(buf, addr_port(addr));
}

/* Who was there before stays: two are another mistake, or have an interface each. */
static int put(struct loops *l, const char *key, const struct node *node)
{
	int r = textmap_add(&l->places, key, node);

	return r == -EEXIST ? 0 : r;
}

static int put_wildcard(struct loops *l, const struct node *node, const struct addr *addr)
{
	char key[KEY_MAX];
	int r = 0;

	if (addr_takes_ipv4(addr, node->service->v6only)) {
		all_key(addr, 4, key);
		r = put(l, key, node);
	}
	if (addr_family(addr) == AF_INET6 && r == 0) {
		all_key(addr, 6, key);
		r = put(l, key, node);
	}
	return r;
}

static int put_places(struct loops *l, const struct node *node)
{
	int r = 0;

	for (size_t i = 0; i < node->service->n_listen && r == 0; i++) {
		const struct addr *addr = &node->service->listen[i].addr;
		char key[KEY_MAX];

		if (addr_is_datagram(addr) != node->datagrams)
			continue;
		if (addr_is_ip(addr) && addr_is_wildcard(addr)) {
			r = put_wildcard(l, node, addr);
			continue;
		}
		place_key(addr, key);
		r = put(l, key, node);
	}
	return r;
}

static struct node *find(const struct loops *l, const struct addr *target)
{
	const struct node *found;
	char key[KEY_MAX];

	place_key(target, key);
	found = textmap_get(&l->places, key);
	if (!found && addr_is_ip(target) && addr_is_loopback(target)) {
		all_key(target, addr_family(target) == AF_INET ? 4 : 6, key);
		found = textmap_get(&l->places, key);
	}
	return found ? &l->nodes[found - l->nodes] : NULL;
}

/* -------------------------------------------------------------- where they go */

static void tell(const struct loops *l, const struct node *node, const struct addr *target,
	const struct node *to)
{
	const struct origin *origin = service_conf_origin(node->service, "redirect");
	const struct origin *theirs = service_conf_origin(to->service, "redirect");
	char text[ADDR_TEXT_MAX];

	addr_format(target, text);
	if (node->service == to->service)
		report_mistake(l->report, origin, "redirect: %s is this service itself", text);
	else if (report_mistake(l->report, origin,
			 "redirect: %s is service '%s', whose clients come back here", text,
			 to->service->name))
		diag_note(l->report->diags, theirs, "from there they are passed on");
}

/* Where a name leads is known when a client comes. */
static bool is_named(const struct service_conf *service, size_t i)
{
	return service->target_names && service->target_names[i][0] != '\0';
}

/* To its next target, or back; one mistake for each service. */
static struct node *walk(const struct loops *l, struct node *node)
{
	const struct addr *target;
	struct node *to;
	bool is_known;

	if (node->next == node->service->n_targets) {
		node->state = DONE;
		return node->from;
	}
	target = &node->service->targets[node->next];
	is_known = !is_named(node->service, node->next++) &&
	           addr_is_datagram(target) == node->datagrams;
	to = is_known ? find(l, target) : NULL;
	if (!to || to->state == DONE)
		return node;
	if (to->state == ON_THE_WAY) {
		tell(l, node, target, to);
		node->next = node->service->n_targets;
		return node;
	}
	to->from = node;
	to->state = ON_THE_WAY;
	return to;
}

static void follow(const struct loops *l, struct node *node)
{
	if (node->state == DONE)
		return;
	node->state = ON_THE_WAY;
	while (node)
		node = walk(l, node);
}

static int add(struct loops *l, const struct service_conf *service, bool datagrams)
{
	struct node *node = &l->nodes[l->n++];

	node->service = service;
	node->datagrams = datagrams;
	return put_places(l, node);
}

static int collect(struct loops *l, const struct conf *conf)
{
	int r = 0;

	l->nodes = calloc(2 * conf->n_services + 1, sizeof *l->nodes);
	if (!l->nodes)
		return -ENOMEM;
	for (size_t i = 0; i < conf->n_services && r == 0; i++) {
		const struct service_conf *service = conf->services[i];

		if (service->disable || !service_conf_is_redirect(service))
			continue;
		r = add(l, service, false);
		if (r == 0)
			r = add(l, service, true);
	}
	return r;
}

int loops_check(const struct conf *conf, struct report *report)
{
	struct loops l = {.report = report};
	int r = collect(&l, conf);

	for (size_t i = 0; i < l.n && r == 0; i++)
		follow(&l, &l.nodes[i]);
	textmap_done(&l.places);
	free(l.nodes);
	return r;
}
