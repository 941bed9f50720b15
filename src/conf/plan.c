#include "conf/plan.h"

#include "base/text.h"
#include "conf/plan-change.h"
#include "conf/textmap.h"

#include <string.h>

/* Changes stand in the line of their service if it does not get longer. */
#define COLUMNS 80

struct plan {
	const struct conf *old, *new;
	FILE *out;
	struct diff diff;
	struct textmap was_off, goes_off; /* names of disabled services, before and after */
	size_t *closed; /* for each old service, and one more: its first in diff.closed */
	size_t n_by_fate[DIFF_CLOSED + 1]; /* of the addresses that were printed */
	size_t n_unchanged, n_waiting;
};

static const char *const words[] = {
	[DIFF_KEPT] = "kept",
	[DIFF_ADJUSTED] = "adjusted",
	[DIFF_REOPENED] = "reopened",
	[DIFF_OPENED] = "opened",
	[DIFF_CLOSED] = "closed",
};

static const char *plural(size_t n, const char *many)
{
	return n == 1 ? "" : many;
}

/* The image is somebody else's word: see conf/running. */
static void put_text(FILE *out, const char *text)
{
	size_t left = strlen(text), n;

	for (; left > 0; text += n, left -= n) {
		uint32_t code = 0;

		n = text_utf8(text, left, &code);
		if (n > 0 && !text_is_control(code)) {
			fwrite(text, 1, n, out);
			continue;
		}
		n = 1;
		fprintf(out, "\\x%02x", (unsigned char)*text);
	}
}

/* ", " between them in the line that holds `used` columns already, or each in a
 * line of its own. */
static void put_phrases(FILE *out, size_t used, char *const *phrases)
{
	size_t width = used;
	bool long_line;

	for (size_t i = 0; phrases && phrases[i]; i++)
		width += strlen(phrases[i]) + 2;
	long_line = width > COLUMNS;
	for (size_t i = 0; phrases && phrases[i]; i++) {
		fputs(long_line ? "\n  " : i > 0 ? ", " : " ", out);
		put_text(out, phrases[i]);
	}
	fputc('\n', out);
}

/*
 * Addresses.
 */

static const struct addr *addr_of(const struct plan *p, const struct diff_address *d)
{
	if (d->service == DIFF_NONE)
		return &p->old->services[d->old_service]->listen[d->old_listen].addr;
	return &p->new->services[d->service]->listen[d->listen].addr;
}

/* `b` is the next port after `a`, with the same fate for the same reason. */
static bool follows(
	const struct plan *p, const struct diff_address *a, const struct diff_address *b)
{
	struct addr next = *addr_of(p, a);
	uint32_t port = addr_port(&next);

	if (a->fate != b->fate || a->old_service != b->old_service || a->owner != b->owner ||
		memcmp(&a->changed, &b->changed, sizeof a->changed) != 0)
		return false;
	addr_set_port(&next, port + 1);
	return port > 0 && addr_port(&next) == port + 1 && addr_equal(&next, addr_of(p, b));
}

/* Why it is not simply kept; NULL-terminated, or -ENOMEM. */
static int reasons(const struct plan *p, const struct diff_address *d, char ***ret)
{
	const struct service_conf *old =
		d->old_service == DIFF_NONE ? NULL : p->old->services[d->old_service];
	int r = 0;

	if (d->service != DIFF_NONE && old &&
		strcmp(old->name, p->new->services[d->service]->name) != 0)
		r = strv_addf(ret, "from %s", old->name);
	for (const struct conf_option *o = conf_options; o->name && r == 0; o++) {
		if (diff_options_has(&d->changed, o))
			r = strv_add(ret, o->name);
	}
	if (r == 0 && d->owner && strv_length(*ret) == 0)
		r = strv_add(ret, "owner");
	if (r == 0 && d->kind)
		r = strv_add(ret, "another type of socket");
	return r;
}

static int put_address(struct plan *p, const struct diff_address *first, uint32_t last_port)
{
	const struct addr *addr = addr_of(p, first);
	_cleanup_strv_ char **why = NULL;
	char text[ADDR_TEXT_MAX];
	int r;

	r = reasons(p, first, &why);
	if (r < 0)
		return r;
	fprintf(p->out, "  %-8s %s", words[first->fate], addr_format(addr, text));
	if (last_port != addr_port(addr))
		fprintf(p->out, "-%u", last_port);
	for (size_t i = 0; why && why[i]; i++)
		fprintf(p->out, "%s%s", i > 0 ? ", " : " (", why[i]);
	fputs(why ? ")\n" : "\n", p->out);
	return 0;
}

/* Ports in a row take one line. */
static int put_addresses(struct plan *p, const struct diff_address *d, size_t n)
{
	size_t i = 0;
	int r = 0;

	while (i < n && r == 0) {
		size_t first = i++;

		while (i < n && follows(p, &d[i - 1], &d[i]))
			i++;
		p->n_by_fate[d[first].fate] += i - first;
		r = put_address(p, &d[first], addr_port(addr_of(p, &d[i - 1])));
	}
	return r;
}

static size_t count_closed(const struct plan *p, size_t old)
{
	return p->closed[old + 1] - p->closed[old];
}

static int put_closed(struct plan *p, size_t old)
{
	return put_addresses(p, &p->diff.closed[p->closed[old]], count_closed(p, old));
}

/*
 * Services.
 */

static bool served(const struct service_conf *service)
{
	return !service->disable && !service->condition;
}

static int put_new(struct plan *p, size_t i)
{
	const struct diff_service *d = &p->diff.services[i];
	const struct service_conf *new = p->new->services[i];
	bool enabled = textmap_get(&p->was_off, new->name);

	fprintf(p->out, "%s: %s", new->name, enabled ? "enabled" : "new");
	if (new->condition) {
		fputs(", would wait: ", p->out);
		put_text(p->out, new->condition);
	}
	fputc('\n', p->out);
	return put_addresses(p, &p->diff.addresses[d->first], d->n_addresses);
}

/* All addresses are there as before: only their order is another one. */
static bool only_reordered(const struct plan *p, const struct diff_service *d)
{
	for (size_t i = 0; i < d->n_addresses; i++) {
		const struct diff_address *a = &p->diff.addresses[d->first + i];

		if (a->old_service != d->old || a->kind)
			return false;
	}
	return d->n_addresses > 0 && count_closed(p, d->old) == 0;
}

static int add_addresses(const struct plan *p, const struct diff_service *d, char ***phrases)
{
	if (!diff_options_has(&d->changed, conf_option_find("listen")))
		return 0;
	if (only_reordered(p, d))
		return strv_add(phrases, "addresses in another order");
	/* The lines below say what becomes of them, and nothing does while it waits. */
	if (d->resolved & DIFF_CONDITION)
		return 0;
	return strv_length(*phrases) == 0 ? strv_add(phrases, "addresses") : 0;
}

/* "would wait: no user 'ftp'"; nothing where nothing changes about that. */
static int waiting_text(const struct service_conf *old, const struct service_conf *new,
	const struct diff_service *d, char **ret)
{
	int n;

	if (!(d->resolved & DIFF_CONDITION))
		n = asprintf(ret, "%s", "");
	else if (new->condition)
		n = asprintf(ret, " would wait: %s", new->condition);
	else
		n = asprintf(ret, " would no longer wait (%s)", old->condition);
	if (n >= 0)
		return 0;
	*ret = NULL;
	return -ENOMEM;
}

/* Whether its program is one child that has the socket, and has to learn about
 * the change. */
static void put_child(
	struct plan *p, const struct service_conf *old, const struct service_conf *new)
{
	if (!old->wait || !served(old))
		return;
	fputs("  its child would be ended (SIGTERM)", p->out);
	fputs(served(new) && new->wait ? " and started again by the next arrival\n" : "\n",
		p->out);
}

/* The program behind a redirect, if it runs. */
static void put_backend(
	struct plan *p, const struct service_conf *old, const struct service_conf *new)
{
	if (!served(old) || !service_conf_has_backend(old) ||
		service_conf_same_backend(old, new))
		return;
	fputs("  its backend would be ended (SIGTERM) when it has no connections", p->out);
	fputs(served(new) && service_conf_has_backend(new)
			? ", and another started by the next client\n"
			: "\n",
		p->out);
}

static int put_changed(struct plan *p, size_t i)
{
	const struct diff_service *d = &p->diff.services[i];
	const struct service_conf *old = p->old->services[d->old], *new = p->new->services[i];
	_cleanup_strv_ char **phrases = NULL;
	_cleanup_free_ char *waiting = NULL;
	int r;

	r = plan_changes(old, new, d, &phrases);
	if (r == 0)
		r = add_addresses(p, d, &phrases);
	if (r == 0)
		r = waiting_text(old, new, d, &waiting);
	if (r < 0)
		return r;

	fprintf(p->out, "%s:", new->name);
	put_text(p->out, waiting);
	if (!*waiting || phrases)
		fputs(*waiting ? "; changed" : " changed", p->out);
	if (phrases)
		fputc(':', p->out);
	put_phrases(
		p->out, strlen(new->name) + strlen(waiting) + strlen(": changed:"), phrases);
	put_child(p, old, new);
	put_backend(p, old, new);
	r = put_addresses(p, &p->diff.addresses[d->first], d->n_addresses);
	return r < 0 ? r : put_closed(p, d->old);
}

static int put_service(struct plan *p, size_t i)
{
	const struct diff_service *d = &p->diff.services[i];

	if (d->absent)
		return 0;
	if (d->same) {
		p->n_unchanged++;
		p->n_waiting += p->new->services[i]->condition != NULL;
		return 0;
	}
	return d->old == DIFF_NONE ? put_new(p, i) : put_changed(p, i);
}

static int put_removed(struct plan *p, size_t i)
{
	const struct service_conf *old = p->old->services[i];
	bool disabled = textmap_get(&p->goes_off, old->name);
	size_t n = count_closed(p, i);

	fprintf(p->out, "%s: %s", old->name, disabled ? "disabled" : "removed");
	if (old->condition) {
		fputs(" (it was waiting: ", p->out);
		put_text(p->out, old->condition);
		fputs(")\n", p->out);
		return 0;
	}
	fputs(" (", p->out);
	if (n > 0)
		fprintf(p->out, "%zu address%s closed; ", n, plural(n, "es"));
	fputs(old->wait ? "its child would be ended (SIGTERM))\n"
			: "its children would finish)\n",
		p->out);
	return put_closed(p, i);
}

/*
 * The whole.
 */

static void put_totals(struct plan *p)
{
	bool any = false;

	if (p->n_unchanged > 0)
		fprintf(p->out, "%zu service%s unchanged", p->n_unchanged,
			plural(p->n_unchanged, "s"));
	if (p->n_waiting > 0)
		fprintf(p->out, ", %zu still waiting", p->n_waiting);
	if (p->n_unchanged > 0)
		fputc('\n', p->out);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (p->n_by_fate[i] == 0)
			continue;
		fprintf(p->out, "%s%zu %s", any ? ", " : "", p->n_by_fate[i], words[i]);
		any = true;
	}
	if (any)
		fputc('\n', p->out);
}

static int put_globals(struct plan *p, bool *ret_any)
{
	_cleanup_strv_ char **phrases = NULL;
	static const char head[] = "for all services:";
	int r = plan_global_changes(p->old, p->new, &phrases);

	if (r < 0)
		return r;
	*ret_any = strv_length(phrases) > 0;
	if (*ret_any) {
		fputs(head, p->out);
		put_phrases(p->out, strlen(head), phrases);
	}
	return 0;
}

static void put_nothing(const struct plan *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->new->n_services; i++)
		n += !p->new->services[i]->disable && p->new->services[i]->condition;
	fputs("nothing would change", p->out);
	if (n > 0)
		fprintf(p->out, ", %zu service%s still waiting", n, plural(n, "s"));
	fputc('\n', p->out);
}

static int put_all(struct plan *p)
{
	bool any;
	int r = put_globals(p, &any);

	if (r == 0 && !any && diff_is_empty(&p->diff)) {
		put_nothing(p);
		return 0;
	}
	for (size_t i = 0; i < p->new->n_services &&r == 0; i++)
		r = put_service(p, i);
	for (size_t i = 0; i < p->diff.n_removed && r == 0; i++)
		r = put_removed(p, p->diff.removed[i]);
	if (r == 0)
		put_totals(p);
	return r;
}

static int note_disabled(const struct conf *conf, struct textmap *map)
{
	for (size_t i = 0; i < conf->n_services; i++) {
		const struct service_conf *service = conf->services[i];

		if (service->disable && textmap_add(map, service->name, service) == -ENOMEM)
			return -ENOMEM;
	}
	return 0;
}

static int index_closed(struct plan *p)
{
	size_t at = 0;

	p->closed = calloc(p->old->n_services + 1, sizeof *p->closed);
	if (!p->closed)
		return -ENOMEM;
	for (size_t i = 0; i <= p->old->n_services; i++) {
		while (at < p->diff.n_closed && p->diff.closed[at].old_service < i)
			at++;
		p->closed[i] = at;
	}
	return 0;
}

static int make(struct plan *p)
{
	int r;

	r = note_disabled(p->old, &p->was_off);
	if (r == 0)
		r = note_disabled(p->new, &p->goes_off);
	if (r == 0)
		r = diff_make(p->old->services, p->old->n_services, p->new->services,
			p->new->n_services, &p->diff);
	if (r == 0)
		r = index_closed(p);
	return r;
}

int plan_print(const struct conf *old, const struct conf *new, FILE *out)
{
	struct plan p = {.old = old, .new = new, .out = out};
	int r;

	textmap_init(&p.was_off);
	textmap_init(&p.goes_off);
	r = make(&p);
	if (r == 0)
		r = put_all(&p);
	textmap_done(&p.was_off);
	textmap_done(&p.goes_off);
	diff_done(&p.diff);
	free(p.closed);
	if (r < 0)
		return r;
	return ferror(out) ? -EIO : 0;
}
