/*
 * hosts.allow, from bytes to a table that is asked.
 *
 * Besides memory errors this looks for what must never be: a word that does not stand where
 * it is said to, a rule that was understood and makes no table, or one whose table does not
 * hold, and an answer that is open though all is known.
 */
#include "conf/wrappers-internal.h"

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

/* Its letters, but for what joins lines and protects a colon. */
static void check_word(const struct source *source, const struct wrappers_word *word)
{
	const char *at = word->origin.line > 0 ? find(source, &word->origin) : NULL;

	assert(at);
	for (const char *c = word->text; *c; c++, at++) {
		while (at[0] == '\\' && (at[1] == '\n' || (at[1] == ':' && *c == ':')))
			at += at[1] == '\n' ? 2 : 1;
		assert(*at == *c);
	}
}

static void check_words(const struct source *source, const struct wrappers_field *field)
{
	for (size_t i = 0; i < field->n; i++) {
		assert(field->words[i].text[0] != '\0');
		/* One that goes on with a letter that is not of it has the place of that. */
		if (!origin_same_column(field->words[i].text[0]))
			check_word(source, &field->words[i]);
	}
}

static bool names_file(const struct wrappers_entry *entry)
{
	for (size_t i = 0; i < entry->clients.n; i++)
		if (entry->clients.words[i].text[0] == '/')
			return true;
	return false;
}

static void ask(const uint8_t *table)
{
	static const struct wrappers_client clients[] = {
		{.peer = {.family = ADDR_SOURCE_IPV4, .bytes = {10, 1, 2, 3}},
			.port = 22,
			.local_unsure = true,
			.name_state = WRAPPERS_NAME_KNOWN,
			.name = "www.example.org",
			.user_state = WRAPPERS_USER_SAID,
			.user = "joe"},
		{.peer = {.family = ADDR_SOURCE_IPV6, .bytes = {0x20, 1}},
			.name_state = WRAPPERS_NAME_PARANOID},
		{.name_state = WRAPPERS_NAME_UNSURE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		assert(wrappers_ask(table, &clients[i]).verdict != WRAPPERS_OPEN);
}

static void compile(const struct wrappers_judged *judged, const struct wrappers_items *locals)
{
	const struct wrappers_rule rule = {
		.line = 1,
		.denies = judged->denies,
		.locals = locals->items,
		.n_locals = locals->n,
		.clients = judged->clients.items,
		.n_clients = judged->clients.n,
	};
	uint8_t *table;
	size_t len;
	int r = wrappers_compile(&rule, 1, &table, &len);

	assert(r == 0 || r == -E2BIG);
	if (r < 0)
		return;
	assert(wrappers_check(table, len) == 0);
	ask(table);
	free(table);
}

static void judge(const struct wrappers_entry *entry, struct report *report)
{
	static const struct wrappers_names names = {"s", "prog", NULL};
	struct wrappers_judged judged = {0};
	struct wrappers_items locals = {0};
	enum wrappers_concern concern;
	bool mistaken = false;
	int r;

	r = wrappers_find_concern(entry, &names, report, &concern, &locals, &mistaken);
	assert(r == 0);
	assert(!mistaken || concern == WRAPPERS_NOT_CONCERNED);
	assert((concern == WRAPPERS_BY_ADDRESS) == (locals.n > 0));
	if (!names_file(entry)) {
		r = wrappers_judge(entry, false, NULL, report, &judged);
		assert(r == 0);
		if (!judged.mistaken)
			compile(&judged, &locals);
	}
	wrappers_items_done(&judged.clients);
	wrappers_items_done(&locals);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct diag_list diags;
	char name[] = "hosts.allow";
	struct source source = {.path = name, .text = malloc(len + 1), .len = len};
	struct wrappers_file file;
	struct report report;

	assert(source.text);
	memcpy(source.text, data, len);
	source.text[len] = '\0';
	diag_list_init(&diags);
	assert(report_init(&report, NULL, &diags) == 0);
	assert(wrappers_file_parse(&source, &report, &file) == 0);
	assert(file.mistaken == (diags.n_by_severity[DIAG_ERROR] > 0));
	for (size_t i = 0; i < file.n; i++) {
		check_words(&source, &file.entries[i].daemons);
		check_words(&source, &file.entries[i].clients);
		check_words(&source, &file.entries[i].options);
		if (!file.mistaken)
			judge(&file.entries[i], &report);
	}
	wrappers_file_done(&file);
	report_done(&report);
	diag_list_done(&diags);
	free(source.text);
	return 0;
}
