/*
 * image: writing.  The order of fields is that of reading, in image-read.c;
 * that of the parts is in image-internal.h.
 */
#include "conf/image.h"

#include "base/wire.h"
#include "conf/image-internal.h"
#include "conf/textmap.h"

#include <fcntl.h>
#include <sys/mman.h>

struct image_writer {
	struct wire_writer prologue;
	struct wire_writer globals;
	struct wire_writer index;
	struct wire_writer wire; /* the records */
	const struct conf *conf;
	struct textmap files; /* name to its place in conf->files */
};

static void put_origin(struct image_writer *w, const struct origin *origin)
{
	char *const *file = origin->file ? textmap_get(&w->files, origin->file) : NULL;

	wire_put_u32(&w->wire, file ? (uint32_t)(file - w->conf->files) : IMAGE_NO_FILE);
	wire_put_u32(&w->wire, origin->line);
	wire_put_u32(&w->wire, origin->column);
	wire_put_u32(&w->wire, origin->width);
}

static void put_rlimit(struct wire_writer *wire, const struct rlimit_conf *limit)
{
	wire_put_u8(wire, limit->given);
	if (!limit->given)
		return;
	wire_put_u64(wire, limit->soft);
	wire_put_u64(wire, limit->hard);
}

static void put_option(
	struct wire_writer *wire, const struct conf_option *option, const void *field)
{
	switch (option->type) {
	case OPTION_BOOL:
		wire_put_u8(wire, *(const bool *)field);
		return;
	case OPTION_TRISTATE:
		wire_put_u8(wire, (uint8_t)(*(const int8_t *)field + 1));
		return;
	case OPTION_U32:
	case OPTION_BITS:
	case OPTION_COUNT:
	case OPTION_MODE:
	case OPTION_SET:
		wire_put_u32(wire, *(const uint32_t *)field);
		return;
	case OPTION_I32:
		wire_put_u32(wire, (uint32_t) * (const int32_t *)field);
		return;
	case OPTION_ENUM:
		wire_put_u32(wire, (uint32_t) * (const int *)field);
		return;
	case OPTION_SIZE:
	case OPTION_DURATION:
		wire_put_u64(wire, *(const uint64_t *)field);
		return;
	case OPTION_RLIMIT:
		put_rlimit(wire, field);
		return;
	case OPTION_STRING:
	case OPTION_PATH:
		wire_put_string(wire, *(char *const *)field);
		return;
	case OPTION_LIST:
		wire_put_strv(wire, *(char **const *)field);
		return;
	}
}

/* Fields of the table that belong to services, or to the whole. */
static void put_options(struct wire_writer *wire, const void *base, bool global)
{
	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (!(o->flags & OPTION_GLOBAL) == !global)
			put_option(wire, o, conf_option_field(o, base));
	}
}

static void put_listen(struct image_writer *w, const struct service_conf *service)
{
	wire_put_u32(&w->wire, (uint32_t)service->n_listen);
	for (size_t i = 0; i < service->n_listen; i++) {
		char text[ADDR_TEXT_MAX];

		wire_put_string(&w->wire, addr_format(&service->listen[i].addr, text));
		put_origin(w, &service->listen[i].origin);
		wire_put_u32(&w->wire, service->listen[i].fate);
		wire_put_u32(&w->wire, service->listen[i].old_service);
		wire_put_u32(&w->wire, service->listen[i].old_listen);
	}
}

static void put_identity(struct wire_writer *wire, const struct service_conf *service)
{
	wire_put_u8(wire, service->change_identity);
	wire_put_u32(wire, service->uid);
	wire_put_u32(wire, service->gid);
	wire_put_u32(wire, (uint32_t)service->n_groups);
	for (size_t i = 0; i < service->n_groups; i++)
		wire_put_u32(wire, service->groups_list[i]);
	wire_put_u32(wire, service->socket_uid);
	wire_put_u32(wire, service->socket_gid);
}

static void put_service(struct image_writer *w, const struct service_conf *service)
{
	struct wire_writer *wire = &w->wire;

	wire_put_string(wire, service->name);
	put_origin(w, &service->origin);
	for (size_t i = 0; i < ARRAY_SIZE(service->given); i++)
		wire_put_u64(wire, service->given[i]);
	put_options(wire, service, false);

	put_listen(w, service);
	wire_put_string(wire, service->path);
	wire_put_strv(wire, service->argv);
	wire_put_strv(wire, service->base_env);
	wire_put_u32(wire, (uint32_t)service->stderr_kind);
	put_identity(wire, service);
	wire_put_string(wire, service->condition);
	wire_put_u32(wire, service->old);
	wire_put_u32(wire, service->news);
}

static uint32_t count_enabled(const struct conf *conf)
{
	uint32_t n = 0;

	for (size_t i = 0; i < conf->n_services; i++)
		n += !conf->services[i]->disable;
	return n;
}

static uint32_t count_addresses(const struct conf *conf)
{
	uint32_t n = 0;

	for (size_t i = 0; i < conf->n_services; i++)
		if (!conf->services[i]->disable)
			n += (uint32_t)conf->services[i]->n_listen;
	return n;
}

static int put_globals(struct image_writer *w)
{
	const struct conf *conf = w->conf;
	int r;

	for (char **file = conf->files; file && *file; file++) {
		r = textmap_add(&w->files, *file, file);
		if (r == -ENOMEM)
			return r;
	}
	wire_put_string(&w->globals, conf->main_file);
	wire_put_strv(&w->globals, conf->files);
	put_options(&w->globals, conf, true);
	wire_put_u32(&w->globals, count_addresses(conf));
	if (w->globals.error)
		return w->globals.error;
	return w->globals.len > IMAGE_GLOBALS_MAX ? -EFBIG : 0;
}

static int put_record(struct image_writer *w, const struct service_conf *service)
{
	size_t start = w->wire.len, len;

	put_service(w, service);
	len = w->wire.len - start;
	if (len > IMAGE_RECORD_MAX)
		return -EFBIG;
	wire_put_u32(&w->index, (uint32_t)len);
	wire_put_u32(&w->index, service->old);
	wire_put_u32(&w->index, service->news);
	return w->wire.error ? w->wire.error : w->index.error;
}

/* The master has no use for what is disabled. */
static int put_records(struct image_writer *w)
{
	const struct conf *conf = w->conf;
	int r = 0;

	for (size_t i = 0; i < conf->n_services && r == 0; i++) {
		if (!conf->services[i]->disable)
			r = put_record(w, conf->services[i]);
	}
	return r;
}

static int put_prologue(struct image_writer *w)
{
	uint32_t n = count_enabled(w->conf);

	if (n > IMAGE_SERVICES_MAX)
		return -EFBIG;
	wire_put_blob(&w->prologue, IMAGE_MAGIC, IMAGE_MAGIC_LEN);
	wire_put_u32(&w->prologue, IMAGE_VERSION);
	wire_put_u32(&w->prologue, (uint32_t)conf_options_count());
	wire_put_u32(&w->prologue, (uint32_t)w->globals.len);
	wire_put_u32(&w->prologue, n);
	return w->prologue.error;
}

static int put_conf(struct image_writer *w)
{
	int r;

	r = put_globals(w);
	if (r == 0)
		r = put_prologue(w);
	if (r == 0)
		r = put_records(w);
	return r;
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_and_seal(int memfd, const struct image_writer *w)
{
	const struct wire_writer *parts[] = {&w->prologue, &w->globals, &w->index, &w->wire};
	size_t len = 0;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		len += parts[i]->len;
	if (len > IMAGE_BYTES_MAX)
		return -EFBIG;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		r = write_all(memfd, parts[i]->data, parts[i]->len);
		if (r < 0)
			return r;
	}
	return fcntl(memfd, F_ADD_SEALS, IMAGE_SEALS) < 0 ? -errno : 0;
}

static void writer_done(struct image_writer *w)
{
	textmap_done(&w->files);
	wire_writer_done(&w->prologue);
	wire_writer_done(&w->globals);
	wire_writer_done(&w->index);
	wire_writer_done(&w->wire);
}

int image_write(const struct conf *conf, int memfd)
{
	struct image_writer w = {.conf = conf};
	int r;

	textmap_init(&w.files);
	r = put_conf(&w);
	if (r == 0)
		r = write_and_seal(memfd, &w);
	writer_done(&w);
	return r;
}
