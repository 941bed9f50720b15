/*
 * Printing of diagnostics.  Files may be large, lines as long as the file and
 * the bytes in them hostile to terminals: a place is looked for from the last
 * one on, a long line is shown around its column only, and what a terminal
 * could obey is shown as a question mark.
 */
#include "conf/diag.h"

#include "base/text.h"

#include <string.h>

/* Columns of a line that are shown, a tab counted as eight; with the number
 * before it and the dots around it the line stays below 160. */
#define SHOWN_COLUMNS 136
#define SHOWN_BEFORE  60 /* of these before the place, when the line is longer */
#define TAB_COLUMNS   8

#define COLOUR_BOLD  "\033[1m"
#define COLOUR_CARET "\033[1;32m"
#define COLOUR_OFF   "\033[0m"

struct severity_style {
	const char *word;
	const char *colour;
};

static const struct severity_style styles[] = {
	[DIAG_ERROR] = {"error", "\033[1;31m"},
	[DIAG_CONDITION] = {"waiting", "\033[1;33m"},
	[DIAG_WARNING] = {"warning", "\033[1;35m"},
	[DIAG_NOTE] = {"note", "\033[1;36m"},
};

/* A position in a file; moving on from it is cheap, going back starts anew. */
struct place {
	const struct source *source;
	size_t at;
	uint32_t line;
	uint32_t column;
};

/* The part of a line that is shown, and where the caret stands in it. */
struct window {
	size_t start, caret, end;
	bool cut_before, cut_after;
};

struct printer {
	FILE *out;
	const struct source *sources;
	bool colour;
	struct place leader; /* of the last diagnostic that is not a note */
	struct place note;   /* of the last note: these go their own ways */
};

/* A diagnostic and the notes attached to it, with its key for sorting. */
struct group {
	size_t first;
	size_t n;
	size_t file; /* position in the list of sources */
	uint32_t line;
	uint32_t column;
};

static size_t next_character(const struct source *source, size_t at)
{
	at++;
	while (at < source->len && origin_same_column(source->text[at]))
		at++;
	return at;
}

/* Not to be called at the start of a line; never leaves the line. */
static size_t previous_character(const struct source *source, size_t at)
{
	at--;
	while (at > 0 && source->text[at - 1] != '\n' && origin_same_column(source->text[at]))
		at--;
	return at;
}

/* Marks and embeddings that turn the direction of writing around, line ends
 * that only Unicode knows, the byte order mark: text that would not look like
 * what it is. */
static bool misleads(uint32_t code)
{
	return code == 0xfeff || code == 0x61c || code == 0x200e || code == 0x200f ||
	       (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/* One column of output for one column of text. */
static size_t put_character(const char *text, size_t len, FILE *out)
{
	uint32_t code;
	size_t n = text_utf8(text, len, &code), rest;

	if (n > 0 && (code == '\t' || !(text_is_control(code) || misleads(code))))
		fwrite(text, 1, n, out);
	else
		fputc('?', out);

	rest = n > 0 ? n : 1;
	while (rest < len && origin_same_column(text[rest]))
		rest++;
	return rest;
}

static void put_text(const char *text, size_t len, FILE *out)
{
	while (len > 0) {
		size_t n = put_character(text, len, out);

		text += n;
		len -= n;
	}
}

static void put_colour(const struct printer *printer, const char *colour)
{
	if (printer->colour)
		fputs(colour, printer->out);
}

/*
 * Move on to the start of `line`, or to the end of the file if there are not
 * as many.  Blocks without the line's end are only counted through.
 */
static void seek_line(struct place *place, uint32_t line)
{
	const char *text = place->source->text;
	const size_t len = place->source->len, block = 4096;

	while (place->line < line && len - place->at >= block) {
		uint32_t n = 0;

		for (size_t i = 0; i < block; i++)
			n += text[place->at + i] == '\n';
		if (place->line + n >= line)
			break;
		place->line += n;
		place->at += block;
	}
	while (place->line < line && place->at < len) {
		if (text[place->at++] == '\n')
			place->line++;
	}
	place->column = 1;
}

static void seek(struct place *place, const struct source *source, const struct origin *origin)
{
	uint32_t column = origin->column ? origin->column : 1;

	if (place->source != source || place->line > origin->line ||
		(place->line == origin->line && place->column > column))
		*place = (struct place){.source = source, .line = 1, .column = 1};

	if (place->line < origin->line)
		seek_line(place, origin->line);

	while (place->column < column && place->at < source->len &&
		source->text[place->at] != '\n') {
		place->at = next_character(source, place->at);
		place->column++;
	}
}

static unsigned columns_of(char c)
{
	return c == '\t' ? TAB_COLUMNS : 1;
}

/* Go back from `at` as far as `columns` allow, to the start of the line at most. */
static size_t reach_back(const struct source *source, size_t at, unsigned columns)
{
	unsigned used = 0;

	while (at > 0 && source->text[at - 1] != '\n') {
		size_t before = previous_character(source, at);

		used += columns_of(source->text[before]);
		if (used > columns)
			break;
		at = before;
	}
	return at;
}

static size_t reach_forward(const struct source *source, size_t at, unsigned columns)
{
	unsigned used = 0;

	while (at < source->len && source->text[at] != '\n') {
		used += columns_of(source->text[at]);
		if (used > columns)
			break;
		at = next_character(source, at);
	}
	return at;
}

static bool at_line_start(const struct source *source, size_t at)
{
	return at == 0 || source->text[at - 1] == '\n';
}

static bool at_line_end(const struct source *source, size_t at)
{
	return at == source->len || source->text[at] == '\n';
}

/* The whole line if it is short, else a part around the place. */
static struct window choose_window(const struct place *place)
{
	const struct source *source = place->source;
	struct window w = {.caret = place->at};

	w.start = reach_back(source, w.caret, SHOWN_COLUMNS);
	w.end = reach_forward(source, w.start, SHOWN_COLUMNS);
	if (!at_line_start(source, w.start) ||
		(!at_line_end(source, w.end) && w.end <= w.caret)) {
		w.start = reach_back(source, w.caret, SHOWN_BEFORE);
		w.end = reach_forward(source, w.start, SHOWN_COLUMNS);
	}
	w.cut_before = !at_line_start(source, w.start);
	w.cut_after = !at_line_end(source, w.end);
	return w;
}

/* Blanks up to the caret, tabs where the line has tabs, then the underline. */
static void print_caret(const struct printer *printer, const struct source *source,
	const struct window *w, uint32_t width)
{
	FILE *out = printer->out;
	size_t at = w->start;

	fputs(w->cut_before ? "   " : "", out);
	for (; at < w->caret; at = next_character(source, at))
		fputc(source->text[at] == '\t' ? '\t' : ' ', out);

	put_colour(printer, COLOUR_CARET);
	fputc('^', out);
	for (uint32_t i = 1; i < width; i++) {
		at = next_character(source, at);
		if (at >= w->end)
			break;
		fputc('~', out);
	}
	put_colour(printer, COLOUR_OFF);
	fputc('\n', out);
}

static void print_excerpt(
	const struct printer *printer, const struct place *place, const struct origin *origin)
{
	struct window w = choose_window(place);
	int digits = fprintf(printer->out, "%5u", origin->line);

	fprintf(printer->out, " | %s", w.cut_before ? "..." : "");
	put_text(place->source->text + w.start, w.end - w.start, printer->out);
	fprintf(printer->out, "%s\n", w.cut_after ? "..." : "");

	if (origin->column == 0)
		return;
	fprintf(printer->out, "%*s | ", digits, "");
	print_caret(printer, place->source, &w, origin->width);
}

static const struct source *find_source(
	const struct source *sources, const char *file, size_t *ret_index)
{
	size_t i = 0;

	for (; file && sources; sources = sources->next, i++) {
		if (sources->path == file || strcmp(sources->path, file) == 0)
			break;
	}
	*ret_index = file ? i : 0;
	return file ? sources : NULL;
}

static void print_head(const struct printer *printer, const struct diag *diag)
{
	const struct severity_style *style = &styles[diag->severity];
	const struct origin *origin = &diag->origin;
	FILE *out = printer->out;

	put_colour(printer, COLOUR_BOLD);
	if (origin->file) {
		put_text(origin->file, strlen(origin->file), out);
		if (origin->line > 0)
			fprintf(out, ":%u", origin->line);
		if (origin->line > 0 && origin->column > 0)
			fprintf(out, ":%u", origin->column);
		fputs(": ", out);
	}
	put_colour(printer, style->colour);
	fprintf(out, "%s: ", style->word);
	put_colour(printer, COLOUR_OFF);
	put_text(diag->text, strlen(diag->text), out);
	fputc('\n', out);
}

static void print_diag(struct printer *printer, const struct diag *diag)
{
	struct place *place = diag->severity == DIAG_NOTE ? &printer->note : &printer->leader;
	const struct source *source;
	size_t index;

	print_head(printer, diag);

	source = find_source(printer->sources, diag->origin.file, &index);
	if (!source || diag->origin.line == 0)
		return;
	seek(place, source, &diag->origin);
	if (place->line == diag->origin.line)
		print_excerpt(printer, place, &diag->origin);
}

static int compare_groups(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return x->first < y->first ? -1 : 1;
}

static size_t make_groups(const struct diag_list *list, const struct source *sources,
	struct group groups[DIAG_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++) {
		const struct diag *diag = &list->items[i];
		struct group *group = &groups[n];

		if (diag->severity == DIAG_NOTE && n > 0) {
			groups[n - 1].n++;
			continue;
		}
		group->first = i;
		group->n = 1;
		group->line = diag->origin.line;
		group->column = diag->origin.column;
		find_source(sources, diag->origin.file, &group->file);
		n++;
	}
	qsort(groups, n, sizeof *groups, compare_groups);
	return n;
}

/* Errors, conditions and warnings for which the list had no room. */
static size_t count_hidden(const struct diag_list *list)
{
	size_t n = 0;

	for (int severity = DIAG_ERROR; severity < DIAG_NOTE; severity++)
		n += list->n_by_severity[severity];
	for (size_t i = 0; i < list->n; i++)
		n -= list->items[i].severity != DIAG_NOTE;
	return n;
}

void diag_print(
	const struct diag_list *list, const struct source *sources, bool colour, FILE *out)
{
	struct printer printer = {.out = out, .sources = sources, .colour = colour};
	struct group groups[DIAG_MAX];
	size_t n = make_groups(list, sources, groups);
	size_t hidden = count_hidden(list);

	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < groups[i].n; j++)
			print_diag(&printer, &list->items[groups[i].first + j]);
	}
	if (hidden > 0)
		fprintf(out, "... and %zu more that are not shown\n", hidden);
}
