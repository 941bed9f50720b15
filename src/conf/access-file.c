#include "conf/access-file.h"

#include "conf/access-cert.h"
#include "conf/lex.h"
#include "conf/parse.h"
#include "conf/source.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* What an element begins with that names a list. */
#define FILE_MARK "file:"

/* Room for the longest line of a list that is no mistake by its length alone. */
#define WORD_MAX (CERT_RULE_MAX + 1)

const char *access_names_file(const char *word)
{
	size_t len = strlen(FILE_MARK);

	return strncmp(word, FILE_MARK, len) == 0 ? word + len : NULL;
}

char *access_file_path(const char *name, const struct origin *origin)
{
	const char *slash = origin->file ? strrchr(origin->file, '/') : NULL;
	char *path;

	if (name[0] == '/' || !slash)
		return strdup(name);
	if (asprintf(&path, "%.*s/%s", (int)(slash - origin->file), origin->file, name) < 0)
		return NULL;
	return path;
}

/*
 * One file.
 */

/* A file that is being read. */
struct lines {
	struct identities *identities;
	struct report *report;
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
	if (diag_list_full(lines->report->diags))
		diag_error(lines->report->diags, origin, "%s", text);
	else
		report_mistake(lines->report, origin, "%s", text);
}

static int tell_condition(struct lines *lines, const struct origin *origin, const char *text)
{
	lines->said++;
	report_condition(lines->report, NULL, origin, "%s", text);
	if (lines->report->adhoc)
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
	report_warning(lines->report, origin, "%s", text);
}

static int read_word(struct lines *lines, const char *word, const struct origin *origin)
{
	const struct access_where where = {.line = lines->number};
	struct access_remark remark;
	int r;

	if (access_names_file(word)) {
		tell_mistake(lines, origin, "a list cannot name another one");
		return 0;
	}
	r = access_word_read(word, lines->identities, &where, &lines->file->rules, &remark);
	if (r == -ENOMEM)
		return r;
	if (lines->file->rules.n_names == 1 && !lines->file->name_at.file)
		lines->file->name_at = *origin;
	if (lines->file->rules.n_certs == 1 && !lines->file->cert_at.file)
		lines->file->cert_at = *origin;
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
	if (len >= sizeof word) {
		tell_mistake(lines, &origin, "this is no address");
		return 0;
	}
	memcpy(word, at, len);
	word[len] = '\0';
	rest = skip_blanks(at + len, end);
	if (rest != end && *rest != '#') {
		origin = place_of(lines, line, rest, word_length(rest, end));
		tell_mistake(lines, &origin,
			access_names_cert(word)
				? "a rule with blanks in it stands in only_from itself, in "
				  "quotes"
				: "there is one address in a line");
		return 0;
	}
	return read_word(lines, word, &origin);
}

static int read_lines(struct lines *lines)
{
	const char *at = lines->source->text, *end = at + lines->source->len;
	struct lex_fault fault;
	int r = 0;

	if (lex_find_fault(lines->source, &fault)) {
		tell_mistake(lines, &fault.origin, fault.why);
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
static void keep_source(struct access_files *files, struct source *source)
{
	struct source **tail = files->sources;

	while (*tail)
		tail = &(*tail)->next;
	*tail = source;
}

static void tell_unreadable(
	struct report *report, const char *path, const struct origin *origin, const char *why)
{
	char shown[DIAG_SHOWN_MAX];

	report_mistake(report, origin, "unable to read '%s': %s",
		diag_shown(path, strlen(path), shown), why);
}

/* As is one whose writer has only begun. */
static void tell_empty(struct report *report, const char *path, const struct origin *origin,
	const struct access_file *file)
{
	char shown[DIAG_SHOWN_MAX];

	if (file->rules.n == 0 && file->rules.n_names == 0 && file->rules.n_certs == 0 &&
		!file->mistaken && !file->condition)
		report_warning(report, origin, "'%s' lists nobody",
			diag_shown(path, strlen(path), shown));
}

/* What the file says into that of `lines`; `origin` is who names it. */
static int read_file(struct access_files *files, struct lines *lines, const char *path,
	const struct origin *origin)
{
	struct source *source = NULL, **tail = &source;
	struct source_id id;
	const char *why;
	int r;

	if (!source_add(&tail, path))
		return -ENOMEM;
	r = source_read(source, AT_FDCWD, path, &id, &why);
	if (r == 0) {
		lines->source = source;
		r = read_lines(lines);
		if (r == 0)
			tell_empty(lines->report, path, origin, lines->file);
	} else if (r != -ENOMEM) {
		tell_unreadable(lines->report, path, origin, why);
		lines->file->mistaken = true;
		r = 0;
	}
	/* Whether a name or a certificate may stand there is not known yet. */
	if (lines->said > 0 || lines->file->name_at.file || lines->file->cert_at.file)
		keep_source(files, source);
	else
		source_list_free(source);
	return r;
}

/*
 * All files.
 */

void access_files_init(struct access_files *files, struct source **sources)
{
	*files = (struct access_files){.sources = sources};
	textmap_init(&files->known);
}

static void file_free(struct access_file *file)
{
	access_rules_done(&file->rules);
	free(file->condition);
	free(file);
}

void access_files_done(struct access_files *files)
{
	while (files->list) {
		struct access_file *file = files->list;

		files->list = file->next;
		file_free(file);
	}
	textmap_done(&files->known);
}

const struct access_file *access_files_get(struct access_files *files,
	struct identities *identities, struct report *report, const char *path,
	const struct origin *origin)
{
	struct lines lines = {.identities = identities, .report = report};
	const struct access_file *known = textmap_get(&files->known, path);
	struct access_file *file;

	if (known)
		return known;
	lines.file = file = calloc(1, sizeof *file);
	if (!file)
		return NULL;
	file->next = files->list;
	files->list = file;
	if (read_file(files, &lines, path, origin) < 0)
		return NULL;
	return textmap_add(&files->known, path, file) < 0 ? NULL : file;
}
