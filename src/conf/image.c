/*
 * image: writing.  The order of fields is that of reading, in image-read.c.
 */
#include "conf/image.h"

#include "base/wire.h"
#include "conf/image-internal.h"
#include "conf/textmap.h"

#include <fcntl.h>
#include <sys/mman.h>

struct image_writer {
	struct wire_writer wire;
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

/* The master has no use for what is disabled. */
static int put_conf(struct image_writer *w)
{
	const struct conf *conf = w->conf;
	int r;

	for (char **file = conf->files; file && *file; file++) {
		r = textmap_add(&w->files, *file, file);
		if (r == -ENOMEM)
			return r;
	}

	wire_put_blob(&w->wire, IMAGE_MAGIC, IMAGE_MAGIC_LEN);
	wire_put_u32(&w->wire, IMAGE_VERSION);
	wire_put_u32(&w->wire, (uint32_t)conf_options_count());
	wire_put_string(&w->wire, conf->main_file);
	wire_put_strv(&w->wire, conf->files);
	put_options(&w->wire, conf, true);
	wire_put_u32(&w->wire, count_enabled(conf));
	for (size_t i = 0; i < conf->n_services; i++)
		if (!conf->services[i]->disable)
			put_service(w, conf->services[i]);
	return w->wire.error;
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

static int write_and_seal(int memfd, const struct wire_writer *wire)
{
	int r;

	if (wire->len > IMAGE_BYTES_MAX)
		return -EFBIG;
	r = write_all(memfd, wire->data, wire->len);
	if (r < 0)
		return r;
	return fcntl(memfd, F_ADD_SEALS, IMAGE_SEALS) < 0 ? -errno : 0;
}

int image_write(const struct conf *conf, int memfd)
{
	struct image_writer w = {.conf = conf};
	int r;

	wire_writer_init(&w.wire);
	textmap_init(&w.files);
	r = put_conf(&w);
	if (r == 0)
		r = write_and_seal(memfd, &w.wire);
	textmap_done(&w.files);
	wire_writer_done(&w.wire);
	return r;
}
