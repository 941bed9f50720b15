/*
 * What clients are told, on its way to hatchd-front: whatever is understood is within its
 * bounds, lies in what was given, and is written as it came.
 */
#include "base/front.h"
#include "base/own.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_bytes(const struct front_bytes *bytes, const uint8_t *data, size_t size)
{
	check(bytes->len <= FRONT_BANNER_MAX);
	check(bytes->data >= data && bytes->data + bytes->len <= data + size);
}

static void check_names(char *const *names)
{
	for (size_t i = 0; names && names[i]; i++)
		check(names[i][0] && strlen(names[i]) <= FRONT_NAME_MAX);
}

static void check_written(const struct front_text *text, const uint8_t *data, size_t size)
{
	struct wire_writer w;

	wire_writer_init(&w);
	check(front_text_write(text, &w) == 0);
	check(w.len == size && memcmp(w.data, data, size) == 0);
	wire_writer_done(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct front_text text;
	int r = front_text_read(data, size, &text);

	check(r == 0 || r == -EBADMSG);
	if (r < 0)
		return 0;
	check_bytes(&text.banner, data, size);
	check_bytes(&text.success, data, size);
	check_bytes(&text.fail, data, size);
	check_names(text.names);
	check_written(&text, data, size);
	front_text_done(&text);
	return 0;
}
