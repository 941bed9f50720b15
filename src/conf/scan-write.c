#include "conf/scan.h"

#include <string.h>

/* Most bytes that an item takes beside its token and the line ends before it:
 * those of " include_dir(", the two blanks around the name and ")". */
#define ITEM_MAX 16

struct writer {
	const struct source *source;
	const struct scan *scan;
	uint32_t line;
	char *at; /* where the text goes on */
};

static void put(struct writer *w, const char *text)
{
	w->at = stpcpy(w->at, text);
}

/* The bytes of the item's token, on its line; it may go over several. */
static void put_token(struct writer *w, const struct scan_item *item)
{
	const char *text = w->source->text;

	for (; w->line < item->line; w->line++)
		*w->at++ = '\n';
	*w->at++ = ' ';
	w->at = mempcpy(w->at, text + item->start, item->end - item->start);
	for (uint32_t at = item->start; at < item->end; at++)
		w->line += text[at] == '\n';
	*w->at++ = ' ';
}

/* The assignment and its values; returns the item behind them. */
static size_t put_assign(struct writer *w, size_t i)
{
	const struct scan_item *item = &w->scan->items[i];
	bool list = conf_option_is_list(item->option);

	put_token(w, item);
	put(w, item->append ? "+=" : "=");
	put(w, list ? "{" : "");
	for (i++; i < w->scan->n_items && w->scan->items[i].kind == SCAN_VALUE; i++) {
		put_token(w, &w->scan->items[i]);
		put(w, list ? "," : "");
	}
	put(w, list ? "}" : "");
	return i;
}

/* Returns the item behind it. */
static size_t put_item(struct writer *w, size_t i)
{
	const struct scan_item *item = &w->scan->items[i];

	switch (item->kind) {
	case SCAN_ASSIGN:
		return put_assign(w, i);
	case SCAN_MISTAKEN:
		break;
	case SCAN_SERVICE:
		put(w, " service ");
		put_token(w, item);
		put(w, "{");
		break;
	case SCAN_DEFAULTS:
	case SCAN_NESTED:
		put_token(w, item);
		put(w, "{");
		break;
	case SCAN_INCLUDE:
	case SCAN_INCLUDE_DIR:
		put(w, item->kind == SCAN_INCLUDE ? " include(" : " include_dir(");
		put_token(w, item);
		put(w, ")");
		break;
	default:
		put_token(w, item);
		break;
	}
	return i + 1;
}

/* All tokens and line ends together are at most as long as the source. */
int scan_write(
	const struct source *source, const struct scan *scan, char **ret_text, size_t *ret_len)
{
	struct writer w = {.source = source, .scan = scan, .line = 1};
	char *text = malloc(source->len + scan->n_items * ITEM_MAX + 1);
	size_t i = 0;

	if (!text)
		return -ENOMEM;
	w.at = text;
	while (i < scan->n_items)
		i = put_item(&w, i);
	*w.at = '\0';
	*ret_text = text;
	*ret_len = (size_t)(w.at - text);
	return 0;
}
