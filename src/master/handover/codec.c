#include "master/handover/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The least that a record takes: its length. */
#define RECORD_MIN sizeof(uint32_t)

bool codec_reads(const struct codec *codec)
{
	return codec->in != NULL;
}

void codec_fault(struct codec *codec, int error)
{
	if (codec->in && !codec->in->error)
		codec->in->error = error;
}

void codec_expect(struct codec *codec, bool holds)
{
	if (codec->in && !holds)
		codec_fault(codec, -EBADMSG);
}

int codec_error(const struct codec *codec)
{
	return codec->in ? codec->in->error : codec->out->error;
}

/* An older record ends here: this field is not in it. */
static bool is_over(const struct codec *codec)
{
	return codec->in->at == codec->in->len;
}

void codec_u8(struct codec *codec, uint8_t *field)
{
	if (codec->out)
		wire_put_u8(codec->out, *field);
	else
		*field = is_over(codec) ? 0 : wire_get_u8(codec->in);
}

void codec_u32(struct codec *codec, uint32_t *field)
{
	if (codec->out)
		wire_put_u32(codec->out, *field);
	else
		*field = is_over(codec) ? 0 : wire_get_u32(codec->in);
}

void codec_u64(struct codec *codec, uint64_t *field)
{
	if (codec->out)
		wire_put_u64(codec->out, *field);
	else
		*field = is_over(codec) ? 0 : wire_get_u64(codec->in);
}

void codec_bool(struct codec *codec, bool *field)
{
	uint8_t value = *field;

	codec_u8(codec, &value);
	if (value > 1)
		codec_fault(codec, -EBADMSG);
	*field = value == 1;
}

void codec_i32(struct codec *codec, int32_t *field)
{
	uint32_t value = (uint32_t)*field;

	codec_u32(codec, &value);
	*field = (int32_t)value;
}

/* One more than it is, so that a field that is not there is no descriptor. */
void codec_fd(struct codec *codec, int *field)
{
	uint32_t value = *field < 0 ? 0 : (uint32_t)*field + 1;

	codec_u32(codec, &value);
	if (value > INT32_MAX)
		codec_fault(codec, -EBADMSG);
	*field = value == 0 || value > INT32_MAX ? -EBADF : (int)value - 1;
}

void codec_raw(struct codec *codec, void *field, size_t len)
{
	if (codec->out)
		wire_put_raw(codec->out, field, len);
	else if (is_over(codec))
		memset(field, 0, len);
	else
		wire_get_raw(codec->in, field, len);
}

void codec_text(struct codec *codec, char **field)
{
	if (codec->out)
		wire_put_string(codec->out, *field);
	else
		*field = is_over(codec) ? NULL : wire_get_string(codec->in);
}

static void read_bytes(struct codec *codec, uint8_t **field, size_t *len, size_t max)
{
	uint32_t n = is_over(codec) ? 0 : wire_get_count(codec->in, 1);

	*field = NULL;
	*len = 0;
	if (n > max)
		codec_fault(codec, -EBADMSG);
	if (n == 0 || codec_error(codec) < 0)
		return;
	*field = malloc(n);
	if (!*field) {
		codec_fault(codec, -ENOMEM);
		return;
	}
	*len = n;
	wire_get_raw(codec->in, *field, n);
}

void codec_bytes(struct codec *codec, uint8_t **field, size_t *len, size_t max)
{
	if (codec->out)
		wire_put_blob(codec->out, *field, *len);
	else
		read_bytes(codec, field, len, max);
}

/* Texts in there end, and it is not longer than it can be. */
static bool is_sound(const struct addr *addr)
{
	if (addr->kind >= _ADDR_KIND_MAX || addr->len > sizeof addr->un)
		return false;
	if (addr->kind == ADDR_FD)
		return addr->len == 0 && addr->name[ADDR_NAME_MAX - 1] == '\0';
	if (addr->len == 0)
		return true;
	if (addr->len < sizeof addr->sa.sa_family)
		return false;
	switch (addr->sa.sa_family) {
	case AF_INET:
		return addr->len == sizeof addr->in;
	case AF_INET6:
		return addr->len == sizeof addr->in6 &&
		       addr->interface[IF_NAMESIZE - 1] == '\0';
	case AF_VSOCK:
		return addr->len == sizeof addr->vm;
	default:
		return addr->sa.sa_family == AF_UNIX;
	}
}

/* Is that a kind of the family that is in there? */
static bool is_of_its_kind(const struct addr *addr)
{
	switch (addr->kind) {
	case ADDR_UNIX:
	case ADDR_UNIX_DGRAM:
	case ADDR_UNIX_SEQPACKET:
		return addr->len == 0 || addr->sa.sa_family == AF_UNIX;
	case ADDR_VSOCK:
		return addr->len == 0 || addr->sa.sa_family == AF_VSOCK;
	case ADDR_FD:
		return true;
	default:
		return addr->len == 0 || addr->sa.sa_family == AF_INET ||
		       addr->sa.sa_family == AF_INET6;
	}
}

void codec_addr(struct codec *codec, struct addr *field)
{
	uint8_t kind = (uint8_t)field->kind;
	uint32_t len = field->len;

	if (codec_reads(codec))
		memset(field, 0, sizeof *field);
	codec_u8(codec, &kind);
	codec_bool(codec, &field->dual);
	codec_u32(codec, &len);
	codec_raw(codec, &field->un, sizeof field->un);
	field->kind = kind;
	field->len = len;
	if (codec_reads(codec) && !(is_sound(field) && is_of_its_kind(field))) {
		codec_fault(codec, -EBADMSG);
		memset(field, 0, sizeof *field);
	}
}

void codec_source(struct codec *codec, struct addr_source *field)
{
	codec_u8(codec, &field->family);
	codec_raw(codec, field->bytes, sizeof field->bytes);
	codec_raw(codec, field->scope, sizeof field->scope);
	switch (field->family) {
	case ADDR_SOURCE_NONE:
	case ADDR_SOURCE_UNIX:
	case ADDR_SOURCE_VSOCK:
	case ADDR_SOURCE_IPV4:
	case ADDR_SOURCE_IPV6:
		return;
	default:
		codec_fault(codec, -EBADMSG);
		field->family = ADDR_SOURCE_NONE;
	}
}

static void write_record(
	struct codec *codec, void (*fields)(struct codec *codec, void *object), void *object)
{
	struct wire_writer out;
	struct codec inner = {.out = &out};

	wire_writer_init(&out);
	fields(&inner, object);
	if (out.error < 0 && codec->out->error == 0)
		codec->out->error = out.error;
	wire_put_blob(codec->out, out.data, out.len);
	wire_writer_done(&out);
}

static void read_record(
	struct codec *codec, void (*fields)(struct codec *codec, void *object), void *object)
{
	uint32_t len = is_over(codec) ? 0 : wire_get_count(codec->in, 1);
	struct wire_reader in;
	struct codec inner = {.in = &in};

	wire_reader_init(&in, codec->in->data + codec->in->at, len);
	in.error = codec->in->error;
	fields(&inner, object);
	codec->in->at += len;
	codec_fault(codec, in.error);
}

void codec_record(
	struct codec *codec, void (*fields)(struct codec *codec, void *object), void *object)
{
	if (codec_reads(codec))
		read_record(codec, fields, object);
	else
		write_record(codec, fields, object);
}

int codec_read_record(const void *data, size_t len,
	void (*fields)(struct codec *codec, void *object), void *object)
{
	struct wire_reader in;
	struct codec codec = {.in = &in};

	wire_reader_init(&in, data, len);
	codec_record(&codec, fields, object);
	if (in.error)
		return in.error;
	return wire_reader_complete(&in) ? 0 : -EBADMSG;
}

/* How many are to be read, with memory for them. */
static uint32_t begin_array(struct codec *codec, void **items, size_t size, size_t max)
{
	uint32_t n = is_over(codec) ? 0 : wire_get_count(codec->in, RECORD_MIN);

	*items = NULL;
	if (n > max)
		codec_fault(codec, -EBADMSG);
	if (n == 0 || codec_error(codec) < 0)
		return 0;
	*items = calloc(n, size);
	if (!*items)
		codec_fault(codec, -ENOMEM);
	return *items ? n : 0;
}

void codec_array(struct codec *codec, void **items, size_t *n, size_t size, size_t max,
	void (*fields)(struct codec *codec, void *object))
{
	if (codec_reads(codec))
		*n = begin_array(codec, items, size, max);
	else
		wire_put_u32(codec->out, (uint32_t)*n);
	for (size_t i = 0; i < *n; i++)
		codec_record(codec, fields, (char *)*items + i * size);
}
