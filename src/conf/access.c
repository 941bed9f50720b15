#include "conf/access.h"

#include "conf/access-word.h"
#include "conf/merge.h"
#include "conf/parse.h"
#include "conf/source.h"

#include <fcntl.h>
#include <string.h>

/* What an element begins with that names a list. */
#define FILE_MARK "file:"

/* Longest line of a list that is no mistake by its length alone. */
#define WORD_MAX 256

/* One list file, read. */
struct access_file {
	struct access_rules rules; /* lines only; they allow */
	bool mistaken;
	char *condition; /* the first of its lines; NULL: none */
	struct access_file *next;
};

/* One list, made of all words of a service. */
struct access_made {
	struct access_list *list;
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
	uint32_t n_elements;
	bool mistaken;
};

void accesses_init(struct accesses *accesses, struct source **sources)
{
	*accesses = (struct accesses){.sources = sources};
}

static void file_free(struct access_file *file)
{
	access_rules_done(&file->rules);
	free(file->condition);
	free(file);
}

static void made_free(struct access_made *made)
{
	access_list_release(made->list);
	free(made->condition);
	free(made);
}

void accesses_done(struct accesses *accesses)
{
	while (accesses->file_list) {
		struct access_file *file = accesses->file_list;

		accesses->file_list = file->next;
		file_free(file);
	}
	while (accesses->made_list) {
		struct access_made *made = accesses->made_list;

		accesses->made_list = made->next;
		made_free(made);
	}
	textmap_done(&accesses->files);
	textmap_done(&accesses->lists);
}

char *access_file_path(const char *word, const struct origin *origin)
{
	const char *name = word + strlen(FILE_MARK);
	const char *slash = origin->file ? strrchr(origin->file, '/') : NULL;
	char *path;

	if (strncmp(word, FILE_MARK, strlen(FILE_MARK)) != 0)
		return NULL;
	if (name[0] == '/' || !slash)
		return strdup(name);
	if (asprintf(&path, "%.*s/%s", (int)(slash - origin->file), origin->file, name) < 0)
		return NULL;
	return path;
}

/*
 * List files.
 */

struct lines {
	struct work *work;
	struct access_file *file;
	const struct source *source;
	uint32_t number;
	bool warned; /* of a word that is not what it looks like: once is enough */
	size_t said;
};

static size_t count_columns(const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += !origin_same_column(text[i]);
	return n;
}

/* A word or what is in its place. */
static struct origin place_of(
	const struct lines *lines, const char *line, const char *at, size_t len)
{
	size_t width = count_columns(at, len);

	return (struct origin){
		.file = lines->source->path,
		.line = lines->number,
		.column = 1 + (uint32_t)count_columns(line, (size_t)(at - line)),
		.width = width > 0 ? (uint32_t)width : 1,
	};
}

static void tell_mistake(struct lines *lines, const struct origin *origin, const char *text)
{
	lines->file->mistaken = true;
	lines->said++;
	/* A file of another kind has thousands of them, which are but counted. */
	if (diag_list_full(lines->work->report->diags))
		diag_error(lines->work->report->diags, origin, "%s", text);
	else
		report_mistake(lines->work->report, origin, "%s", text);
}

static int tell_condition(struct lines *lines, const struct origin *origin, const char *text)
{
	lines->said++;
	report_condition(lines->work->report, NULL, origin, "%s", text);
	if (lines->work->report->adhoc)
		lines->file->mistaken = true;
	else if (!lines->file->condition && !(lines->file->condition = strdup(text)))
		return -ENOMEM;
	return 0;
}

static void tell_warning(struct lines *lines, const struct origin *origin, const char *text)
{
	if (lines->warned)
		return;
	lines->warned = true;
	lines->said++;
	report_warning(lines->work->report, origin, "%s", text);
}

static int read_word(struct lines *lines, const char *word, const struct origin *origin)
{
	const struct access_where where = {.line = lines->number};
	struct access_remark remark;
	int r;

	if (strncmp(word, FILE_MARK, strlen(FILE_MARK)) == 0) {
		tell_mistake(lines, origin, "a list cannot name another one");
		return 0;
	}
	r = access_word_read(
		word, lines->work->identities, &where, &lines->file->rules, &remark);
	if (r == -ENOMEM)
		return r;
	if (r == -ENOENT)
		return tell_condition(lines, origin, remark.text);
	if (r < 0)
		tell_mistake(lines, origin, remark.text);
	else if (remark.text[0])
		tell_warning(lines, origin, remark.text);
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Up to a blank, or a comment behind one. */
static size_t word_length(const char *at, const char *end)
{
	size_t len = 0;

	while (at + len < end && !is_blank(at[len]))
		len++;
	return len;
}

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end && is_blank(*at))
		at++;
	return at;
}

static int read_line(struct lines *lines, const char *line, const char *end)
{
	const char *at = skip_blanks(line, end), *rest;
	char word[WORD_MAX];
	struct origin origin;
	size_t len;

	if (at == end || *at == '#')
		return 0;
	len = word_length(at, end);
	origin = place_of(lines, line, at, len);
	if (len >= sizeof word || memchr(at, '\0', len)) {
		tell_mistake(lines, &origin, "this is no address");
		return 0;
	}
	memcpy(word, at, len);
	word[len] = '\0';
	rest = skip_blanks(at + len, end);
	if (rest != end && *rest != '#') {
		origin = place_of(lines, line, rest, word_length(rest, end));
		tell_mistake(lines, &origin, "there is one address in a line");
		return 0;
	}
	return read_word(lines, word, &origin);
}

static int read_lines(struct lines *lines)
{
	const char *at = lines->source->text, *end = at + lines->source->len;
	int r = 0;

	if (lines->source->len >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0) {
		lines->number = 1;
		tell_mistake(lines,
			&(struct origin){
				lines->source->path, .line = 1, .column = 1, .width = 1},
			"byte order mark at the start; save the file as UTF-8 without it");
		return 0;
	}

	while (at < end && r == 0) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *stop = newline ? newline : end;

		lines->number++;
		r = read_line(lines, at, stop);
		at = stop + 1;
	}
	return r;
}

/* What was said shows its lines. */
static void keep_source(struct accesses *accesses, struct source *source)
{
	struct source **tail = accesses->sources;

	while (*tail)
		tail = &(*tail)->next;
	*tail = source;
}

static void tell_unreadable(
	struct work *w, const char *path, const struct origin *origin, const char *why)
{
	char shown[DIAG_SHOWN_MAX];

	report_mistake(w->report, origin, "unable to read '%s': %s",
		diag_shown(path, strlen(path), shown), why);
}

/* As is one whose writer has only begun. */
static void tell_empty(struct work *w, const char *path, const struct origin *origin,
	const struct access_file *file)
{
	char shown[DIAG_SHOWN_MAX];

	if (file->rules.n == 0 && !file->mistaken && !file->condition)
		report_warning(w->report, origin, "'%s' lists nobody",
			diag_shown(path, strlen(path), shown));
}

/* What the file says into `file`; `origin` is who names it. */
static int read_file(
	struct work *w, const char *path, const struct origin *origin, struct access_file *file)
{
	struct source *source = NULL, **tail = &source;
	struct lines lines = {.work = w, .file = file};
	struct source_id id;
	const char *why;
	int r;

	if (!source_add(&tail, path))
		return -ENOMEM;
	r = source_read(source, AT_FDCWD, path, &id, &why);
	if (r == 0) {
		lines.source = source;
		r = read_lines(&lines);
		if (r == 0)
			tell_empty(w, path, origin, file);
	} else if (r != -ENOMEM) {
		tell_unreadable(w, path, origin, why);
		file->mistaken = true;
		r = 0;
	}
	if (lines.said > 0)
		keep_source(w->accesses, source);
	else
		source_list_free(source);
	return r;
}

/* Borrowed; NULL without memory. */
static const struct access_file *get_file(
	struct work *w, const char *path, const struct origin *origin)
{
	const struct access_file *known = textmap_get(&w->accesses->files, path);
	struct access_file *file;

	if (known)
		return known;
	file = calloc(1, sizeof *file);
	if (!file)
		return NULL;
	file->next = w->accesses->file_list;
	w->accesses->file_list = file;
	if (read_file(w, path, origin, file) < 0)
		return NULL;
	return textmap_add(&w->accesses->files, path, file) < 0 ? NULL : file;
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

static int set_condition(struct service_conf *service, const char *text)
{
	if (!service->condition)
		service->condition = strdup(text);
	return service->condition ? 0 : -ENOMEM;
}

static int add_file(struct work *w, const struct access_element *e)
{
	_cleanup_free_ char *path = access_file_path(e->word, &e->origin);
	const struct access_file *file;

	if (e->word[strlen(FILE_MARK)] == '\0') {
		w->mistaken = true;
		report_mistake(w->report, &e->origin, "%s: the name of the file is missing",
			e->option);
		return 0;
	}
	file = path ? get_file(w, path, &e->origin) : NULL;
	if (!file)
		return -ENOMEM;
	if (file->mistaken) {
		w->mistaken = true;
		report_refuse(w->report, &e->origin);
	}
	if (file->condition && set_condition(w->service, file->condition) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < file->rules.n && w->rules.n <= ACCESS_RULES_MAX; i++) {
		const struct access_where *where = &file->rules.where[i];

		if (access_rules_add(&w->rules, &file->rules.items[i], where) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_word(struct work *w, const struct access_element *e)
{
	const struct access_where where = {0};
	char label[OPTION_FLAG_MAX + 2];
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
	return r;
}

/* One after the other; what was added is of this element. */
static int add_element(struct work *w, uint32_t element, bool deny)
{
	struct access_element e = access_element_of(w->service, element);
	size_t before = w->rules.n;
	int r;

	if (strncmp(e.word, FILE_MARK, strlen(FILE_MARK)) == 0)
		r = add_file(w, &e);
	else
		r = add_word(w, &e);
	for (size_t i = before; i < w->rules.n; i++) {
		w->rules.items[i].deny = deny;
		w->rules.where[i].element = element;
	}
	return r;
}

static int add_elements(struct work *w)
{
	uint32_t n = (uint32_t)strv_length(w->service->only_from);
	int r = 0;

	for (uint32_t i = 0; i < w->n_elements && r == 0; i++)
		r = add_element(w, i, i >= n);
	return r;
}

/*
 * Lists.
 */

static bool is_given(const struct service_conf *service, const char *option)
{
	return service_conf_given(service, conf_option_find(option));
}

/* What two services must have in common to share a list: all words in their order,
 * and files by where they are.  NULL without memory. */
static char *make_key(const struct service_conf *service, uint32_t n_elements)
{
	size_t n = strv_length(service->only_from), len;
	char *text = NULL;
	FILE *out = open_memstream(&text, &len);
	bool whole = true;

	if (!out)
		return NULL;
	fputs(is_given(service, "only_from") ? "only" : "all", out);
	for (uint32_t i = 0; i < n_elements; i++) {
		struct access_element e = access_element_of(service, i);
		_cleanup_free_ char *path = access_file_path(e.word, &e.origin);

		whole = whole && (path || strncmp(e.word, FILE_MARK, strlen(FILE_MARK)) != 0);
		fprintf(out, "\n%c%c%s", i < n ? '+' : '-', path ? 'f' : 'w',
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

	r = access_compile(
		w->rules.items, w->rules.n, is_given(w->service, "only_from"), &table, &len);
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

static void give(struct service_conf *service, struct access_list *list)
{
	service->access = list;
	memcpy(service->access_digest, list->table, sizeof service->access_digest);
}

static int make_list(struct work *w, const char *key)
{
	struct access_list *list;
	int r;

	r = add_elements(w);
	if (r < 0 || w->mistaken)
		return r;
	r = compile(w, &list);
	if (r == -E2BIG) {
		report_mistake(w->report, &w->service->origin,
			"service '%s' has more than %u rules about who may come in",
			w->service->name, ACCESS_RULES_MAX);
		return 0;
	}
	if (r < 0)
		return r;
	give(w->service, list);
	return remember(w, key, list);
}

static int prepare(struct work *w)
{
	_cleanup_free_ char *key = make_key(w->service, w->n_elements);
	const struct access_made *made;

	if (!key)
		return -ENOMEM;
	made = textmap_get(&w->accesses->lists, key);
	if (!made)
		return make_list(w, key);
	give(w->service, access_list_hold(made->list));
	return made->condition ? set_condition(w->service, made->condition) : 0;
}

/* Words that could not even be kept have been told. */
static bool understood(const struct service_conf *service)
{
	return !service_conf_mistaken(service, conf_option_find("only_from")) &&
	       !service_conf_mistaken(service, conf_option_find("no_access"));
}

int access_prepare(struct accesses *accesses, struct identities *identities,
	struct service_conf *service, struct report *report)
{
	struct work w = {
		.accesses = accesses,
		.identities = identities,
		.service = service,
		.report = report,
	};
	int r;

	if (service->disable ||
		(!is_given(service, "only_from") && !is_given(service, "no_access")) ||
		!understood(service))
		return 0;
	w.n_elements =
		(uint32_t)(strv_length(service->only_from) + strv_length(service->no_access));
	r = prepare(&w);
	access_rules_done(&w.rules);
	return r;
}
