#include "conf/wrappers-file.h"

#include "conf/lex.h"

#include <string.h>
#include <strings.h>

/* Letters of a rule, with all the lines that continue it. */
#define RULE_MAX 2046

#define SEPARATORS ", \t\r"
#define BLANKS     " \t\r"

/* A line that may be continued: what it says, and where each letter of it stands. */
struct line {
	char *text; /* room for the whole file */
	struct place {
		uint32_t line, column;
	} * places;
	size_t n;
	bool ended; /* by a newline, which is not in there */
};

struct parser {
	const struct source *source;
	struct report *report;
	struct wrappers_file *file;
	struct wrappers_entry *entry; /* that is being read */
	struct line line;
	const char *at; /* in the text of the source */
	struct place place;
};

bool wrappers_is_word(const char *text, const char *word)
{
	return strcasecmp(text, word) == 0;
}

static struct origin origin_of(const struct parser *p, size_t start, size_t end)
{
	const struct place *first = &p->line.places[start], *last = &p->line.places[end - 1];
	bool one = first->line == last->line && last->column >= first->column;

	return (struct origin){
		.file = p->source->path,
		.line = first->line,
		.column = first->column,
		.width = one ? last->column - first->column + 1 : 1,
	};
}

static void tell(struct parser *p, size_t start, size_t end, const char *text)
{
	struct origin origin = origin_of(p, start, end);

	p->file->mistaken = true;
	report_mistake(p->report, &origin, "%s", text);
}

/*
 * Lines.
 */

static void take_letter(struct parser *p)
{
	struct line *line = &p->line;

	if (!origin_same_column(*p->at) || p->place.column == 0)
		p->place.column++;
	line->text[line->n] = *p->at++;
	line->places[line->n++] = p->place;
}

static void next_line(struct parser *p)
{
	p->at++;
	p->place.line++;
	p->place.column = 0;
}

/* The next one with those that continue it: the backslash stands in the last of them. */
static void read_line(struct parser *p)
{
	const char *end = p->source->text + p->source->len;
	struct line *line = &p->line;
	size_t start = 0;

	line->n = 0;
	line->ended = false;
	while (p->at < end && !line->ended) {
		if (*p->at != '\n') {
			take_letter(p);
			continue;
		}
		next_line(p);
		line->ended = line->n == start || line->text[line->n - 1] != '\\';
		line->n -= !line->ended;
		start = line->n;
	}
	line->text[line->n] = '\0';
}

static bool says_nothing(const struct line *line)
{
	return line->text[0] == '#' || line->text[strspn(line->text, BLANKS)] == '\0';
}

/*
 * Fields.
 */

static int add_word(struct parser *p, struct wrappers_field *field, size_t start, size_t end)
{
	struct wrappers_word *word;

	if ((field->n & (field->n - 1)) == 0) {
		word = reallocarray(field->words, field->n ? 2 * field->n : 1, sizeof *word);
		if (!word)
			return -ENOMEM;
		field->words = word;
	}
	word = &field->words[field->n];
	word->origin = origin_of(p, start, end);
	word->text = strndup(p->line.text + start, end - start);
	if (!word->text)
		return -ENOMEM;
	field->n++;
	return 0;
}

static int add_words(struct parser *p, struct wrappers_field *field, size_t start, size_t end)
{
	const char *text = p->line.text;
	int r = 0;

	while (r == 0) {
		size_t stop;

		start += strspn(text + start, SEPARATORS);
		if (start >= end)
			break;
		stop = start + strcspn(text + start, SEPARATORS);
		stop = stop < end ? stop : end;
		r = add_word(p, field, start, stop);
		start = stop;
	}
	return r;
}

/* Those in brackets are of an address. */
static size_t find_colon(const char *text, size_t at)
{
	for (;;) {
		size_t colon = at + strcspn(text + at, ":"),
		       open = at + strcspn(text + at, "[");
		const char *close = open < colon ? strchr(text + open, ']') : NULL;

		if (!close)
			return colon;
		at = (size_t)(close + 1 - text);
	}
}

/* Of options: one with a backslash before it is their own, and has none afterwards. */
static size_t find_end_of_option(struct line *line, size_t at)
{
	while (at < line->n && line->text[at] != ':') {
		if (line->text[at] == '\\' && line->text[at + 1] == ':') {
			memmove(line->text + at, line->text + at + 1, line->n - at);
			memmove(line->places + at, line->places + at + 1,
				(line->n - at - 1) * sizeof *line->places);
			line->n--;
		}
		at++;
	}
	return at;
}

static int add_option(struct parser *p, size_t start, size_t end)
{
	const char *text = p->line.text;
	size_t colon = start - 1;

	while (start < end && strchr(BLANKS, text[start]))
		start++;
	while (end > start && strchr(BLANKS, text[end - 1]))
		end--;
	if (start < end)
		return add_word(p, &p->entry->options, start, end);
	tell(p, colon, colon + 1, "an option is missing behind this ':'");
	return 0;
}

/* `at` is behind the colon that ends the clients. */
static int add_options(struct parser *p, size_t at)
{
	int r = 0;

	while (r == 0) {
		size_t end = find_end_of_option(&p->line, at);

		r = add_option(p, at, end);
		if (end >= p->line.n)
			break;
		at = end + 1;
	}
	return r;
}

static bool has_comment(const struct wrappers_field *daemons)
{
	for (size_t i = 0; i < daemons->n; i++)
		if (daemons->words[i].text[0] == '#')
			return true;
	return false;
}

static int read_fields(struct parser *p)
{
	struct line *line = &p->line;
	size_t colon = find_colon(line->text, 0), second;
	int r;

	if (colon == line->n) {
		tell(p, 0, line->n,
			line->text[strspn(line->text, BLANKS)] == '#'
				? "a comment has its # at the beginning of the line"
				: "a rule is DAEMONS : CLIENTS, and there is no ':'");
		return 0;
	}
	second = find_colon(line->text, colon + 1);
	r = add_words(p, &p->entry->daemons, 0, colon);
	if (r == 0)
		r = add_words(p, &p->entry->clients, colon + 1, second);
	if (r == 0 && second < line->n)
		r = add_options(p, second + 1);
	if (r == 0 && has_comment(&p->entry->daemons))
		tell(p, 0, colon, "a comment has its # at the beginning of the line");
	if (r == 0 && p->entry->daemons.n == 0)
		tell(p, colon, colon + 1, "there are no daemons before this ':'");
	if (r == 0 && p->entry->clients.n == 0)
		tell(p, colon, colon + 1, "there are no clients behind this ':'");
	return r;
}

static int add_entry(struct parser *p)
{
	struct wrappers_file *file = p->file;
	struct wrappers_entry *entries;

	if ((file->n & (file->n - 1)) == 0) {
		entries =
			reallocarray(file->entries, file->n ? 2 * file->n : 1, sizeof *entries);
		if (!entries)
			return -ENOMEM;
		file->entries = entries;
	}
	p->entry = &file->entries[file->n++];
	*p->entry = (struct wrappers_entry){.origin = origin_of(p, 0, 1)};
	return read_fields(p);
}

static int read_entry(struct parser *p)
{
	struct line *line = &p->line;

	read_line(p);
	if (says_nothing(line))
		return 0;
	if (line->n > RULE_MAX) {
		tell(p, RULE_MAX, RULE_MAX + 1,
			"the rule is too long here: libwrap would take what follows for "
			"another one");
		return 0;
	}
	if (line->ended)
		return add_entry(p);
	tell(p, line->n - 1, line->n,
		"there is no newline behind it, so it may be but half of a rule");
	return 0;
}

static int read_entries(struct parser *p)
{
	const char *end = p->source->text + p->source->len;
	int r = 0;

	p->line.text = malloc(p->source->len + 1);
	p->line.places = calloc(p->source->len + 1, sizeof *p->line.places);
	if (!p->line.text || !p->line.places)
		r = -ENOMEM;
	while (r == 0 && p->at < end)
		r = read_entry(p);
	free(p->line.text);
	free(p->line.places);
	return r;
}

int wrappers_file_parse(
	const struct source *source, struct report *report, struct wrappers_file *ret)
{
	struct parser p = {
		.source = source,
		.report = report,
		.file = ret,
		.at = source->text,
		.place = {.line = 1},
	};
	const struct origin whole = {.file = source->path};
	struct lex_fault fault;

	*ret = (struct wrappers_file){0};
	if (lex_find_fault(source, &fault)) {
		ret->mistaken = true;
		report_mistake(report, &fault.origin, "%s", fault.why);
		return 0;
	}
	if (source->len > WRAPPERS_FILE_MAX) {
		ret->mistaken = true;
		report_mistake(report, &whole, "it is larger than 1 MB");
		return 0;
	}
	return read_entries(&p);
}

static void field_done(struct wrappers_field *field)
{
	for (size_t i = 0; i < field->n; i++)
		free(field->words[i].text);
	free(field->words);
}

void wrappers_file_done(struct wrappers_file *file)
{
	for (size_t i = 0; i < file->n; i++) {
		field_done(&file->entries[i].daemons);
		field_done(&file->entries[i].clients);
		field_done(&file->entries[i].options);
	}
	free(file->entries);
	*file = (struct wrappers_file){0};
}
