#include "conf/scan.h"

struct writer {
	const struct source *source;
	const struct scan *scan;
	uint32_t line;
	FILE *out;
};

static void put(struct writer *w, const char *text)
{
	fputs(text, w->out);
}

/* The bytes of the item's token, on its line; it may go over several. */
static void put_token(struct writer *w, const struct scan_item *item)
{
	const char *text = w->source->text;

	for (; w->line < item->line; w->line++)
		putc_unlocked('\n', w->out);
	putc_unlocked(' ', w->out);
	fwrite(text + item->start, 1, item->end - item->start, w->out);
	for (uint32_t at = item->start; at < item->end; at++)
		w->line += text[at] == '\n';
	putc_unlocked(' ', w->out);
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

int scan_write(
	const struct source *source, const struct scan *scan, char **ret_text, size_t *ret_len)
{
	struct writer w = {.source = source, .scan = scan, .line = 1};
	char *text = NULL;
	size_t i = 0, len;
	bool failed;

	w.out = open_memstream(&text, &len);
	if (!w.out)
		return -ENOMEM;
	while (i < scan->n_items)
		i = put_item(&w, i);
	failed = ferror(w.out);
	/* Where it cannot be made smaller at the end, it is gone, and that is all. */
	if (fclose(w.out) != 0 || failed || !text) {
		free(text);
		return -ENOMEM;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}
