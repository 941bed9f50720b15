#include "conf/diff.h"

#include "conf/textmap.h"

#include <string.h>

/* Canonical text, and the name of the service for port 0. */
#define KEY_MAX (ADDR_TEXT_MAX + SERVICE_NAME_MAX + 16)

/* A socket of the old set.  Those with the same key, which only port 0 can
 * have, stand in line. */
struct known {
	size_t service, listen;
	bool taken;
	struct known *next;  /* with the same key */
	struct known *first; /* in the first of a line: the next one to be taken, */
	struct known *last;  /* and the last one */
};

struct work {
	struct service_conf *const *old, *const *new;
	size_t n_old, n_new;
	struct textmap names; /* of old services, to where in `old` they stand */
	struct textmap keys;  /* of old sockets, to an element of `known` */
	struct known *known;
	size_t n_known;
	bool *met; /* old services that a new one has the name of */
	struct diff *diff;
};

/*
 * Sets of options.
 */

bool diff_options_has(const struct diff_options *options, const struct conf_option *option)
{
	size_t i = conf_option_index(option);

	return options->bits[i / 64] >> (i % 64) & 1;
}

bool diff_options_any(const struct diff_options *options)
{
	for (size_t i = 0; i < ARRAY_SIZE(options->bits); i++) {
		if (options->bits[i])
			return true;
	}
	return false;
}

static void add_option(struct diff_options *options, const struct conf_option *option)
{
	size_t i = conf_option_index(option);

	options->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

/*
 * Two services.
 */

static bool has_sockets(const struct service_conf *service)
{
	return !service->disable && !service->condition;
}

/* Reordering counts: pass_as = listen_fds numbers them. */
static bool same_addresses(const struct service_conf *a, const struct service_conf *b)
{
	if (a->n_listen != b->n_listen)
		return false;
	for (size_t i = 0; i < a->n_listen; i++) {
		if (!addr_equal(&a->listen[i].addr, &b->listen[i].addr))
			return false;
	}
	return true;
}

/* `listen` is the one option of which nothing but the result counts. */
static bool same_value(const struct conf_option *option, const struct service_conf *a,
	const struct service_conf *b)
{
	if (option->offset == offsetof(struct service_conf, listen_text))
		return same_addresses(a, b);
	return conf_option_equal(
		option, conf_option_field(option, a), conf_option_field(option, b));
}

static void compare_options(const struct service_conf *a, const struct service_conf *b,
	struct diff_options *changed)
{
	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (!(o->flags & OPTION_GLOBAL) && !same_value(o, a, b))
			add_option(changed, o);
	}
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static int compare_gids(const void *a, const void *b)
{
	gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;

	return (x > y) - (x < y);
}

static gid_t *sorted_groups(const struct service_conf *service)
{
	gid_t *groups = calloc(service->n_groups + 1, sizeof *groups);

	if (!groups)
		return NULL;
	for (size_t i = 0; i < service->n_groups; i++)
		groups[i] = service->groups_list[i];
	qsort(groups, service->n_groups, sizeof *groups, compare_gids);
	return groups;
}

/* Directory services promise no order.  0 or -ENOMEM. */
static int compare_groups(
	const struct service_conf *a, const struct service_conf *b, bool *ret_same)
{
	_cleanup_free_ gid_t *groups_a = NULL, *groups_b = NULL;
	size_t bytes = a->n_groups * sizeof(gid_t);

	*ret_same = a->n_groups == b->n_groups;
	if (!*ret_same || bytes == 0 || memcmp(a->groups_list, b->groups_list, bytes) == 0)
		return 0;

	groups_a = sorted_groups(a);
	groups_b = sorted_groups(b);
	if (!groups_a || !groups_b)
		return -ENOMEM;
	*ret_same = memcmp(groups_a, groups_b, bytes) == 0;
	return 0;
}

static bool same_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static bool same_reply(const struct service_conf *a, const struct service_conf *b)
{
	return same_bytes(a->reply, a->reply_len, b->reply, b->reply_len);
}

static bool same_banners(const struct service_conf *a, const struct service_conf *b)
{
	return same_bytes(a->banner_text, a->banner_text_len, b->banner_text,
		       b->banner_text_len) &&
	       same_bytes(a->banner_success_text, a->banner_success_text_len,
		       b->banner_success_text, b->banner_success_text_len) &&
	       same_bytes(a->banner_fail_text, a->banner_fail_text_len, b->banner_fail_text,
		       b->banner_fail_text_len);
}

/* Which is the first decides which is tried first. */
static bool same_targets(const struct service_conf *a, const struct service_conf *b)
{
	if (a->n_targets != b->n_targets)
		return false;
	for (size_t i = 0; i < a->n_targets; i++) {
		if (!addr_equal(&a->targets[i], &b->targets[i]))
			return false;
	}
	return strv_equal(a->target_names, b->target_names);
}

/* Every field of "What the loader made of them" is here, but the addresses;
 * stderr_kind follows from an option.  A service that waits has not been looked
 * at further, so its other fields say nothing. */
static int compare_resolved(
	const struct service_conf *a, const struct service_conf *b, unsigned *ret)
{
	unsigned resolved = 0;
	bool same_groups;
	int r;

	*ret = same_text(a->condition, b->condition) ? 0 : DIFF_CONDITION;
	if (a->condition || b->condition)
		return 0;
	r = compare_groups(a, b, &same_groups);
	if (r < 0)
		return r;
	if (!same_text(a->path, b->path))
		resolved |= DIFF_PROGRAM;
	if (!strv_equal(a->argv, b->argv))
		resolved |= DIFF_ARGV;
	if (!strv_equal(a->base_env, b->base_env))
		resolved |= DIFF_ENVIRONMENT;
	if (a->change_identity != b->change_identity || a->uid != b->uid || a->gid != b->gid)
		resolved |= DIFF_IDENTITY;
	if (!same_groups)
		resolved |= DIFF_GROUPS;
	if (a->socket_uid != b->socket_uid || a->socket_gid != b->socket_gid)
		resolved |= DIFF_OWNER;
	if (memcmp(a->access_digest, b->access_digest, sizeof a->access_digest) != 0 ||
		!strv_equal(a->names, b->names) || !strv_equal(a->certs, b->certs))
		resolved |= DIFF_ACCESS;
	if (memcmp(a->proxies_digest, b->proxies_digest, sizeof a->proxies_digest) != 0)
		resolved |= DIFF_PROXIES;
	if (memcmp(a->wrappers_digest, b->wrappers_digest, sizeof a->wrappers_digest) != 0)
		resolved |= DIFF_WRAPPERS;
	if (!same_reply(a, b))
		resolved |= DIFF_REPLY;
	if (!same_banners(a, b))
		resolved |= DIFF_BANNERS;
	if (!same_targets(a, b))
		resolved |= DIFF_TARGETS;
	if (memcmp(a->tls_digest, b->tls_digest, sizeof a->tls_digest) != 0 ||
		!same_text(a->tls_host, b->tls_host))
		resolved |= DIFF_TLS;
	*ret = resolved;
	return 0;
}

/*
 * Two sockets at one address.
 */

/* Whether an option that differs says something else to this socket. */
static bool matters(const struct conf_option *option, const struct service_conf *a,
	const struct service_conf *b, const struct addr *addr)
{
	if (!conf_option_concerns(option, addr))
		return false;
	if (addr->kind == ADDR_FD && !(option->flags & OPTION_SOCKET_PASSED))
		return false;
	if (option->offset == offsetof(struct service_conf, v6only))
		return addr_takes_ipv4(addr, a->v6only) != addr_takes_ipv4(addr, b->v6only);
	return !same_value(option, a, b);
}

/*
 * Whether programs have had the socket itself.  They may have kept it: then they can
 * hold its lock, so that telling it something waits for them, and switch O_NONBLOCK
 * off, so that accepting does (I2).  One that was handed over cannot be had again.
 */
static bool was_in_hand(const struct service_conf *old, const struct addr *addr)
{
	return old->wait && addr->kind != ADDR_FD;
}

/* The flags of an option that differs, as they are for this difference. */
static unsigned flags_of(const struct conf_option *option, const struct service_conf *new)
{
	static const struct service_conf nothing;

	if (option->flags & OPTION_SOCKET_STICKY && same_value(option, new, &nothing))
		return OPTION_SOCKET_BIND;
	return option->flags;
}

/*
 * Whoever kept a socket would go on taking clients from the program of another
 * user, and read what is meant for it.
 */
static bool other_program(const struct service_conf *old, const struct service_conf *new)
{
	return old->change_identity != new->change_identity || old->uid != new->uid ||
	       old->gid != new->gid || !same_text(old->path, new->path) ||
	       !same_text(old->chroot, new->chroot);
}

static void compare_sockets(
	const struct service_conf *old, const struct service_conf *new, struct diff_address *d)
{
	const struct addr *addr = &new->listen[d->listen].addr;
	unsigned flags = 0;

	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (!matters(o, old, new, addr))
			continue;
		add_option(&d->changed, o);
		flags |= flags_of(o, new);
	}
	d->kind = old->listen[d->old_listen].addr.kind != addr->kind;
	d->owner = addr_is_path(addr) &&
	           (old->socket_uid != new->socket_uid || old->socket_gid != new->socket_gid);

	d->fate = DIFF_KEPT;
	if (d->kind || flags & OPTION_SOCKET_BIND)
		d->fate = DIFF_REOPENED;
	else if (was_in_hand(old, addr) && other_program(old, new))
		d->fate = DIFF_REOPENED;
	else if (d->owner || flags & OPTION_SOCKET_LIVE)
		d->fate = was_in_hand(old, addr) ? DIFF_REOPENED : DIFF_ADJUSTED;
}

/*
 * The old set, for looking up.
 */

static const char *make_key(const struct service_conf *service, size_t listen, char *buf)
{
	const struct addr *addr = &service->listen[listen].addr;
	char text[ADDR_TEXT_MAX];

	if (addr_is_path(addr))
		snprintf(buf, KEY_MAX, "path %s", addr_format_host(addr, text));
	else if (addr_port_space(addr) && addr_port(addr) == 0)
		snprintf(buf, KEY_MAX, "%s %s", service->name, addr_format(addr, text));
	else
		addr_format(addr, buf);
	return buf;
}

static size_t count_sockets(struct service_conf *const *services, size_t n)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += has_sockets(services[i]) ? services[i]->n_listen : 0;
	return total;
}

static struct known *find_known(struct work *w, const char *key)
{
	const struct known *found = textmap_get(&w->keys, key);

	return found ? &w->known[found - w->known] : NULL;
}

static int learn_socket(struct work *w, size_t service, size_t listen)
{
	struct known *known = &w->known[w->n_known++], *head;
	char key[KEY_MAX];
	int r;

	*known = (struct known){.service = service, .listen = listen};
	known->first = known->last = known;
	r = textmap_add(&w->keys, make_key(w->old[service], listen, key), known);
	if (r != -EEXIST)
		return r;
	head = find_known(w, key);
	head->last->next = known;
	head->last = known;
	return 0;
}

static int learn_service(struct work *w, size_t i)
{
	const struct service_conf *service = w->old[i];
	int r;

	if (service->disable)
		return 0;
	r = textmap_add(&w->names, service->name, &w->old[i]);
	if (r == -ENOMEM)
		return r;
	r = 0;
	for (size_t j = 0; j < service->n_listen && has_sockets(service) && r == 0; j++)
		r = learn_socket(w, i, j);
	return r;
}

static int learn_old(struct work *w)
{
	int r = 0;

	w->known = calloc(count_sockets(w->old, w->n_old) + 1, sizeof *w->known);
	w->met = calloc(w->n_old + 1, sizeof *w->met);
	if (!w->known || !w->met)
		return -ENOMEM;
	for (size_t i = 0; i < w->n_old && r == 0; i++)
		r = learn_service(w, i);
	return r;
}

static struct known *take_known(
	struct work *w, const struct service_conf *service, size_t listen)
{
	char key[KEY_MAX];
	struct known *head = find_known(w, make_key(service, listen, key));
	struct known *known = head ? head->first : NULL;

	if (!known)
		return NULL;
	head->first = known->next;
	known->taken = true;
	return known;
}

/*
 * The new set, one after the other.
 */

static void compare_address(
	struct work *w, struct diff_service *service, size_t i, size_t listen)
{
	struct diff_address *d = &w->diff->addresses[w->diff->n_addresses++];
	const struct known *known = take_known(w, w->new[i], listen);

	*d = (struct diff_address){.service = i,
		.listen = listen,
		.old_service = DIFF_NONE,
		.old_listen = DIFF_NONE,
		.fate = DIFF_OPENED};
	if (known) {
		d->old_service = known->service;
		d->old_listen = known->listen;
		compare_sockets(w->old[known->service], w->new[i], d);
	}
	service->same = service->same && d->fate == DIFF_KEPT && d->old_service == service->old;
	service->renamed = service->renamed || (known && service->old == DIFF_NONE);
	w->diff->n_by_fate[d->fate]++;
}

static int compare_with_old(struct work *w, struct diff_service *d, size_t i)
{
	struct service_conf *const *old = textmap_get(&w->names, w->new[i]->name);

	if (!old)
		return 0;
	d->old = (size_t)(old - w->old);
	w->met[d->old] = true;
	compare_options(*old, w->new[i], &d->changed);
	d->same = !diff_options_any(&d->changed);
	return compare_resolved(*old, w->new[i], &d->resolved);
}

static int compare_service(struct work *w, size_t i)
{
	struct diff_service *d = &w->diff->services[i];
	const struct service_conf *new = w->new[i];
	int r;

	*d = (struct diff_service){.old = DIFF_NONE, .first = w->diff->n_addresses};
	w->diff->n_services++;
	d->absent = new->disable;
	if (d->absent)
		return 0;
	r = compare_with_old(w, d, i);
	if (r < 0)
		return r;
	d->same = d->same && d->resolved == 0;
	for (size_t j = 0; has_sockets(new) && j < new->n_listen; j++)
		compare_address(w, d, i, j);
	d->n_addresses = w->diff->n_addresses - d->first;
	return 0;
}

static int compare_new(struct work *w)
{
	struct diff *diff = w->diff;
	int r = 0;

	diff->services = calloc(w->n_new + 1, sizeof *diff->services);
	diff->addresses = calloc(count_sockets(w->new, w->n_new) + 1, sizeof *diff->addresses);
	if (!diff->services || !diff->addresses)
		return -ENOMEM;
	for (size_t i = 0; i < w->n_new && r == 0; i++)
		r = compare_service(w, i);
	return r;
}

/*
 * What is left of the old set.
 */

static int collect_rest(struct work *w)
{
	struct diff *diff = w->diff;

	diff->closed = calloc(w->n_known + 1, sizeof *diff->closed);
	diff->removed = calloc(w->n_old + 1, sizeof *diff->removed);
	if (!diff->closed || !diff->removed)
		return -ENOMEM;

	for (size_t i = 0; i < w->n_known; i++) {
		const struct known *known = &w->known[i];

		if (!known->taken)
			diff->closed[diff->n_closed++] =
				(struct diff_address){.service = DIFF_NONE,
					.listen = DIFF_NONE,
					.old_service = known->service,
					.old_listen = known->listen,
					.fate = DIFF_CLOSED};
	}
	diff->n_by_fate[DIFF_CLOSED] = diff->n_closed;
	for (size_t i = 0; i < w->n_old; i++) {
		if (!w->old[i]->disable && !w->met[i])
			diff->removed[diff->n_removed++] = i;
	}
	return 0;
}

static int compare(struct work *w)
{
	int r;

	r = learn_old(w);
	if (r < 0)
		return r;
	r = compare_new(w);
	if (r < 0)
		return r;
	return collect_rest(w);
}

int diff_make(struct service_conf *const *old, size_t n_old, struct service_conf *const *new,
	size_t n_new, struct diff *ret)
{
	struct diff diff = {0};
	struct work w = {.old = old, .new = new, .n_old = n_old, .n_new = n_new, .diff = &diff};
	int r;

	textmap_init(&w.names);
	textmap_init(&w.keys);
	r = compare(&w);
	textmap_done(&w.names);
	textmap_done(&w.keys);
	free(w.known);
	free(w.met);
	if (r < 0)
		diff_done(&diff);
	else
		*ret = diff;
	return r;
}

void diff_done(struct diff *diff)
{
	free(diff->services);
	free(diff->addresses);
	free(diff->closed);
	free(diff->removed);
	*diff = (struct diff){0};
}

bool diff_is_empty(const struct diff *diff)
{
	for (size_t i = 0; i < diff->n_services; i++) {
		if (!diff->services[i].absent && !diff->services[i].same)
			return false;
	}
	return diff->n_removed == 0 && diff->n_closed == 0;
}
