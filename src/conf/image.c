/*
 * image: writing.  The order of fields is that of reading, in image-read.c;
 * that of the parts is in image-internal.h.
 */
#include "conf/image.h"

#include "base/fd.h"
#include "base/memfd.h"
#include "base/wire.h"
#include "conf/image-internal.h"
#include "conf/textmap.h"

#include <string.h>

/* Bytes that are gathered before they are written. */
#define OUTPUT_CHUNK 65536

struct image_draft {
	const struct conf *conf;
	struct textmap files; /* name to its place in conf->files */
	struct textmap names; /* of services that are not disabled, to their place in conf */
	struct wire_writer globals;
	struct wire_writer bodies;  /* of all services, one after the other */
	size_t *ends;               /* of the bodies; that of a disabled service is empty */
	struct textmap digests;     /* of lists, to their place in `lists` */
	struct access_list **lists; /* those that differ; borrowed */
	uint32_t n_lists;
	struct access_list **tables; /* those of hosts_access, which come behind them */
	uint32_t n_tables;
	uint32_t *access, *proxies, *wrappers; /* by service: its lists */
};

static void put_rlimit(struct wire_writer *wire, const struct rlimit_conf *limit)
{
	wire_put_u8(wire, limit->given);
	if (!limit->given)
		return;
	wire_put_u64(wire, limit->soft);
	wire_put_u64(wire, limit->hard);
}

static void put_rate(struct wire_writer *wire, const struct limit *limit)
{
	wire_put_u32(wire, limit->count);
	wire_put_u32(wire, limit->burst);
	wire_put_u64(wire, limit->period);
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
	case OPTION_LOAD:
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
	case OPTION_PENALTY:
		wire_put_u64(wire, *(const uint64_t *)field);
		return;
	case OPTION_RATE:
		put_rate(wire, field);
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

/* Fields of the table that belong to services, to a section of few of them, or to the whole. */
static void put_options(struct wire_writer *wire, const void *base, unsigned which)
{
	for (const struct conf_option *o = conf_options; o->name; o++) {
		if ((o->flags & IMAGE_PARTS) == which)
			put_option(wire, o, conf_option_field(o, base));
	}
}

static void put_backend(struct wire_writer *wire, const struct service_conf *service)
{
	bool says = service_conf_says_backend(service);

	wire_put_u8(wire, says);
	if (!says)
		return;
	put_options(wire, service, OPTION_BACKEND);
	wire_put_u32(wire, service->backend_target);
}

static void put_tls(struct wire_writer *wire, const struct service_conf *service)
{
	bool says = service_conf_says_tls(service);

	wire_put_u8(wire, says);
	if (says) {
		put_options(wire, service, OPTION_TLS);
		wire_put_raw(wire, service->tls_digest, sizeof service->tls_digest);
		wire_put_raw(wire, service->tls_trust, sizeof service->tls_trust);
		wire_put_u64(wire, (uint64_t)service->tls_not_after);
		wire_put_u8(wire, service->tls_has_guests);
	}
	wire_put_string(wire, service->tls_host);
}

static void put_addresses(struct wire_writer *wire, const struct service_conf *service)
{
	wire_put_u32(wire, (uint32_t)service->n_listen);
	for (size_t i = 0; i < service->n_listen; i++) {
		char text[ADDR_TEXT_MAX];

		wire_put_string(wire, addr_format(&service->listen[i].addr, text));
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

static void put_access(struct wire_writer *wire, const struct service_conf *service)
{
	bool has = service_conf_has_access(service);

	wire_put_u8(wire, has);
	if (has)
		wire_put_blob(wire, service->access_digest, ACCESS_DIGEST_LEN);
}

static void put_names(struct wire_writer *wire, const struct service_conf *service)
{
	wire_put_strv(wire, service->names);
	wire_put_strv(wire, service->certs);
	wire_put_strv(wire, service->target_names);
}

static void put_proxies(struct wire_writer *wire, const struct service_conf *service)
{
	bool has = service_conf_has_proxies(service);

	wire_put_u8(wire, has);
	if (has)
		wire_put_blob(wire, service->proxies_digest, ACCESS_DIGEST_LEN);
}

static void put_wrappers(struct wire_writer *wire, const struct service_conf *service)
{
	if (service->hosts_access)
		wire_put_blob(wire, service->wrappers_digest, WRAPPERS_DIGEST_LEN);
}

static void put_bytes(struct wire_writer *wire, const char *text, size_t len)
{
	wire_put_u32(wire, (uint32_t)len);
	wire_put_raw(wire, text, len);
}

static void put_texts(struct wire_writer *wire, const struct service_conf *service)
{
	put_bytes(wire, service->reply, service->reply_len);
	put_bytes(wire, service->banner_text, service->banner_text_len);
	put_bytes(wire, service->banner_success_text, service->banner_success_text_len);
	put_bytes(wire, service->banner_fail_text, service->banner_fail_text_len);
}

static void put_targets(struct wire_writer *wire, const struct service_conf *service)
{
	wire_put_u32(wire, (uint32_t)service->n_targets);
	for (size_t i = 0; i < service->n_targets; i++) {
		char text[ADDR_TEXT_MAX];

		wire_put_string(wire, addr_format(&service->targets[i], text));
	}
}

static void put_body(struct wire_writer *wire, const struct service_conf *service)
{
	wire_put_string(wire, service->name);
	for (size_t i = 0; i < ARRAY_SIZE(service->given); i++)
		wire_put_u64(wire, service->given[i]);
	put_options(wire, service, 0);

	put_addresses(wire, service);
	put_texts(wire, service);
	put_targets(wire, service);
	put_backend(wire, service);
	put_tls(wire, service);
	wire_put_string(wire, service->path);
	wire_put_strv(wire, service->argv);
	wire_put_strv(wire, service->base_env);
	wire_put_u32(wire, (uint32_t)service->stderr_kind);
	put_identity(wire, service);
	put_access(wire, service);
	put_proxies(wire, service);
	put_wrappers(wire, service);
	put_names(wire, service);
	wire_put_string(wire, service->condition);
}

static void put_origin(
	const struct image_draft *draft, struct wire_writer *wire, const struct origin *origin)
{
	char *const *file = origin->file ? textmap_get(&draft->files, origin->file) : NULL;

	wire_put_u32(wire, file ? (uint32_t)(file - draft->conf->files) : IMAGE_NO_FILE);
	wire_put_u32(wire, origin->line);
	wire_put_u32(wire, origin->column);
	wire_put_u32(wire, origin->width);
}

static void put_tail(const struct image_draft *draft, struct wire_writer *wire,
	const struct service_conf *service)
{
	put_origin(draft, wire, &service->origin);
	for (size_t i = 0; i < service->n_listen; i++) {
		const struct listen_conf *listen = &service->listen[i];

		put_origin(draft, wire, &listen->origin);
		wire_put_u32(wire, listen->fate);
		wire_put_u32(wire, listen->old_service);
		wire_put_u32(wire, listen->old_listen);
	}
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

static uint32_t count_notify(const struct conf *conf)
{
	uint32_t n = 0;

	for (size_t i = 0; i < conf->n_services; i++)
		n += !conf->services[i]->disable && conf->services[i]->notify &&
		     service_conf_has_program(conf->services[i]);
	return n;
}

static uint32_t count_pending(const struct conf *conf)
{
	uint32_t n = 0;

	for (size_t i = 0; i < conf->n_services; i++)
		if (!conf->services[i]->disable && service_conf_has_pending(conf->services[i]))
			n += conf->services[i]->pending;
	return n;
}

/* Who waits for a condition has none. */
static int64_t find_first_end(const struct conf *conf)
{
	int64_t first = 0;

	for (size_t i = 0; i < conf->n_services; i++) {
		const struct service_conf *service = conf->services[i];

		if (service->disable || service->tls_length == 0)
			continue;
		if (first == 0 || service->tls_not_after < first)
			first = service->tls_not_after;
	}
	return first;
}

static void put_zone(struct wire_writer *wire, const struct hours_zone *zone)
{
	wire_put_u32(wire, zone->n);
	for (uint32_t i = 0; i < zone->n; i++) {
		wire_put_u64(wire, (uint64_t)zone->shifts[i].from);
		wire_put_u32(wire, (uint32_t)zone->shifts[i].offset);
	}
}

static void put_worker(struct wire_writer *wire, const struct conf *conf)
{
	wire_put_u8(wire, conf->worker_identity);
	wire_put_u32(wire, conf->worker_uid);
	wire_put_u32(wire, conf->worker_gid);
	wire_put_u32(wire, conf->tls_worker_uid);
	wire_put_u32(wire, conf->tls_worker_gid);
}

static int put_globals(struct image_draft *draft)
{
	const struct conf *conf = draft->conf;
	struct wire_writer *wire = &draft->globals;
	int r;

	for (char **file = conf->files; file && *file; file++) {
		r = textmap_add(&draft->files, *file, file);
		if (r == -ENOMEM)
			return r;
	}
	wire_put_string(wire, conf->main_file);
	wire_put_strv(wire, conf->files);
	put_options(wire, conf, OPTION_GLOBAL);
	wire_put_u32(wire, count_addresses(conf));
	wire_put_u32(wire, count_notify(conf));
	wire_put_u32(wire, count_pending(conf));
	wire_put_u64(wire, (uint64_t)find_first_end(conf));
	put_zone(wire, &conf->zone);
	put_worker(wire, conf);
	wire_put_u32(wire, conf->control_gid);
	if (wire->error)
		return wire->error;
	return wire->len > IMAGE_GLOBALS_MAX ? -EFBIG : 0;
}

/* The master has no use for what is disabled. */
static int put_bodies(struct image_draft *draft)
{
	const struct conf *conf = draft->conf;
	int r;

	draft->ends = calloc(conf->n_services + 1, sizeof *draft->ends);
	if (!draft->ends)
		return -ENOMEM;
	for (size_t i = 0; i < conf->n_services; i++) {
		if (!conf->services[i]->disable) {
			put_body(&draft->bodies, conf->services[i]);
			r = textmap_add(
				&draft->names, conf->services[i]->name, &conf->services[i]);
			if (r == -ENOMEM)
				return r;
		}
		draft->ends[i] = draft->bodies.len;
	}
	return draft->bodies.error;
}

#define DIGEST_TEXT_MAX (2 * ACCESS_DIGEST_LEN + 1)

/* A table begins with what tells it from others. */
static const char *digest_text(const struct access_list *list, char buf[DIGEST_TEXT_MAX])
{
	for (size_t i = 0; i < ACCESS_DIGEST_LEN; i++)
		snprintf(buf + 2 * i, 3, "%02x", list->table[i]);
	return buf;
}

/* Its place among those that differ.  No table of the one kind is one of the other. */
static int put_list(struct image_draft *draft, struct access_list *list,
	struct access_list **lists, uint32_t *n_lists, uint32_t *ret)
{
	struct access_list **place = &lists[*n_lists];
	struct access_list *const *known;
	char digest[DIGEST_TEXT_MAX];
	int r;

	*ret = CONF_NONE;
	if (!list)
		return 0;
	r = textmap_add(&draft->digests, digest_text(list, digest), place);
	if (r == -EEXIST) {
		known = textmap_get(&draft->digests, digest);
		*ret = (uint32_t)(known - lists);
		return 0;
	}
	if (r < 0)
		return r;
	*place = list;
	*ret = (*n_lists)++;
	return 0;
}

static int put_lists_of(struct image_draft *draft, const struct service_conf *service, size_t i)
{
	int r = put_list(
		draft, service->access, draft->lists, &draft->n_lists, &draft->access[i]);

	if (r == 0)
		r = put_list(draft, service->proxies, draft->lists, &draft->n_lists,
			&draft->proxies[i]);
	if (r == 0)
		r = put_list(draft, service->wrappers, draft->tables, &draft->n_tables,
			&draft->wrappers[i]);
	return r;
}

static int put_lists(struct image_draft *draft)
{
	const struct conf *conf = draft->conf;
	int r = 0;

	draft->lists =
		calloc(IMAGE_LISTS_EACH * conf->n_services + 1, sizeof(struct access_list *));
	draft->access = calloc(conf->n_services + 1, sizeof *draft->access);
	draft->proxies = calloc(conf->n_services + 1, sizeof *draft->proxies);
	draft->wrappers = calloc(conf->n_services + 1, sizeof *draft->wrappers);
	draft->tables = calloc(conf->n_services + 1, sizeof(struct access_list *));
	if (!draft->lists || !draft->access || !draft->proxies || !draft->wrappers ||
		!draft->tables)
		return -ENOMEM;
	for (size_t i = 0; i < conf->n_services && r == 0; i++)
		if (!conf->services[i]->disable)
			r = put_lists_of(draft, conf->services[i], i);
	return r;
}

int image_draft_new(const struct conf *conf, struct image_draft **ret)
{
	_cleanup_image_draft_ struct image_draft *draft = calloc(1, sizeof *draft);
	int r;

	if (!draft)
		return -ENOMEM;
	draft->conf = conf;
	r = put_globals(draft);
	if (r == 0)
		r = put_bodies(draft);
	if (r == 0)
		r = put_lists(draft);
	if (r == 0)
		*ret = take_ptr(draft);
	return r;
}

struct image_draft *image_draft_free(struct image_draft *draft)
{
	if (!draft)
		return NULL;
	textmap_done(&draft->files);
	textmap_done(&draft->names);
	wire_writer_done(&draft->globals);
	wire_writer_done(&draft->bodies);
	free(draft->ends);
	textmap_done(&draft->digests);
	free(draft->lists);
	free(draft->access);
	free(draft->proxies);
	free(draft->wrappers);
	free(draft->tables);
	free(draft);
	return NULL;
}

const struct conf *image_draft_conf(const struct image_draft *draft)
{
	return draft->conf;
}

static const uint8_t *body_of(const struct image_draft *draft, size_t i, size_t *ret_len)
{
	size_t start = i > 0 ? draft->ends[i - 1] : 0;

	*ret_len = draft->ends[i] - start;
	return draft->bodies.data + start;
}

static size_t record_length(const struct image_draft *draft, size_t i)
{
	size_t len;

	body_of(draft, i, &len);
	return len + IMAGE_TAIL_LEN(draft->conf->services[i]->n_listen);
}

bool image_draft_says(const struct image_draft *draft, const char *name, const void *record,
	size_t len, size_t *ret)
{
	struct service_conf *const *service = textmap_get(&draft->names, name);
	const uint8_t *body;
	size_t i, body_len;

	if (!service)
		return false;
	i = (size_t)(service - draft->conf->services);
	body = body_of(draft, i, &body_len);
	if (record_length(draft, i) != len || memcmp(body, record, body_len) != 0)
		return false;
	*ret = i;
	return true;
}

/*
 * The whole, piece by piece.
 */

struct output {
	const struct image_draft *draft;
	int fd;
	struct wire_writer wire; /* what comes next */
};

static int flush(struct output *out)
{
	int r;

	if (out->wire.error)
		return out->wire.error;
	r = fd_write_all(out->fd, out->wire.data, out->wire.len);
	if (r == 0)
		out->wire.len = 0;
	return r;
}

static uint32_t count_lists(const struct image_draft *draft)
{
	return draft->n_lists + draft->n_tables;
}

/* Number `i` of both kinds. */
static const struct access_list *get_list(const struct image_draft *draft, uint32_t i)
{
	return i < draft->n_lists ? draft->lists[i] : draft->tables[i - draft->n_lists];
}

static int check_sizes(const struct image_draft *draft)
{
	const struct conf *conf = draft->conf;
	uint64_t total = IMAGE_PROLOGUE_LEN + draft->globals.len, lists = 0;

	for (size_t i = 0; i < conf->n_services; i++) {
		if (conf->services[i]->disable)
			continue;
		if (record_length(draft, i) > IMAGE_RECORD_MAX)
			return -EFBIG;
		total += IMAGE_INDEX_LEN + record_length(draft, i);
	}
	for (uint32_t i = 0; i < count_lists(draft); i++) {
		lists += get_list(draft, i)->len;
		total += IMAGE_LIST_LEN + get_list(draft, i)->len;
	}
	if (lists > IMAGE_LISTS_MAX)
		return -EFBIG;
	return count_enabled(conf) > IMAGE_SERVICES_MAX || total > IMAGE_BYTES_MAX ? -EFBIG : 0;
}

static void put_prologue(struct output *out)
{
	const struct image_draft *draft = out->draft;

	wire_put_blob(&out->wire, IMAGE_MAGIC, IMAGE_MAGIC_LEN);
	wire_put_u32(&out->wire, IMAGE_VERSION);
	wire_put_u32(&out->wire, (uint32_t)conf_options_count());
	wire_put_u32(&out->wire, (uint32_t)draft->globals.len);
	wire_put_u32(&out->wire, count_enabled(draft->conf));
	wire_put_u32(&out->wire, draft->n_lists);
	wire_put_u32(&out->wire, draft->n_tables);
	wire_put_raw(&out->wire, draft->globals.data, draft->globals.len);
}

static uint32_t number_of_wrappers(const struct image_draft *draft, size_t i)
{
	uint32_t number = draft->wrappers[i];

	return number == CONF_NONE ? number : draft->n_lists + number;
}

static void put_index(struct output *out)
{
	const struct conf *conf = out->draft->conf;

	for (size_t i = 0; i < conf->n_services; i++) {
		const struct service_conf *service = conf->services[i];

		if (service->disable)
			continue;
		wire_put_u32(&out->wire, (uint32_t)record_length(out->draft, i));
		wire_put_u32(&out->wire, service->old);
		wire_put_u32(&out->wire, service->news);
		wire_put_u32(&out->wire, out->draft->access[i]);
		wire_put_u32(&out->wire, image_mux(service));
		wire_put_u32(&out->wire, out->draft->proxies[i]);
		wire_put_u32(&out->wire, number_of_wrappers(out->draft, i));
		wire_put_u32(&out->wire, service->tls_offset);
		wire_put_u32(&out->wire, service->tls_length);
	}
	for (uint32_t i = 0; i < count_lists(out->draft); i++)
		wire_put_u32(&out->wire, (uint32_t)get_list(out->draft, i)->len);
}

static int put_records(struct output *out)
{
	const struct conf *conf = out->draft->conf;
	int r = 0;

	for (size_t i = 0; i < conf->n_services && r == 0; i++) {
		const uint8_t *body;
		size_t len;

		if (conf->services[i]->disable)
			continue;
		body = body_of(out->draft, i, &len);
		wire_put_raw(&out->wire, body, len);
		put_tail(out->draft, &out->wire, conf->services[i]);
		if (out->wire.len >= OUTPUT_CHUNK)
			r = flush(out);
	}
	return r;
}

static int put_tables(struct output *out)
{
	int r = 0;

	for (uint32_t i = 0; i < count_lists(out->draft) && r == 0; i++) {
		const struct access_list *list = get_list(out->draft, i);

		wire_put_raw(&out->wire, list->table, list->len);
		if (out->wire.len >= OUTPUT_CHUNK)
			r = flush(out);
	}
	return r;
}

int image_draft_write(const struct image_draft *draft, int memfd)
{
	struct output out = {.draft = draft, .fd = memfd};
	int r;

	r = check_sizes(draft);
	if (r < 0)
		return r;
	put_prologue(&out);
	put_index(&out);
	r = put_records(&out);
	if (r == 0)
		r = put_tables(&out);
	if (r == 0)
		r = flush(&out);
	wire_writer_done(&out.wire);
	return r < 0 ? r : memfd_seal(memfd);
}

int image_write(const struct conf *conf, int memfd)
{
	_cleanup_image_draft_ struct image_draft *draft = NULL;
	int r = image_draft_new(conf, &draft);

	return r < 0 ? r : image_draft_write(draft, memfd);
}
