/*
 * Fuzzing of the configuration parser, from bytes to raw sections.
 *
 * Besides memory errors this looks for what must never be: a value that is
 * not what its spelling says, a place that does not point at the value, and
 * libconfuse understanding something else than the scan.
 */
#include "conf/options.h"
#include "conf/parse.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The byte at which an origin points. */
static const char *find(const struct source *source, const struct origin *origin)
{
	const char *at = source->text, *end = at + source->len;

	for (uint32_t line = 1; line < origin->line; line++) {
		at = memchr(at, '\n', (size_t)(end - at));
		assert(at);
		at++;
	}
	for (uint32_t column = 1; column < origin->column; column++) {
		assert(at < end);
		at++;
		while (at < end && origin_same_column(*at))
			at++;
	}
	assert(at < end);
	return at;
}

static char unescape(char c)
{
	return c == 'n' ? '\n' : c == 't' ? '\t' : c;
}

/* What is spelled at `at` must be `value`; DESIGN says how it may be spelled. */
static void check_spelling(const char *at, const char *value)
{
	char quote = *at == '"' || *at == '\'' ? *at : '\0';

	at += quote != '\0';
	for (; *value; value++, at++) {
		while (quote == '\'' && at[0] == '\\' && at[1] == '\n')
			at += 2;
		if (quote == '"' && *at == '\\')
			assert(unescape(*++at) == *value);
		else if (quote == '\'' && *at == '\\' && (at[1] == '\\' || at[1] == '\''))
			assert(*++at == *value);
		else
			assert(*at == *value);
	}
	while (quote == '\'' && at[0] == '\\' && at[1] == '\n')
		at += 2;
	assert(quote ? *at == quote : !*at || strchr(" \t\r\n{}(),=+/;", *at) != NULL);
}

static void check_section(const struct source *source, const struct raw_section *section)
{
	if (section->kind == RAW_SERVICE)
		check_spelling(find(source, &section->origin), section->title);
	for (size_t i = 0; i < section->n_assigns; i++) {
		const struct raw_assign *assign = &section->assigns[i];

		assert(assign->n_values == (assign->mistaken ? 0 : 1) ||
			conf_option_is_list(assign->option));
		assert(!assign->append || conf_option_is_list(assign->option));
		for (size_t j = 0; j < assign->n_values; j++)
			check_spelling(find(source, &assign->values[j].origin),
				assign->values[j].text);
	}
}

static void check(
	const struct raw_conf *raw, const struct source *source, const struct diag_list *diags)
{
	assert(source->refused == (diags->n_by_severity[DIAG_ERROR] > 0));
	for (size_t i = 0; i < diags->n; i++)
		assert(strncmp(diags->items[i].text, "unable to understand", 20) != 0);
	for (size_t i = 0; i < raw->n_sections; i++)
		check_section(source, &raw->sections[i]);
}

/* What is printed is harmless and of lines that can be read. */
static void check_print(const struct diag_list *diags, const struct source *sources)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert(out);
	diag_print(diags, sources, false, out);
	fclose(out);
	for (size_t i = 0; i < len; i++)
		assert((unsigned char)text[i] >= ' ' || text[i] == '\n' || text[i] == '\t');
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct diag_list diags;
	struct source *sources = NULL;
	struct raw_conf raw;
	int r;

	diag_list_init(&diags);
	raw_conf_init(&raw);
	r = parse_text("fuzz.conf", (const char *)data, len, &raw, &sources, &diags);
	assert(r == 0);
	check(&raw, sources, &diags);
	check_print(&diags, sources);
	raw_conf_done(&raw);
	source_list_free(sources);
	diag_list_done(&diags);
	return 0;
}
