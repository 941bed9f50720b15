#include "conf/access.h"

#include "base/hostname.h"
#include "conf/access-word.h"
#include "conf/merge.h"

#include <stdio.h>
#include <string.h>

/* Room for why something cannot stand where it does. */
#define REASON_MAX 256

/* One list, made of all words of a service. */
struct access_made {
	struct access_list *list;
	char **names, **certs;
	char *condition;
	struct access_made *next;
};

/* One service that is given its list. */
struct work {
	struct accesses *accesses;
	struct identities *identities;
	struct service_conf *service;
	struct report *report;
	struct access_rules rules;
	bool proxies; /* about proxy_from; else about only_from and no_access */
	uint32_t n_allow, n_elements;
	bool mistaken;
};

void accesses_init(struct accesses *accesses, struct source **sources)
{
	*accesses = (struct accesses){0};
	access_files_init(&accesses->files, sources);
}

static void made_free(struct access_made *made)
{
	access_list_release(made->list);
	strv_free(made->names);
	strv_free(made->certs);
	free(made->condition);
	free(made);
}

void accesses_done(struct accesses *accesses)
{
	while (accesses->made_list) {
		struct access_made *made = accesses->made_list;

		accesses->made_list = made->next;
		made_free(made);
	}
	access_files_done(&accesses->files);
	textmap_done(&accesses->lists);
}

/*
 * Elements.
 */

struct access_element access_element_of(const struct service_conf *service, uint32_t element)
{
	uint32_t n = (uint32_t)strv_length(service->only_from);

	if (element < n)
		return (struct access_element){"only_from", service->only_from[element],
			service->only_from_at[element]};
	return (struct access_element){"no_access", service->no_access[element - n],
		service->no_access_at[element - n]};
}

static struct access_element element_of(const struct work *w, uint32_t element)
{
	if (!w->proxies)
		return access_element_of(w->service, element);
	return (struct access_element){"proxy_from", w->service->proxy_from[element],
		w->service->proxy_from_at[element]};
}

static int set_condition(struct service_conf *service, const char *text)
{
	if (!service->condition)
		service->condition = strdup(text);
	return service->condition ? 0 : -ENOMEM;
}

static int add_rules(struct work *w, const struct access_rules *rules)
{
	for (size_t i = 0; i < rules->n && w->rules.n <= ACCESS_RULES_MAX; i++) {
		if (access_rules_add(&w->rules, &rules->items[i], &rules->where[i]) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < rules->n_names; i++) {
		if (access_rules_add_name(&w->rules, rules->names[i]) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < rules->n_certs; i++) {
		if (access_rules_add_cert(&w->rules, rules->certs[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Why nobody can be named there; NULL: he can. */
static const char *why_no_name(const struct work *w, const struct access_element *e)
{
	const struct service_conf *service = w->service;

	if (w->proxies)
		return "a proxy is known by its address, since its header comes before names "
		       "are looked up";
	if (strcmp(e->option, "no_access") == 0)
		return "a name can let somebody in, but keep nobody out: who does not want to "
		       "be known by his name has none";
	if (service->resolve || service_conf_mistaken(service, conf_option_find("resolve")))
		return NULL;
	return w->report->adhoc ? "those need --resolve" : "those need resolve = yes";
}

/* What is no mistake in itself, but stands there.  `at`: in the list file that the element
 * names; NULL: it names none. */
static void tell_misplaced(struct work *w, const struct access_element *e,
	const struct origin *at, const char *text)
{
	char label[OPTION_FLAG_MAX + 2];

	w->mistaken = true;
	if (!at) {
		report_mistake(w->report, &e->origin, "%s: %s",
			merge_label(conf_option_find(e->option), &e->origin, label), text);
		return;
	}
	report_refuse(w->report, &e->origin);
	if (report_mistake(w->report, at, "%s", text) && e->origin.line > 0)
		diag_note(w->report->diags, &e->origin, "the list is named here");
}

static void check_name(struct work *w, const struct access_element *e, const char *name,
	const struct origin *at)
{
	const char *why = why_no_name(w, e), *what = name[0] == '.' ? "a domain" : "a host";
	char text[HOSTNAME_MAX + REASON_MAX];

	if (!why)
		return;
	snprintf(text, sizeof text, "'%s' is the name of %s; %s", name, what, why);
	tell_misplaced(w, e, at, text);
}

/* Why nobody can be told by his certificate there; NULL: he can, if he is asked for one, which
 * access_cert_check() looks at. */
static const char *why_no_cert(const struct work *w, const struct access_element *e)
{
	if (w->proxies)
		return "a proxy is known by its address, since its header comes before "
		       "certificates are shown";
	if (strcmp(e->option, "no_access") == 0)
		return "a certificate can let somebody in, but keep nobody out: who does not "
		       "want to be known by his shows another one, or none";
	return NULL;
}

static void check_cert(struct work *w, const struct access_element *e, const char *rule,
	const struct origin *at)
{
	const char *why = why_no_cert(w, e);
	char text[DIAG_SHOWN_MAX + REASON_MAX], shown[DIAG_SHOWN_MAX];

	if (!why)
		return;
	snprintf(text, sizeof text, "'%s' is about a certificate; %s",
		diag_shown(rule, strlen(rule), shown), why);
	tell_misplaced(w, e, at, text);
}

static int add_file(struct work *w, const struct access_element *e, const char *name)
{
	_cleanup_free_ char *path = access_file_path(name, &e->origin);
	const struct access_file *file;

	if (name[0] == '\0') {
		w->mistaken = true;
		report_mistake(w->report, &e->origin, "%s: the name of the file is missing",
			e->option);
		return 0;
	}
	if (!path)
		return -ENOMEM;
	file = access_files_get(
		&w->accesses->files, w->identities, w->report, path, &e->origin);
	if (!file)
		return -ENOMEM;
	if (file->mistaken) {
		w->mistaken = true;
		report_refuse(w->report, &e->origin);
	}
	if (file->rules.n_names > 0)
		check_name(w, e, file->rules.names[0], &file->name_at);
	if (file->rules.n_certs > 0)
		check_cert(w, e, file->rules.certs[0], &file->cert_at);
	if (file->condition && set_condition(w->service, file->condition) < 0)
		return -ENOMEM;
	return add_rules(w, &file->rules);
}

static int add_word(struct work *w, const struct access_element *e)
{
	const struct access_where where = {0};
	char label[OPTION_FLAG_MAX + 2];
	size_t n_names = w->rules.n_names, n_certs = w->rules.n_certs;
	struct access_remark remark;
	int r;

	r = access_word_read(e->word, w->identities, &where, &w->rules, &remark);
	if (r == -EINVAL) {
		w->mistaken = true;
		report_mistake(w->report, &e->origin, "%s: %s",
			merge_label(conf_option_find(e->option), &e->origin, label),
			remark.text);
		return 0;
	}
	if (r == -ENOENT) {
		report_condition(w->report, w->service, &e->origin, "%s", remark.text);
		return 0;
	}
	if (r == 0 && remark.text[0])
		report_warning(w->report, &e->origin, "%s: %s",
			merge_label(conf_option_find(e->option), &e->origin, label),
			remark.text);
	if (r == 0 && w->rules.n_names > n_names)
		check_name(w, e, w->rules.names[n_names], NULL);
	if (r == 0 && w->rules.n_certs > n_certs)
		check_cert(w, e, w->rules.certs[n_certs], NULL);
	return r;
}

/* One after the other; what was added is of this element. */
static int add_element(struct work *w, uint32_t element, bool deny)
{
	struct access_element e = element_of(w, element);
	const char *name = access_names_file(e.word);
	size_t before = w->rules.n;
	int r;

	r = name ? add_file(w, &e, name) : add_word(w, &e);
	for (size_t i = before; i < w->rules.n; i++) {
		w->rules.items[i].deny = deny;
		w->rules.where[i].element = element;
	}
	return r;
}

static int add_elements(struct work *w)
{
	int r = 0;

	for (uint32_t i = 0; i < w->n_elements && r == 0; i++)
		r = add_element(w, i, i >= w->n_allow);
	return r;
}

/*
 * Lists.
 */

static bool is_given(const struct service_conf *service, const char *option)
{
	return service_conf_given(service, conf_option_find(option));
}

/* Whether whoever is not listed is left out. */
static bool is_exclusive(const struct work *w)
{
	return w->proxies || is_given(w->service, "only_from");
}

/* What two services must have in common to share a list: all words in their order,
 * files by where they are, and whether names may be among them.  NULL without memory. */
static char *make_key(const struct work *w)
{
	size_t len;
	char *text = NULL;
	FILE *out = open_memstream(&text, &len);
	bool whole = true;

	if (!out)
		return NULL;
	fputs(is_exclusive(w) ? "only" : "all", out);
	fputs(w->service->resolve ? " names" : "", out);
	for (uint32_t i = 0; i < w->n_elements; i++) {
		struct access_element e = element_of(w, i);
		const char *name = access_names_file(e.word);
		_cleanup_free_ char *path = name ? access_file_path(name, &e.origin) : NULL;

		whole = whole && (path || !name);
		fprintf(out, "\n%c%c%s", i < w->n_allow ? '+' : '-', path ? 'f' : 'w',
			path ? path : e.word);
	}
	if (fclose(out) == 0 && whole)
		return text;
	free(text);
	return NULL;
}

static int remember(struct work *w, const char *key, struct access_list *list)
{
	struct access_made *made = calloc(1, sizeof *made);

	if (!made)
		return -ENOMEM;
	made->list = access_list_hold(list);
	made->next = w->accesses->made_list;
	w->accesses->made_list = made;
	if (w->rules.n_names > 0 && strv_copy(w->rules.names, &made->names) < 0)
		return -ENOMEM;
	if (w->rules.n_certs > 0 && strv_copy(w->rules.certs, &made->certs) < 0)
		return -ENOMEM;
	if (w->service->condition) {
		made->condition = strdup(w->service->condition);
		if (!made->condition)
			return -ENOMEM;
	}
	return textmap_add(&w->accesses->lists, key, made);
}

/* Whom only_from is about at all. */
static unsigned scope_of(const struct access_rule *rule)
{
	switch (rule->kind) {
	case ACCESS_IP:
		if (rule->prefix.family == ADDR_SOURCE_IPV4)
			return ACCESS_OF_IPV4 | (rule->prefix.bits == 0 ? ACCESS_ALL_IPV4 : 0);
		return ACCESS_OF_IPV6 | (rule->prefix.bits == 0 ? ACCESS_ALL_IPV6 : 0);
	case ACCESS_VSOCK:
	case ACCESS_CID:
		return ACCESS_OF_VSOCK;
	default:
		return ACCESS_OF_UNIX;
	}
}

static unsigned scope_of_all(const struct access_rules *rules)
{
	unsigned scope = 0;

	for (size_t i = 0; i < rules->n; i++)
		scope |= rules->items[i].deny ? 0 : scope_of(&rules->items[i]);
	return scope;
}

static int compile(struct work *w, struct access_list **ret)
{
	uint8_t *table = NULL;
	size_t len;
	int r;

	r = access_compile(w->rules.items, w->rules.n, is_exclusive(w), &table, &len);
	if (r < 0)
		return r;
	*ret = access_list_new(table, len, w->rules.where);
	if (!*ret) {
		free(table);
		return -ENOMEM;
	}
	(*ret)->scope = scope_of_all(&w->rules);
	w->rules.where = NULL;
	return 0;
}

static void give(const struct work *w, struct access_list *list)
{
	struct service_conf *service = w->service;
	uint8_t *digest = w->proxies ? service->proxies_digest : service->access_digest;

	*(w->proxies ? &service->proxies : &service->access) = list;
	memcpy(digest, list->table, ACCESS_DIGEST_LEN);
}

/* Of what is compared one by one. */
static bool check_bounds(const struct work *w)
{
	const struct service_conf *service = w->service;

	if (w->rules.n_names > CONF_NAMES_MAX)
		report_mistake(w->report, &service->origin,
			"service '%s' has more than %d names of hosts and domains who may come "
			"in",
			service->name, CONF_NAMES_MAX);
	if (w->rules.n_certs > CONF_CERTS_MAX)
		report_mistake(w->report, &service->origin,
			"service '%s' has more than %d rules about certificates", service->name,
			CONF_CERTS_MAX);
	return w->rules.n_names <= CONF_NAMES_MAX && w->rules.n_certs <= CONF_CERTS_MAX;
}

static int make_list(struct work *w, const char *key)
{
	struct access_list *list;
	int r;

	r = add_elements(w);
	if (r < 0 || w->mistaken)
		return r;
	if (!check_bounds(w))
		return 0;
	r = compile(w, &list);
	if (r == -E2BIG) {
		report_mistake(w->report, &w->service->origin,
			"service '%s' has more than %u rules about %s", w->service->name,
			ACCESS_RULES_MAX,
			w->proxies ? "whose headers are believed" : "who may come in");
		return 0;
	}
	if (r < 0)
		return r;
	give(w, list);
	r = remember(w, key, list);
	if (r == 0 && !w->proxies) {
		w->service->names = take_ptr(w->rules.names);
		w->service->certs = take_ptr(w->rules.certs);
	}
	return r;
}

static int prepare(struct work *w)
{
	_cleanup_free_ char *key = make_key(w);
	const struct access_made *made;

	if (!key)
		return -ENOMEM;
	made = textmap_get(&w->accesses->lists, key);
	/* No proxy has a name or a certificate, which is told where it is written. */
	if (!made || (w->proxies && (made->names || made->certs)))
		return make_list(w, key);
	give(w, access_list_hold(made->list));
	if (made->names && strv_copy(made->names, &w->service->names) < 0)
		return -ENOMEM;
	if (made->certs && strv_copy(made->certs, &w->service->certs) < 0)
		return -ENOMEM;
	return made->condition ? set_condition(w->service, made->condition) : 0;
}

/* Words that could not even be kept have been told. */
static bool understood(const struct service_conf *service)
{
	return !service_conf_mistaken(service, conf_option_find("only_from")) &&
	       !service_conf_mistaken(service, conf_option_find("no_access"));
}

static int prepare_clients(struct work w)
{
	const struct service_conf *service = w.service;
	int r;

	if ((!is_given(service, "only_from") && !is_given(service, "no_access")) ||
		!understood(service))
		return 0;
	w.n_allow = (uint32_t)strv_length(service->only_from);
	w.n_elements = w.n_allow + (uint32_t)strv_length(service->no_access);
	r = prepare(&w);
	access_rules_done(&w.rules);
	return r;
}

/* Without an element nobody could be believed, which check_front() tells. */
static int prepare_proxies(struct work w)
{
	char *before;
	int r;

	w.proxies = true;
	w.n_allow = w.n_elements = (uint32_t)strv_length(w.service->proxy_from);
	if (w.n_elements == 0 || w.service->proxy_protocol == PROXY_USE_NO ||
		service_conf_mistaken(w.service, conf_option_find("proxy_from")))
		return 0;
	/* What is remembered of the list is what it lacks, not what the service does. */
	before = take_ptr(w.service->condition);
	r = prepare(&w);
	access_rules_done(&w.rules);
	if (before) {
		free(w.service->condition);
		w.service->condition = before;
	}
	return r;
}

int access_prepare(struct accesses *accesses, struct identities *identities,
	struct service_conf *service, struct report *report)
{
	const struct work w = {
		.accesses = accesses,
		.identities = identities,
		.service = service,
		.report = report,
	};
	int r;

	if (service->disable)
		return 0;
	r = prepare_clients(w);
	return r < 0 ? r : prepare_proxies(w);
}
