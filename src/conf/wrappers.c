#include "conf/wrappers.h"

#include "conf/check.h"
#include "conf/source.h"
#include "conf/wrappers-internal.h"
#include "policy/siphash.h"

#include <fcntl.h>
#include <string.h>

/* One table, made for whom the same rules are about. */
struct wrappers_made {
	struct access_list *list;
	struct wrappers_made *next;
};

/* A rule that is about the service in hand. */
struct chosen {
	uint32_t file, entry;
	uint32_t locals, n_locals; /* of the work's */
};

/* One service that is given its table. */
struct work {
	struct wrappings *w;
	struct service_conf *service;
	struct report *report;
	struct wrappers_names names;
	struct chosen *chosen; /* owned */
	size_t n;
	struct wrappers_items locals;
	bool mistaken;
};

void wrappings_init(
	struct wrappings *w, const char *allow, const char *deny, struct source **sources)
{
	*w = (struct wrappings){.sources = sources};
	w->both[0].path = allow ? allow : WRAPPERS_ALLOW;
	w->both[1].path = deny ? deny : WRAPPERS_DENY;
	textmap_init(&w->tables);
}

static void source_done(struct wrappers_source *one)
{
	for (size_t i = 0; one->judged && i < one->file.n; i++)
		wrappers_items_done(&one->judged[i].clients);
	free(one->judged);
	wrappers_file_done(&one->file);
}

void wrappings_done(struct wrappings *w)
{
	source_done(&w->both[0]);
	source_done(&w->both[1]);
	while (w->made) {
		struct wrappers_made *made = w->made;

		w->made = made->next;
		access_list_release(made->list);
		free(made);
	}
	textmap_done(&w->tables);
}

/*
 * Files.
 */

static const struct origin *origin_of(const struct service_conf *service)
{
	return service_conf_given_at(service, conf_option_find("hosts_access"));
}

static int read_source(const struct work *k, struct wrappers_source *one)
{
	struct source **tail = k->w->sources, *source;
	struct source_id id;
	const char *why;
	int r;

	while (*tail)
		tail = &(*tail)->next;
	source = source_add(&tail, one->path);
	if (!source)
		return -ENOMEM;
	r = source_read(source, AT_FDCWD, one->path, &id, &why);
	if (r == -ENOENT || r == -ENOMEM)
		return r == -ENOENT ? 0 : r;
	if (r < 0) {
		k->w->mistaken = true;
		report_mistake(k->report, origin_of(k->service), "unable to read '%s': %s",
			one->path, why);
		return 0;
	}
	one->is_there = true;
	r = wrappers_file_parse(source, k->report, &one->file);
	if (r < 0)
		return r;
	k->w->mistaken = k->w->mistaken || one->file.mistaken;
	one->judged = calloc(one->file.n + 1, sizeof *one->judged);
	return one->judged ? 0 : -ENOMEM;
}

static int read_sources(const struct work *k)
{
	struct wrappings *w = k->w;
	int r = 0;

	if (w->read)
		return 0;
	w->read = true;
	for (size_t i = 0; i < ARRAY_SIZE(w->both) && r == 0; i++)
		r = read_source(k, &w->both[i]);
	if (r == 0 && !w->mistaken && !w->both[0].is_there && !w->both[1].is_there)
		report_warning(k->report, origin_of(k->service),
			"hosts_access: there is neither %s nor %s, so everybody may come in",
			w->both[0].path, w->both[1].path);
	return r;
}

/*
 * Rules.
 */

static void require(struct work *k, const struct origin *at, bool holds, const char *what)
{
	if (!at->file || holds)
		return;
	k->mistaken = true;
	if (report_mistake(k->report, at, "%s", what) && origin_of(k->service)->line > 0)
		diag_note(k->report->diags, origin_of(k->service),
			"hosts_access is written here, for service '%s'", k->service->name);
}

static bool understood(const struct service_conf *service, const char *option)
{
	return !service_conf_mistaken(service, conf_option_find(option));
}

static void check_needs(struct work *k, const struct wrappers_judged *judged)
{
	const struct service_conf *service = k->service;
	bool adhoc = k->report->adhoc;

	require(k, &judged->name_at, service->resolve || !understood(service, "resolve"),
		adhoc ? "this is about the name of a client, which needs --resolve"
		      : "this is about the name of a client, which needs resolve = yes");
	require(k, &judged->user_at,
		service->ident != IDENT_USE_NO || !understood(service, "ident"),
		adhoc ? "this is about the user of a client, which needs --ident"
		      : "this is about the user of a client, which needs ident = yes");
}

static int choose(struct work *k, uint32_t file, uint32_t entry)
{
	struct wrappers_source *one = &k->w->both[file];
	size_t before = k->locals.n;
	enum wrappers_concern concern;
	struct chosen *larger;
	int r;

	r = wrappers_find_concern(&one->file.entries[entry], &k->names, k->report, &concern,
		&k->locals, &k->mistaken);
	if (r < 0 || concern == WRAPPERS_NOT_CONCERNED)
		return r;
	r = wrappers_judge(&one->file.entries[entry], file == 1, k->w->sources, k->report,
		&one->judged[entry]);
	if (r < 0)
		return r;
	k->mistaken = k->mistaken || one->judged[entry].mistaken;
	check_needs(k, &one->judged[entry]);
	if ((k->n & (k->n - 1)) == 0) {
		larger = reallocarray(k->chosen, k->n ? 2 * k->n : 1, sizeof *larger);
		if (!larger)
			return -ENOMEM;
		k->chosen = larger;
	}
	k->chosen[k->n++] = (struct chosen){
		file, entry, (uint32_t)before, (uint32_t)(k->locals.n - before)};
	return 0;
}

static int choose_all(struct work *k)
{
	int r = 0;

	for (uint32_t file = 0; file < ARRAY_SIZE(k->w->both); file++)
		for (uint32_t i = 0; i < k->w->both[file].file.n && r == 0; i++)
			r = choose(k, file, i);
	return r;
}

/*
 * Tables.
 */

#define KEY_MAX 128

/* What two services have in common that can share a table.  Where it depends on the address,
 * it also depends on what they are called. */
static void make_key(const struct work *k, char buf[KEY_MAX])
{
	static const uint8_t keys[2][16] = {"hatchd chosen 1", "hatchd chosen 2"};
	size_t len = k->n * sizeof *k->chosen;

	snprintf(buf, KEY_MAX, "%016jx%016jx%zu%s%s",
		(uintmax_t)siphash(k->chosen, len, keys[0]),
		(uintmax_t)siphash(k->chosen, len, keys[1]), k->n, k->locals.n > 0 ? " " : "",
		k->locals.n > 0 ? k->service->name : "");
}

static struct wrappers_rule rule_of(const struct work *k, const struct chosen *chosen)
{
	const struct wrappers_source *one = &k->w->both[chosen->file];
	const struct wrappers_judged *judged = &one->judged[chosen->entry];

	return (struct wrappers_rule){
		.line = one->file.entries[chosen->entry].origin.line,
		.of_deny = chosen->file == 1,
		.denies = judged->denies,
		.locals = chosen->n_locals > 0 ? k->locals.items + chosen->locals : NULL,
		.n_locals = chosen->n_locals,
		.clients = judged->clients.items,
		.n_clients = judged->clients.n,
	};
}

static unsigned needs_of(const struct work *k)
{
	unsigned needs = 0;

	for (size_t i = 0; i < k->n; i++) {
		const struct wrappers_judged *judged =
			&k->w->both[k->chosen[i].file].judged[k->chosen[i].entry];

		needs |= judged->name_at.file ? WRAPPERS_NEEDS_NAME : 0;
		needs |= judged->user_at.file ? WRAPPERS_NEEDS_USER : 0;
	}
	return needs;
}

static int compile(const struct work *k, struct access_list **ret)
{
	_cleanup_free_ struct wrappers_rule *rules = calloc(k->n + 1, sizeof *rules);
	uint8_t *table = NULL;
	size_t len;
	int r;

	if (!rules)
		return -ENOMEM;
	for (size_t i = 0; i < k->n; i++)
		rules[i] = rule_of(k, &k->chosen[i]);
	r = wrappers_compile(rules, k->n, &table, &len);
	if (r < 0)
		return r;
	if (len > WRAPPERS_BYTES_MAX - k->w->n_bytes)
		r = -EFBIG;
	else if (!(*ret = access_list_new(table, len, NULL)))
		r = -ENOMEM;
	if (r < 0) {
		free(table);
		return r;
	}
	k->w->n_bytes += len;
	(*ret)->needs = needs_of(k);
	return 0;
}

static void give(struct service_conf *service, struct access_list *list)
{
	service->wrappers = list;
	memcpy(service->wrappers_digest, list->table, sizeof service->wrappers_digest);
}

static int remember(struct wrappings *w, const char *key, struct access_list *list)
{
	struct wrappers_made *made = calloc(1, sizeof *made);

	if (!made)
		return -ENOMEM;
	made->list = access_list_hold(list);
	made->next = w->made;
	w->made = made;
	return textmap_add(&w->tables, key, made);
}

static void tell_too_much(const struct work *k, int error)
{
	if (error == -EFBIG)
		report_mistake(k->report, origin_of(k->service),
			"hosts_access: with those of service '%s' the rules of all services "
			"take more than %u MB",
			k->service->name, WRAPPERS_BYTES_MAX >> 20);
	else
		report_mistake(k->report, origin_of(k->service),
			"hosts_access: more than %d patterns are about service '%s', or more "
			"than %d that are no addresses, or those with several * have more than "
			"%d letters",
			WRAPPERS_ITEMS_MAX, k->service->name, WRAPPERS_TEXTS_MAX,
			WRAPPERS_LABOUR_MAX);
}

static int make_table(struct work *k)
{
	const struct wrappers_made *made;
	struct access_list *list;
	char key[KEY_MAX];
	int r;

	make_key(k, key);
	made = textmap_get(&k->w->tables, key);
	if (made) {
		give(k->service, access_list_hold(made->list));
		return 0;
	}
	r = compile(k, &list);
	if (r == -E2BIG || r == -EFBIG) {
		tell_too_much(k, r);
		return 0;
	}
	if (r < 0)
		return r;
	give(k->service, list);
	return remember(k->w, key, list);
}

static const char *last_part(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path;
}

static int prepare(struct work *k)
{
	int r = read_sources(k);

	if (r == 0 && !k->w->mistaken)
		r = choose_all(k);
	if (r < 0)
		return r;
	if (!k->mistaken && !k->w->mistaken)
		return make_table(k);
	report_refuse(k->report, origin_of(k->service));
	return 0;
}

int wrappers_prepare(struct wrappings *w, struct service_conf *service, struct report *report)
{
	struct work k = {
		.w = w,
		.service = service,
		.report = report,
		.names = {service->name, last_part(service->exec ? service->exec[0] : NULL),
			last_part(service->argv0)},
	};
	int r;

	if (service->disable || !service->hosts_access)
		return 0;
	r = prepare(&k);
	free(k.chosen);
	wrappers_items_done(&k.locals);
	return r;
}
