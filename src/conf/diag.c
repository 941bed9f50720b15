#include "conf/diag.h"

#include "base/text.h"

#include <stdarg.h>
#include <string.h>

void diag_list_init(struct diag_list *list)
{
	*list = (struct diag_list){0};
}

void diag_list_done(struct diag_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i].text);
	diag_list_init(list);
}

bool diag_list_full(const struct diag_list *list)
{
	return list->n == DIAG_MAX;
}

void diag_add(struct diag_list *list, enum diag_severity severity, const struct origin *origin,
	const char *format, ...)
{
	struct diag *diag = &list->items[list->n];
	va_list ap;
	int r;

	list->n_by_severity[severity]++;
	if (diag_list_full(list))
		return;

	va_start(ap, format);
	r = vasprintf(&diag->text, format, ap);
	va_end(ap);
	if (r < 0)
		return;

	diag->severity = severity;
	diag->origin = *origin;
	list->n++;
}

const char *diag_shown(const char *text, size_t len, char buf[DIAG_SHOWN_MAX])
{
	static const char more[] = "...";
	enum { BYTES = 48, ROOM = DIAG_SHOWN_MAX - sizeof more };
	char whole[4 * BYTES + 1];
	size_t used = len < BYTES ? len : BYTES;

	text_escape(text, used, whole, sizeof whole);
	if (used == len && strlen(whole) <= ROOM)
		return strcpy(buf, whole);

	text_escape(text, used, buf, ROOM + 1);
	return strcat(buf, more);
}
