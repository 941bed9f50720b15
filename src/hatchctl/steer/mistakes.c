#include "hatchctl/steer/mistakes.h"

#include "base/own.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Where the next line begins. */
static const char *skip_line(const char *line)
{
	return line + strcspn(line, "\n") + (strchr(line, '\n') ? 1 : 0);
}

static bool line_has(const char *line, const char *text)
{
	const char *found = strstr(line, text);

	return found && found < line + strcspn(line, "\n");
}

/* The lines of the source that are shown below it, and notes about it, are its. */
static const char *skip_entry(const char *entry)
{
	do
		entry = skip_line(entry);
	while (*entry == ' ' || line_has(entry, ": note: "));
	return entry;
}

/* Whether the first line of `line` is one of the text. */
static bool has_line(const char *text, const char *line)
{
	size_t len = strcspn(line, "\n");

	for (; *text; text = skip_line(text))
		if (strcspn(text, "\n") == len && memcmp(text, line, len) == 0)
			return true;
	return false;
}

int mistakes_compare(const char *before, const char *after, struct mistakes *ret)
{
	struct mistakes found = {0};
	size_t len;
	FILE *out = open_memstream(&found.text, &len);
	const char *end;

	if (!out)
		return -ENOMEM;
	for (; *after; after = end) {
		bool error = line_has(after, ": error: ");

		end = skip_entry(after);
		if (!error && !line_has(after, ": waiting: "))
			continue;
		if (has_line(before, after))
			continue;
		fwrite(after, 1, (size_t)(end - after), out);
		found.errors += error;
		found.lacks += !error;
	}
	if (fclose(out) != 0) {
		free(found.text);
		return -ENOMEM;
	}
	*ret = found;
	return 0;
}
