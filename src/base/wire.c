#include "base/wire.h"

#include "base/strv.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

/* A length that no string has says "NULL was written". */
#define STRING_NULL UINT32_MAX

#define FIRST_SIZE 256

void wire_writer_init(struct wire_writer *w)
{
	*w = (struct wire_writer){0};
}

void wire_writer_init_secret(struct wire_writer *w)
{
	*w = (struct wire_writer){.is_secret = true};
}

static void free_data(struct wire_writer *w)
{
	if (w->is_secret && w->data)
		explicit_bzero(w->data, w->len);
	free(w->data);
}

void wire_writer_done(struct wire_writer *w)
{
	free_data(w);
	wire_writer_init(w);
}

/* realloc(3) leaves what it has copied where it was. */
static uint8_t *enlarge(struct wire_writer *w, size_t size)
{
	uint8_t *data;

	if (!w->is_secret)
		return realloc(w->data, size);
	data = malloc(size);
	if (!data)
		return NULL;
	if (w->len > 0)
		memcpy(data, w->data, w->len);
	free_data(w);
	return data;
}

/* Make room for `len` more bytes; false after a fault. */
static bool grow(struct wire_writer *w, size_t len)
{
	size_t size = w->size ? w->size : FIRST_SIZE;
	uint8_t *data;

	if (w->error)
		return false;
	w->error = -ENOMEM;
	if (len > SIZE_MAX / 2 - w->len)
		return false;
	while (size < w->len + len)
		size *= 2;
	data = enlarge(w, size);
	if (!data)
		return false;
	w->data = data;
	w->size = size;
	w->error = 0;
	return true;
}

/* Room for `len` more bytes, which then count as written; NULL after a fault. */
static inline uint8_t *extend(struct wire_writer *w, size_t len)
{
	uint8_t *at;

	if ((w->error || len > w->size - w->len) && !grow(w, len))
		return NULL;
	at = w->data + w->len;
	w->len += len;
	return at;
}

static inline void put_number(struct wire_writer *w, uint64_t value, size_t width)
{
	uint64_t little = htole64(value);
	uint8_t *at = extend(w, width);

	if (at)
		memcpy(at, &little, width);
}

void wire_put_u8(struct wire_writer *w, uint8_t value)
{
	put_number(w, value, 1);
}

void wire_put_u32(struct wire_writer *w, uint32_t value)
{
	put_number(w, value, 4);
}

void wire_put_u64(struct wire_writer *w, uint64_t value)
{
	put_number(w, value, 8);
}

void wire_put_raw(struct wire_writer *w, const void *data, size_t len)
{
	uint8_t *at = extend(w, len);

	if (at && len > 0)
		memcpy(at, data, len);
}

/* Length first, for whoever knows it; one that the format cannot express is a
 * buffer that cannot be had. */
static void put_counted(struct wire_writer *w, const void *data, size_t len)
{
	if (len >= STRING_NULL) {
		w->error = w->error ? w->error : -ENOMEM;
		return;
	}
	wire_put_u32(w, (uint32_t)len);
	wire_put_raw(w, data, len);
}

void wire_put_blob(struct wire_writer *w, const void *data, size_t len)
{
	put_counted(w, data, len);
}

void wire_put_string(struct wire_writer *w, const char *text)
{
	if (!text) {
		wire_put_u32(w, STRING_NULL);
		return;
	}
	put_counted(w, text, strlen(text));
}

void wire_put_strv(struct wire_writer *w, char *const *vector)
{
	size_t n = strv_length(vector);

	if (n > UINT32_MAX) {
		w->error = w->error ? w->error : -ENOMEM;
		return;
	}
	wire_put_u32(w, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		wire_put_string(w, vector[i]);
}

void wire_reader_init(struct wire_reader *r, const void *data, size_t len)
{
	/* Arithmetic on NULL is undefined, even with nothing to read. */
	*r = (struct wire_reader){.data = data ? data : (const void *)"", .len = len};
}

static void fault(struct wire_reader *r, int error)
{
	if (!r->error)
		r->error = error;
}

/* The next `len` bytes, which then count as read; NULL after a fault. */
static const uint8_t *next(struct wire_reader *r, size_t len)
{
	const uint8_t *at;

	if (r->error)
		return NULL;
	if (len > r->len - r->at) {
		fault(r, -EBADMSG);
		return NULL;
	}
	at = r->data + r->at;
	r->at += len;
	return at;
}

static inline uint64_t get_number(struct wire_reader *r, size_t width)
{
	const uint8_t *at = next(r, width);
	uint64_t little = 0;

	if (!at)
		return 0;
	memcpy(&little, at, width);
	return le64toh(little);
}

uint8_t wire_get_u8(struct wire_reader *r)
{
	return (uint8_t)get_number(r, 1);
}

uint32_t wire_get_u32(struct wire_reader *r)
{
	return (uint32_t)get_number(r, 4);
}

uint64_t wire_get_u64(struct wire_reader *r)
{
	return get_number(r, 8);
}

void wire_get_raw(struct wire_reader *r, void *data, size_t len)
{
	const uint8_t *at = next(r, len);

	if (len == 0)
		return;
	if (at)
		memcpy(data, at, len);
	else
		memset(data, 0, len);
}

void wire_get_blob(struct wire_reader *r, void *data, size_t len)
{
	if (wire_get_u32(r) != len)
		fault(r, -EBADMSG);
	wire_get_raw(r, data, len);
}

char *wire_get_string(struct wire_reader *r)
{
	uint32_t len = wire_get_u32(r);
	const uint8_t *at;
	char *text;

	if (r->error || len == STRING_NULL)
		return NULL;
	at = next(r, len);
	if (!at)
		return NULL;
	if (memchr(at, '\0', len)) {
		fault(r, -EBADMSG);
		return NULL;
	}
	text = strndup((const char *)at, len);
	if (!text)
		fault(r, -ENOMEM);
	return text;
}

uint32_t wire_get_count(struct wire_reader *r, size_t min_bytes)
{
	uint32_t n = wire_get_u32(r);

	assert(min_bytes > 0);
	if (r->error)
		return 0;
	if (n > (r->len - r->at) / min_bytes) {
		fault(r, -EBADMSG);
		return 0;
	}
	return n;
}

char **wire_get_strv(struct wire_reader *r)
{
	_cleanup_strv_ char **vector = NULL;
	uint32_t n = wire_get_count(r, sizeof(uint32_t));

	if (n == 0)
		return NULL;
	vector = calloc((size_t)n + 1, sizeof *vector);
	if (!vector) {
		fault(r, -ENOMEM);
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++) {
		vector[i] = wire_get_string(r);
		if (!vector[i]) {
			/* A hole would end the vector early. */
			fault(r, -EBADMSG);
			return NULL;
		}
	}
	return take_ptr(vector);
}

bool wire_reader_complete(const struct wire_reader *r)
{
	return !r->error && r->at == r->len;
}
