#include "base/front.h"

#include "base/own.h"
#include "base/strv.h"

#include <string.h>

/* Of a number on the wire. */
#define LENGTH_SIZE sizeof(uint32_t)

bool front_text_is_empty(const struct front_text *text)
{
	return text->banner.len == 0 && text->success.len == 0 && text->fail.len == 0 &&
	       strv_length(text->names) == 0;
}

/* ------------------------------------------------------------------- the bounds */

static int check_names(char *const *names)
{
	size_t sum = LENGTH_SIZE;

	for (size_t i = 0; names && names[i]; i++) {
		size_t len = strnlen(names[i], FRONT_NAME_MAX + 1);

		if (len == 0)
			return -EINVAL;
		sum += LENGTH_SIZE + len;
		if (len > FRONT_NAME_MAX || sum > FRONT_NAMES_MAX)
			return -E2BIG;
	}
	return 0;
}

static int check(const struct front_text *text)
{
	if (text->banner.len > FRONT_BANNER_MAX || text->success.len > FRONT_BANNER_MAX ||
		text->fail.len > FRONT_BANNER_MAX)
		return -E2BIG;
	return check_names(text->names);
}

/* ---------------------------------------------------------------- to and fro */

int front_text_write(const struct front_text *text, struct wire_writer *w)
{
	int r = check(text);

	if (r < 0)
		return r;
	wire_put_blob(w, text->banner.data, text->banner.len);
	wire_put_blob(w, text->success.data, text->success.len);
	wire_put_blob(w, text->fail.data, text->fail.len);
	wire_put_strv(w, text->names);
	return w->error;
}

/* It stays where it is. */
static struct front_bytes get_bytes(struct wire_reader *r)
{
	uint32_t len = wire_get_count(r, 1);
	struct front_bytes bytes = {.data = r->data + r->at, .len = len};

	r->at += len;
	return bytes;
}

static int get_text(struct wire_reader *r, struct front_text *text)
{
	text->banner = get_bytes(r);
	text->success = get_bytes(r);
	text->fail = get_bytes(r);
	/* Before memory is taken for as many names as may be said to be there. */
	if (!r->error && r->len - r->at > FRONT_NAMES_MAX)
		return -EBADMSG;
	text->names = wire_get_strv(r);
	if (r->error)
		return r->error;
	return wire_reader_complete(r) && check(text) == 0 ? 0 : -EBADMSG;
}

int front_text_read(const void *data, size_t len, struct front_text *ret)
{
	struct front_text text = {0};
	struct wire_reader reader;
	int r;

	wire_reader_init(&reader, data, len);
	r = get_text(&reader, &text);
	if (r < 0) {
		front_text_done(&text);
		return r;
	}
	*ret = text;
	return 0;
}

void front_text_done(struct front_text *text)
{
	text->names = strv_free(text->names);
}
